//! Debian packages through the image's own apt, run inside the tree.

use std::path::Path;

use super::apt;
use super::{InstallError, Request, SKIP_INITRDS, Site};
use crate::host::{Command, Container, Host};
use crate::tree::Root;

/// What the image keeps none of.
const APT_OPTIONS: &[&str] = &[
    "--assume-yes",
    "--option=Dpkg::Options::=--force-unsafe-io",
    "--option=Dpkg::Options::=--force-confdef",
    "--option=Dpkg::Options::=--force-confold",
    "--option=APT::Install-Recommends=false",
    "--option=APT::Sandbox::User=root",
    "--option=Dpkg::Use-Pty=false",
];
const UPDATE: &[&str] = &["update", "--error-on=any"];
const INSTALL: &[&str] = &["install", "--"];
const SOURCES: &str = "etc/apt/sources.list";
const POLICY: &str = "usr/sbin/policy-rc.d";
const BUILD_KEYRINGS: &str = "/run/mkosi/keyrings";

/// Installs the requested packages into a tree that has apt and packages already.
///
/// # Errors
/// When a package cannot be installed.
pub(super) fn add(request: &Request, site: &Site, host: &Host) -> Result<(), InstallError> {
    let _lock = apt::lock_cache(request, host)?;
    let temporary = apt::prepare_filled(request, &site.root)?;
    InTree::open(request, site)?.install(&[], host)?;
    temporary.finish(request)
}

/// A tree whose apt knows the repositories of a request, and no others.
pub(super) struct InTree<'a> {
    request: &'a Request,
    site: &'a Site,
    tree: Root,
}

impl<'a> InTree<'a> {
    /// Writes the repositories into the tree.
    pub fn open(request: &'a Request, site: &'a Site) -> Result<Self, InstallError> {
        apt::keyrings(request, site)?;
        let tree = Root::open(&site.root)?;
        let mut list = String::new();
        for source in &request.apt()?.sources {
            list.push_str(&source.line(false));
            list.push('\n');
        }
        tree.write(SOURCES, list, 0o644)?;
        Ok(Self {
            request,
            site,
            tree,
        })
    }

    /// Reads the repositories, runs these commands of apt-get, then installs what is requested.
    pub fn install(&self, before: &[&[&str]], host: &Host) -> Result<(), InstallError> {
        // Services must not start in a tree that is only being put together.
        let policy = self.tree.read_if_present(POLICY)?;
        self.tree.write(POLICY, "#!/bin/sh\nexit 101\n", 0o755)?;
        self.apt_get(UPDATE, &[], host)?;
        for words in before {
            self.apt_get(words, &[], host)?;
        }
        if !self.request.packages.is_empty() {
            self.apt_get(INSTALL, &self.request.packages, host)?;
        }
        match policy {
            Some(content) => self.tree.write(POLICY, content, 0o755)?,
            None => drop(self.tree.remove_file(POLICY)?),
        }
        Ok(())
    }

    fn apt_get(
        &self,
        words: &[&str],
        packages: &[String],
        host: &Host,
    ) -> Result<(), InstallError> {
        host.run(apt_get(self.request, self.site, words, packages)?)
            .map_err(|e| apt::explain("installing packages failed", Some(self.request), e))?;
        Ok(())
    }
}

/// The commands by which [`add`] installs.
pub(super) fn commands(request: &Request, site: &Site) -> Result<Vec<Command>, InstallError> {
    let update = apt_get(request, site, UPDATE, &[])?;
    let install = apt_get(request, site, INSTALL, &request.packages)?;
    Ok(vec![update, install])
}

/// apt-get inside the tree.
fn apt_get(
    request: &Request,
    site: &Site,
    words: &[&str],
    packages: &[String],
) -> Result<Command, InstallError> {
    let sources = &request.apt()?.sources;
    let mut arguments: Vec<String> = APT_OPTIONS.iter().map(|o| (*o).to_owned()).collect();
    if !sources.iter().any(|s| s.trusted) {
        arguments.push(format!("--option=Dir::Etc::TrustedParts={BUILD_KEYRINGS}"));
    }
    arguments.extend(words.iter().map(|w| (*w).to_owned()));
    arguments.extend(packages.iter().cloned());
    let mut container = Container::new(&site.root)
        .walled()
        .network(true)
        .bind_read_only(&apt::keyring_directory(site), Path::new(BUILD_KEYRINGS))
        .env("DEBIAN_FRONTEND", "noninteractive");
    if request.skip_initrds {
        container = container.env(SKIP_INITRDS.0, SKIP_INITRDS.1);
    }
    if let Some(cache) = &request.cache {
        container = container.bind(cache, Path::new("/var/cache/apt/archives"));
    }
    for source in sources {
        if let Some(path) = local_path(&source.uri) {
            container = container.bind_read_only(path, path);
        }
    }
    Ok(container.command("apt-get", arguments).no_sync())
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
