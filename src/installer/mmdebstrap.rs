//! Debian and its like through mmdebstrap: the fastest way where the host has it.

use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::apt::{self, USR_IS_MERGED};
use super::{InstallError, Installer, Request, SKIP_INITRDS, Site, in_tree, version};
use crate::distro::{MergedUsr, Source};
use crate::host::{Command, Container, Host, Mount, mount_point_inside};
use crate::tree::Root;

/// Installs with mmdebstrap.
#[derive(Clone, Copy, Debug)]
pub struct Mmdebstrap;

/// Where apt downloads to.
const ARCHIVES: &str = "var/cache/apt/archives";

impl Installer for Mmdebstrap {
    fn name(&self) -> &'static str {
        "mmdebstrap"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["mmdebstrap", "apt-get", "dpkg"]
    }

    fn prepare(&self, request: &Request, root: &Path) -> Result<(), InstallError> {
        apt::prepare_merged_usr(request, root)
    }

    fn install(&self, request: &Request, site: &Site, host: &Host) -> Result<(), InstallError> {
        let _lock = apt::lock_cache(request, host)?;
        let keyrings = apt::keyrings(request, site)?;
        let temporary = apt::prepare(request, &site.root)?;
        let _cache = attach_cache(request, site)?;
        host.run(command(request, site, &keyrings)?)
            .map_err(|e| apt::explain("installing packages failed", Some(request), e))?;
        temporary.finish(request)
    }

    fn add(&self, request: &Request, site: &Site, host: &Host) -> Result<(), InstallError> {
        in_tree::add(request, site, host)
    }

    fn identity(&self, host: &Host) -> Result<Vec<(String, String)>, InstallError> {
        // A script in one file: its content says more than its version, which takes long to ask for.
        // It points apt to the tree's configuration, so that the host's does not count.
        let script = host.find("mmdebstrap").unwrap_or_default();
        let content = std::fs::read(&script).map_err(|source| InstallError::Prepare {
            path: script,
            source,
        })?;
        let digest = Sha256::digest(content);
        Ok(vec![
            ("mmdebstrap".to_owned(), format!("sha256 {digest:x}")),
            version::of("apt", "apt-get", host)?,
            version::of("dpkg", "dpkg", host)?,
        ])
    }

    fn commands(
        &self,
        request: &Request,
        site: &Site,
        filled: bool,
    ) -> Result<Vec<Command>, InstallError> {
        if filled {
            return in_tree::commands(request, site);
        }
        let keyrings = apt::keyring_directory(site);
        Ok(vec![command(request, site, &keyrings)?])
    }

    fn remove(&self, packages: &[String], site: &Site, host: &Host) -> Result<(), InstallError> {
        remove(packages, site, host)
    }
}

fn command(request: &Request, site: &Site, keyrings: &Path) -> Result<Command, InstallError> {
    let apt = request.apt()?;
    let mut packages = request.packages.clone();
    if apt.merged_usr == MergedUsr::LinksAndPackage {
        packages.push(USR_IS_MERGED.to_owned());
    }
    let mut keyring = std::ffi::OsString::from("--keyring=");
    keyring.push(keyrings);
    let mut command = Command::new("mmdebstrap")
        .args([
            "--mode=root",
            "--format=directory",
            "--variant=minbase",
            // Skeleton files may be there already.
            "--skip=check/empty",
            // The keyrings are exactly those given.
            "--skip=check/signed-by",
            // The tree is cleaned up once, at the end of the build.
            "--skip=cleanup/apt",
            // A tree that is not finished is thrown away: nothing in it needs to survive a crash.
            "--dpkgopt=force-unsafe-io",
        ])
        .arg(format!("--architectures={}", request.architecture))
        .arg(keyring);
    if request.cache.is_some() {
        // What is downloaded stays, and what is there already is no mistake.
        command = command.args(["--skip=download/empty", "--skip=essential/unlink"]);
    }
    if request.skip_initrds {
        command = command.env(SKIP_INITRDS.0, SKIP_INITRDS.1);
    }
    if !packages.is_empty() {
        command = command.arg(format!("--include={}", packages.join(",")));
    }
    Ok(command
        .arg("--")
        .arg(&request.release)
        .arg(&site.root)
        .args(apt.sources.iter().map(|s| copied(s).line(false)))
        .no_sync())
}

/// Shows the package cache in the tree, where apt downloads to, until the returned value goes.
fn attach_cache(request: &Request, site: &Site) -> Result<Option<Mount>, InstallError> {
    let Some(cache) = &request.cache else {
        return Ok(None);
    };
    Root::open(&site.root)?.create_dir_all(ARCHIVES, 0o755)?;
    let target = mount_point_inside(&site.root, Path::new(ARCHIVES))?;
    Ok(Some(Mount::bind(cache, &target)?))
}

/// A repository on the disk is copied from: apt would otherwise hand dpkg paths that do not exist
/// inside the tree.
fn copied(source: &Source) -> Source {
    let mut source = source.clone();
    let path = source.uri.strip_prefix("file:").unwrap_or(&source.uri);
    if path.starts_with('/') {
        let path = path.trim_start_matches('/');
        source.uri = format!("copy:/{path}");
    }
    source
}

/// Purges packages inside a finished tree.
pub(super) fn remove(packages: &[String], site: &Site, host: &Host) -> Result<(), InstallError> {
    let command = Container::new(&site.root)
        .walled()
        .env("DEBIAN_FRONTEND", "noninteractive")
        .command(
            "apt-get",
            ["--assume-yes", "--purge", "--auto-remove", "remove", "--"]
                .iter()
                .map(|s| (*s).to_owned())
                .chain(packages.iter().cloned()),
        )
        .no_sync();
    host.run(command)
        .map_err(|e| apt::explain("removing packages failed", None, e))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::request;
    use super::*;

    #[test]
    fn the_command_line_is_complete() {
        let site = Site {
            root: "/build/tree".into(),
            scratch: "/build/scratch".into(),
        };
        let mut request = request();
        request.cache = Some("/cache".into());
        request.skip_initrds = true;
        let line = command(&request, &site, Path::new("/build/keys"))
            .unwrap()
            .to_string();
        for part in [
            "INITRD=No mmdebstrap",
            "--keyring=/build/keys",
            "--architectures=amd64",
            "--include=dbus,systemd,usr-is-merged",
            "--skip=download/empty",
            " -- bookworm /build/tree 'deb http://deb.debian.org/debian bookworm main'",
        ] {
            assert!(line.contains(part), "{part} is not in {line}");
        }
    }

    #[test]
    fn repositories_on_the_disk_are_copied_from() {
        for (uri, expected) in [
            ("file:///srv/mirror", "copy:/srv/mirror"),
            ("file:/srv/mirror", "copy:/srv/mirror"),
            ("/srv/mirror", "copy:/srv/mirror"),
            ("http://example.com/debian", "http://example.com/debian"),
        ] {
            let source = Source {
                uri: uri.to_owned(),
                ..request().apt().unwrap().sources[0].clone()
            };
            assert_eq!(copied(&source).uri, expected);
        }
    }
}
