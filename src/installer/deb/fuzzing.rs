//! All that is done with the bytes of a package, for whoever tries bad ones.

use std::path::Path;

use super::claims::Claims;
use super::control::Package;
use super::filter::Filter;
use super::outcome::{Failed, Tree, Way};
use super::owners::Owners;
use super::places::Places;
use super::relations::Relations;
use super::special::Special;
use super::unpack::unpack;
use crate::host::Cancel;
use crate::tree::Root;

/// Reads the package `file`, unpacks it, and writes it again as `other`. Returns what it would say.
pub fn unpack_for_fuzzing(file: &Path, root: &Root, first: bool, other: &Path) -> Vec<String> {
    let package = match Package::read(file.to_owned()) {
        Ok(package) => package,
        Err(fault) => return vec![fault.problem],
    };
    let _ = (package.installed_size(), package.is_essential());
    let _ = Relations::of(std::slice::from_ref(&package));
    let mut messages = vec![package.database_name(), package.version.clone()];
    let tree = Tree {
        root,
        filter: &Filter::default(),
        owners: &Owners::default(),
        special: &Special::default(),
        claims: &Claims::new(),
        places: &Places::default(),
        installed: None,
        cancel: &Cancel::default(),
    };
    let way = if first { Way::First } else { Way::Usual };
    messages.extend(match unpack(&tree, 0, &package, way) {
        Ok(_) | Err(Failed::Obstacle(_)) => None,
        Err(Failed::Package(fault)) => Some(fault.problem),
        Err(Failed::Tree(error)) => Some(error.to_string()),
    });
    if let Err(fault) = package.write_without("preinst", other) {
        messages.push(fault.problem);
    }
    messages
}
