//! What dnf and zypper share: both use rpm, which unpacks packages into a tree by its path and runs
//! their scripts there.

mod additions;
mod config;
mod explain;
mod groups;
mod header;
mod keys;
mod leavings;
mod locked;
mod macros;
mod mounts;
mod provenance;
mod proxy;
mod repodata;

use std::path::{Path, PathBuf};

use super::{InstallError, Request, Site, escapes};
use crate::distro::RpmRepositories;
use crate::host::{Command, Host, HostError, Lock, Mount};
use crate::tree::Root;

pub(super) use additions::{mask_initrds, without_initrds};
pub(super) use config::Dialect;
use config::{file_urls, repository_file};
pub(super) use explain::explain;
use keys::Trusted;
pub(super) use leavings::Leavings;
pub(super) use locked::{Keeping, explain_locked};
pub(super) use mounts::Mounts;
pub(super) use provenance::{Installed, installed, note};
pub(super) use proxy::of_the_host as host_proxy;

use super::apt::make_directory;

/// Places of one installation outside the tree.
#[derive(Debug)]
pub(super) struct Work {
    /// The home directory of programs that use rpm: rpm's settings are in it.
    pub home: PathBuf,
    /// Their other settings.
    pub settings: PathBuf,
    /// Repository files.
    pub repositories: PathBuf,
    /// Keys.
    pub keys: PathBuf,
    /// Downloads and lists of packages.
    pub cache: PathBuf,
    /// Held while the cache is used.
    lock: Option<Lock>,
}

impl Work {
    /// The places, without making any.
    pub fn at(request: Option<&Request>, manager: &str, site: &Site) -> Self {
        let base = site.scratch.join("rpm");
        let kept = request.and_then(|request| Some((request, request.cache.as_ref()?)));
        let cache = kept.map_or_else(
            || base.join("cache"),
            |(request, cache)| {
                let name = format!(
                    "{}-{}-{}",
                    request.distribution, request.release, request.architecture
                );
                cache.join(name).join(manager)
            },
        );
        Self {
            home: base.join("home"),
            settings: base.join("settings"),
            repositories: base.join("repositories"),
            keys: base.join("keys"),
            cache,
            lock: None,
        }
    }

    /// Makes the directories, and waits until no other build uses the package cache.
    pub fn open(
        request: Option<&Request>,
        manager: &str,
        site: &Site,
        host: &Host,
    ) -> Result<Self, InstallError> {
        let mut work = Self::at(request, manager, site);
        if let Some(cache) = request.and_then(|request| request.cache.as_ref()) {
            make_directory(cache)?;
            work.lock = match Lock::wait(cache, "mkosi build", host) {
                Ok(lock) => Some(lock),
                Err(HostError::Cancelled) => return Err(InstallError::Cancelled),
                Err(error) => return Err(error.into()),
            };
        }
        // What an earlier installation of this build put there is not asked for again.
        for path in [&work.settings, &work.repositories, &work.keys] {
            remake(path)?;
        }
        make_directory(&work.home)?;
        make_directory(&work.cache)?;
        Ok(work)
    }

    /// A list of packages is checked when it is fetched: whoever trusts others fetches it again.
    fn cache_by_keys(&mut self, site: &Site, host: &Host) -> Result<(), InstallError> {
        self.cache = self.cache.join(keys::imported(self, site, host)?);
        make_directory(&self.cache)
    }

    /// A command whose rpm knows the settings of this installation and nobody's own.
    pub fn command(&self, program: &str) -> Command {
        Command::new(program)
            .env("HOME", &self.home)
            .env("XDG_CONFIG_HOME", self.home.join(".config"))
    }
}

/// Makes a directory that is empty.
fn remake(path: &Path) -> Result<(), InstallError> {
    crate::host::remove(path)?;
    make_directory(path)
}

/// Writes a file of this installation.
pub(super) fn write(path: &Path, text: impl AsRef<[u8]>) -> Result<(), InstallError> {
    std::fs::write(path, text).map_err(|source| InstallError::Prepare {
        path: path.to_owned(),
        source,
    })
}

/// What is in place while packages are installed.
#[derive(Debug)]
pub(super) struct Prepared {
    pub work: Work,
    pub trusted: Vec<Trusted>,
    /// The image's own rpm can read its database.
    readable: bool,
    _mounts: Option<Mounts>,
}

impl Prepared {
    /// Writes a file for each repository, where the package manager looks for them.
    pub fn write_repositories(&self, dialect: Dialect) -> Result<(), InstallError> {
        for trusted in &self.trusted {
            let text = repository_file(&trusted.source, &file_urls(&trusted.keys), dialect);
            let name = format!("{}.repo", trusted.source.id);
            write(&self.work.repositories.join(name), text)?;
        }
        Ok(())
    }

    /// Sets the image up after its packages are installed.
    pub fn finish(
        &self,
        request: &Request,
        rpm: &RpmRepositories,
        dialect: Dialect,
        root: &Root,
        host: &Host,
    ) -> Result<(), InstallError> {
        if !self.readable && root.is_file("usr/bin/rpm")? {
            host.report.warn(&format!(
                "the host's rpm cannot write its database as the one of {} {} reads it: package \
                 managers in the image do not know its packages",
                request.distribution.shown(),
                request.release
            ));
        }
        additions::set_up_image(rpm, dialect, root)
    }
}

/// Prepares the tree and everything outside it.
pub(super) fn prepare(
    request: &Request,
    rpm: &RpmRepositories,
    manager: &'static str,
    filled: bool,
    site: &Site,
    host: &Host,
) -> Result<Prepared, InstallError> {
    if filled {
        escapes::refuse_written(&site.root)?;
    } else {
        escapes::refuse(&site.root)?;
    }
    let mut work = Work::open(Some(request), manager, site, host)?;
    let readable = macros::write(&work, request, rpm, host)?;
    let trusted = keys::collect(rpm, filled, site, &work, host)?;
    if !filled {
        keys::import(&trusted, &work, site, host)?;
    }
    if checks_lists(rpm) {
        work.cache_by_keys(site, host)?;
    }
    Ok(Prepared {
        trusted,
        work,
        readable,
        _mounts: Some(Mounts::attach(&site.root)?),
    })
}

fn checks_lists(rpm: &RpmRepositories) -> bool {
    rpm.sources.iter().any(|source| source.check_metadata)
}

/// As [`prepare`], to look packages up in an empty tree: keys are needed for lists that must be signed, and
/// for nothing else.
pub(super) fn prepare_lookup(
    request: &Request,
    rpm: &RpmRepositories,
    manager: &'static str,
    site: &Site,
    host: &Host,
) -> Result<Prepared, InstallError> {
    let mut rpm = rpm.clone();
    for source in &mut rpm.sources {
        source.check_packages &= source.check_metadata;
    }
    let mut work = Work::open(Some(request), manager, site, host)?;
    let readable = macros::write(&work, request, &rpm, host)?;
    let trusted = keys::collect(&rpm, false, site, &work, host)?;
    if checks_lists(&rpm) {
        keys::import(&trusted, &work, site, host)?;
        work.cache_by_keys(site, host)?;
    }
    Ok(Prepared {
        trusted,
        work,
        readable,
        _mounts: None,
    })
}

/// As [`prepare`], when nothing is going to be installed.
pub(super) fn prepare_removal(
    manager: &'static str,
    site: &Site,
    host: &Host,
) -> Result<Prepared, InstallError> {
    escapes::refuse_written(&site.root)?;
    let work = Work::open(None, manager, site, host)?;
    let root = Root::open(&site.root)?;
    macros::write_for_removal(&work, &root)?;
    Ok(Prepared {
        trusted: Vec::new(),
        work,
        readable: true,
        _mounts: Some(Mounts::attach(&site.root)?),
    })
}

/// Shows the cache at a path of the tree until the returned value goes.
pub(super) fn show_cache(work: &Work, site: &Site, path: &str) -> Result<Mount, InstallError> {
    Root::open(&site.root)?.create_dir_all(path, 0o755)?;
    let target = crate::host::mount_point_inside(&site.root, Path::new(path))?;
    Ok(Mount::bind(&work.cache, &target)?)
}
