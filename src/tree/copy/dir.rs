//! Walking the source: one task per directory, many at once.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rayon::Scope;
use rustix::fs::{Mode, mkdirat};
use rustix::io::Errno;

use super::entry::copy_entry;
use super::{Job, Owner, Select, lock};
use crate::tree::attributes::Attributes;
use crate::tree::error::TreeError;
use crate::tree::listing::{Entry, list, open_child};
use crate::tree::resolve::resolve;
use crate::tree::stat::{Kind, Metadata};
use crate::tree::xattrs::{self, Of};

/// Every level keeps two directories open, and 1024 open files is the usual limit of a process.
const MAX_DEPTH: usize = 400;

/// So many entries are one task.
const CHUNK: usize = 64;

/// A directory that is being copied. It lives until everything beneath it is copied: each task
/// below holds it. Then it gets its own attributes.
pub(super) struct Dir<'j> {
    pub job: &'j Job<'j>,
    /// The source.
    pub from: OwnedFd,
    /// The image's directory.
    pub to: OwnedFd,
    /// Path relative to the source's top.
    pub path: PathBuf,
    /// Path in the image.
    pub image: PathBuf,
    /// What the source has, when the image's directory shall have it too.
    new: Option<Metadata>,
    depth: usize,
    /// Ends after this one.
    _above: Option<Arc<Self>>,
}

impl<'j> Dir<'j> {
    /// The source's top, merged into a directory that exists.
    pub fn top(
        job: &'j Job<'j>,
        from: OwnedFd,
        to: OwnedFd,
        image: PathBuf,
    ) -> Result<Arc<Self>, TreeError> {
        let mut top = Self {
            job,
            from,
            to,
            path: PathBuf::new(),
            image,
            new: None,
            depth: 0,
            _above: None,
        };
        let meta = top.refuse_the_image()?;
        top.new = job.options.faithful.then_some(meta);
        Ok(Arc::new(top))
    }

    /// A copy of the image into itself would never end.
    fn refuse_the_image(&self) -> Result<Metadata, TreeError> {
        let meta = Metadata::of(&self.from)
            .map_err(|e| TreeError::io("look at", self.job.source_place(&self.path), e))?;
        if meta.id == self.job.root_id {
            return Err(TreeError::CopiesItself {
                path: self.job.source_place(&self.path),
                root: self.job.root.place("".as_ref()),
            });
        }
        Ok(meta)
    }

    /// Opens a directory of the source and the image's counterpart, made if it is missing.
    fn below(self: &Arc<Self>, entry: &Entry) -> Result<Arc<Self>, TreeError> {
        let path = self.path.join(&entry.name);
        let image = self.image.join(&entry.name);
        if self.depth == MAX_DEPTH {
            return Err(TreeError::TooDeep {
                path: self.job.source_place(&path),
                limit: MAX_DEPTH,
            });
        }
        let from = open_child(&self.from, &entry.name)
            .map_err(|e| TreeError::io("read the directory", self.job.source_place(&path), e))?;
        let root = self.job.root;
        let fail = |e| root.failed("create the directory", &image, e);
        let is_new = match mkdirat(&self.to, &entry.name, Mode::RWXU) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(e) => return Err(fail(e)),
        };
        let to = match open_child(&self.to, &entry.name) {
            Ok(to) => to,
            Err(Errno::NOTDIR | Errno::LOOP) => {
                // A link to a directory is followed beneath the root; create_dir_all names
                // anything else that is there.
                let real = resolve(root, &image, true)?.path;
                root.create_dir_all(&real, 0o755)?;
                root.open_dir(&real)?
            }
            Err(e) => return Err(fail(e)),
        };
        let mut dir = Self {
            job: self.job,
            from,
            to,
            path,
            image,
            new: None,
            depth: self.depth + 1,
            _above: Some(Arc::clone(self)),
        };
        let meta = dir.refuse_the_image()?;
        if is_new || self.job.options.faithful {
            dir.new = Some(meta);
        }
        Ok(Arc::new(dir))
    }

    /// What the copy of something with this metadata gets.
    pub fn attributes(&self, meta: &Metadata) -> Attributes {
        let owner = match self.job.options.owner {
            _ if !self.job.root.privileged() => None,
            Owner::Root => Some((0, 0)),
            Owner::Keep => Some((meta.uid, meta.gid)),
        };
        let latest = self.job.options.latest.map(|latest| {
            let seconds = i64::try_from(latest).unwrap_or(i64::MAX);
            (seconds, 0)
        });
        Attributes {
            owner,
            mode: meta.mode,
            mtime: latest.map_or(meta.mtime, |latest| latest.min(meta.mtime)),
        }
    }

    /// Copies extended attributes, noting those that the image's file system does not take.
    pub fn copy_xattrs(
        &self,
        from: Of<'_>,
        to: Of<'_>,
        image: impl FnOnce() -> PathBuf,
    ) -> rustix::io::Result<()> {
        let wanted = if self.job.options.faithful {
            xattrs::is_general
        } else {
            xattrs::travels
        };
        let names = xattrs::copy(from, to, wanted)?;
        if !names.is_empty() {
            let image = image();
            let mut refused = lock(&self.job.refused);
            for name in names {
                let (count, first) = refused.entry(name).or_insert_with(|| (0, image.clone()));
                *count += 1;
                if image < *first {
                    first.clone_from(&image);
                }
            }
        }
        Ok(())
    }
}

impl Drop for Dir<'_> {
    /// Everything beneath is there: a new directory's mode may forbid writing from here on, and its
    /// time no longer changes.
    fn drop(&mut self) {
        let Some(meta) = self.new else { return };
        let result = self.attributes(&meta).set_on(&self.to, |to| {
            self.copy_xattrs(Of::fd(&self.from), to, || self.image.clone())
        });
        if let Err(e) = result {
            let error = self
                .job
                .root
                .failed("set the attributes of", &self.image, e);
            self.job.fail(error);
        }
    }
}

/// Copies what a directory holds; directories in it become tasks of their own.
pub(super) fn visit<'j>(scope: &Scope<'j>, dir: Arc<Dir<'j>>) {
    let job = dir.job;
    if job.stopped() {
        return;
    }
    let entries = match list(&dir.from) {
        Ok(entries) => entries,
        Err(e) => {
            let place = job.source_place(&dir.path);
            return job.fail(TreeError::io("read the directory", place, e));
        }
    };
    job.seen.fetch_add(entries.len() as u64, Ordering::Relaxed);
    let (dirs, mut others): (Vec<Entry>, Vec<Entry>) = entries
        .into_iter()
        .filter(|entry| selected(&dir, entry))
        .partition(|entry| entry.kind == Kind::Directory);
    for entry in dirs {
        let dir = Arc::clone(&dir);
        scope.spawn(move |scope| {
            if job.stopped() {
                return;
            }
            match dir.below(&entry) {
                Ok(below) => {
                    drop(dir);
                    job.count(1);
                    visit(scope, below);
                }
                Err(e) => job.fail(e),
            }
        });
    }
    while others.len() > CHUNK {
        let chunk = others.split_off(others.len() - CHUNK);
        let dir = Arc::clone(&dir);
        scope.spawn(move |_| copy_entries(&dir, &chunk));
    }
    copy_entries(&dir, &others);
}

fn selected(dir: &Dir<'_>, entry: &Entry) -> bool {
    let path = dir.path.join(&entry.name);
    match (dir.job.options.select)(&path, entry.kind) {
        Select::Copy => true,
        Select::Skip => false,
        Select::Later => {
            lock(&dir.job.later).push(path);
            false
        }
    }
}

fn copy_entries(dir: &Dir<'_>, entries: &[Entry]) {
    let mut buffer = Vec::new();
    for entry in entries {
        if dir.job.stopped() {
            return;
        }
        if let Err(e) = copy_entry(dir, entry, &mut buffer) {
            return dir.job.fail(e);
        }
    }
    dir.job.count(entries.len() as u64);
}
