//! Debian and its like, unpacked by this program itself.
//!
//! apt chooses, fetches and verifies packages. They are then unpacked here, many at once, with dpkg's
//! database written as dpkg writes it; dpkg inside the tree configures them. Packages that need dpkg's
//! judgement while they are unpacked are left to it, and so is everything where packages that are in
//! the tree are replaced or removed.

mod add;
mod ahead;
mod archive;
mod available;
mod changes;
mod checksums;
mod claims;
mod control;
mod copied;
mod database;
mod decided;
mod expand;
mod fewer;
mod fields;
mod fill;
mod filling;
mod filter;
mod frames;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod heard;
mod inside;
mod installed;
mod leavings;
mod locked;
mod names;
mod outcome;
mod owners;
mod places;
mod programs;
mod reach;
mod read;
mod recompressed;
mod relations;
mod remembered;
mod reserve;
mod resolve;
mod services;
mod session;
mod settings;
mod snapshots;
mod sources;
mod special;
mod stanzas;
#[cfg(any(test, fuzzing))]
#[cfg_attr(fuzzing, allow(dead_code))]
#[allow(clippy::unwrap_used)]
pub(crate) mod testing;
mod told;
mod triggers;
mod unpack;
mod update;
mod wave;
mod ways;

use std::path::Path;

use super::apt::{self, DPKG_STATUS};
use super::mmdebstrap::remove;
use super::provenance::note;
use super::{InstallError, Installer, Request, Site, Unknown, version};
use crate::distro::provenance::Provenance;
use crate::host::{Command, Host};
use crate::tree::Root;

/// The way in which trees are filled here. To be raised with every change that makes other trees of
/// the same packages, so that no cached tree of before is taken for one of now.
const UNPACKING: &str = "3";

/// Where apt looks for settings of a tree.
const APT_DIRECTORIES: [&str; 3] = [
    "etc/apt/apt.conf.d",
    "etc/apt/preferences.d",
    "etc/apt/sources.list.d",
];

/// Installs with apt's resolver and this program's own unpacking.
#[derive(Clone, Copy, Debug)]
pub struct Deb;

impl Installer for Deb {
    fn name(&self) -> &'static str {
        "apt"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["apt-get", "apt-config", "systemd-nspawn"]
    }

    fn prepare(&self, request: &Request, root: &Path) -> Result<(), InstallError> {
        apt::prepare_merged_usr(request, root)
    }

    fn install(&self, request: &Request, site: &Site, host: &Host) -> Result<(), InstallError> {
        work(request, site, host)
    }

    fn add(&self, request: &Request, site: &Site, host: &Host) -> Result<(), InstallError> {
        work(request, site, host)
    }

    fn identity(&self, host: &Host) -> Result<Vec<(String, String)>, InstallError> {
        // dpkg is the tree's own: the repositories decide which. Of the host's settings only those
        // for downloading count.
        Ok(vec![
            ("unpacking".to_owned(), UNPACKING.to_owned()),
            version::of("apt", "apt-get", host)?,
        ])
    }

    fn commands(
        &self,
        request: &Request,
        site: &Site,
        filled: bool,
    ) -> Result<Vec<Command>, InstallError> {
        let sources = sources::Sources::of_request(request)?;
        let settings = settings::Settings::at(request, site, &sources)?;
        let names = if filled {
            request.packages.clone()
        } else {
            resolve::names_for_new_tree(request)?
        };
        Ok(vec![
            update::update_command(&settings)?,
            resolve::install_command(&settings, &names)?,
        ])
    }

    fn unknown(
        &self,
        request: &Request,
        site: &Site,
        host: &Host,
    ) -> Result<Option<Vec<Unknown>>, InstallError> {
        available::unknown(request, site, host).map(Some)
    }

    fn remove(&self, packages: &[String], site: &Site, host: &Host) -> Result<(), InstallError> {
        remove(packages, site, host)
    }

    fn keeps_to_locks(&self) -> bool {
        true
    }
}

/// Fills an empty tree, or adds to a filled one.
fn work(request: &Request, site: &Site, host: &Host) -> Result<(), InstallError> {
    let _lock = apt::lock_cache(request, host)?;
    let keyrings = apt::keyrings(request, site)?;
    let root = Root::open(&site.root)?;
    let is_empty = fill::is_empty(&root)?;
    let temporary = if is_empty {
        apt::prepare(request, &site.root)?
    } else {
        apt::prepare_filled(request, &site.root)?
    };
    for directory in APT_DIRECTORIES {
        root.create_dir_all(directory, 0o755)?;
    }
    // Some scripts cannot do without a name. It is no name of this host, and goes with `temporary`.
    root.write("etc/hostname", "localhost\n", 0o644)?;
    let mut settings = settings::Settings::write(request, site, &keyrings, host)?;
    let repositories = match &request.lock {
        None => {
            update::update(&settings, request, host)?;
            snapshots::read(&settings.lists())?
        }
        Some(lock) => {
            locked::prepare(lock, request, site, &mut settings, host)?;
            lock.provenance.repositories.clone()
        }
    };
    let packages = if is_empty {
        fill::fill(request, site, &root, &settings, host)?
    } else {
        add::install(request, site, &root, &settings, host)?
    };
    let mut provenance = Provenance::default();
    provenance.add(&Provenance {
        repositories,
        packages,
    });
    note(&provenance, site)?;
    temporary.finish(request)
}
