//! Opens files of a tree that nobody has to trust.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};

/// Opens the regular file `path` of `tree` for reading; links in the tree are followed inside it only.
/// What is no regular file is invalid input, and a FIFO does not block.
pub fn open(tree: &Path, path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let root = openat(
        CWD,
        tree,
        flags | OFlags::DIRECTORY | OFlags::PATH,
        Mode::empty(),
    )?;
    let file = File::from(openat2(
        &root,
        path,
        flags | OFlags::NONBLOCK | OFlags::NOCTTY,
        Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    )?);
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::ErrorKind::InvalidInput.into())
    }
}
