//! The file systems that an image can have, behind one interface: how large each must be, and how it
//! is made in a range of a file and filled from a tree.

use std::path::Path;

use serde::Serialize;
use uuid::Uuid;

use super::btrfs::Btrfs;
use super::squashfs::Squashfs;
use super::{Content, DiskError, PartitionKind, Size, ext4, fat, xfs};
use crate::host::Host;

/// A file system, with the settings that only it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum FileSystem {
    /// ext4.
    Ext4,
    /// XFS.
    Xfs,
    /// btrfs.
    Btrfs(Btrfs),
    /// squashfs, which is never written to.
    Squashfs(Squashfs),
    /// FAT, for firmware and boot loaders to read.
    Fat,
}

/// A range of a file.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The file, which exists.
    pub file: &'a Path,
    /// Where the range begins, in bytes: a multiple of 4096.
    pub offset: u64,
    /// Its length in bytes. It is a hole in the file, or reads as zeros.
    pub size: u64,
}

/// What goes into a file system, and how that shall be.
#[derive(Clone, Copy, Debug)]
pub struct Volume<'a> {
    /// The partition it is for: its label, and what messages call it.
    pub kind: PartitionKind,
    /// The directory that becomes its root: a finished tree with nothing mounted in it.
    pub tree: &'a Path,
    /// Counts over that directory.
    pub content: &'a Content,
    /// It will only ever be mounted read-only.
    pub read_only: bool,
    /// As small as its content allows.
    pub minimal: bool,
    /// Its identifier.
    pub uuid: Uuid,
    /// The seed of its directory hashes, where it has any.
    pub hash_seed: Uuid,
    /// The time in seconds that nothing in it shall be newer than (`SOURCE_DATE_EPOCH`).
    pub latest: Option<u64>,
    /// What is not written will read as zeros; it does not once the file system is encrypted.
    pub zeroed: bool,
    /// A directory for mount points and parts, which are gone in the end; on a disk.
    pub scratch: &'a Path,
}

/// How much of a disk a file system takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// This many bytes.
    Exactly(u64),
    /// No more than this many; making it tells how many.
    UpTo(u64),
}

impl Room {
    /// The most that it can be, in bytes.
    #[must_use]
    pub const fn most(self) -> u64 {
        match self {
            Self::Exactly(bytes) | Self::UpTo(bytes) => bytes,
        }
    }
}

impl FileSystem {
    /// The name by which the kernel and people know it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs(_) => "btrfs",
            Self::Squashfs(_) => "squashfs",
            Self::Fat => "vfat",
        }
    }

    /// The programs that making it takes.
    #[must_use]
    pub fn tools(&self) -> Vec<String> {
        match self {
            Self::Ext4 => vec!["mkfs.ext4".to_owned()],
            Self::Xfs => vec!["mkfs.xfs".to_owned()],
            // This program makes it.
            Self::Btrfs(_) => Vec::new(),
            Self::Squashfs(squashfs) => vec![squashfs.tool()],
            Self::Fat => fat::TOOLS.map(str::to_owned).to_vec(),
        }
    }

    /// Whether it can be enlarged when its partition is.
    #[must_use]
    pub const fn grows(&self) -> bool {
        !matches!(self, Self::Squashfs(_) | Self::Fat)
    }

    /// The size in bytes below which there is no such file system, whatever it holds.
    #[must_use]
    pub const fn least(&self, read_only: bool) -> u64 {
        match self {
            Self::Ext4 => ext4::LEAST,
            Self::Xfs => xfs::LEAST,
            Self::Btrfs(_) => Btrfs::least(read_only),
            Self::Squashfs(_) => Squashfs::LEAST,
            Self::Fat => fat::LEAST,
        }
    }

    /// The size in bytes that is sure to hold `content`.
    #[must_use]
    pub fn needed(&self, content: &Content, read_only: bool) -> u64 {
        match self {
            Self::Ext4 => ext4::needed(content, read_only),
            Self::Xfs => xfs::needed(content),
            Self::Btrfs(_) => Btrfs::needed(content, read_only),
            Self::Squashfs(_) => Squashfs::most(content),
            Self::Fat => fat::needed(content),
        }
    }

    /// How large it becomes when its size is set to `size`.
    #[must_use]
    pub fn room(&self, size: Size, content: &Content, read_only: bool) -> Room {
        let needed = || self.needed(content, read_only);
        match (self, size) {
            (Self::Squashfs(_), _) | (Self::Btrfs(_), Size::Minimal) => Room::UpTo(needed()),
            (_, Size::Fixed(size)) => Room::Exactly(size),
            (_, Size::Minimal) => Room::Exactly(needed()),
            (Self::Ext4, Size::Automatic) => Room::Exactly(ext4::automatic(content, read_only)),
            (Self::Xfs, Size::Automatic) => Room::Exactly(xfs::automatic(content, read_only)),
            (Self::Fat, Size::Automatic) => Room::Exactly(fat::SMALLEST_AUTOMATIC.max(needed())),
            (Self::Btrfs(_), Size::Automatic) => {
                Room::Exactly(Btrfs::automatic(content, read_only))
            }
        }
    }

    /// The least that it can become with this setting, before anything is known of its content.
    #[must_use]
    pub const fn least_room(&self, size: Size, read_only: bool) -> Room {
        match (self, size) {
            (Self::Squashfs(_), _) | (_, Size::Minimal) => Room::UpTo(self.least(read_only)),
            (_, Size::Fixed(size)) => Room::Exactly(size),
            (Self::Ext4, Size::Automatic) => Room::UpTo(ext4::SMALLEST_AUTOMATIC),
            (Self::Xfs, Size::Automatic) => Room::UpTo(xfs::SMALLEST_AUTOMATIC),
            (Self::Fat, Size::Automatic) => Room::UpTo(fat::SMALLEST_AUTOMATIC),
            (Self::Btrfs(_), Size::Automatic) => Room::UpTo(Btrfs::SMALLEST_AUTOMATIC),
        }
    }

    /// Whether `size` bytes can be such a file system at all.
    ///
    /// # Errors
    /// [`DiskError::BelowLeast`], with what to set.
    pub const fn check_least(
        &self,
        kind: PartitionKind,
        size: u64,
        read_only: bool,
    ) -> Result<(), DiskError> {
        let least = self.least(read_only);
        if size < least {
            let name = self.name();
            return Err(DiskError::BelowLeast {
                kind,
                name,
                size,
                least,
            });
        }
        Ok(())
    }

    /// Whether `size` bytes can hold the volume, as far as that can be known before it is made.
    ///
    /// # Errors
    /// What is too small, with the size that is needed.
    pub fn check(&self, size: u64, volume: &Volume<'_>) -> Result<(), DiskError> {
        if !matches!(self, Self::Squashfs(_)) {
            self.check_least(volume.kind, size, volume.read_only)?;
        }
        match self {
            Self::Ext4 => ext4::check(size, volume).map(drop),
            Self::Xfs => xfs::check(size, volume),
            Self::Btrfs(btrfs) => btrfs.check(size, volume),
            Self::Squashfs(_) => Ok(()),
            Self::Fat => fat::check(size, volume),
        }
    }

    /// Makes the file system in `place` and fills it. Returns its size in bytes, a multiple of 4096:
    /// the place's, or less where [`FileSystem::room`] said so.
    ///
    /// squashfs drops whatever the file holds before and after the place: it has to be made before
    /// other parts of the file are.
    ///
    /// # Errors
    /// What could not be done; the place may hold anything then.
    pub fn make(
        &self,
        place: &Place<'_>,
        volume: &Volume<'_>,
        host: &Host,
    ) -> Result<u64, DiskError> {
        if host.cancel.is_cancelled() {
            return Err(DiskError::Cancelled);
        }
        self.check(place.size, volume)?;
        match self {
            Self::Ext4 => ext4::make(place, volume, host).map(|()| place.size),
            Self::Xfs => xfs::make(place, volume, host).map(|()| place.size),
            Self::Btrfs(btrfs) => btrfs.make(place, volume, host),
            Self::Squashfs(squashfs) => squashfs.make(place, volume, host),
            Self::Fat => fat::make(place, volume, host).map(|()| place.size),
        }
    }
}
