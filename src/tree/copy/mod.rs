//! Copies a directory tree over an image: skeleton and extra trees, build results, sources.
//!
//! What is there already decides:
//!
//! | source        | in the image            | result |
//! |---------------|-------------------------|--------|
//! | directory     | directory               | merged; the image's directory keeps mode, owner and attributes |
//! | directory     | link to a directory     | merged into what the link leads to, beneath the root |
//! | directory     | anything else           | error |
//! | anything else | directory               | error |
//! | anything else | anything else           | replaced; a link is never written through |
//!
//! A directory that exists keeps its mode because version control stores none for directories: a
//! checkout has `root/` and `tmp/` as 0755, and nobody who adds `/root/.profile` means to open
//! `/root` to everybody.
//!
//! Names are handled as bytes, relative to open directories, so that neither newlines nor paths of
//! any length matter, and the source is never followed through a symbolic link below its top.

mod content;
mod dir;
mod entry;
mod links;
mod one;

pub use one::copy_one;

use std::collections::BTreeMap;
use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{Mode, open};

use self::dir::Dir;
use self::links::Links;
use super::error::TreeError;
use super::listing::DIRECTORY;
use super::root::{Root, clean};
use super::shown::shown;
use super::stat::{Kind, Metadata};
use crate::host::{Cancel, Report};

/// Whom copied files belong to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Owner {
    /// Root, whoever owns the source: what trees from version control need.
    #[default]
    Root,
    /// The owner that the source has.
    Keep,
}

/// What is done with one entry of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Select {
    /// It is copied, a directory with what it holds.
    Copy,
    /// It is left out, a directory with all it holds.
    Skip,
    /// It is left out and listed in [`Copied::later`]: for files that are no content themselves but
    /// say how to change some.
    Later,
}

/// How a tree is copied.
#[derive(Clone, Copy)]
pub struct CopyOptions<'a> {
    /// Whom the copies belong to.
    pub owner: Owner,
    /// Decides on each entry by its path relative to the source.
    pub select: &'a (dyn Fn(&Path, Kind) -> Select + Sync),
    /// Devices, sockets, SELinux labels and overlayfs' marks are copied too, and directories that
    /// exist get what the source's have: for a whole system on its way to another file system.
    pub faithful: bool,
    /// Copies may share their blocks on the disk with the source, where the file system can.
    pub share: bool,
    /// The time in seconds that no copy shall be newer than (`SOURCE_DATE_EPOCH`).
    pub latest: Option<u64>,
}

impl Default for CopyOptions<'_> {
    fn default() -> Self {
        Self {
            owner: Owner::Root,
            select: &|_, _| Select::Copy,
            faithful: false,
            share: true,
            latest: None,
        }
    }
}

impl CopyOptions<'_> {
    /// Everything as it is, but nothing newer than `latest`.
    #[must_use]
    pub fn faithful(latest: Option<u64>) -> Self {
        Self {
            owner: Owner::Keep,
            faithful: true,
            latest,
            ..Self::default()
        }
    }
}

/// What was copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Files, links, pipes and directories.
    pub entries: u64,
    /// Bytes of file content, holes left out.
    pub bytes: u64,
    /// What [`Select::Later`] was said of, relative to the source, in order.
    pub later: Vec<PathBuf>,
}

/// Copies what the directory `source` of the host holds over the directory `target` of the image,
/// which is made when missing.
///
/// Modes with set-user-ID bits, modification times, extended attributes (SELinux labels excepted),
/// hard links within the source, holes and named pipes are kept; sockets and devices are left out
/// with a warning, unless the copy is to be faithful.
///
/// # Errors
/// The first thing that cannot be copied ends it; what was copied before stays.
pub fn copy_tree(
    root: &Root,
    source: &Path,
    target: &Path,
    options: &CopyOptions<'_>,
    report: &dyn Report,
    cancel: &Cancel,
) -> Result<Copied, TreeError> {
    let read = |e| TreeError::io("read the directory", shown(source), e);
    let from = open(source, DIRECTORY, Mode::empty()).map_err(read)?;
    let target = clean(target)?;
    root.create_dir_all(&target, 0o755)?;
    let to = root.open_dir(&target)?;
    let image = |e| root.failed("look at", Path::new(""), e);
    let job = Job {
        root,
        source,
        options,
        report,
        cancel,
        root_id: Metadata::of(root.fd()).map_err(image)?.id,
        clones: AtomicBool::new(options.share),
        ranges: AtomicBool::new(options.share),
        stopped: AtomicBool::new(false),
        failure: Mutex::default(),
        warnings: Mutex::default(),
        refused: Mutex::default(),
        later: Mutex::default(),
        links: Links::default(),
        seen: AtomicU64::new(0),
        done: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
    };
    let top = Dir::top(&job, from, to, target)?;
    rayon::scope(|scope| dir::visit(scope, top));
    job.finish()
}

/// What all the threads of one copy share.
struct Job<'a> {
    root: &'a Root,
    source: &'a Path,
    options: &'a CopyOptions<'a>,
    report: &'a dyn Report,
    cancel: &'a Cancel,
    root_id: (u64, u64),
    /// Whether sharing blocks with the source, or copying in the kernel, may still work.
    clones: AtomicBool,
    ranges: AtomicBool,
    stopped: AtomicBool,
    failure: Mutex<Option<TreeError>>,
    warnings: Mutex<Vec<String>>,
    /// Attributes that the image's file system did not take: how often, and where first.
    refused: Mutex<BTreeMap<CString, (u64, PathBuf)>>,
    later: Mutex<Vec<PathBuf>>,
    links: Links,
    seen: AtomicU64,
    done: AtomicU64,
    bytes: AtomicU64,
}

impl Job<'_> {
    /// Whether to stop, because of an error or because the user wants it.
    fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed) || self.cancel.is_cancelled()
    }

    fn fail(&self, error: TreeError) {
        lock(&self.failure).get_or_insert(error);
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// A path of the source for messages.
    fn source_place(&self, path: &Path) -> String {
        shown(self.source.join(path))
    }

    fn count(&self, entries: u64) {
        let done = self.done.fetch_add(entries, Ordering::Relaxed) + entries;
        // More is seen while the walk goes on; the total grows with it.
        let seen = self.seen.load(Ordering::Relaxed).max(done);
        self.report.progress(done, seen);
    }

    /// Tells what there is to tell, in an order that does not depend on the threads.
    fn finish(self) -> Result<Copied, TreeError> {
        if self.cancel.is_cancelled() {
            return Err(TreeError::Cancelled);
        }
        if let Some(error) = lock(&self.failure).take() {
            return Err(error);
        }
        let mut warnings = std::mem::take(&mut *lock(&self.warnings));
        warnings.sort_unstable();
        for warning in warnings {
            self.report.warn(&warning);
        }
        for (name, (count, first)) in std::mem::take(&mut *lock(&self.refused)) {
            self.report.warn(&format!(
                "the image's file system does not take the extended attribute {}: it is missing from \
                 {}{}",
                shown(Path::new(std::ffi::OsStr::new(&*name.to_string_lossy()))),
                self.root.place(&first),
                match count {
                    1 => String::new(),
                    n => format!(" and {} more", n - 1),
                }
            ));
        }
        let mut later = std::mem::take(&mut *lock(&self.later));
        later.sort_unstable();
        Ok(Copied {
            entries: self.done.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            later,
        })
    }
}

/// Locks, also after another thread failed inside: what the lock guards is never half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
