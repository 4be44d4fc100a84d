//! The directory of cached trees: one directory for each, named by its fingerprint.
//!
//! A layer's directory holds `tree/` and the files of [`Record`] and [`Uses`]. Who uses a layer holds a
//! shared lock on its directory, who removes it an exclusive one.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{
    AtFlags, CWD, FlockOperation, Mode, OFlags, flock, fstat, openat, statat, syncfs,
};
use rustix::io::Errno;

use super::record::{Record, Uses};
use crate::engine::EngineError;
use crate::engine::scratch::{self, Scratch, WORK};
use crate::host::{Cancel, Host, Report, fail_point};
use crate::plan::Fingerprint;
use crate::tree::{self, TreeError};

/// The store's name, in the output directory.
pub const STORE: &str = ".mkosi-layers";
/// The files of a layer, in its directory.
pub(super) const TREE: &str = "tree";

/// How often a build that waits looks again.
const TICK: Duration = Duration::from_millis(200);

/// All cached trees beside one output.
#[derive(Clone, Debug)]
pub struct Store {
    path: PathBuf,
    /// Whether layers stay when this run of the program is over.
    lasting: bool,
}

/// A cached tree and what is known of it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its directory.
    pub path: PathBuf,
    /// What it was made from.
    pub record: Record,
    /// What it was used for.
    pub uses: Uses,
}

/// A layer in use: it stays where it is while this value lives.
#[derive(Debug)]
pub(super) struct Held {
    pub path: PathBuf,
    pub record: Record,
    _lock: File,
}

/// What is under a fingerprint.
#[derive(Debug)]
pub(super) enum Found {
    Nothing,
    /// Something that must not be used, and why.
    Damaged(String),
    Layer(Held),
}

impl Store {
    /// The store of an output directory. Nothing is made yet.
    #[must_use]
    pub fn in_directory(output: &Path) -> Self {
        Self {
            path: output.join(STORE),
            lasting: true,
        }
    }

    /// A store in `directory`, which goes before anybody could want to know what a power failure left
    /// of it.
    #[must_use]
    pub fn passing(directory: &Path) -> Self {
        Self {
            lasting: false,
            ..Self::in_directory(directory)
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the store, for root alone, and removes what builds that were killed left in it.
    pub(in crate::engine) fn prepare(&self, report: &dyn Report) -> Result<(), EngineError> {
        match DirBuilder::new().mode(0o700).create(&self.path) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                return Err(EngineError::path("create", &self.path)(e));
            }
            _ => {}
        }
        if !self.is_ours()? {
            return Err(EngineError::NotOurStore {
                path: self.path.clone(),
            });
        }
        scratch::sweep(&self.path, report);
        Ok(())
    }

    /// Whether nobody else can write there, who could put anything into the next image.
    pub(super) fn is_ours(&self) -> Result<bool, EngineError> {
        match self.path.symlink_metadata() {
            Ok(meta) => {
                let own = rustix::process::geteuid().as_raw();
                Ok(meta.is_dir() && meta.uid() == own && meta.mode() & 0o077 == 0)
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(EngineError::path("examine", &self.path)(e)),
        }
    }

    /// A directory in the store, for a layer that is being made or removed.
    pub(super) fn scratch(&self, report: &dyn Report) -> Result<Scratch, EngineError> {
        Scratch::create(&self.path, WORK, report)
    }

    /// Where the layer of this name is, or would be.
    pub(super) fn place(&self, fingerprint: &Fingerprint) -> PathBuf {
        self.path.join(fingerprint.as_str())
    }

    /// All layers whose records can be read, in order of their names; the others by their paths.
    ///
    /// # Errors
    /// When the store cannot be read; that there is none is no error.
    pub fn list(&self) -> Result<(Vec<Entry>, Vec<PathBuf>), EngineError> {
        let failed = EngineError::path("read", &self.path);
        let entries = match fs::read_dir(&self.path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), Vec::new())),
            other => other.map_err(failed)?,
        };
        let mut layers = Vec::new();
        let mut unreadable = Vec::new();
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str().and_then(Fingerprint::from_text) else {
                continue;
            };
            let path = entry.path();
            match Record::read(&path) {
                Ok(record) if record.fingerprint == name => {
                    let uses = Uses::read(&path);
                    layers.push(Entry { path, record, uses });
                }
                // Gone by now, or not what it should be.
                _ if path.exists() => unreadable.push(path),
                _ => {}
            }
        }
        layers.sort_by(|a, b| a.record.fingerprint.cmp(&b.record.fingerprint));
        Ok((layers, unreadable))
    }

    /// Looks for a layer, and keeps it from being removed if it can be used.
    pub(super) fn find(
        &self,
        fingerprint: &Fingerprint,
        host: &Host,
    ) -> Result<Found, EngineError> {
        let path = self.place(fingerprint);
        loop {
            let Some(directory) = open(&path)? else {
                return Ok(Found::Nothing);
            };
            match flock(&directory, FlockOperation::NonBlockingLockShared) {
                Ok(()) if is_still(&path, &directory) => {
                    return check(&path, fingerprint, directory, &host.cancel);
                }
                Ok(()) | Err(Errno::INTR) => {}
                // It is being removed.
                Err(Errno::AGAIN) => pause(host)?,
                Err(e) => return Err(EngineError::path("lock", &path)(e)),
            }
        }
    }

    /// Gives the finished layer in `directory` (inside `scratch`) its name. What had it is removed,
    /// once nobody uses it any more.
    pub(super) fn keep(
        &self,
        directory: &Path,
        record: Record,
        scratch: &Scratch,
        host: &Host,
    ) -> Result<Held, EngineError> {
        let path = self.place(&record.fingerprint);
        let reach = |name| fail_point::reach(name, "").map_err(EngineError::path("write", &path));
        record.write(directory)?;
        reach("layer-recorded")?;
        let failed = EngineError::path("lock", directory);
        let lock = File::open(directory).map_err(failed)?;
        flock(&lock, FlockOperation::LockShared).map_err(EngineError::path("lock", directory))?;
        // A layer is trusted for long, also after a power failure.
        if self.lasting {
            syncfs(&lock).map_err(EngineError::path("write to the disk", directory))?;
        }
        while open(&path)?.is_some() {
            if let Some(_lock) = take(&path)? {
                let aside = scratch.path().join("replaced");
                fs::rename(&path, &aside).map_err(EngineError::path("move away", &path))?;
                reach("layer-replaced")?;
            } else {
                pause(host)?;
            }
        }
        fs::rename(directory, &path).map_err(EngineError::path("move a layer to", &path))?;
        reach("layer-placed")?;
        Ok(Held {
            path,
            record,
            _lock: lock,
        })
    }

    /// Removes a layer; `false` when a build uses it.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&self, layer: &Path, report: &dyn Report) -> Result<bool, EngineError> {
        let Some(_lock) = take(layer)? else {
            return Ok(open(layer)?.is_none());
        };
        // Whoever dies half-way through removing it leaves no half layer.
        let Ok(scratch) = self.scratch(report) else {
            // A full disk has no room for another directory, and this is what makes room: without its
            // record, what is left of a layer is none.
            Record::remove(layer)?;
            crate::host::remove(layer)?;
            return Ok(true);
        };
        let aside = scratch.path().join("removed");
        fs::rename(layer, &aside).map_err(EngineError::path("move away", layer))?;
        fail_point::pass("layer-set-aside");
        scratch.remove()?;
        Ok(true)
    }
}

/// Opens a layer's directory, if there is one.
fn open(path: &Path) -> Result<Option<File>, EngineError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(CWD, path, flags, Mode::empty()) {
        Ok(fd) => Ok(Some(File::from(fd))),
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(EngineError::path("open", path)(e)),
    }
}

/// Gets hold of a layer that nobody uses; `None` when somebody does, or there is none.
fn take(path: &Path) -> Result<Option<File>, EngineError> {
    let Some(directory) = open(path)? else {
        return Ok(None);
    };
    match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(is_still(path, &directory).then_some(directory)),
        Err(Errno::AGAIN | Errno::INTR) => Ok(None),
        Err(e) => Err(EngineError::path("lock", path)(e)),
    }
}

/// Whether an open directory still has its name.
fn is_still(path: &Path, directory: &File) -> bool {
    let by_name = statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW);
    match (by_name, fstat(directory)) {
        (Ok(a), Ok(b)) => (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino),
        _ => false,
    }
}

fn pause(host: &Host) -> Result<(), EngineError> {
    if host.cancel.is_cancelled() {
        return Err(EngineError::Cancelled);
    }
    std::thread::sleep(TICK);
    Ok(())
}

/// Whether everything of a layer is there.
fn check(
    path: &Path,
    fingerprint: &Fingerprint,
    lock: File,
    cancel: &Cancel,
) -> Result<Found, EngineError> {
    let record = match Record::read(path) {
        Ok(record) if record.fingerprint == *fingerprint => record,
        Ok(_) => return Ok(Found::Damaged("its record is another one's".to_owned())),
        Err(e) => return Ok(Found::Damaged(format!("its record cannot be read: {e}"))),
    };
    Ok(match damage(path, &record, cancel)? {
        Some(damage) => Found::Damaged(damage),
        None => Found::Layer(Held {
            path: path.to_owned(),
            record,
            _lock: lock,
        }),
    })
}

fn damage(path: &Path, record: &Record, cancel: &Cancel) -> Result<Option<String>, EngineError> {
    match tree::survey(&path.join(TREE), cancel) {
        Ok(survey) if record.fits(&survey) => Ok(None),
        Ok(_) => Ok(Some("files were removed, added or changed".to_owned())),
        Err(TreeError::Cancelled) => Err(EngineError::Cancelled),
        Err(e) => Ok(Some(e.to_string())),
    }
}

impl Entry {
    /// What is wrong with the layer, if anything is.
    ///
    /// # Errors
    /// [`EngineError::Cancelled`].
    pub fn damage(&self, cancel: &Cancel) -> Result<Option<String>, EngineError> {
        damage(&self.path, &self.record, cancel)
    }
}

impl Held {
    /// The layer's files: all of them, or what differs from the layer below.
    pub fn tree(&self) -> PathBuf {
        self.path.join(TREE)
    }
}
