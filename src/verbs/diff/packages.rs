//! Packages that only one of two images has, or both in different versions.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::terminal;
use crate::host::Host;
use crate::output::manifest::PackageType;
use crate::output::{Manifest, Package, Subject};

/// What differs between the packages of two images.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PackageChanges {
    pub(super) added: Vec<Package>,
    pub(super) removed: Vec<Package>,
    /// What was, and what is.
    pub(super) changed: Vec<(Package, Package)>,
    /// How many packages each image has.
    pub(super) counts: [usize; 2],
}

/// The packages of a tree. A database that cannot be read is a warning: its files are compared anyway.
pub(super) fn of(tree: &Path, host: &Host) -> Vec<Package> {
    match Manifest::read_untouched(Subject::default(), tree, host) {
        Ok(manifest) => manifest.packages().to_vec(),
        Err(error) => {
            let why = terminal::chain(&error);
            terminal::complain(format_args!(
                "warning: packages are not compared, only files: {why}"
            ));
            Vec::new()
        }
    }
}

/// What makes two packages the same one in different versions.
type Identity<'a> = (PackageType, &'a str, &'a str);

impl PackageChanges {
    /// What differs between the packages of two images.
    pub(super) fn between(before: &[Package], after: &[Package]) -> Self {
        let mut changes = Self {
            counts: [before.len(), after.len()],
            ..Self::default()
        };
        if changes.incomparable() {
            return changes;
        }
        let (old, new) = (by_identity(before), by_identity(after));
        for (identity, old) in &old {
            let new = new.get(identity).map(Vec::as_slice).unwrap_or_default();
            let is_in = |list: &[&Package], package: &Package| {
                list.iter().any(|other| other.version == package.version)
            };
            let gone: Vec<&Package> = old
                .iter()
                .copied()
                .filter(|package| !is_in(new, package))
                .collect();
            let come: Vec<&Package> = new
                .iter()
                .copied()
                .filter(|package| !is_in(old, package))
                .collect();
            match (gone.as_slice(), come.as_slice()) {
                ([gone], [come]) => changes.changed.push(((*gone).clone(), (*come).clone())),
                _ => {
                    changes.removed.extend(gone.into_iter().cloned());
                    changes.added.extend(come.into_iter().cloned());
                }
            }
        }
        for (identity, new) in new {
            if !old.contains_key(&identity) {
                changes.added.extend(new.into_iter().cloned());
            }
        }
        changes.added.sort();
        changes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    /// Whether one image has a package database and the other none.
    pub(super) fn incomparable(&self) -> bool {
        let [before, after] = self.counts;
        (before == 0) != (after == 0)
    }
}

fn by_identity(packages: &[Package]) -> BTreeMap<Identity<'_>, Vec<&Package>> {
    let mut by = BTreeMap::<Identity<'_>, Vec<&Package>>::new();
    for package in packages {
        let identity = (
            package.kind,
            package.name.as_str(),
            package.architecture.as_str(),
        );
        by.entry(identity).or_default().push(package);
    }
    by
}
