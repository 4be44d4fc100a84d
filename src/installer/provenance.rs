//! How an installer tells what the packages came from that it installed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{InstallError, Site};
use crate::distro::provenance::Provenance;
use crate::host::Host;

/// Where it leaves word of it, in a build's scratch directory.
const NOTE: &str = "provenance.json";

/// Packages that a warning names.
const NAMED: usize = 5;

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

/// Says that it is not known what packages came from.
pub(super) fn warn_of_unknown(names: &[String], host: &Host) {
    let and = if names.len() > NAMED {
        " and others"
    } else {
        ""
    };
    host.report.warn(&format!(
        "the files that {}{and} were installed from are not in the package cache: the manifest says \
         nothing of them, and no lock can be written",
        names[..names.len().min(NAMED)].join(", ")
    ));
}

/// An address without its scheme, and without who asks: a password may be there.
pub(super) fn without_scheme(address: &str) -> String {
    let plain = address.split_once("://").map_or(address, |(_, rest)| rest);
    let end = plain.find('/').unwrap_or(plain.len());
    let (server, path) = plain.split_at(end);
    let server = server.rsplit_once('@').map_or(server, |(_, server)| server);
    format!("{server}{path}")
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> InstallError {
    let path: PathBuf = path.to_owned();
    move |source| InstallError::Prepare { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_say_nothing_of_who_asks() {
        for (address, expected) in [
            ("https://me:secret@m:80/x@y/z", "m:80/x@y/z"),
            ("file:///srv/x", "/srv/x"),
            ("m", "m"),
        ] {
            assert_eq!(without_scheme(address), expected);
        }
    }
}
