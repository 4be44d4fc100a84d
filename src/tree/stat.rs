//! What a file is: kind, mode, owner, times.

use std::ffi::OsStr;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType, Statx, StatxFlags, Timespec, Timestamps, statx};
use rustix::io::{Errno, Result};

/// The kind of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A device, of characters or of blocks.
    Device,
}

impl Kind {
    pub(crate) fn from_type(kind: FileType) -> Option<Self> {
        Some(match kind {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Symlink,
            FileType::Fifo => Self::Fifo,
            FileType::Socket => Self::Socket,
            FileType::CharacterDevice | FileType::BlockDevice => Self::Device,
            FileType::Unknown => return None,
        })
    }

    /// The kind with its article, for messages.
    #[must_use]
    pub fn with_article(self) -> &'static str {
        match self {
            Self::File => "a file",
            Self::Directory => "a directory",
            Self::Symlink => "a symbolic link",
            Self::Fifo => "a named pipe",
            Self::Socket => "a socket",
            Self::Device => "a device",
        }
    }
}

/// What the system knows of one file.
#[derive(Clone, Copy, Debug)]
pub struct Metadata {
    /// What it is.
    pub kind: Kind,
    /// Permission bits with set-user-ID, set-group-ID and sticky (`0o7777`).
    pub mode: u32,
    /// Owning user.
    pub uid: u32,
    /// Owning group.
    pub gid: u32,
    /// Size in bytes, holes included.
    pub size: u64,
    /// Bytes that are allocated.
    pub allocated: u64,
    /// Number of names.
    pub links: u32,
    /// Device and inode number: the file's identity.
    pub id: (u64, u64),
    /// Time of the last change of the content: seconds since 1970 and nanoseconds.
    pub mtime: (i64, u32),
    /// Major and minor number of the device that a device file stands for.
    pub device: (u32, u32),
    /// Whether that is a device of blocks.
    pub is_block_device: bool,
}

impl Metadata {
    /// Of a name in an open directory; a symbolic link is not followed.
    pub(crate) fn at(dir: impl AsFd, name: &OsStr) -> Result<Self> {
        Self::from_statx(statx(
            dir,
            name,
            AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT,
            StatxFlags::BASIC_STATS,
        )?)
    }

    /// Of an open file.
    pub(crate) fn of(fd: impl AsFd) -> Result<Self> {
        Self::from_statx(statx(
            fd,
            c"",
            AtFlags::EMPTY_PATH,
            StatxFlags::BASIC_STATS,
        )?)
    }

    fn from_statx(stat: Statx) -> Result<Self> {
        let raw = u32::from(stat.stx_mode);
        Ok(Self {
            kind: Kind::from_type(FileType::from_raw_mode(raw)).ok_or(Errno::INVAL)?,
            mode: raw & 0o7777,
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            size: stat.stx_size,
            allocated: stat.stx_blocks.saturating_mul(512),
            links: stat.stx_nlink,
            id: (
                (u64::from(stat.stx_dev_major) << 32) | u64::from(stat.stx_dev_minor),
                stat.stx_ino,
            ),
            mtime: (stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec),
            device: (stat.stx_rdev_major, stat.stx_rdev_minor),
            is_block_device: FileType::from_raw_mode(raw) == FileType::BlockDevice,
        })
    }
}

/// Access and modification time both set to `mtime`: reading is not worth a record in an image.
pub(crate) fn times(mtime: (i64, u32)) -> Timestamps {
    let time = Timespec {
        tv_sec: mtime.0,
        tv_nsec: mtime.1.into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}
