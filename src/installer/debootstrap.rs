//! Debian and its like through debootstrap, for hosts that have no mmdebstrap.
//!
//! debootstrap knows one repository and resolves few dependencies, so it makes the minimal system
//! only; apt inside the tree does the rest.

use super::apt::{self, USR_IS_MERGED};
use super::in_tree::{self, InTree};
use super::mmdebstrap::remove;
use super::{InstallError, Installer, Request, Site, version};
use std::path::{Path, PathBuf};

use crate::distro::{MergedUsr, Source};
use crate::host::{Command, Host};
use crate::tree::Root;

/// Installs with debootstrap and the image's own apt.
#[derive(Clone, Copy, Debug)]
pub struct Debootstrap;

impl Installer for Debootstrap {
    fn name(&self) -> &'static str {
        "debootstrap"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["debootstrap", "dpkg", "systemd-nspawn"]
    }

    fn prepare(&self, request: &Request, root: &Path) -> Result<(), InstallError> {
        apt::prepare_merged_usr(request, root)
    }

    fn install(&self, request: &Request, site: &Site, host: &Host) -> Result<(), InstallError> {
        let _lock = apt::lock_cache(request, host)?;
        let temporary = apt::prepare(request, &site.root)?;
        let Some(first) = request.apt()?.sources.first() else {
            return temporary.finish(request);
        };
        let failed = |e| apt::explain("installing the minimal system failed", Some(request), e);
        // Says which keyring is missing better than debootstrap does.
        apt::keyrings(request, site)?;
        // debootstrap starts dpkg's database itself.
        Root::open(&site.root)?.remove_file(apt::DPKG_STATUS)?;
        host.run(command(request, first, site)?).map_err(failed)?;
        // Brings every repository in, then everything asked for, up to date.
        InTree::open(request, site)?.install(&[&["dist-upgrade"]], host)?;
        temporary.finish(request)
    }

    fn add(&self, request: &Request, site: &Site, host: &Host) -> Result<(), InstallError> {
        in_tree::add(request, site, host)
    }

    fn identity(&self, host: &Host) -> Result<Vec<(String, String)>, InstallError> {
        // It is a script with many files; dpkg unpacks, apt is the image's own.
        [("debootstrap", "debootstrap"), ("dpkg", "dpkg")]
            .map(|(name, program)| version::of(name, program, host))
            .into_iter()
            .collect()
    }

    fn commands(
        &self,
        request: &Request,
        site: &Site,
        filled: bool,
    ) -> Result<Vec<Command>, InstallError> {
        let mut commands = Vec::new();
        if let (false, Some(first)) = (filled, request.apt()?.sources.first()) {
            commands.push(command(request, first, site)?);
        }
        commands.extend(in_tree::commands(request, site)?);
        Ok(commands)
    }

    fn remove(&self, packages: &[String], site: &Site, host: &Host) -> Result<(), InstallError> {
        remove(packages, site, host)
    }
}

fn command(request: &Request, source: &Source, site: &Site) -> Result<Command, InstallError> {
    let apt_repositories = request.apt()?;
    let merged = match apt_repositories.merged_usr {
        MergedUsr::Packages => "--no-merged-usr",
        MergedUsr::Links | MergedUsr::LinksAndPackage => "--merged-usr",
    };
    let mut command = Command::new("debootstrap")
        .args(["--variant=minbase", merged])
        .arg(format!("--arch={}", request.architecture))
        .arg(format!("--components={}", source.components.join(",")));
    if source.trusted {
        command = command.arg("--no-check-gpg");
    } else {
        command = command.arg("--force-check-gpg");
        if let Some(keyring) = apt_repositories.keyrings.first() {
            let mut option = std::ffi::OsString::from("--keyring=");
            if keyring.exists() {
                option.push(keyring);
            } else {
                option.push(first_keyring(&apt::keyrings(request, site)?)?);
            }
            command = command.arg(option);
        }
    }
    if apt_repositories.merged_usr == MergedUsr::LinksAndPackage {
        command = command.arg(format!("--include={USR_IS_MERGED}"));
    }
    if let Some(cache) = &request.cache {
        let mut option = std::ffi::OsString::from("--cache-dir=");
        option.push(cache);
        command = command.arg(option);
    }
    // debootstrap does not know `--`; neither of these begins with a hyphen.
    Ok(command
        .arg(&request.release)
        .arg(&site.root)
        .arg(&source.uri)
        .no_sync())
}

/// Of the project's keyrings, the one that debootstrap shall know: it takes no second.
fn first_keyring(directory: &Path) -> Result<PathBuf, InstallError> {
    let failed = |source| InstallError::Prepare {
        path: directory.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        files.push(entry.map_err(failed)?.path());
    }
    files.sort();
    let missing = || failed(std::io::ErrorKind::NotFound.into());
    files.into_iter().next().ok_or_else(missing)
}
