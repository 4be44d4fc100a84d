//! `--timings`: a page about where the time and the space of a build went.

mod caches;
mod contents;
mod data;
mod html;
mod page;
mod recorder;
mod steps;
mod treemap;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::available_parallelism;

use data::{PackageCache, Timings};
use recorder::Recorder;

use super::{VerbError, terminal};
use crate::cli::{self, Globals};
use crate::engine::Sink;
use crate::host::{Cancel, printable_path};
use crate::tree::survey;

/// Raised when a field of the data changes its meaning or goes away.
const VERSION: u32 = 1;

/// Where the page goes that was asked for, if one was.
///
/// # Errors
/// When no file can be there.
pub fn target(
    globals: &Globals,
    beside: impl FnOnce() -> PathBuf,
) -> Result<Option<PathBuf>, VerbError> {
    match &globals.timings {
        cli::Timings::No => Ok(None),
        cli::Timings::Beside => Ok(Some(beside())),
        cli::Timings::At(path) => {
            let parent = path
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty());
            if path.is_dir() || !parent.is_none_or(Path::is_dir) {
                return Err(VerbError::TimingsPath { path: path.clone() });
            }
            Ok(Some(path.clone()))
        }
    }
}

/// Writes the page and says where it is, or why not: the images are what matters.
pub fn finish(notes: Notes, say: bool) {
    match notes.write() {
        Ok(path) if say => {
            terminal::tell(&format!(
                "  where time and space went: {}\n",
                printable_path(path)
            ));
        }
        Ok(_) => {}
        Err(error) => terminal::complain(format_args!("warning: {}", terminal::chain(&error))),
    }
}

/// Takes notes of a run for the page that is written at its end.
pub struct Notes {
    recorder: Arc<Recorder>,
    to: PathBuf,
    owner: Option<(u32, u32)>,
    caches: Vec<(PathBuf, u64)>,
}

impl Notes {
    /// Begins to take notes, for a page at `to`; events go on to `shown`. `caches` are the directories
    /// with downloaded packages.
    pub fn begin(
        to: PathBuf,
        owner: Option<(u32, u32)>,
        caches: impl Iterator<Item = PathBuf>,
        shown: Arc<dyn Sink>,
    ) -> Self {
        let mut caches: Vec<PathBuf> = caches.collect();
        caches.sort_unstable();
        caches.dedup();
        let sized = |path: PathBuf| {
            let size = size(&path);
            (path, size)
        };
        Self {
            recorder: Arc::new(Recorder::new(shown)),
            to,
            owner,
            caches: caches.into_iter().map(sized).collect(),
        }
    }

    /// Where events have to go.
    pub fn sink(&self) -> Arc<dyn Sink> {
        self.recorder.clone()
    }

    /// Writes the page, whatever became of the run; returns where it is.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(self) -> Result<PathBuf, VerbError> {
        let (seconds, images) = self.recorder.notes();
        let cache = |(path, before): &(PathBuf, u64)| PackageCache {
            directory: printable_path(path),
            before: *before,
            after: size(path),
        };
        let timings = Timings {
            timings_version: VERSION,
            mkosi: env!("CARGO_PKG_VERSION"),
            processors: available_parallelism().map_or(1, usize::from),
            seconds,
            package_caches: self.caches.iter().map(cache).collect(),
            images,
        };
        page::page(&timings)
            .map_err(std::io::Error::from)
            .and_then(|page| replace(&self.to, &page, self.owner))
            .map_err(|source| VerbError::File {
                path: self.to.clone(),
                source,
            })?;
        Ok(self.to)
    }
}

/// What a directory takes; nothing where it cannot be looked at.
fn size(path: &Path) -> u64 {
    survey(path, &Cancel::default()).map_or(0, |survey| survey.allocated)
}

/// Writes a file in place of one that may be there: all of it, or nothing.
fn replace(path: &Path, text: &str, owner: Option<(u32, u32)>) -> std::io::Result<()> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file()
        .set_permissions(fs::Permissions::from_mode(0o644))?;
    if let Some((uid, gid)) = owner {
        std::os::unix::fs::fchown(file.as_file(), Some(uid), Some(gid))?;
    }
    file.persist(path)?;
    Ok(())
}
