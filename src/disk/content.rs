//! What a file system has to hold, as counts: the input of every file system's size calculation.

/// Counts over the tree that goes into a file system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Contents of regular files in bytes, each file rounded up to whole blocks of 4096 and each
    /// hard-linked file counted once. Holes may be left out.
    pub data_bytes: u64,
    /// Files of every type, the root directory included and hard-linked files counted once.
    pub inodes: u64,
    /// Directories, the root directory included.
    pub directories: u64,
    /// Names in all directories: `inodes - 1`, and one more for each further hard link.
    pub names: u64,
    /// The lengths of all those names in bytes.
    pub name_bytes: u64,
    /// Symbolic links whose target is longer than 59 bytes, too long to be kept in an inode.
    pub long_symlinks: u64,
    /// Files of every type that have extended attributes.
    pub with_xattrs: u64,
}

impl Content {
    /// Counts for a tree of which only the basics are known; the rest is assumed on the high side:
    /// names of 32 bytes, and one file in 16 with a long symbolic link or extended attributes.
    #[must_use]
    pub const fn roughly(data_bytes: u64, inodes: u64, directories: u64) -> Self {
        Self {
            data_bytes,
            inodes,
            directories,
            names: inodes,
            name_bytes: inodes.saturating_mul(32),
            long_symlinks: 0,
            with_xattrs: inodes / 16,
        }
    }
}
