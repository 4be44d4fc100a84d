//! The names in an open directory, in byte order.

use std::ffi::{OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{Mode, OFlags, RawDir, openat};
use rustix::io::Result;

use super::stat::{Kind, Metadata};

/// One name and what it is.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The name, without a path.
    pub name: OsString,
    /// What it is; a symbolic link is not followed.
    pub kind: Kind,
}

/// Large enough for several hundred names a call.
const BUFFER: usize = 32 * 1024;

/// Lists a directory that was just opened for reading.
pub(crate) fn list(dir: impl AsFd) -> Result<Vec<Entry>> {
    let mut buffer = [MaybeUninit::<u8>::uninit(); BUFFER];
    let mut entries = Vec::new();
    let mut raw = RawDir::new(dir.as_fd(), &mut buffer);
    while let Some(found) = raw.next() {
        let found = found?;
        let name = found.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        let name = OsStr::from_bytes(name).to_owned();
        // Some file systems do not say the kind here.
        let kind = match Kind::from_type(found.file_type()) {
            Some(kind) => kind,
            None => Metadata::at(dir.as_fd(), &name)?.kind,
        };
        entries.push(Entry { name, kind });
    }
    entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// Opens a directory by its name in another one, for reading, never through a symbolic link.
pub(crate) fn open_child(dir: impl AsFd, name: &OsStr) -> Result<OwnedFd> {
    openat(dir, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())
}

/// How directories are opened for reading.
pub(crate) const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);
