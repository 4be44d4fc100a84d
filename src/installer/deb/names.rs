//! Names of a package's files: as dpkg lists them, as paths of the tree, and as open files.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags, openat};

use crate::tree::archive::Fault;

/// A path as dpkg lists it, as one beneath the tree's root.
pub(super) fn as_path(path: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(path.strip_prefix(b"/").unwrap_or(path)))
}

/// Makes a file that is not there.
pub(super) fn create(dir: &OwnedFd, name: &OsStr) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(dir, name, flags, Mode::from_raw_mode(0o600)).map(File::from)?)
}

/// Reads a small file.
pub(super) fn read_whole(dir: &OwnedFd, name: &OsStr) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut content = Vec::new();
    File::from(openat(dir, name, flags, Mode::empty())?).read_to_end(&mut content)?;
    Ok(content)
}

/// The name of a member as dpkg lists it: `/etc/x`, and `/.` for the root directory.
pub(super) fn path_of(name: &[u8]) -> Result<Vec<u8>, Fault> {
    let problem = if name.is_empty() {
        Some("its name is empty")
    } else if name.starts_with(b"/") {
        Some("its name begins with `/`")
    } else if name.contains(&0) || name.contains(&b'\n') {
        Some("its name holds a null byte or a line break")
    } else {
        None
    };
    if let Some(problem) = problem {
        return Err(Fault::new(problem));
    }
    let mut path = Vec::with_capacity(name.len());
    for step in name.split(|byte| *byte == b'/') {
        match step {
            b"" | b"." => {}
            b".." => {
                return Err(Fault::new(
                    "its name holds `..` and could lead out of the image",
                ));
            }
            step => {
                path.push(b'/');
                path.extend_from_slice(step);
            }
        }
    }
    if path.is_empty() {
        path.extend_from_slice(b"/.");
    }
    Ok(path)
}
