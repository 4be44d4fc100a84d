//! Opens the packages that apt chose, and makes sure that they are what it chose.

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::control::Package;
use super::filling::about;
use super::resolve::Chosen;
use crate::host::printable_path;
use crate::installer::InstallError;
use crate::tree::archive::Fault;

/// Opens every package and reads its control archive, on all processors.
///
/// # Errors
/// When one is damaged, or is not the one that apt chose.
pub(super) fn read_all(chosen: &[Chosen]) -> Result<Vec<Package>, InstallError> {
    let next = AtomicUsize::new(0);
    let found: Mutex<Vec<(usize, Result<Package, Fault>)>> = Mutex::default();
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(one) = chosen.get(number) else {
                return;
            };
            let result = Package::read(one.path.clone()).and_then(|package| same(one, package));
            found
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((number, result));
        }
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_by_key(|(number, _)| *number);
    found
        .into_iter()
        .map(|(number, result)| result.map_err(|fault| about(&chosen[number].name, fault)))
        .collect()
}

fn same(chosen: &Chosen, package: Package) -> Result<Package, Fault> {
    let is = [&package.name, &package.version, &package.architecture];
    if is != [&chosen.name, &chosen.version, &chosen.architecture] {
        return Err(Fault::new(format!(
            "{} holds {} {} {} instead of {} {} {}",
            printable_path(&package.path),
            is[0],
            is[1],
            is[2],
            chosen.name,
            chosen.version,
            chosen.architecture,
        )));
    }
    Ok(package)
}
