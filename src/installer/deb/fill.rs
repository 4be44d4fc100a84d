//! Fills an empty tree with packages.

use super::filling::Filling;
use super::read::read_all;
use super::recompressed::Recompressed;
use super::services::Refusal;
use super::settings::Settings;
use super::{DPKG_STATUS, database, leavings};
use super::{decided, resolve};
use crate::distro::provenance::Archive;
use crate::host::Host;
use crate::installer::apt::USR_IS_MERGED;
use crate::installer::{InstallError, Request, Site};
use crate::tree::{Root, TreeError};

/// Whether no package is in the tree; the place-holder that keeps `usrmerge` out is none.
///
/// # Errors
/// When the tree cannot be read.
pub(super) fn is_empty(root: &Root) -> Result<bool, TreeError> {
    let status = root.read_if_present(DPKG_STATUS)?.unwrap_or_default();
    let status = String::from_utf8_lossy(&status);
    let mut names = status.lines().filter_map(|l| l.strip_prefix("Package: "));
    Ok(names.all(|name| name == USR_IS_MERGED) && !status.contains("\nConffiles:"))
}

/// Fills the tree; returns what with.
///
/// # Errors
/// When packages cannot be chosen or fetched, when one is damaged or hostile, or a script fails.
pub(super) fn fill(
    request: &Request,
    site: &Site,
    root: &Root,
    settings: &Settings,
    host: &Host,
) -> Result<Vec<Archive>, InstallError> {
    let choice = resolve::choose_for_new_tree(settings, request, site, host)?;
    let mut packages = read_all(&choice.packages, &host.cancel)?;
    let copies = Recompressed::attached(request, settings, &mut packages, &choice.archives);
    database::begin(root, &request.architecture)?;
    let order = decided::configured(settings)?;
    let mut filling = Filling::new(request, &packages, root, site, host, None, copies)?;
    filling.first_files()?;
    let refusal = Refusal::begin(root)?;
    filling.first_scripts()?;
    filling.others(&order)?;
    refusal.end(root)?;
    leavings::extended_states(root, settings, |name| filling.is_first(name))?;
    leavings::clean(root)?;
    Ok(choice.archives)
}
