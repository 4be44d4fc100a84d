//! Hidden directories that live as long as a build, and are swept by the next one if it was killed.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, flock, fstat, openat, statat};

use super::{EngineError, publication};
use crate::host::{self, Lock, Report, fail_point};

/// What the names begin with; six letters or digits follow.
const PREFIXES: [&str; 2] = [WORK, OUT];
pub(super) const WORK: &str = ".mkosi-work-";
pub(super) const OUT: &str = ".mkosi-out-";
const RANDOM: usize = 6;
/// Locked while the build that made the directory lives.
const LOCK: &str = ".lock";
/// Where the parent directory cannot be locked: a directory without a lock file may be about to get one
/// unless it is older than this.
const NEWBORN: Duration = Duration::from_secs(60);
/// How long to wait for those who look for dead builds' directories, which takes a moment.
const LOOKING: Duration = Duration::from_millis(500);

/// How long to try to remove a directory.
const PATIENCE: Duration = Duration::from_secs(3);

/// A directory of mode 0700 with a locked file in it; removed with everything in it when dropped.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
    /// Held for its lock; `None` once the directory is gone.
    lock: Option<File>,
}

impl Scratch {
    /// Makes a directory in `parent` whose name begins with `prefix`, after removing what dead
    /// builds left in `parent`. What cannot be removed is a warning.
    pub(super) fn create(
        parent: &Path,
        prefix: &str,
        report: &dyn Report,
    ) -> Result<Self, EngineError> {
        sweep(parent, report);
        loop {
            // Who holds this in any other way waits: no directory without a lock file is one that is
            // being made.
            let making = lock_parent(parent, FlockOperation::NonBlockingLockShared);
            let path = tempfile::Builder::new()
                .prefix(prefix)
                .rand_bytes(RANDOM)
                .permissions(Permissions::from_mode(0o700))
                .tempdir_in(parent)
                .map_err(EngineError::path("create a working directory in", parent))?
                .keep();
            if let Err(error) = fail_point::reach("scratch-unlocked", prefix) {
                let _ = host::remove(&path);
                return Err(EngineError::path("create", path)(error));
            }
            // Another build's sweep may take a directory it sees without a held lock: then this one
            // is left to it.
            let locked = lock_new(&path).inspect_err(|_| {
                // Nobody will work in it.
                let _ = host::remove(&path);
            })?;
            drop(making);
            if let Some(lock) = locked {
                return Ok(Self {
                    path,
                    lock: Some(lock),
                });
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the directory now, and says what went wrong.
    pub(super) fn remove(mut self) -> Result<(), EngineError> {
        let removed = remove_for_sure(&self.path);
        self.lock = None;
        Ok(removed?)
    }

    /// Gives the directory a name that no sweep takes, and lets go of it.
    pub(super) fn keep(mut self) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let kept = self.path.with_file_name(format!("{name}.kept"));
        self.lock = None;
        match fs::rename(&self.path, &kept) {
            Ok(()) => kept,
            Err(_) => self.path.clone(),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.lock.is_some() {
            // What is left is swept by the next build, which then says why it could not be removed.
            let _ = remove_for_sure(&self.path);
        }
    }
}

/// Removes the directory also when a program that was just killed left mounts in it, or has children
/// that take a moment to end and still write.
fn remove_for_sure(path: &Path) -> Result<(), host::HostError> {
    let begun = Instant::now();
    loop {
        match host::remove(path) {
            Err(_) if begun.elapsed() < PATIENCE => {
                host::detach_below(path);
                std::thread::sleep(Duration::from_millis(20));
            }
            result => return result,
        }
    }
}

/// Locks the directory in which others are made; nothing, where something else keeps it locked.
fn lock_parent(parent: &Path, how: FlockOperation) -> Option<File> {
    let parent = File::open(parent).ok()?;
    let begun = Instant::now();
    while flock(&parent, how).is_err() {
        if begun.elapsed() > LOOKING {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Some(parent)
}

/// Makes and locks the lock file; `None` when somebody else was faster.
fn lock_new(directory: &Path) -> Result<Option<File>, EngineError> {
    let path = directory.join(LOCK);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = match openat(CWD, &path, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => file,
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(e) => return Err(EngineError::path("create", path)(e)),
    };
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::AGAIN) => return Ok(None),
        Err(e) => return Err(EngineError::path("lock", path)(e)),
    }
    let same = match (statat(CWD, &path, AtFlags::SYMLINK_NOFOLLOW), fstat(&file)) {
        (Ok(a), Ok(b)) => (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino),
        _ => false,
    };
    Ok(same.then(|| File::from(file)))
}

/// Removes the workspaces and the unpublished artifacts in `parent` whose builds were killed; the
/// ones of running builds stay. What the artifacts of a build that died while it published them had
/// replaced is put back. What cannot be removed is a warning.
pub fn sweep(parent: &Path, report: &dyn Report) {
    // Nobody may ever want what a dead build was about to make.
    Lock::sweep(parent);
    for (path, _lock) in dead(parent) {
        match publication::undo(&path, parent) {
            Ok(false) => {}
            Ok(true) => report.warn(
                "a build was killed while its artifacts were put in place: what was there before is \
                 there again",
            ),
            Err(problem) => {
                report.warn(&problem);
                continue;
            }
        }
        if let Err(error) = host::remove(&path) {
            report.warn(&format!(
                "a former build left something behind: {}",
                chain(&error)
            ));
        }
    }
}

/// The directories of dead builds, each with what keeps others from taking it, too.
fn dead(parent: &Path) -> Vec<(PathBuf, Option<File>)> {
    let Ok(entries) = fs::read_dir(parent) else {
        // Whoever works in the directory next says what is wrong with it.
        return Vec::new();
    };
    let paths: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| is_scratch_name(&entry.file_name()))
        .map(|entry| entry.path())
        .collect();
    if paths.is_empty() {
        return Vec::new();
    }
    let nobody_makes_any = lock_parent(parent, FlockOperation::NonBlockingLockExclusive);
    let taken = paths.into_iter().filter_map(|path| {
        let lock = take_over(&path, nobody_makes_any.is_some())?;
        Some((path, lock))
    });
    taken.collect()
}

fn is_scratch_name(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else {
        return false;
    };
    PREFIXES.iter().any(|prefix| {
        name.strip_prefix(prefix).is_some_and(|rest| {
            rest.len() == RANDOM && rest.bytes().all(|b| b.is_ascii_alphanumeric())
        })
    })
}

/// Gets hold of a directory that belongs to nobody any more. The lock, where there is one, is held
/// until the returned value goes.
/// `finished`: whether nobody is just making such directories.
fn take_over(path: &Path, finished: bool) -> Option<Option<File>> {
    let directory = path.symlink_metadata().ok()?;
    let own = rustix::process::geteuid().as_raw();
    if !directory.is_dir() || directory.uid() != own {
        return None;
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match openat(CWD, path.join(LOCK), flags, Mode::empty()) {
        Ok(lock) => {
            flock(&lock, FlockOperation::NonBlockingLockExclusive).ok()?;
            Some(Some(File::from(lock)))
        }
        Err(rustix::io::Errno::NOENT) if finished => Some(None),
        Err(rustix::io::Errno::NOENT) => {
            let age = SystemTime::now().duration_since(directory.modified().ok()?);
            (age.ok()? > NEWBORN).then_some(None)
        }
        Err(_) => None,
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Quiet;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap().flatten();
        let mut names: Vec<_> = entries
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn lives_as_long_as_its_value() {
        let dir = tempfile::tempdir().unwrap();
        let scratch = Scratch::create(dir.path(), WORK, &Quiet).unwrap();
        let path = scratch.path().to_owned();
        fs::create_dir_all(path.join("a/b")).unwrap();
        assert!(is_scratch_name(path.file_name().unwrap()), "{path:?}");
        assert_eq!(
            path.metadata().unwrap().permissions().mode() & 0o7777,
            0o700
        );
        sweep(dir.path(), &Quiet);
        assert!(
            path.join("a/b").exists(),
            "a living build's directory is not swept"
        );
        drop(scratch);
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn the_next_build_sweeps_what_a_dead_one_left() {
        let dir = tempfile::tempdir().unwrap();
        let old = SystemTime::now() - 2 * NEWBORN;
        for (name, lock) in [
            (".mkosi-work-AbC123", true),
            (".mkosi-out-000000", false),
            (".mkosi-out-young1", false),
            (".mkosi-work-AbC1234", true),
            (".mkosi-work-AbC.23", true),
            ("mkosi-work-AbC123", true),
        ] {
            let path = dir.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("data"), "").unwrap();
            if lock {
                fs::write(path.join(LOCK), "").unwrap();
            }
            if !name.contains("young") {
                File::open(&path).unwrap().set_modified(old).unwrap();
            }
        }
        fs::write(dir.path().join(".mkosi-work-plain1"), "").unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join(".mkosi-work-link01")).unwrap();
        let making = lock_parent(dir.path(), FlockOperation::NonBlockingLockShared);
        sweep(dir.path(), &Quiet);
        assert!(dir.path().join(".mkosi-out-young1").exists());
        drop(making);
        sweep(dir.path(), &Quiet);
        assert_eq!(
            names(dir.path()),
            [
                ".mkosi-work-AbC.23",
                ".mkosi-work-AbC1234",
                ".mkosi-work-link01",
                ".mkosi-work-plain1",
                "mkosi-work-AbC123",
            ]
        );
    }

    #[test]
    fn builds_that_begin_at_once_do_not_sweep_each_other() {
        let dir = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..25 {
                        let scratch = Scratch::create(dir.path(), OUT, &Quiet).unwrap();
                        fs::write(scratch.path().join("data"), "x").unwrap();
                        assert!(scratch.path().join("data").exists());
                        scratch.remove().unwrap();
                    }
                });
            }
        });
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn what_is_kept_is_not_swept() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Scratch::create(dir.path(), OUT, &Quiet).unwrap().keep();
        sweep(dir.path(), &Quiet);
        assert!(kept.exists());
    }
}
