//! Both trees, name by name, as many at a time as there are processors.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use rustix::fs::fstatfs;
use rustix::io::Errno;

use super::{Aspect, Comparison, Difference, Node, Scope, Totals};
use crate::host::Cancel;
use crate::tree::alike::{Attribute, attributes, same_content};
use crate::tree::listing::{Entry, list, open_child};
use crate::tree::stat::{Kind, Metadata};
use crate::tree::xattrs::Of;

/// Directories nested deeper are refused, as copying them would be.
const MAX_DEPTH: usize = 400;
/// What the kernel shows as files: proc, sysfs, both control group file systems, devpts, debugfs,
/// tracefs, securityfs, the kernel's own file system of configurations (`linux/magic.h`).
const OF_KERNEL: [u32; 9] = [
    0x9fa0,
    0x6265_6572,
    0x27_e0eb,
    0x6367_7270,
    0x1cd1,
    0x6462_6720,
    0x7472_6163,
    0x7363_6673,
    0x6265_6570,
];
const LABEL: &[u8] = b"security.selinux";

/// Which tree, 0 or 1, where in it, and why it could not be read.
type Failed = (usize, PathBuf, Errno);
type Result<T> = std::result::Result<T, Failed>;

/// One comparison.
pub(super) struct Walk<'a> {
    scope: Scope,
    cancel: &'a Cancel,
    /// Files with several names whose bytes were counted, by tree.
    counted: [Mutex<HashSet<(u64, u64)>>; 2],
}

/// A name in one or both trees.
struct Pair<'a> {
    name: &'a OsStr,
    is_in: [bool; 2],
}

impl<'a> Walk<'a> {
    pub(super) fn new(scope: Scope, cancel: &'a Cancel) -> Self {
        Self {
            scope,
            cancel,
            counted: Default::default(),
        }
    }

    /// Compares two top directories with all that is in them.
    pub(super) fn tops(&self, tops: (&OwnedFd, &OwnedFd)) -> Result<Comparison> {
        let here = |side| move |e| (side, PathBuf::new(), e);
        let metas = [
            Metadata::of(tops.0).map_err(here(0))?,
            Metadata::of(tops.1).map_err(here(1))?,
        ];
        let mut found = self.directories(tops, &metas, Path::new(""), 0)?;
        if self.scope.top {
            let nodes = metas.each_ref().map(Node::of);
            let mut aspects = nodes[0].aspects(&nodes[1]);
            let lists = [
                attributes(Of::fd(tops.0)).map_err(here(0))?,
                attributes(Of::fd(tops.1)).map_err(here(1))?,
            ];
            aspects.extend(self.attributes(lists));
            let [before, after] = nodes;
            if !aspects.is_empty() {
                found
                    .differences
                    .insert(0, changed(Path::new(""), before, after, aspects));
            }
        }
        Ok(found)
    }

    /// Compares what two directories hold.
    fn directories(
        &self,
        (before, after): (&OwnedFd, &OwnedFd),
        metas: &[Metadata; 2],
        path: &Path,
        depth: usize,
    ) -> Result<Comparison> {
        if self.cancel.is_cancelled() {
            return Ok(Comparison::default());
        }
        let lists = [
            self.list(0, before, path, depth)?,
            self.list(1, after, path, depth)?,
        ];
        let directories = (before.as_fd(), after.as_fd());
        let parts: Vec<Comparison> = merged(&lists)
            .par_iter()
            .map(|pair| {
                let below = path.join(pair.name);
                match pair.is_in {
                    [true, true] => self.both(directories, metas, pair.name, &below, depth),
                    [true, false] => {
                        self.one(0, directories.0, metas[0].id.0, pair.name, &below, depth)
                    }
                    _ => self.one(1, directories.1, metas[1].id.0, pair.name, &below, depth),
                }
            })
            .collect::<Result<_>>()?;
        Ok(sum(parts))
    }

    /// The names in a directory, in order.
    fn list(&self, side: usize, dir: &OwnedFd, path: &Path, depth: usize) -> Result<Vec<Entry>> {
        if depth == MAX_DEPTH {
            return Err((side, path.to_owned(), Errno::NAMETOOLONG));
        }
        let mut entries = list(dir).map_err(|e| (side, path.to_owned(), e))?;
        if depth < 2 {
            // The top of a file system: that of the root, or of a partition in it.
            entries.retain(|entry| entry.name != "lost+found" || entry.kind != Kind::Directory);
        }
        Ok(entries)
    }

    /// Compares what has one name in both.
    fn both(
        &self,
        (before, after): (BorrowedFd<'_>, BorrowedFd<'_>),
        above: &[Metadata; 2],
        name: &OsStr,
        path: &Path,
        depth: usize,
    ) -> Result<Comparison> {
        let failed = |side| move |e| (side, path.to_owned(), e);
        let metas = [
            Metadata::at(before, name).map_err(failed(0))?,
            Metadata::at(after, name).map_err(failed(1))?,
        ];
        let [old, new] = metas;
        if old.kind != new.kind {
            return self.replaced((before, after), above, &metas, name, path, depth);
        }
        let nodes = (
            Node::at(before, name, &old).map_err(failed(0))?,
            Node::at(after, name, &new).map_err(failed(1))?,
        );
        let mut aspects = nodes.0.aspects(&nodes.1);
        let same_file = old.id == new.id;
        if old.kind == Kind::File && !same_file {
            let differs = old.size != new.size
                // Which of both cannot be read is not told apart: the reason is what matters.
                || !same_content(before, after, name).map_err(failed(1))?;
            if differs {
                aspects.insert(0, Aspect::Content);
            }
        }
        if !same_file {
            let lists = [
                attributes(Of::name(&before, name)).map_err(failed(0))?,
                attributes(Of::name(&after, name)).map_err(failed(1))?,
            ];
            aspects.extend(self.attributes(lists));
        }
        let mut found = if old.kind == Kind::Directory {
            let directories = [
                open_child(before, name).map_err(failed(0))?,
                open_child(after, name).map_err(failed(1))?,
            ];
            let looked_into = directories
                .iter()
                .zip(above.iter().zip(&metas))
                .all(|(directory, (above, meta))| !is_of_kernel(directory, above.id.0, meta.id.0));
            if looked_into {
                let [before, after] = &directories;
                self.directories((before, after), &metas, path, depth + 1)?
            } else {
                Comparison::default()
            }
        } else {
            Comparison::default()
        };
        found.before.entries += 1;
        found.after.entries += 1;
        found.before.bytes += self.bytes(0, &old);
        found.after.bytes += self.bytes(1, &new);
        if !aspects.is_empty() {
            let (before, after) = nodes;
            let difference = changed(path, before, after, aspects);
            found.differences.insert(0, difference);
        }
        Ok(found)
    }

    /// What has one name in both trees and is of two kinds; one of them may be a directory.
    fn replaced(
        &self,
        (before, after): (BorrowedFd<'_>, BorrowedFd<'_>),
        above: &[Metadata; 2],
        metas: &[Metadata; 2],
        name: &OsStr,
        path: &Path,
        depth: usize,
    ) -> Result<Comparison> {
        let failed = |side| move |e| (side, path.to_owned(), e);
        let nodes = (
            Node::at(before, name, &metas[0]).map_err(failed(0))?,
            Node::at(after, name, &metas[1]).map_err(failed(1))?,
        );
        let mut parts = vec![
            self.one(0, before, above[0].id.0, name, path, depth)?,
            self.one(1, after, above[1].id.0, name, path, depth)?,
        ];
        for part in &mut parts {
            // The name itself is told of once, as changed.
            part.differences.retain(|found| found.path != path);
        }
        let mut found = sum(parts);
        let difference = changed(path, nodes.0, nodes.1, vec![Aspect::Kind]);
        found.differences.insert(0, difference);
        Ok(found)
    }

    /// What only one tree has, with all that is in it.
    fn one(
        &self,
        side: usize,
        dir: BorrowedFd<'_>,
        device: u64,
        name: &OsStr,
        path: &Path,
        depth: usize,
    ) -> Result<Comparison> {
        let failed = |e| (side, path.to_owned(), e);
        if self.cancel.is_cancelled() {
            return Ok(Comparison::default());
        }
        let meta = Metadata::at(dir, name).map_err(failed)?;
        let node = Node::at(dir, name, &meta).map_err(failed)?;
        let mut found = Comparison::default();
        if meta.kind == Kind::Directory {
            let directory = open_child(dir, name).map_err(failed)?;
            if !is_of_kernel(&directory, device, meta.id.0) {
                let entries = self.list(side, &directory, path, depth + 1)?;
                let fd = directory.as_fd();
                let parts: Vec<Comparison> = entries
                    .par_iter()
                    .map(|entry| {
                        let below = path.join(&entry.name);
                        self.one(side, fd, meta.id.0, &entry.name, &below, depth + 1)
                    })
                    .collect::<Result<_>>()?;
                found = sum(parts);
            }
        }
        let totals = if side == 0 {
            &mut found.before
        } else {
            &mut found.after
        };
        totals.entries += 1;
        totals.bytes += self.bytes(side, &meta);
        let (before, after) = match side {
            0 => (Some(node), None),
            _ => (None, Some(node)),
        };
        let difference = Difference {
            path: path.to_owned(),
            before,
            after,
            aspects: Vec::new(),
        };
        found.differences.insert(0, difference);
        Ok(found)
    }

    /// In which extended attributes two files differ.
    fn attributes(&self, lists: [Vec<Attribute>; 2]) -> Option<Aspect> {
        let [before, after] = &lists;
        let counts = |name: &[u8]| self.scope.labels || name != LABEL;
        let missing = |from: &[Attribute], in_: &[Attribute]| -> Vec<String> {
            let differs = from.iter().filter(|attribute| !in_.contains(attribute));
            differs
                .filter(|(name, _)| counts(name))
                .map(|(name, _)| String::from_utf8_lossy(name).into_owned())
                .collect()
        };
        let mut names = missing(before, after);
        names.extend(missing(after, before));
        names.sort_unstable();
        names.dedup();
        (!names.is_empty()).then_some(Aspect::Attributes(names))
    }

    /// How many bytes a file adds to its tree's.
    fn bytes(&self, side: usize, meta: &Metadata) -> u64 {
        if meta.kind != Kind::File {
            return 0;
        }
        if meta.links > 1 {
            let counted = self.counted[side].lock();
            let mut counted = counted.unwrap_or_else(PoisonError::into_inner);
            if !counted.insert(meta.id) {
                return 0;
            }
        }
        meta.size
    }
}

fn changed(path: &Path, before: Node, after: Node, aspects: Vec<Aspect>) -> Difference {
    Difference {
        path: path.to_owned(),
        before: Some(before),
        after: Some(after),
        aspects,
    }
}

/// Whether a directory is where the kernel's own files are mounted.
// Of a width that depends on the architecture; the numbers have 32 bits.
#[allow(clippy::unnecessary_cast)]
fn is_of_kernel(directory: &OwnedFd, above: u64, device: u64) -> bool {
    above != device
        && fstatfs(directory).is_ok_and(|stat| {
            OF_KERNEL
                .iter()
                .any(|kind| i64::from(*kind) == stat.f_type as i64)
        })
}

/// The names of two lists in order, each once.
fn merged(lists: &[Vec<Entry>; 2]) -> Vec<Pair<'_>> {
    let [mut before, mut after] = lists.each_ref().map(Vec::as_slice);
    let mut pairs = Vec::with_capacity(before.len().max(after.len()));
    loop {
        let order = match (before.first(), after.first()) {
            (None, None) => return pairs,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => a.name.cmp(&b.name),
        };
        let is_in = [order.is_le(), order.is_ge()];
        let name = if is_in[0] { before } else { after };
        pairs.extend(name.first().map(|entry| Pair {
            name: &entry.name,
            is_in,
        }));
        for (list, is_in) in [&mut before, &mut after].into_iter().zip(is_in) {
            *list = &list[usize::from(is_in)..];
        }
    }
}

fn sum(parts: Vec<Comparison>) -> Comparison {
    let mut all = Comparison::default();
    for part in parts {
        all.differences.extend(part.differences);
        for (total, part) in [(&mut all.before, part.before), (&mut all.after, part.after)] {
            *total = Totals {
                entries: total.entries + part.entries,
                bytes: total.bytes + part.bytes,
            };
        }
    }
    all
}
