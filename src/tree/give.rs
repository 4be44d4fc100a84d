//! Gives a directory with all that is in it from one user to another.

use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Gid, Uid, chownat, fchown};
use rustix::io::Errno;

use super::error::TreeError;
use super::listing::{DIRECTORY, list};
use super::root::Root;
use super::stat::{Kind, Metadata};

impl Root {
    /// Gives the directory and everything in it that belongs to the user `from` to the user and group
    /// `to`. What belongs to somebody else stays theirs; symbolic links are not followed, and other
    /// file systems are not entered.
    ///
    /// # Errors
    /// When an owner cannot be changed.
    pub fn give(&self, from: u32, to: (u32, u32)) -> Result<(), TreeError> {
        let failed = |action, e| self.failed(action, "".as_ref(), e);
        let top = Metadata::of(self.fd()).map_err(|e| failed("look at", e))?;
        let giving = Giving {
            root: self,
            device: top.id.0,
            from,
            to: (Uid::from_raw(to.0), Gid::from_raw(to.1)),
        };
        let mut todo = vec![PathBuf::new()];
        while let Some(path) = todo.pop() {
            giving.directory(&path, &mut todo)?;
        }
        if top.uid == from {
            let (uid, gid) = giving.to;
            fchown(self.fd(), Some(uid), Some(gid)).map_err(|e| failed("give away", e))?;
        }
        Ok(())
    }
}

struct Giving<'a> {
    root: &'a Root,
    /// Of the file system that is not left.
    device: u64,
    from: u32,
    to: (Uid, Gid),
}

impl Giving<'_> {
    /// Gives away what the directory at `path` holds, and adds the directories in it to `todo`.
    fn directory(&self, path: &Path, todo: &mut Vec<PathBuf>) -> Result<(), TreeError> {
        // What goes away meanwhile has no owner any more.
        let gone = |e| matches!(e, Errno::NOENT | Errno::NOTDIR | Errno::LOOP);
        let failed = |path: &Path, e| self.root.failed("give away", path, e);
        let dir = match self.root.lookup_plain(path, DIRECTORY) {
            Err(e) if gone(e) => return Ok(()),
            other => other.map_err(|e| failed(path, e))?,
        };
        for entry in list(&dir).map_err(|e| failed(path, e))? {
            let place = path.join(&entry.name);
            let found = match Metadata::at(&dir, &entry.name) {
                Err(e) if gone(e) => continue,
                other => other.map_err(|e| failed(&place, e))?,
            };
            if found.id.0 != self.device {
                continue;
            }
            if found.uid == self.from {
                let (uid, gid) = (Some(self.to.0), Some(self.to.1));
                match chownat(&dir, &entry.name, uid, gid, AtFlags::SYMLINK_NOFOLLOW) {
                    Err(e) if gone(e) => continue,
                    other => other.map_err(|e| failed(&place, e))?,
                }
            }
            if found.kind == Kind::Directory {
                todo.push(place);
            }
        }
        Ok(())
    }
}
