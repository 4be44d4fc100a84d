//! Packages with nothing compressed, made on all processors: dpkg would decompress one after the other.

use std::fs::File;
use std::path::{Path, PathBuf};

use rayon::iter::{
    IndexedParallelIterator as _, IntoParallelRefIterator as _, ParallelIterator as _,
};

use super::archive::Archive;
use super::filling::about;
use crate::host::Cancel;
use crate::installer::InstallError;
use crate::tree::archive::Fault;
use crate::tree::shown::shown_name;

/// Writes each of these packages, expanded, into `directory`, which must be there, as `NUMBER.deb`.
///
/// # Errors
/// When one is damaged or cannot be written; the name of the first such file is told.
pub(super) fn expand(
    packages: &[PathBuf],
    directory: &Path,
    cancel: &Cancel,
) -> Result<(), InstallError> {
    let write = |(number, package): (usize, &PathBuf)| {
        if cancel.is_cancelled() {
            return Err(InstallError::Cancelled);
        }
        let target = directory.join(format!("{number}.deb"));
        one(package, &target).map_err(|fault| about(&shown_name(package), fault))
    };
    let all: Vec<_> = packages.par_iter().enumerate().map(write).collect();
    all.into_iter().collect()
}

fn one(package: &Path, target: &Path) -> Result<(), Fault> {
    let archive = Archive::open(package)?;
    let mut file = File::create(target).map_err(Fault::from_read)?;
    archive.expand(None, &mut file)
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
