//! Whether two files of two trees are the same, as far as names of their own go.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::BorrowedFd;

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::{Errno, Result};

use super::xattrs::{self, Of};

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
    let mut files =
        [base, tree].map(|directory| openat(directory, name, flags, Mode::empty()).map(File::from));
    let [Ok(old), Ok(new)] = &mut files else {
        let [old, new] = files;
        return old.and(new).map(|_| false);
    };
    let (mut a, mut b) = (vec![0; 128 << 10], vec![0; 128 << 10]);
    loop {
        let read = fill(old, &mut a)?;
        if fill(new, &mut b)? != read || a[..read] != b[..read] {
            return Ok(false);
        }
        if read < a.len() {
            return Ok(true);
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> Result<usize> {
    let mut at = 0;
    while at < buffer.len() {
        match file.read(&mut buffer[at..]) {
            Ok(0) => break,
            Ok(size) => at += size,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Errno::from_io_error(&e).unwrap_or(Errno::IO)),
        }
    }
    Ok(at)
}
