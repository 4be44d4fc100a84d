//! How an installer tells what the packages came from that it installed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{InstallError, Site};
use crate::distro::provenance::Provenance;

/// Where it leaves word of it, in a build's scratch directory.
const NOTE: &str = "provenance.json";

/// Leaves word for who called the installer.
pub(super) fn note(provenance: &Provenance, site: &Site) -> Result<(), InstallError> {
    let path = site.scratch.join(NOTE);
    let text = serde_json::to_vec(provenance).unwrap_or_default();
    fs::write(&path, text).map_err(failed(&path))
}

/// What an installer left word of in `scratch`, once; nothing, where it does not say.
///
/// # Errors
/// When that cannot be read.
pub fn take(scratch: &Path) -> Result<Option<Provenance>, InstallError> {
    let path = scratch.join(NOTE);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(&path)(source)),
    };
    fs::remove_file(&path).map_err(failed(&path))?;
    Ok(serde_json::from_slice(&text).ok())
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> InstallError {
    let path: PathBuf = path.to_owned();
    move |source| InstallError::Prepare { path, source }
}
