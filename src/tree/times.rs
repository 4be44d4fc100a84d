//! Times of files, made no later than one.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rustix::fs::{AtFlags, Mode, Timespec, Timestamps, UTIME_OMIT, open, utimensat};
use rustix::io::Errno;

use super::error::TreeError;
use super::listing::{DIRECTORY, list, open_child};
use super::shown::shown;
use super::stat::{Kind, Metadata};
use crate::host::Cancel;

/// Sets the time of the last change of everything in the directory `path`, and of itself, that is later
/// than `latest` to that: seconds since 1970.
///
/// # Errors
/// When something cannot be looked at or changed.
pub fn make_no_later(path: &Path, latest: u64, cancel: &Cancel) -> Result<(), TreeError> {
    let failed = |(inside, e): (PathBuf, Errno)| {
        TreeError::io("set the time of", shown(path.join(inside)), e)
    };
    let latest = i64::try_from(latest).unwrap_or(i64::MAX);
    let top = open(path, DIRECTORY, Mode::empty()).map_err(|e| failed((PathBuf::new(), e)))?;
    below(&top, Path::new(""), latest, cancel).map_err(failed)?;
    if cancel.is_cancelled() {
        return Err(TreeError::Cancelled);
    }
    Ok(())
}

fn below(dir: &OwnedFd, path: &Path, latest: i64, cancel: &Cancel) -> Result<(), (PathBuf, Errno)> {
    if cancel.is_cancelled() {
        return Ok(());
    }
    let entries = list(dir).map_err(|e| (path.to_owned(), e))?;
    let fd = dir.as_fd();
    entries.par_iter().with_min_len(16).try_for_each(|entry| {
        let path = path.join(&entry.name);
        let failed = |e| (path.clone(), e);
        let meta = Metadata::at(fd, &entry.name).map_err(failed)?;
        if meta.kind == Kind::Directory {
            let child = open_child(fd, &entry.name).map_err(failed)?;
            return below(&child, &path, latest, cancel);
        }
        set(fd, &entry.name, &meta, latest).map_err(failed)
    })?;
    // Setting times in it does not change its own.
    let meta = Metadata::of(dir).map_err(|e| (path.to_owned(), e))?;
    set(fd, ".".as_ref(), &meta, latest).map_err(|e| (path.to_owned(), e))
}

fn set(
    dir: std::os::fd::BorrowedFd<'_>,
    name: &std::ffi::OsStr,
    meta: &Metadata,
    latest: i64,
) -> rustix::io::Result<()> {
    if meta.mtime <= (latest, 0) {
        return Ok(());
    }
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: latest,
            tv_nsec: 0,
        },
    };
    utimensat(dir, name, &times, AtFlags::SYMLINK_NOFOLLOW)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, symlink};
    use std::time::{Duration, SystemTime};

    #[test]
    fn only_what_is_later_is_changed() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("a/b")).unwrap();
        fs::write(at("a/b/new"), "").unwrap();
        fs::write(at("a/old"), "").unwrap();
        symlink("/nowhere", at("a/link")).unwrap();
        let old = SystemTime::UNIX_EPOCH + Duration::from_secs(7);
        fs::File::open(at("a/old"))
            .unwrap()
            .set_modified(old)
            .unwrap();
        make_no_later(dir.path(), 1000, &Cancel::default()).unwrap();
        for (name, expected) in [
            ("", 1000),
            ("a", 1000),
            ("a/b", 1000),
            ("a/b/new", 1000),
            ("a/link", 1000),
            ("a/old", 7),
        ] {
            let found = fs::symlink_metadata(at(name)).unwrap();
            assert_eq!((found.mtime(), found.mtime_nsec()), (expected, 0), "{name}");
        }
    }
}
