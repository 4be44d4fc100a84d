//! Unpacks many packages at once, on all processors, the largest first.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use rayon::iter::{ParallelBridge as _, ParallelIterator as _};
use rustix::fs::{Gid, Mode, Uid, fchmod, fchown, futimens};

use super::control::Package;
use super::outcome::{Failed, Tree, Unpacked, Way};
use super::unpack::unpack;
use crate::host::Report;
use crate::tree::TreeError;
use crate::tree::listing::DIRECTORY;
use crate::tree::stat::times;

/// A package's failure, with its number.
pub(super) type Failure = (usize, Failed);

/// Unpacks the packages of these numbers, in any order, and returns what each holds in the order of
/// their numbers.
pub(super) fn unpack_all(
    tree: &Tree<'_>,
    packages: &[Package],
    numbers: &BTreeSet<usize>,
    way: Way,
    report: &dyn Report,
) -> Result<Vec<(usize, Unpacked)>, Failure> {
    let mut order: Vec<usize> = numbers.iter().copied().collect();
    order.sort_by_key(|number| std::cmp::Reverse(packages[*number].archive.data_size()));
    // Links such as `/lib -> usr/lib` come with this package: what others have beneath them goes
    // where they lead.
    let (first, rest): (Vec<usize>, Vec<usize>) = order
        .into_iter()
        .partition(|number| packages[*number].name == "base-files");
    let total: u64 = numbers
        .iter()
        .map(|number| packages[*number].archive.data_size())
        .sum();
    let done = AtomicU64::new(0);
    let mut all = Vec::new();
    for part in [first, rest] {
        all.extend(part_of(tree, packages, &part, way, (&done, total), report)?);
    }
    set_directories(tree).map_err(|e| (numbers.first().copied().unwrap_or(0), Failed::Tree(e)))?;
    all.sort_by_key(|(number, _)| *number);
    Ok(all)
}

fn part_of(
    tree: &Tree<'_>,
    packages: &[Package],
    order: &[usize],
    way: Way,
    (done, total): (&AtomicU64, u64),
    report: &dyn Report,
) -> Result<Vec<(usize, Unpacked)>, Failure> {
    let stop = AtomicBool::new(false);
    let work = |number: usize| {
        if stop.load(Ordering::Relaxed) {
            return None;
        }
        let package = &packages[number];
        let begun = Instant::now();
        let result = unpack(tree, number, package, way);
        report.task(&package.name, begun);
        if result.is_err() {
            stop.store(true, Ordering::Relaxed);
        }
        let size = package.archive.data_size();
        let now = done.fetch_add(size, Ordering::Relaxed) + size;
        report.progress(now, total);
        Some((number, result))
    };
    // One after the other from the front, whoever is free: the largest must not come last.
    let numbers = order.iter().copied().par_bridge();
    let mut results: Vec<_> = numbers.filter_map(work).collect();
    // Which of several failures is told does not depend on which came first.
    results.sort_by_key(|(number, _)| *number);
    results
        .into_iter()
        .map(|(number, result)| match result {
            Ok(unpacked) => Ok((number, unpacked)),
            Err(failed) => Err((number, failed)),
        })
        .collect()
}

/// Gives the directories that were made the attributes of the first package that has them.
fn set_directories(tree: &Tree<'_>) -> Result<(), TreeError> {
    use std::os::unix::ffi::OsStrExt as _;
    for (path, wanted) in tree.claims.take_directories().iter().rev() {
        let path = std::path::Path::new(std::ffi::OsStr::from_bytes(path));
        let set = || {
            let dir = tree.root.lookup_plain(path, DIRECTORY)?;
            if tree.root.privileged() {
                let (user, group) = wanted.owner;
                fchown(&dir, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)))?;
            }
            fchmod(&dir, Mode::from_raw_mode(wanted.mode))?;
            futimens(&dir, &times(wanted.mtime))
        };
        set().map_err(|e| tree.root.failed("set the attributes of", path, e))?;
    }
    Ok(())
}
