//! Packages with nothing compressed, made on all processors: dpkg would decompress one after the other.

use std::fs::File;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::archive::Archive;
use super::filling::about;
use crate::host::Cancel;
use crate::installer::InstallError;
use crate::tree::archive::Fault;

/// Writes each of these packages, expanded, into `directory`, which must be there; returns where they
/// are, in the same order.
///
/// # Errors
/// When one is damaged or cannot be written; its file's name is named.
pub(super) fn expand(
    packages: &[PathBuf],
    directory: &Path,
    cancel: &Cancel,
) -> Result<Vec<PathBuf>, InstallError> {
    let targets: Vec<PathBuf> = (0..packages.len())
        .map(|number| directory.join(format!("{number}.deb")))
        .collect();
    let next = AtomicUsize::new(0);
    let failed: Mutex<Option<(usize, Fault)>> = Mutex::default();
    let work = || {
        while !cancel.is_cancelled() {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let (Some(package), Some(target)) = (packages.get(number), targets.get(number)) else {
                return;
            };
            if let Err(fault) = one(package, target) {
                let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                failed.get_or_insert((number, fault));
                return;
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    if cancel.is_cancelled() {
        return Err(InstallError::Cancelled);
    }
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some((number, fault)) => Err(about(&file_name(&packages[number]), fault)),
        None => Ok(targets),
    }
}

fn one(package: &Path, target: &Path) -> Result<(), Fault> {
    let archive = Archive::open(package)?;
    let mut file = File::create(target).map_err(Fault::from_read)?;
    archive.expand(&mut file)
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_damaged_package_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let package = directory.path().join("broken_1_all.deb");
        fs::write(&package, "no package").unwrap();
        let error = expand(&[package], directory.path(), &Cancel::default()).unwrap_err();
        assert!(error.to_string().contains("broken_1_all.deb"), "{error}");
    }
}
