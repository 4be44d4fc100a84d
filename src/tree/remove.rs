//! Removing from an image: one name, a directory with all it holds, or only what it holds.
//!
//! Nothing is followed and no mount point is entered: a directory is opened with a call that fails
//! where another file system, or the same one mounted again, begins.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, openat2, renameat, unlinkat};
use rustix::io::Errno;

use super::error::TreeError;
use super::files::temporary_name;
use super::listing::{DIRECTORY, list};
use super::root::{Root, clean, split};

/// Directories nested deeper are moved up before they are emptied, so that few stay open.
const OPEN_LEVELS: usize = 64;

impl Root {
    /// Removes a name that is no directory; a symbolic link itself, not its target. Returns whether
    /// there was one.
    ///
    /// # Errors
    /// When the name is a directory or cannot be removed.
    pub fn remove_file(&self, path: impl AsRef<Path>) -> Result<bool, TreeError> {
        let path = clean(path.as_ref())?;
        let Some(dir) = self.dir_above(&path)? else {
            return Ok(false);
        };
        match unlinkat(&dir, split(&path)?.1, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(Errno::BUSY) => Err(self.mounted(&path)),
            Err(e) => Err(self.failed("remove", &path, e)),
        }
    }

    /// Removes an empty directory. Returns whether it is gone: `false` when it is not empty or not
    /// there.
    ///
    /// # Errors
    /// When the system refuses for another reason.
    pub fn remove_empty_dir(&self, path: impl AsRef<Path>) -> Result<bool, TreeError> {
        let path = clean(path.as_ref())?;
        let Some(dir) = self.dir_above(&path)? else {
            return Ok(false);
        };
        match unlinkat(&dir, split(&path)?.1, AtFlags::REMOVEDIR) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => Ok(false),
            Err(Errno::BUSY) => Err(self.mounted(&path)),
            Err(e) => Err(self.failed("remove", &path, e)),
        }
    }

    /// Removes a name and, if it is a directory, all it holds. Returns whether there was one.
    ///
    /// # Errors
    /// When something is mounted on it or inside it, or cannot be removed.
    pub fn remove_tree(&self, path: impl AsRef<Path>) -> Result<bool, TreeError> {
        let path = clean(path.as_ref())?;
        let Some(dir) = self.dir_above(&path)? else {
            return Ok(false);
        };
        self.remove_at(dir.as_fd(), split(&path)?.1, &path)
    }

    /// Empties a directory, reached through symbolic links if need be, and keeps the directory. One
    /// that is missing counts as empty.
    ///
    /// # Errors
    /// As [`remove_tree`](Self::remove_tree).
    pub fn remove_content(&self, path: impl AsRef<Path>) -> Result<(), TreeError> {
        let path = clean(path.as_ref())?;
        let dir = match self.lookup(&path, DIRECTORY) {
            Ok(dir) => dir,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            Err(e) => return Err(self.failed("open the directory", &path, e)),
        };
        for entry in list(&dir).map_err(|e| self.failed("list", &path, e))? {
            self.remove_at(dir.as_fd(), &entry.name, &path.join(&entry.name))?;
        }
        Ok(())
    }

    /// The directory that holds a path; `None` when it is missing.
    fn dir_above(&self, path: &Path) -> Result<Option<OwnedFd>, TreeError> {
        let above = split(path)?.0;
        match self.lookup(above, DIRECTORY) {
            Ok(dir) => Ok(Some(dir)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(e) => Err(self.failed("open the directory", above, e)),
        }
    }

    fn mounted(&self, path: &Path) -> TreeError {
        TreeError::MountPoint {
            path: self.place(path),
        }
    }

    /// `path` is only for messages.
    fn remove_at(&self, dir: BorrowedFd<'_>, name: &OsStr, path: &Path) -> Result<bool, TreeError> {
        match unlinkat(dir, name, AtFlags::empty()) {
            Ok(()) => return Ok(true),
            Err(Errno::NOENT) => return Ok(false),
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(Errno::BUSY) => return Err(self.mounted(path)),
            Err(e) => return Err(self.failed("remove", path, e)),
        }
        let mut open = vec![self.enter(dir, name, path.to_owned())?];
        while let Some(level) = open.last_mut() {
            let child = level.left.pop();
            let level = &open[open.len() - 1];
            let Some(child) = child else {
                let above = match open.len() {
                    1 => dir,
                    depth => open[depth - 2].fd.as_fd(),
                };
                self.remove_emptied(above, level)?;
                open.pop();
                continue;
            };
            let child_path = level.path.join(&child);
            match unlinkat(&level.fd, &child, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(Errno::ISDIR | Errno::PERM) if open.len() < OPEN_LEVELS => {
                    let below = self.enter(level.fd.as_fd(), &child, child_path)?;
                    open.push(below);
                }
                Err(Errno::ISDIR | Errno::PERM) => {
                    let moved = temporary_name();
                    renameat(&level.fd, &child, &open[0].fd, &moved).map_err(|e| match e {
                        Errno::BUSY | Errno::XDEV => self.mounted(&child_path),
                        e => self.failed("remove", &child_path, e),
                    })?;
                    open[0].left.push(moved);
                }
                Err(Errno::BUSY) => return Err(self.mounted(&child_path)),
                Err(e) => return Err(self.failed("remove", &child_path, e)),
            }
        }
        Ok(true)
    }

    fn enter(&self, dir: BorrowedFd<'_>, name: &OsStr, path: PathBuf) -> Result<Level, TreeError> {
        let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        let flags = DIRECTORY | OFlags::NOFOLLOW;
        let fd = openat2(dir, name, flags, Mode::empty(), how).map_err(|e| match e {
            Errno::XDEV => self.mounted(&path),
            // No directory after all: the system forbade the removal of a file.
            Errno::NOTDIR => self.failed("remove", &path, Errno::PERM),
            e => self.failed("remove", &path, e),
        })?;
        let entries = list(&fd).map_err(|e| self.failed("list", &path, e))?;
        Ok(Level {
            fd,
            name: name.to_owned(),
            path,
            left: entries.into_iter().map(|entry| entry.name).collect(),
        })
    }

    fn remove_emptied(&self, above: BorrowedFd<'_>, level: &Level) -> Result<(), TreeError> {
        match unlinkat(above, &level.name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::BUSY) => Err(self.mounted(&level.path)),
            Err(e) => Err(self.failed("remove", &level.path, e)),
        }
    }
}

/// A directory that is being emptied.
struct Level {
    fd: OwnedFd,
    name: OsString,
    path: PathBuf,
    left: Vec<OsString>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn image() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        (dir, root)
    }

    #[test]
    fn removes_links_and_not_what_they_lead_to() {
        let (dir, root) = image();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("keep"), "").unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        symlink(outside.path(), dir.path().join("a/b/out")).unwrap();
        symlink("..", dir.path().join("a/up")).unwrap();
        assert!(root.remove_tree("a").unwrap());
        assert!(!root.remove_tree("a").unwrap());
        assert!(!root.remove_tree("not/there").unwrap());
        assert!(outside.path().join("keep").exists());
    }

    #[test]
    fn a_very_deep_tree_needs_few_open_files() {
        let (dir, root) = image();
        let deep: PathBuf = std::iter::repeat_n("d", 400).collect();
        fs::create_dir_all(dir.path().join(&deep)).unwrap();
        fs::write(dir.path().join(&deep).join("f"), "").unwrap();
        assert!(root.remove_tree("d").unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn empties_a_directory_through_a_link() {
        let (dir, root) = image();
        fs::create_dir_all(dir.path().join("run/x")).unwrap();
        fs::create_dir(dir.path().join("var")).unwrap();
        symlink("/run", dir.path().join("var/run")).unwrap();
        root.remove_content("var/run").unwrap();
        root.remove_content("missing").unwrap();
        assert!(root.is_dir("run").unwrap());
        assert!(!root.exists("run/x").unwrap());
        assert!(root.exists("var/run").unwrap());
    }

    #[test]
    fn remove_file_keeps_directories() {
        let (dir, root) = image();
        fs::create_dir(dir.path().join("d")).unwrap();
        assert!(root.remove_file("d").is_err());
        assert!(!root.remove_file("none").unwrap());
        assert!(root.remove_empty_dir("d").unwrap());
        assert!(root.remove_tree("/").is_err(), "never the root itself");
    }
}
