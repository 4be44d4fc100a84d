//! Opens the packages that apt chose, and makes sure that they are what it chose.

use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

use super::control::Package;
use super::decided::Chosen;
use super::filling::about;
use crate::host::{Cancel, printable_path};
use crate::installer::InstallError;
use crate::tree::archive::Fault;

/// Opens every package and reads its control archive, on all processors.
///
/// # Errors
/// When one is damaged, or is not the one that apt chose: the first one of those.
pub(super) fn read_all(chosen: &[Chosen], cancel: &Cancel) -> Result<Vec<Package>, InstallError> {
    let read = |one: &Chosen| {
        if cancel.is_cancelled() {
            return Err(InstallError::Cancelled);
        }
        let package = Package::read(one.path.clone());
        let package = package.and_then(|package| same(one, package));
        package.map_err(|fault| about(&one.name, fault))
    };
    let all: Vec<_> = chosen.par_iter().map(read).collect();
    all.into_iter().collect()
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
