//! What differs between two trees, as a tree of its own: the upper layer of an overlay whose lower layer
//! is the first of them.
//!
//! What is gone is a character device 0:0 there, as overlayfs itself writes it. Times do not count:
//! programs write files anew without changing them.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rustix::fs::{FileType, Mode, futimens, makedev, mknodat, open, readlinkat};
use rustix::io::Errno;

use super::alike::{attributes, same_content};
use super::copy::{CopyOptions, Select, copy_tree};
use super::error::TreeError;
use super::listing::{DIRECTORY, Entry, list, open_child};
use super::root::Root;
use super::shown::shown;
use super::stat::{Kind, Metadata, times};
use super::xattrs::Of;
use crate::host::{Cancel, Report};

/// Directories whose content is the running system's.
const OF_RUNNING_SYSTEM: [&str; 5] = ["dev", "proc", "run", "sys", "tmp"];
/// Directories nested deeper are refused, as copying them would be.
const MAX_DEPTH: usize = 400;

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Files, links and directories that are new or changed, directories above them included.
    pub entries: u64,
    /// Names that are gone.
    pub removed: u64,
}

/// Fills the empty tree `target` with what makes `tree` of `base`: faithful copies of what is new or
/// changed, and the marks of overlayfs for what is gone.
///
/// # Errors
/// When something cannot be read or written. Marks cannot be written on an overlay.
pub fn copy_changes(
    base: &Path,
    tree: &Path,
    target: &Root,
    report: &dyn Report,
    cancel: &Cancel,
) -> Result<Changes, TreeError> {
    let top = |path: &Path| {
        open(path, DIRECTORY, Mode::empty())
            .map_err(|e| TreeError::io("read the directory", shown(path), e))
    };
    let found = Comparison { cancel }.directories((&top(base)?, &top(tree)?), Path::new(""), 0);
    let found = found.map_err(|(path, e)| {
        TreeError::io("compare with the base image", shown(tree.join(path)), e)
    })?;
    if cancel.is_cancelled() {
        return Err(TreeError::Cancelled);
    }
    let passed: HashSet<&Path> = found.passed.iter().map(PathBuf::as_path).collect();
    let added: HashSet<&Path> = found.added.iter().map(PathBuf::as_path).collect();
    let options = CopyOptions {
        select: &|path, _| {
            let mut above = path.ancestors();
            if passed.contains(path) || above.any(|path| added.contains(path)) && !is_running(path)
            {
                Select::Copy
            } else {
                Select::Skip
            }
        },
        ..CopyOptions::faithful(None)
    };
    let copied = copy_tree(target, tree, Path::new(""), &options, report, cancel)?;
    for path in &found.removed {
        mark(target, path)?;
    }
    Ok(Changes {
        entries: copied.entries,
        removed: found.removed.len() as u64,
    })
}

/// Says in the upper layer that a name of the lower one is gone.
fn mark(target: &Root, path: &Path) -> Result<(), TreeError> {
    let above = path.parent().unwrap_or(Path::new(""));
    let name = path.file_name().unwrap_or_default();
    let directory = target.open_dir(above)?;
    let write = || {
        let before = Metadata::of(&directory)?;
        let device = makedev(0, 0);
        let kind = FileType::CharacterDevice;
        mknodat(&directory, name, kind, Mode::empty(), device)?;
        futimens(&directory, &times(before.mtime))
    };
    write().map_err(|e| match e {
        Errno::PERM => TreeError::NoMarks {
            path: target.place(path),
        },
        e => target.failed("write the mark of what is gone at", path, e),
    })
}

/// Whether a path is what a directory of the running system holds.
fn is_running(path: &Path) -> bool {
    let mut parts = path.components();
    let first = parts.next().map(|part| part.as_os_str().to_owned());
    parts.next().is_some() && first.is_some_and(|first| is_of_running_system(&first))
}

fn is_of_running_system(name: &OsStr) -> bool {
    OF_RUNNING_SYSTEM.iter().any(|known| name == *known)
}

/// What differs below one directory, by paths from the top.
#[derive(Default)]
struct Found {
    /// New or changed, with all that is in it.
    added: Vec<PathBuf>,
    /// Directories of both trees on the way to something that differs, or that differ themselves.
    passed: Vec<PathBuf>,
    removed: Vec<PathBuf>,
}

type Failed = (PathBuf, Errno);

struct Comparison<'a> {
    cancel: &'a Cancel,
}

impl Comparison<'_> {
    /// Compares what two directories hold: that of the base, and that of the tree.
    fn directories(
        &self,
        (base, tree): (&OwnedFd, &OwnedFd),
        path: &Path,
        depth: usize,
    ) -> Result<Found, Failed> {
        let failed = |e| (path.to_owned(), e);
        if depth == MAX_DEPTH {
            return Err(failed(Errno::NAMETOOLONG));
        }
        if self.cancel.is_cancelled() {
            return Ok(Found::default());
        }
        let before = list(base).map_err(failed)?;
        let after = list(tree).map_err(failed)?;
        // Both are in byte order.
        let in_list = |entries: &[Entry], name: &OsStr| {
            entries.binary_search_by(|entry| entry.name.as_os_str().cmp(name))
        };
        let mut found = Found {
            removed: before
                .iter()
                .filter(|entry| in_list(&after, &entry.name).is_err())
                .map(|entry| path.join(&entry.name))
                .collect(),
            ..Found::default()
        };
        let (base, tree) = (base.as_fd(), tree.as_fd());
        let parts: Vec<Found> = after
            .par_iter()
            .with_min_len(8)
            .map(|entry| {
                let below = path.join(&entry.name);
                let known = in_list(&before, &entry.name).is_ok();
                if !known {
                    return Ok(Found {
                        added: vec![below],
                        ..Found::default()
                    });
                }
                let pair = (base, tree);
                self.names(pair, &entry.name, &below, depth)
                    .map_err(|failed| match failed {
                        Problem::Here(e) => (below.clone(), e),
                        Problem::Below(failed) => failed,
                    })
            })
            .collect::<Result<_, Failed>>()?;
        for part in parts {
            found.added.extend(part.added);
            found.passed.extend(part.passed);
            found.removed.extend(part.removed);
        }
        Ok(found)
    }

    /// Compares what has one name in both.
    fn names(
        &self,
        (base, tree): (std::os::fd::BorrowedFd<'_>, std::os::fd::BorrowedFd<'_>),
        name: &OsStr,
        path: &Path,
        depth: usize,
    ) -> Result<Found, Problem> {
        let (old, new) = (Metadata::at(base, name)?, Metadata::at(tree, name)?);
        let replaced = || Found {
            added: vec![path.to_owned()],
            ..Found::default()
        };
        if old.kind != new.kind {
            return Ok(replaced());
        }
        let alike = (old.mode, old.uid, old.gid) == (new.mode, new.uid, new.gid);
        if new.kind == Kind::Directory {
            let (old, new) = (open_child(base, name)?, open_child(tree, name)?);
            let alike = alike && attributes(Of::fd(&old))? == attributes(Of::fd(&new))?;
            let mut found = if depth == 0 && is_of_running_system(name) {
                Found::default()
            } else {
                self.directories((&old, &new), path, depth + 1)
                    .map_err(Problem::Below)?
            };
            let differs =
                !(found.added.is_empty() && found.passed.is_empty() && found.removed.is_empty());
            if differs || !alike {
                found.passed.push(path.to_owned());
            }
            return Ok(found);
        }
        let same = alike
            && attributes(Of::name(&base, name))? == attributes(Of::name(&tree, name))?
            && match new.kind {
                Kind::File => old.size == new.size && same_content(base, tree, name)?,
                Kind::Symlink => {
                    readlinkat(base, name, Vec::new())? == readlinkat(tree, name, Vec::new())?
                }
                _ => (old.device, old.is_block_device) == (new.device, new.is_block_device),
            };
        Ok(if same { Found::default() } else { replaced() })
    }
}

/// Where something could not be read.
enum Problem {
    Here(Errno),
    Below(Failed),
}

impl From<Errno> for Problem {
    fn from(e: Errno) -> Self {
        Self::Here(e)
    }
}

#[cfg(test)]
#[path = "changes_tests.rs"]
mod tests;
