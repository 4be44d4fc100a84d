//! Locks between runs of this program: a file beside what is locked, held by an open description.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::{
    AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, flock, fstat, openat, statat,
};
use rustix::io::Errno;

use super::{Host, HostError, human_duration, namespace, printable};

/// How often a waiting run looks whether the lock is free.
const TICK: Duration = Duration::from_millis(200);
/// How long a lock file may be held by somebody who only looks whether it is a dead run's.
const SWEEPING: Duration = Duration::from_millis(100);
/// What the names of lock files begin with.
const PREFIX: &str = ".mkosi-lock-";
/// The most that is read of a lock file.
const LONGEST: u64 = 1024;

/// A lock on a file or directory, held until dropped or until the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    /// Locks `target` through the hidden file `.mkosi-lock-NAME` beside it. `what` is shown to whom
    /// the lock keeps out (`mkosi build`); it must hold no secret.
    ///
    /// # Errors
    /// [`HostError::Locked`], which says who holds it and since when, while another run does.
    pub fn acquire(target: &Path, what: &str) -> Result<Self, HostError> {
        let path = lock_file(target)?;
        let begun = Instant::now();
        loop {
            let file = open(&path)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) if begun.elapsed() < SWEEPING => {
                    std::thread::sleep(SWEEPING / 20);
                    continue;
                }
                Err(Errno::AGAIN) => {
                    return Err(HostError::Locked {
                        path: target.to_owned(),
                        holder: holder(file),
                    });
                }
                Err(e) => return Err(HostError::path("lock", &path)(e)),
            }
            // The holder before may have removed the file between our opening and locking it: then
            // this lock is on a file that nobody else will ever see.
            if still_there(&path, &file) {
                let mut lock = Self { path, file };
                lock.describe(what)
                    .map_err(HostError::path("write", &lock.path))?;
                return Ok(lock);
            }
        }
    }

    /// As [`Lock::acquire`], but waits for another run to release it, and says so.
    ///
    /// # Errors
    /// The lock file cannot be made, or an interruption.
    pub fn wait(target: &Path, what: &str, host: &Host) -> Result<Self, HostError> {
        let mut told = false;
        loop {
            match Self::acquire(target, what) {
                Err(HostError::Locked { path, holder }) => {
                    if !told {
                        let path = super::printable_path(path);
                        let line = format!("waiting for another run that uses {path} ({holder})");
                        host.report.line(&line);
                        told = true;
                    }
                }
                other => return other,
            }
            if host.cancel.is_cancelled() {
                return Err(HostError::Cancelled);
            }
            std::thread::sleep(TICK);
        }
    }

    /// Removes the lock files in `directory` that dead runs left. What cannot be removed stays.
    pub fn sweep(directory: &Path) {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name();
            if !name.as_bytes().starts_with(PREFIX.as_bytes()) {
                continue;
            }
            let path = entry.path();
            let Ok(file) = open(&path) else { continue };
            let free = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
            if free && still_there(&path, &file) {
                // Removed when dropped.
                drop(Self { path, file });
            }
        }
    }

    fn describe(&mut self, what: &str) -> io::Result<()> {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        self.file.set_len(0)?;
        self.file.rewind()?;
        let (pid, since) = (namespace::outer_pid(), since.as_secs());
        writeln!(
            self.file,
            "pid {pid}\nsince {since}\nrun {}",
            printable(what)
        )
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Removed while still held, so that nobody else's file can be meant.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn lock_file(target: &Path) -> Result<PathBuf, HostError> {
    let Some(name) = target.file_name() else {
        return Err(HostError::path("lock", target)(io::Error::from(
            io::ErrorKind::InvalidInput,
        )));
    };
    let mut hidden = std::ffi::OsString::from(PREFIX);
    hidden.push(name);
    Ok(target.with_file_name(hidden))
}

fn open(path: &Path) -> Result<File, HostError> {
    let flags =
        OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(CWD, path, flags, Mode::from_raw_mode(0o644))
        .map_err(HostError::path("open lock file", path))?;
    let stat = fstat(&file).map_err(HostError::path("examine", path))?;
    // Its content will be overwritten: it must not be another name of somebody's file.
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_nlink > 1 {
        let source = io::Error::other("it is no plain lock file");
        return Err(HostError::path("use", path)(source));
    }
    Ok(File::from(file))
}

fn still_there(path: &Path, file: &File) -> bool {
    let by_name = statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW);
    match (by_name, fstat(file)) {
        (Ok(a), Ok(b)) => (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino),
        _ => false,
    }
}

/// Who holds the lock, as far as the lock file tells.
fn holder(file: File) -> String {
    let mut text = String::new();
    let _ = file.take(LONGEST).read_to_string(&mut text);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    describe_holder(&text, now.as_secs())
}

fn describe_holder(text: &str, now: u64) -> String {
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
    };
    let Some(pid) = field("pid").and_then(|pid| pid.parse::<u32>().ok()) else {
        return "which has only just begun".to_owned();
    };
    let mut holder = format!("process {pid}");
    if let Some(run) = field("run") {
        holder.push_str(&format!(", {}", printable(run)));
    }
    if let Some(since) = field("since").and_then(|since| since.parse().ok()) {
        let age = human_duration(Duration::from_secs(now.saturating_sub(since)));
        holder.push_str(&format!(", for {age}"));
    }
    holder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_was_first() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("image.raw");
        let first = Lock::acquire(&target, "mkosi build").unwrap();
        assert!(dir.path().join(".mkosi-lock-image.raw").exists());
        let text = Lock::acquire(&target, "other").unwrap_err().to_string();
        let expected = format!(
            "image.raw is in use by another run (process {}, mkosi build, for ",
            std::process::id()
        );
        assert!(text.contains(&expected), "{text}");
        drop(first);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        Lock::acquire(&target, "other").unwrap();
    }

    #[test]
    fn a_file_left_by_a_dead_run_does_not_lock() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(".mkosi-lock-x"), "pid 1\nsince 0\n").unwrap();
        Lock::acquire(&dir.path().join("x"), "run").unwrap();
    }

    #[test]
    fn sweeping_takes_only_what_nobody_holds() {
        let dir = tempfile::tempdir().unwrap();
        let held = Lock::acquire(&dir.path().join("held"), "run").unwrap();
        for name in [".mkosi-lock-dead", "mkosi-lock-other"] {
            std::fs::write(dir.path().join(name), "pid 1\n").unwrap();
        }
        Lock::sweep(dir.path());
        let exists = |name: &str| dir.path().join(name).exists();
        assert!(exists(".mkosi-lock-held") && exists("mkosi-lock-other"));
        assert!(!exists(".mkosi-lock-dead"));
        drop(held);
    }

    #[test]
    fn what_is_no_lock_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let precious = dir.path().join("precious");
        std::fs::write(&precious, "data").unwrap();
        std::fs::hard_link(&precious, dir.path().join(".mkosi-lock-a")).unwrap();
        std::os::unix::fs::symlink(&precious, dir.path().join(".mkosi-lock-b")).unwrap();
        for name in ["a", "b"] {
            Lock::acquire(&dir.path().join(name), "run").unwrap_err();
        }
        assert_eq!(std::fs::read_to_string(precious).unwrap(), "data");
    }

    #[test]
    fn holders() {
        let cases = [
            ("", "which has only just begun"),
            (
                "pid 12\nsince 1000\nrun mkosi build\n",
                "process 12, mkosi build, for 2 min 05 s",
            ),
            (
                "pid 12\nsince 9999999999\nrun \x1b]0;x",
                "process 12, \\x1b]0;x, for 0.0 s",
            ),
            ("garbage", "which has only just begun"),
        ];
        for (text, expected) in cases {
            assert_eq!(describe_holder(text, 1125), expected);
        }
    }

    #[test]
    fn never_two_at_once() {
        use std::sync::atomic::{AtomicU32, Ordering};
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("contended");
        let (inside, count) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while count.load(Ordering::SeqCst) < 50 {
                        let Ok(lock) = Lock::acquire(&target, "run") else {
                            continue;
                        };
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        std::thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        count.fetch_add(1, Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
    }
}
