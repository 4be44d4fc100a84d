//! Debian and its like through debootstrap, for hosts that have no mmdebstrap.
//!
//! debootstrap knows one repository and resolves few dependencies, so it makes the minimal system
//! only; apt inside the tree does the rest.

use std::path::Path;

use super::apt::{self, USR_IS_MERGED};
use super::mmdebstrap::remove;
use super::{InstallError, Installer, Request, SKIP_INITRDS, Site};
use crate::distro::{MergedUsr, Source};
use crate::host::{Command, Container, Host};
use crate::tree::Root;

/// Installs with debootstrap and the image's own apt.
#[derive(Clone, Copy, Debug)]
pub struct Debootstrap;

/// apt inside the tree: what the image keeps none of.
const APT_OPTIONS: &[&str] = &[
    "--assume-yes",
    "--option=Dpkg::Options::=--force-unsafe-io",
    "--option=Dpkg::Options::=--force-confdef",
    "--option=Dpkg::Options::=--force-confold",
    "--option=APT::Install-Recommends=false",
    "--option=APT::Sandbox::User=root",
    "--option=Dpkg::Use-Pty=false",
];
const SOURCES: &str = "etc/apt/sources.list";
const POLICY: &str = "usr/sbin/policy-rc.d";
const BUILD_KEYRINGS: &str = "/run/mkosi/keyrings";

impl Installer for Debootstrap {
    fn name(&self) -> &'static str {
        "debootstrap"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["debootstrap", "dpkg", "systemd-nspawn"]
    }

    fn install(&self, request: &Request, site: &Site, host: &Host) -> Result<(), InstallError> {
        let _lock = apt::lock_cache(request, host)?;
        let temporary = apt::prepare(request, &site.root)?;
        let Some(first) = request.sources.first() else {
            return temporary.finish(request);
        };
        let failed = |e| apt::explain("installing the minimal system failed", Some(request), e);
        // debootstrap starts dpkg's database itself.
        Root::open(&site.root)?.remove_file(apt::DPKG_STATUS)?;
        host.run(command(request, first, site)?).map_err(failed)?;
        install_rest(request, site, host)?;
        temporary.finish(request)
    }

    fn remove(&self, packages: &[String], site: &Site, host: &Host) -> Result<(), InstallError> {
        remove(packages, site, host)
    }
}

fn command(request: &Request, source: &Source, site: &Site) -> Result<Command, InstallError> {
    let merged = match request.merged_usr {
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
        if let Some(keyring) = request.keyrings.first() {
            if !keyring.exists() {
                apt::keyrings(request, site)?;
            }
            let mut option = std::ffi::OsString::from("--keyring=");
            option.push(keyring);
            command = command.arg(option);
        }
    }
    if request.merged_usr == MergedUsr::LinksAndPackage {
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
        .arg(&source.uri))
}

/// Brings every repository in, then everything asked for, up to date.
fn install_rest(request: &Request, site: &Site, host: &Host) -> Result<(), InstallError> {
    let keyrings = apt::keyrings(request, site)?;
    let tree = Root::open(&site.root)?;
    let mut list = String::new();
    for source in &request.sources {
        list.push_str(&source.line(false));
        list.push('\n');
    }
    tree.write(SOURCES, list, 0o644)?;
    // Services must not start in a tree that is only being put together.
    let policy = tree.read_if_present(POLICY)?;
    tree.write(POLICY, "#!/bin/sh\nexit 101\n", 0o755)?;

    let failed = |e| apt::explain("installing packages failed", Some(request), e);
    let run = |words: &[&str], packages: &[String]| {
        let mut arguments: Vec<String> = APT_OPTIONS.iter().map(|o| (*o).to_owned()).collect();
        if !request.sources.iter().any(|s| s.trusted) {
            arguments.push(format!("--option=Dir::Etc::TrustedParts={BUILD_KEYRINGS}"));
        }
        arguments.extend(words.iter().map(|w| (*w).to_owned()));
        arguments.extend(packages.iter().cloned());
        let mut container = Container::new(&site.root)
            .network(true)
            .bind_read_only(&keyrings, Path::new(BUILD_KEYRINGS))
            .env("DEBIAN_FRONTEND", "noninteractive");
        if request.skip_initrds {
            container = container.env(SKIP_INITRDS.0, SKIP_INITRDS.1);
        }
        if let Some(cache) = &request.cache {
            container = container.bind(cache, Path::new("/var/cache/apt/archives"));
        }
        for source in &request.sources {
            if let Some(path) = local_path(&source.uri) {
                container = container.bind_read_only(path, path);
            }
        }
        host.run(container.command("apt-get", arguments))
            .map_err(failed)
    };
    run(&["update", "--error-on=any"], &[])?;
    run(&["dist-upgrade"], &[])?;
    if !request.packages.is_empty() {
        run(&["install", "--"], &request.packages)?;
    }
    match policy {
        Some(content) => tree.write(POLICY, content, 0o755)?,
        None => drop(tree.remove_file(POLICY)?),
    }
    Ok(())
}

/// The directory behind a repository on this host's disk.
fn local_path(uri: &str) -> Option<&Path> {
    let path = uri
        .strip_prefix("file://")
        .or_else(|| uri.strip_prefix("file:"))
        .or_else(|| uri.strip_prefix("copy:"))?;
    path.starts_with('/').then(|| Path::new(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_local_repositories() {
        let cases = [
            ("file:///srv/mirror", Some("/srv/mirror")),
            ("file:/srv/mirror", Some("/srv/mirror")),
            ("copy:/srv/mirror", Some("/srv/mirror")),
            ("http://deb.debian.org/debian", None),
        ];
        for (uri, path) in cases {
            assert_eq!(local_path(uri), path.map(Path::new), "{uri}");
        }
    }
}
