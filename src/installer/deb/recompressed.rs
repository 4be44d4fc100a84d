//! Copies of packages' data archives in the package cache, compressed in a way that is read in a seventh of
//! the time that xz takes.
//!
//! They are made while scripts run, on a processor that has nothing else to do, of packages that were verified
//! and that an earlier build of the cache has used as well: who builds once pays nothing. Each is noted with
//! the checksum of its package and the state of its file, which nobody can set: what was changed by anybody
//! else is none. Whoever uses this has locked the cache.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::{Mode, OFlags, open, statvfs};
use tempfile::NamedTempFile;

use super::checksums::state;
use super::control::Package;
use super::copied::Copied;
use super::frames::Writer;
use super::reserve::Reserve;
use super::settings::Settings;
use crate::distro::provenance::Archive;
use crate::installer::Request;

/// Where they are, beside the lists of packages.
const DIRECTORY: &str = "recompressed";
/// Their notes: lines of a package's SHA-256 and a state.
const NOTES: &str = "notes";
/// What builds have used: lines of a package's SHA-256 and the day of its first use.
const USED: &str = "used";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// They are removed, and uses forgotten, after so many days: which of them are still wanted is not known, and
/// making one again takes nobody's time.
const OLD: u32 = 30;

/// Bytes that stay free on the file system: about what a large build takes.
const ROOM: u64 = 4 << 30;

/// A copy that was begun first and is not ready after at least this time counts as tried.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often that is tried, in builds. A file of so many bytes says how often it was: no copy is so short.
const TRIES: u64 = 3;

/// The most bytes of a data archive of which a copy is made.
const MAX: u64 = 4 << 30;

/// The copies of a package cache.
#[derive(Debug)]
pub(super) struct Recompressed {
    directory: PathBuf,
    /// States by the checksums of packages.
    known: HashMap<String, String>,
    /// Days of first use, since 1970, by the checksums of packages.
    used: HashMap<String, u64>,
    /// What copies were made of in this build: whoever asks again what is wanted is told the same.
    made: Mutex<BTreeSet<String>>,
    /// Bytes that stay free.
    room: u64,
    patience: Duration,
}

/// What is kept of a package.
enum Kept {
    Copy(Copied),
    /// How often there was not time enough for a copy.
    Tried(u64),
}

/// A copy to be made.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    sha256: String,
    /// How often there was not time enough for it.
    tried: u64,
}

/// A package of which a copy is to be made.
#[derive(Debug)]
pub(super) struct Wanted {
    wish: Wish,
    reserve: Reserve,
}

impl Recompressed {
    /// The copies of a request's cache, if it has one that can be written to; packages are read from them.
    /// What is no copy, or an old one, is removed.
    pub fn attached(
        request: &Request,
        settings: &Settings,
        packages: &mut [Package],
        archives: &[Archive],
    ) -> Option<Self> {
        request.cache.as_ref()?;
        let copies = Self::open(settings.state.with_file_name(DIRECTORY)).ok()?;
        copies.attach(packages, archives);
        Some(copies)
    }

    fn open(directory: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&directory)?;
        let notes = directory.join(NOTES);
        let text = fs::read_to_string(&notes).unwrap_or_default();
        let noted: HashMap<&str, &str> = text.lines().filter_map(|l| l.split_once(' ')).collect();
        let mut known = HashMap::new();
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            let (name, found) = (entry.file_name(), entry.metadata()?);
            let name = name.to_string_lossy();
            if name == NOTES || name == USED {
                continue;
            }
            let age = found.modified().ok().and_then(|made| made.elapsed().ok());
            let is_old = age.is_some_and(|age| age > DAY * OLD);
            let noted = noted.get(&*name).filter(|noted| **noted == state(&found));
            match noted {
                Some(noted) if found.is_file() && !is_old => {
                    known.insert(name.into_owned(), (*noted).to_owned());
                }
                _ => fs::remove_file(entry.path())?,
            }
        }
        let text = fs::read_to_string(directory.join(USED)).unwrap_or_default();
        let used = text.lines().filter_map(|line| {
            let (sha256, day) = line.split_once(' ')?;
            Some((sha256.to_owned(), day.parse().ok()?))
        });
        let copies = Self {
            used: used.collect(),
            directory,
            known,
            made: Mutex::default(),
            room: ROOM,
            patience: PATIENCE,
        };
        if noted.len() != copies.known.len() {
            copies.write(NOTES, copies.known.iter())?;
        }
        Ok(copies)
    }

    fn write<S: Display>(
        &self,
        name: &str,
        lines: impl Iterator<Item = (impl Display, S)>,
    ) -> io::Result<()> {
        let file = NamedTempFile::new_in(&self.directory)?;
        let mut writer = BufWriter::new(file);
        for (sha256, said) in lines {
            writeln!(writer, "{sha256} {said}")?;
        }
        writer.into_inner()?.persist(self.directory.join(name))?;
        Ok(())
    }

    /// Has packages read from their copies, and notes of all that they were used. Copies are going to be made of
    /// those that were used before.
    fn attach(&self, packages: &mut [Package], archives: &[Archive]) {
        let key = |name: &str, version: &str, architecture: &str| {
            (name.to_owned(), version.to_owned(), architecture.to_owned())
        };
        let sums: HashMap<_, _> = archives
            .iter()
            .map(|one| (key(&one.name, &one.version, &one.architecture), &one.sha256))
            .collect();
        let today = SystemTime::now().duration_since(UNIX_EPOCH);
        let today = today.map_or(0, |age| age.as_secs() / DAY.as_secs());
        let mut used = self.used.clone();
        used.retain(|_, day| (*day..=*day + u64::from(OLD)).contains(&today));
        for package in packages {
            let key = key(&package.name, &package.version, &package.architecture);
            let Some(sha256) = sums.get(&key).filter(|sha256| is_name(sha256)) else {
                continue;
            };
            let tried = match self.find(sha256) {
                Some(Kept::Copy(copied)) => {
                    package.archive.use_copy(copied);
                    None
                }
                Some(Kept::Tried(tried)) => Some(tried),
                None => used.contains_key(*sha256).then_some(0),
            };
            let sha256 = (*sha256).clone();
            if let Some(tried) = tried.filter(|tried| *tried < TRIES) {
                let sha256 = sha256.clone();
                package.wanted = Some(Wish { sha256, tried });
            }
            used.entry(sha256).or_insert(today);
        }
        if used != self.used {
            // If it cannot be written, no copies are made.
            let _ = self.write(USED, used.iter());
        }
    }

    fn find(&self, sha256: &str) -> Option<Kept> {
        let known = self.known.get(sha256)?;
        let path = self.directory.join(sha256);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(open(&path, flags, Mode::empty()).ok()?);
        let found = file.metadata().ok()?;
        (state(&found) == *known).then(|| match found.len() {
            tried @ ..=TRIES => Kept::Tried(tried),
            _ => Kept::Copy(Copied::new(path, file)),
        })
    }

    /// What it takes to make copies of those of these packages that are to have one, and that take long to
    /// decompress: in this order, but those last for which there was not time enough before.
    pub fn wanted<'a>(packages: impl Iterator<Item = &'a Package>) -> Vec<Wanted> {
        let wanted = packages.filter_map(|package| {
            let wish = package.wanted.clone()?;
            let reserve = package.archive.reserve();
            reserve.is_slow().then_some(Wanted { wish, reserve })
        });
        let mut wanted: Vec<Wanted> = wanted.collect();
        wanted.sort_by_key(|one| one.wish.tried);
        wanted
    }

    /// Makes copies until all are made, `stop` is set, or the file system is full but for some room. A copy
    /// that cannot be made is not needed. With `is_last_time`, it is noted of the first if there was not time
    /// enough for it: it would soon be all that is tried, and in vain.
    pub fn make(&self, all: &[Wanted], is_last_time: bool, stop: &AtomicBool) {
        let is_left = |wanted: &&Wanted| !self.made().contains(&wanted.wish.sha256);
        let left: Vec<&Wanted> = all.iter().filter(is_left).collect();
        for (number, wanted) in left.into_iter().enumerate() {
            if !self.has_room() {
                return;
            }
            let begun = Instant::now();
            // If it fails for another reason, the next one may be a package that is not damaged.
            let is_made = self.make_one(wanted, stop).is_ok();
            if stop.load(Ordering::Relaxed) {
                let is_too_large = is_last_time && number == 0 && begun.elapsed() >= self.patience;
                if is_too_large && !is_made {
                    let _ = self.note_try(&wanted.wish);
                }
                return;
            }
        }
    }

    fn note_try(&self, wish: &Wish) -> io::Result<()> {
        let file = NamedTempFile::new_in(&self.directory)?;
        file.as_file().set_len(wish.tried + 1)?;
        self.keep(&wish.sha256, file)
    }

    fn make_one(&self, wanted: &Wanted, stop: &AtomicBool) -> io::Result<()> {
        let mut writer = Writer::new(NamedTempFile::new_in(&self.directory)?)?;
        let mut size = 0;
        wanted.reserve.each_piece(&mut |piece| {
            size += piece.len() as u64;
            if stop.load(Ordering::Relaxed) || size > MAX {
                return Err(io::Error::other("it is not wanted any more"));
            }
            writer.frame(piece)
        })?;
        self.keep(&wanted.wish.sha256, writer.finish()?)?;
        self.made().insert(wanted.wish.sha256.clone());
        Ok(())
    }

    fn made(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a file its name, and notes its state.
    fn keep(&self, sha256: &str, file: NamedTempFile) -> io::Result<()> {
        let file = file.persist(self.directory.join(sha256))?;
        let mut options = OpenOptions::new();
        let options = options.create(true).append(true);
        let mut notes = options.open(self.directory.join(NOTES))?;
        // After the end of a line that was not written whole.
        let line = format!("\n{sha256} {}\n", state(&file.metadata()?));
        notes.write_all(line.as_bytes())
    }

    fn has_room(&self) -> bool {
        statvfs(&self.directory)
            .is_ok_and(|found| found.f_bavail.saturating_mul(found.f_frsize) > self.room)
    }
}

/// Whether this is a SHA-256, and no path.
fn is_name(sha256: &str) -> bool {
    sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
#[path = "recompressed_tests.rs"]
mod tests;
