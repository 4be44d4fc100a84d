//! Directories of the tree: opened beneath its root, and known by where they really are.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use rustix::io::Errno;

use crate::tree::listing::DIRECTORY;
use crate::tree::resolve::resolve;
use crate::tree::{Root, TreeError};

/// The real paths of directories, as far as they were asked for. Links that packages bring are not
/// followed by others, and links that are there before stay, so what was true once stays true.
#[derive(Debug, Default)]
pub(super) struct Places(RwLock<HashMap<PathBuf, Vec<u8>>>);

impl Places {
    /// Opens a directory, made if needed, and says where it really is: a path without links, and
    /// without a slash at its beginning.
    pub fn open(&self, root: &Root, path: &Path) -> Result<(Vec<u8>, OwnedFd), TreeError> {
        let known = self
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(path)
            .cloned();
        if let Some(real) = known {
            let at = Path::new(OsStr::from_bytes(&real));
            let dir = root
                .lookup_plain(at, DIRECTORY)
                .map_err(|e| root.failed("open the directory", path, e))?;
            return Ok((real, dir));
        }
        let at = resolve(root, path, true)?.path;
        let dir = match root.lookup_plain(&at, DIRECTORY) {
            Err(Errno::NOENT) => {
                root.create_dir_all(&at, 0o755)?;
                root.lookup_plain(&at, DIRECTORY)
            }
            other => other,
        }
        .map_err(|e| root.failed("open the directory", path, e))?;
        let real = at.into_os_string().into_vec();
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(path.to_owned(), real.clone());
        Ok((real, dir))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_are_there_are_followed_beneath_the_root() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/usr/lib", dir.path().join("lib")).unwrap();
        std::os::unix::fs::symlink("../../../out", dir.path().join("up")).unwrap();
        let root = Root::open(dir.path()).unwrap();
        let places = Places::default();
        for _ in 0..2 {
            for (path, real) in [("lib/x", "usr/lib/x"), ("up", "out"), ("", "")] {
                let (found, _) = places.open(&root, Path::new(path)).unwrap();
                assert_eq!(found, real.as_bytes());
            }
        }
        assert!(dir.path().join("usr/lib/x").is_dir());
    }
}
