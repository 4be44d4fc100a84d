//! What is in a tree, in numbers and one hash, to tell later whether anything is missing or changed.

use std::collections::HashSet;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use rustix::fs::{Mode, open};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::error::TreeError;
use super::listing::{DIRECTORY, list, open_child};
use super::shown::shown;
use super::stat::{Kind, Metadata};
use crate::host::Cancel;

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Survey {
    /// Names, and the top directory.
    pub entries: u64,
    /// What it takes on the disk, in bytes; a file with several names counts once.
    pub allocated: u64,
    /// SHA-256 over names, kinds, modes, owners, lengths and times; not over contents.
    pub digest: [u8; 32],
}

/// Looks at everything in the directory `path`.
///
/// # Errors
/// When something cannot be looked at.
pub fn survey(path: &Path, cancel: &Cancel) -> Result<Survey, TreeError> {
    let failed = |e| TreeError::io("look at", shown(path), e);
    let top = open(path, DIRECTORY, Mode::empty()).map_err(failed)?;
    let meta = Metadata::of(&top).map_err(failed)?;
    let job = Job {
        cancel,
        counted: Mutex::default(),
    };
    let below = job
        .directory(&top, Path::new(""))
        .map_err(|(inside, e)| TreeError::io("look at", shown(path.join(inside)), e))?;
    if cancel.is_cancelled() {
        return Err(TreeError::Cancelled);
    }
    let mut hash = Sha256::new();
    describe(&mut hash, b"", &meta);
    hash.update(below.digest);
    Ok(Survey {
        entries: below.entries + 1,
        allocated: below.allocated + meta.allocated,
        digest: hash.finalize().into(),
    })
}

struct Job<'a> {
    cancel: &'a Cancel,
    /// Files with several names that were counted.
    counted: Mutex<HashSet<(u64, u64)>>,
}

type Failed = (PathBuf, Errno);

impl Job<'_> {
    /// What is in a directory, without the directory itself.
    fn directory(&self, dir: &OwnedFd, path: &Path) -> Result<Survey, Failed> {
        let failed = |e| (path.to_owned(), e);
        if self.cancel.is_cancelled() {
            return Ok(Survey {
                entries: 0,
                allocated: 0,
                digest: [0; 32],
            });
        }
        let entries = list(dir).map_err(failed)?;
        let mut found = Vec::with_capacity(entries.len());
        for entry in entries {
            let meta = Metadata::at(dir, &entry.name).map_err(|e| (path.join(&entry.name), e))?;
            found.push((entry.name, meta));
        }
        let dir = dir.as_fd();
        let below: Vec<Option<Survey>> = found
            .par_iter()
            .with_min_len(4)
            .map(|(name, meta)| {
                if meta.kind != Kind::Directory {
                    return Ok(None);
                }
                let path = path.join(name);
                let fd = open_child(dir, name).map_err(|e| (path.clone(), e))?;
                self.directory(&fd, &path).map(Some)
            })
            .collect::<Result<_, Failed>>()?;
        let mut hash = Sha256::new();
        let mut total = Survey {
            entries: found.len() as u64,
            allocated: 0,
            digest: [0; 32],
        };
        for ((name, meta), below) in found.iter().zip(&below) {
            describe(&mut hash, name.as_bytes(), meta);
            if self.counts(meta) {
                total.allocated += meta.allocated;
            }
            if let Some(below) = below {
                total.entries += below.entries;
                total.allocated += below.allocated;
                hash.update(below.digest);
            }
        }
        total.digest = hash.finalize().into();
        Ok(total)
    }

    fn counts(&self, meta: &Metadata) -> bool {
        if meta.links < 2 || meta.kind == Kind::Directory {
            return true;
        }
        let counted = self.counted.lock();
        let mut counted = counted.unwrap_or_else(PoisonError::into_inner);
        counted.insert(meta.id)
    }
}

fn describe(hash: &mut Sha256, name: &[u8], meta: &Metadata) {
    hash.update((name.len() as u64).to_le_bytes());
    hash.update(name);
    let (size, links) = match meta.kind {
        // Both are a matter of the file system.
        Kind::Directory => (0, 0),
        _ => (meta.size, meta.links),
    };
    let kind = match meta.kind {
        Kind::File => 0u8,
        Kind::Directory => 1,
        Kind::Symlink => 2,
        Kind::Fifo => 3,
        Kind::Socket => 4,
        Kind::Device if meta.is_block_device => 5,
        Kind::Device => 6,
    };
    hash.update([kind]);
    let (major, minor) = meta.device;
    for number in [
        meta.mode,
        meta.uid,
        meta.gid,
        links,
        major,
        minor,
        meta.mtime.1,
    ] {
        hash.update(number.to_le_bytes());
    }
    hash.update(size.to_le_bytes());
    hash.update(meta.mtime.0.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::time::{Duration, SystemTime};

    #[test]
    fn everything_missing_or_changed_shows() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        fs::create_dir_all(at("a/b/c")).unwrap();
        fs::write(at("a/b/file"), "12345").unwrap();
        fs::hard_link(at("a/b/file"), at("a/twin")).unwrap();
        symlink("b", at("a/link")).unwrap();
        let survey = || survey(dir.path(), &Cancel::default()).unwrap();
        let mut before = survey();
        assert_eq!(before.entries, 7);
        assert_eq!(before, survey());
        let mut changed = |what: &str| {
            let now = survey();
            assert_ne!(now.digest, before.digest, "{what}");
            before = now;
        };
        fs::set_permissions(at("a/b/c"), Permissions::from_mode(0o700)).unwrap();
        changed("a mode");
        File::open(at("a/b/file"))
            .unwrap()
            .set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(5))
            .unwrap();
        changed("a time");
        File::options()
            .write(true)
            .open(at("a/b/file"))
            .unwrap()
            .set_len(3)
            .unwrap();
        changed("a length");
        fs::remove_file(at("a/twin")).unwrap();
        changed("a name");
        fs::remove_dir(at("a/b/c")).unwrap();
        changed("a directory");
    }

    #[test]
    fn stops_when_asked() {
        let dir = tempfile::tempdir().unwrap();
        let cancel = Cancel::default();
        cancel.cancel();
        assert!(matches!(
            survey(dir.path(), &cancel),
            Err(TreeError::Cancelled)
        ));
    }
}
