//! Opens files of a tree that nobody has to trust.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use rustix::fs::{CWD, Dir, Mode, OFlags, ResolveFlags, openat, openat2};

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

/// The content of the regular file `path` of `tree`, opened as by [`open`].
pub fn read(tree: &Path, path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    open(tree, path)?.read_to_end(&mut content)?;
    Ok(content)
}

/// Whether nothing is there, as opposed to something that cannot be read.
pub fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// The names in the directory `path` of `tree`; links in the tree are followed inside it only.
pub fn list(tree: &Path, path: &Path) -> io::Result<Vec<OsString>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY;
    let root = openat(CWD, tree, flags | OFlags::PATH, Mode::empty())?;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let directory = openat2(&root, path, flags, Mode::empty(), resolve)?;
    let mut names = Vec::new();
    for entry in Dir::new(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsString::from_vec(name.to_vec()));
        }
    }
    Ok(names)
}
