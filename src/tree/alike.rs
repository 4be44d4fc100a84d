//! Whether two files of two trees are the same, as far as names of their own go.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt as _;

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::{Errno, Result};

use super::xattrs::{self, Of};
use crate::host::extents;

/// Read at a time.
const PIECE: u64 = 128 << 10;
/// Where holes are is asked of files from this size on.
const WORTH_ASKING: u64 = 1 << 20;

/// An extended attribute: its name and its value.
pub(super) type Attribute = (Vec<u8>, Option<Vec<u8>>);

/// The extended attributes that mean the same in every file system, in order.
pub(super) fn attributes(of: Of<'_>) -> Result<Vec<Attribute>> {
    let mut names = xattrs::names(of)?;
    names.retain(|name| xattrs::is_general(name) && !xattrs::is_of_overlay(name));
    names.sort_unstable();
    let values = names.into_iter().map(|name| {
        let value = xattrs::get(of, &name)?;
        Ok((name.into_bytes(), value))
    });
    values.collect()
}

/// Compares two files of the same length.
pub(super) fn same_content(
    base: BorrowedFd<'_>,
    tree: BorrowedFd<'_>,
    name: &OsStr,
) -> Result<bool> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let files =
        [base, tree].map(|directory| openat(directory, name, flags, Mode::empty()).map(File::from));
    let [Ok(old), Ok(new)] = &files else {
        let [old, new] = files;
        return old.and(new).map(|_| false);
    };
    let same = || -> std::io::Result<bool> {
        let size = old.metadata()?.len();
        let data = if size < WORTH_ASKING {
            std::iter::once(0..size).collect()
        } else {
            // What is a hole in both is the same.
            extents::of(old, PIECE, &extents::of(new, PIECE, &[])?)?
        };
        let (mut a, mut b) = (vec![0; PIECE as usize], vec![0; PIECE as usize]);
        for range in data {
            for at in range.clone().step_by(PIECE as usize) {
                let length = (range.end - at).min(PIECE) as usize;
                let (a, b) = (&mut a[..length], &mut b[..length]);
                old.read_exact_at(a, at)?;
                new.read_exact_at(b, at)?;
                if a != b {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    };
    same().map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))
}
