//! What the file systems that this program fills by itself have in common: reading the tree, and what can
//! go wrong meanwhile.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{Mode, OFlags, openat};

use super::DiskError;
use super::file_system::{Place, Volume};
use crate::host::zeros::is_zero;
use crate::tree::xattrs::{self, Of};
use crate::tree::{Kind, Metadata, TreeError, shown_path};

/// Every level keeps a directory open, and 1024 open files is the usual limit of a process.
pub(super) const MAX_DEPTH: usize = 900;

/// Since 1970, in seconds and nanoseconds.
pub(super) type Time = (i64, u32);

/// Why a file system could not be filled.
#[derive(Debug)]
pub(super) enum Failed {
    /// It is full.
    NoRoom,
    /// The image could not be written.
    Io(io::Error),
    /// The tree could not be read.
    Tree(TreeError),
    Cancelled,
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Failed {
    /// What that means for the image; `needed` bytes would have been enough.
    pub fn explain(self, place: &Place<'_>, volume: &Volume<'_>, needed: u64) -> DiskError {
        match self {
            Self::Cancelled => DiskError::Cancelled,
            Self::Tree(error) => error.into(),
            Self::Io(error) => DiskError::io("write", place.file)(error),
            Self::NoRoom => {
                let needed = needed.max(place.size);
                DiskError::Full {
                    kind: volume.kind,
                    size: place.size,
                    needed: needed.saturating_add(needed / 20),
                    source: "all of it is taken".into(),
                }
            }
        }
    }
}

impl Volume<'_> {
    /// When everything was last changed in any way.
    pub(super) fn now(&self) -> Time {
        self.newest().unwrap_or_else(|| {
            let since = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
            (seconds, since.subsec_nanos())
        })
    }

    /// What nothing is said to be newer than.
    fn newest(&self) -> Option<Time> {
        let latest = self.latest?;
        Some((i64::try_from(latest).unwrap_or(i64::MAX), 0))
    }

    /// When the content of a file of the tree was last changed, as far as that is told.
    pub(super) fn mtime(&self, meta: &Metadata) -> Time {
        self.newest()
            .map_or(meta.mtime, |newest| newest.min(meta.mtime))
    }

    /// That something in the tree could not be read, or that the file system cannot hold it.
    pub(super) fn failed(
        &self,
        doing: &'static str,
        path: &Path,
        source: rustix::io::Errno,
    ) -> Failed {
        let path = shown_path(self.tree.join(path));
        Failed::Tree(TreeError::io(doing, path, source))
    }

    /// That a directory is deeper than can be opened.
    pub(super) fn too_deep(&self, path: &Path) -> Failed {
        Failed::Tree(TreeError::TooDeep {
            path: shown_path(self.tree.join(path)),
            limit: MAX_DEPTH,
        })
    }
}

/// Where something of the tree is: its name in a directory.
pub(super) struct Source<'a> {
    pub above: &'a OwnedFd,
    pub name: &'a OsStr,
    pub path: &'a Path,
}

impl Source<'_> {
    /// Opens a file for reading; nothing for what is none.
    pub fn open(&self, meta: &Metadata) -> rustix::io::Result<Option<File>> {
        if meta.kind != Kind::File {
            return Ok(None);
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = openat(self.above, self.name, flags, Mode::empty())?;
        Ok(Some(File::from(fd)))
    }
}

/// The attributes of a file that any file system could have, in the order of their names.
pub(super) fn attributes(of: Of<'_>) -> rustix::io::Result<Vec<(CString, Vec<u8>)>> {
    let mut names = xattrs::names(of)?;
    names.retain(|name| xattrs::is_general(name));
    names.sort();
    let mut all = Vec::with_capacity(names.len());
    for name in names {
        if let Some(value) = xattrs::get(of, &name)? {
            all.push((name, value));
        }
    }
    Ok(all)
}

/// Reads until the buffer is full or the file ends; returns how much that was.
pub(super) fn read_full(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read_at(&mut buffer[length..], at + length as u64) {
            Ok(0) => break,
            Ok(n) => length += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(length)
}

/// The parts of whole blocks of a file that are not zeros. A block of zeros is a hole: that follows from the content
/// alone, whatever the file system below the tree thinks of it, and never takes more than the tree did.
pub(super) fn not_zero(bytes: &[u8], block: usize) -> Vec<Range<usize>> {
    let mut parts: Vec<Range<usize>> = Vec::new();
    for (number, content) in bytes.chunks(block).enumerate() {
        let at = number * block;
        match parts.last_mut() {
            _ if is_zero(content) => {}
            Some(last) if last.end == at => last.end = at + content.len(),
            _ => parts.push(at..at + content.len()),
        }
    }
    parts
}

/// The bits of a kind of file in its mode, as all systems have them.
pub(super) fn mode_bits(meta: &Metadata) -> u32 {
    match meta.kind {
        Kind::Fifo => 0o010_000,
        Kind::Device if meta.is_block_device => 0o060_000,
        Kind::Device => 0o020_000,
        Kind::Directory => 0o040_000,
        Kind::File => 0o100_000,
        Kind::Symlink => 0o120_000,
        Kind::Socket => 0o140_000,
    }
}

/// What directories call a kind of file; XFS and btrfs agree on that.
pub(super) fn entry_kind(meta: &Metadata) -> u8 {
    match meta.kind {
        Kind::File => 1,
        Kind::Directory => 2,
        Kind::Device if meta.is_block_device => 4,
        Kind::Device => 3,
        Kind::Fifo => 5,
        Kind::Socket => 6,
        Kind::Symlink => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_zeros_are_left_out() {
        const BLOCK: usize = 4096;
        for (blocks, expected) in [
            ("", vec![]),
            ("000", vec![]),
            ("0110", vec![(1, 3)]),
            ("1001", vec![(0, 1), (3, 4)]),
            ("11", vec![(0, 2)]),
        ] {
            let bytes: Vec<u8> = blocks.bytes().flat_map(|b| [b - b'0'; BLOCK]).collect();
            let found: Vec<_> = not_zero(&bytes, BLOCK)
                .into_iter()
                .map(|part| (part.start / BLOCK, part.end / BLOCK))
                .collect();
            assert_eq!(found, expected, "{blocks}");
        }
    }
}
