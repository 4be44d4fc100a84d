//! Whether files were changed since a moment, by the time that the kernel notes for any change.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, OFlags, StatxFlags, statx};
use rustix::io::Errno;

use crate::installer::InstallError;
use crate::tree::{Root, TreeError};

/// Seconds and nanoseconds since 1970, by the clock of the file system.
pub(super) type Moment = (i64, i64);

/// This moment.
///
/// # Errors
/// When no file can be made in `scratch`.
pub(super) fn now(scratch: &Path) -> Result<Moment, InstallError> {
    let path = scratch.join("moment");
    std::fs::write(&path, "")
        .and_then(|()| std::fs::metadata(&path))
        .map(|made| (made.ctime(), made.ctime_nsec()))
        .map_err(|source| InstallError::Prepare { path, source })
}

/// Whether any of these files is gone or was changed.
///
/// # Errors
/// When the tree cannot be read.
pub(super) fn any_since(root: &Root, paths: &[Vec<u8>], moment: Moment) -> Result<bool, TreeError> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for path in paths {
        let path = Path::new(OsStr::from_bytes(path.strip_prefix(b"/").unwrap_or(path)));
        let found = root
            .lookup(path, flags)
            .and_then(|fd| statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::CTIME));
        match found {
            Ok(found) => {
                let changed = (found.stx_ctime.tv_sec, i64::from(found.stx_ctime.tv_nsec));
                if changed >= moment {
                    return Ok(true);
                }
            }
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(true),
            Err(e) => return Err(root.failed("look at", path, e)),
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_changes_of_any_kind() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        root.write("a", "x", 0o644).unwrap();
        let paths = vec![b"/a".to_vec()];
        let (seconds, nanoseconds) = now(dir.path()).unwrap();
        let later = (seconds + 1, nanoseconds);
        assert!(!any_since(&root, &paths, later).unwrap());
        assert!(any_since(&root, &paths, (seconds - 1, 0)).unwrap());
        root.remove_file("a").unwrap();
        assert!(any_since(&root, &paths, later).unwrap());
    }
}
