//! The kinds of image.

use super::keyword::{keyword_value, keywords};

keywords! {
    /// What a build writes.
    Format {
        /// A directory tree.
        Directory = "directory",
        /// A btrfs subvolume with nested subvolumes.
        Subvolume = "subvolume",
        /// A tar archive.
        Tar = "tar",
        /// A disk image, ext4 as root.
        GptExt4 = "gpt_ext4" | "raw_ext4" | "raw_gpt",
        /// A disk image, XFS as root.
        GptXfs = "gpt_xfs" | "raw_xfs",
        /// A disk image, btrfs as root.
        GptBtrfs = "gpt_btrfs" | "raw_btrfs",
        /// A disk image, squashfs as read-only root.
        GptSquashfs = "gpt_squashfs" | "raw_squashfs",
        /// A squashfs file system without a partition table.
        PlainSquashfs = "plain_squashfs",
        /// What the functions of an IMGBUILD make of the tree.
        Custom = "custom",
    }
}

keyword_value!(Format);

impl Format {
    /// Whether the image is a disk with a partition table.
    #[must_use]
    pub const fn is_disk(self) -> bool {
        matches!(
            self,
            Self::GptExt4 | Self::GptXfs | Self::GptBtrfs | Self::GptSquashfs
        )
    }

    /// Whether the root file system is squashfs.
    #[must_use]
    pub const fn is_squashfs(self) -> bool {
        matches!(self, Self::GptSquashfs | Self::PlainSquashfs)
    }

    /// Whether the root file system is btrfs.
    #[must_use]
    pub const fn is_btrfs(self) -> bool {
        matches!(self, Self::GptBtrfs | Self::Subvolume)
    }

    /// Whether the result is a tree of files on the host.
    #[must_use]
    pub const fn is_tree(self) -> bool {
        matches!(self, Self::Directory | Self::Subvolume)
    }

    /// Whether the root partition has a size of its own that a setting can choose.
    #[must_use]
    pub const fn has_root_size(self) -> bool {
        matches!(self, Self::GptExt4 | Self::GptXfs | Self::GptBtrfs)
    }
}
