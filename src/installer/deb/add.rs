//! Installs further packages into a tree that holds packages already.
//!
//! apt on the host chooses and fetches. Packages that are new to the tree are unpacked as in an empty
//! one. Where something that is there is replaced or removed, or the database is in a state of its
//! own, what apt would have told dpkg is told to the tree's own dpkg instead, inside the tree. In
//! either case the image needs no apt, no network and no keys.

use super::decided::{self, Choice};
use super::filling::Filling;
use super::installed::Installed;
use super::leavings;
use super::read::read_all;
use super::recompressed::Recompressed;
use super::resolve;
use super::services::Refusal;
use super::settings::Settings;
use super::told::tell_dpkg;
use crate::distro::provenance::Archive;
use crate::host::Host;
use crate::installer::{InstallError, Request, Site};
use crate::tree::Root;

/// As in `leavings`.
const EXTENDED_STATES: &str = "var/lib/apt/extended_states";

/// Installs what is requested and not there; returns what that was.
///
/// # Errors
/// When packages cannot be chosen or fetched, when one is damaged or hostile, or dpkg fails.
pub(super) fn install(
    request: &Request,
    site: &Site,
    root: &Root,
    settings: &Settings,
    host: &Host,
) -> Result<Vec<Archive>, InstallError> {
    if let Some(states) = root.read_if_present(EXTENDED_STATES)? {
        let path = &settings.extended_states;
        std::fs::write(path, states).map_err(|source| InstallError::Prepare {
            path: path.clone(),
            source,
        })?;
    }
    let choice = resolve::choose(settings, &request.packages, request, site, host)?;
    if choice.packages.is_empty() && !settings.calls.exists() {
        return Ok(Vec::new());
    }
    let refusal = Refusal::begin(root)?;
    if !unpack_new(request, site, root, settings, host, &choice)? {
        tell_dpkg(request, site, settings, host)?;
    }
    refusal.end(root)?;
    leavings::extended_states(root, settings, |_| false)?;
    leavings::clean(root)?;
    Ok(choice.archives)
}

/// Unpacks packages here and has dpkg configure them, if all of them are new to the tree; whether
/// that was so.
fn unpack_new(
    request: &Request,
    site: &Site,
    root: &Root,
    settings: &Settings,
    host: &Host,
    choice: &Choice,
) -> Result<bool, InstallError> {
    if choice.changes_others || choice.packages.is_empty() {
        return Ok(false);
    }
    let mut packages = read_all(&choice.packages, &host.cancel)?;
    let installed = Installed::of(root)?;
    if !installed.takes(&packages, &request.architecture) {
        return Ok(false);
    }
    let copies = Recompressed::attached(request, settings, &mut packages, &choice.archives);
    let order = decided::configured(settings)?;
    let installed = Some(&installed);
    let mut filling = Filling::new(request, &packages, root, site, host, installed, copies)?;
    filling.others(&order)?;
    Ok(true)
}
