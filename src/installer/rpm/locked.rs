//! Packages of a lock, and no others: each is taken from the package cache or a repository on the disk,
//! or fetched, compared with the lock as it is copied into a directory of the build's own, and shown to
//! the package manager as the repository that had it when the lock was written.
//!
//! The package manager decides as always, with the same names to install, but from nothing else.
//! It checks signatures of packages as that repository's settings say; lists of a repository that signs
//! those are this program's, and the lock stands for them.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rayon::iter::{IntoParallelIterator as _, IntoParallelRefIterator as _, ParallelIterator as _};

use super::groups::{self, GroupList};
use super::header::Package;
use super::provenance::directories;
use super::repodata::{self, Entry};
use super::{Dialect, Prepared, config, explain, keys, macros};
use crate::distro::RpmRepositories;
use crate::distro::provenance::{Archive, Identity};
use crate::distro::rpm::Location;
use crate::host::{CommandError, Host};
use crate::installer::apt::make_directory;
use crate::installer::archives::{copy_verified, named, names};
use crate::installer::lock::{LockError, PackageLock, listed, shown};
use crate::installer::{InstallError, Request, Site};

/// Has the package manager fetch the lists of repositories, and packages, into its cache. What cannot be had
/// is left out. The tree of the site is an empty one. Returns those that are there and could not be had without
/// others.
pub(in crate::installer) type Download<'a> =
    dyn Fn(&Prepared, &[&Archive], &Site) -> Result<Vec<Identity>, InstallError> + 'a;

/// The directory of a build with the lock's packages, which all of its installations share.
const PLACE: &str = "locked";
/// The repository of what is there already, for the package manager that fetches the rest.
const HERE: &str = "mkosi-locked";

/// What it takes to keep to a lock.
pub(in crate::installer) struct Keeping<'a> {
    pub lock: &'a PackageLock,
    pub request: &'a Request,
    pub rpm: &'a RpmRepositories,
    pub dialect: Dialect,
    /// Whether the tree holds packages already.
    pub filled: bool,
    pub site: &'a Site,
    pub host: &'a Host,
}

impl Keeping<'_> {
    /// Makes the package manager choose from the packages of the lock alone, once they are all found.
    ///
    /// # Errors
    /// [`LockError::Gone`] with all that are not to be had, [`LockError::Unfit`] where a repository is
    /// not asked for any more; when lists cannot be fetched or verified.
    pub fn begin(
        &self,
        prepared: &mut Prepared,
        download: &Download<'_>,
    ) -> Result<(), InstallError> {
        self.sources_are_there()?;
        let place = self.site.scratch.join(PLACE);
        make_directory(&place)?;
        let packages = &self.lock.provenance.packages;
        let missing = self.take(packages.iter().collect(), prepared)?;
        let mut held_back = Vec::new();
        if (!missing.is_empty() || self.lacks_groups(prepared)) && self.asks_servers() {
            held_back = self.download(&missing, prepared, download)?;
        }
        let missing = self.take(missing, prepared)?;
        if !missing.is_empty() {
            return Err(InstallError::Lock(
                self.gone(&missing, &held_back, prepared),
            ));
        }
        self.publish(prepared)?;
        // Lists of repositories that have the same names are not these.
        prepared.work.cache = self.site.scratch.join("rpm/locked");
        make_directory(&prepared.work.cache)
    }

    /// Each package names a repository that is asked for.
    fn sources_are_there(&self) -> Result<(), InstallError> {
        let ids: HashSet<&str> = self.rpm.sources.iter().map(|one| one.id.as_str()).collect();
        self.lock.is_from(&ids).map_err(InstallError::Lock)
    }

    fn asks_servers(&self) -> bool {
        let mut sources = self.rpm.sources.iter();
        sources.any(|source| source.location.directory().is_none())
    }

    /// Whether groups are asked for, and a repository's are not on this host.
    fn lacks_groups(&self, prepared: &Prepared) -> bool {
        let mut sources = self.rpm.sources.iter();
        groups::are_wanted(self.request, self.dialect)
            && sources.any(|one| groups::find(one, &prepared.work.cache, self.dialect).is_none())
    }

    /// Where a package is once it is known to be the lock's.
    fn path(&self, one: &Archive) -> PathBuf {
        self.site
            .scratch
            .join(PLACE)
            .join(format!("{}.rpm", one.sha256))
    }

    /// Takes those that are on this host; returns those that are not. A file of the package cache that
    /// should be one of them and is not goes, so that it is fetched again.
    fn take<'a>(
        &self,
        wanted: Vec<&'a Archive>,
        prepared: &Prepared,
    ) -> Result<Vec<&'a Archive>, InstallError> {
        let wanted: Vec<_> = wanted
            .into_iter()
            .filter(|one| !self.path(one).exists())
            .collect();
        let candidates = self.candidates(&wanted, prepared);
        let take = |one: &&'a Archive| -> Result<Option<&'a Archive>, InstallError> {
            for path in candidates.get(&one.identity()).into_iter().flatten() {
                let copied = copy_verified(path, &self.path(one), &one.sha256);
                let failed = |source| InstallError::Prepare {
                    path: path.clone(),
                    source,
                };
                match copied {
                    Ok(true) => return Ok(None),
                    Ok(false) if path.starts_with(&prepared.work.cache) => {
                        fs::remove_file(path).map_err(failed)?;
                    }
                    Ok(false) => {}
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(failed(error)),
                }
            }
            Ok(Some(*one))
        };
        let left: Result<Vec<_>, _> = wanted.par_iter().map(take).collect();
        Ok(left?.into_iter().flatten().collect())
    }

    /// Files of this host that say that they are one of these packages.
    fn candidates(
        &self,
        wanted: &[&Archive],
        prepared: &Prepared,
    ) -> HashMap<Identity, Vec<PathBuf>> {
        let names = names(wanted.iter().copied());
        let mut files: Vec<PathBuf> = Vec::new();
        for source in &self.rpm.sources {
            for directory in directories(source, &prepared.work.cache, self.dialect) {
                files.extend(named(&directory, &names, ".rpm"));
            }
        }
        let read = |path: PathBuf| Some((Package::read(&path).ok()?.key(), path));
        let read: Vec<_> = files.into_par_iter().filter_map(read).collect();
        let mut found: HashMap<Identity, Vec<PathBuf>> = HashMap::new();
        for (key, path) in read {
            found.entry(key).or_default().push(path);
        }
        found
    }

    /// Has the missing ones downloaded: into a tree of its own, which goes away, with the same keys.
    fn download(
        &self,
        missing: &[&Archive],
        prepared: &mut Prepared,
        download: &Download<'_>,
    ) -> Result<Vec<Identity>, InstallError> {
        let (site, host) = (self.site, self.host);
        let elsewhere = Site {
            root: site.scratch.join("locked-tree"),
            scratch: site.scratch.clone(),
        };
        make_directory(&elsewhere.root)?;
        let mut trusted = prepared.trusted.clone();
        if self.filled {
            trusted = keys::collect(self.rpm, false, site, &prepared.work, host)?;
        }
        macros::write(&prepared.work, self.request, self.rpm, host)?;
        keys::import(&trusted, &prepared.work, &elsewhere, host)?;
        let of_build = std::mem::replace(&mut prepared.trusted, trusted);
        prepared.write_repositories(self.dialect)?;
        self.show_taken(prepared)?;
        let result = download(prepared, missing, &elsewhere);
        prepared.trusted = of_build;
        super::remake(&prepared.work.repositories)?;
        crate::host::remove(&elsewhere.root)?;
        result
    }

    /// Makes a repository of all that are there already: what is fetched may need them.
    fn show_taken(&self, prepared: &Prepared) -> Result<(), InstallError> {
        let packages = self.lock.provenance.packages.iter();
        let there: Vec<&Archive> = packages.filter(|one| self.path(one).exists()).collect();
        let directory = self.site.scratch.join(PLACE).join(HERE);
        self.write_repository(&directory, &there, &[])?;
        let text = config::own_repository(HERE, &directory, self.dialect);
        super::write(
            &prepared.work.repositories.join(format!("{HERE}.repo")),
            text,
        )
    }

    /// Writes a repository for each that the lock names, and the package manager's settings of them.
    fn publish(&self, prepared: &mut Prepared) -> Result<(), InstallError> {
        let with_groups = groups::are_wanted(self.request, self.dialect);
        prepared.trusted.retain_mut(|trusted| {
            let id = trusted.source.id.as_str();
            let mut packages = self.lock.provenance.packages.iter();
            with_groups || packages.any(|one| one.repository.as_deref() == Some(id))
        });
        for trusted in &mut prepared.trusted {
            let source = &mut trusted.source;
            let directory = self.site.scratch.join(PLACE).join(&source.id);
            let packages = self.lock.provenance.packages.iter();
            let own = packages.filter(|one| one.repository.as_ref() == Some(&source.id));
            let groups = match with_groups {
                true => groups::find(source, &prepared.work.cache, self.dialect),
                false => None,
            };
            let groups = groups.unwrap_or_default();
            self.write_repository(&directory, &own.collect::<Vec<_>>(), &groups)?;
            source.location = Location::BaseUrl(config::file_url(&directory));
            if self.dialect == Dialect::Zypper {
                // Where the list was signed, that vouched for the packages; now the lock does.
                source.check_packages &= !source.check_metadata;
            }
            source.check_metadata = false;
        }
        super::remake(&prepared.work.repositories)?;
        prepared.write_repositories(self.dialect)
    }

    fn write_repository(
        &self,
        directory: &Path,
        packages: &[&Archive],
        groups: &[GroupList],
    ) -> Result<(), InstallError> {
        super::remake(directory)?;
        let read = |one: &&Archive| -> Result<_, InstallError> {
            let path = self.path(one);
            let prepare = |source| InstallError::Prepare {
                path: path.clone(),
                source,
            };
            let package = Package::read(&path).map_err(prepare)?;
            let size = fs::metadata(&path).map_err(prepare)?.len();
            let file = format!("{}.rpm", one.sha256);
            fs::hard_link(&path, directory.join(&file)).map_err(prepare)?;
            Ok((package, file, size))
        };
        let read: Result<Vec<_>, _> = packages.par_iter().map(read).collect();
        let read = read?;
        let entries: Vec<Entry<'_>> = packages
            .iter()
            .zip(&read)
            .map(|(one, (package, file, size))| Entry {
                package,
                file: file.clone(),
                sha256: &one.sha256,
                size: *size,
            })
            .collect();
        repodata::write(directory, &entries, groups)
    }

    fn gone(&self, missing: &[&Archive], held_back: &[Identity], prepared: &Prepared) -> LockError {
        let there = self.candidates(missing, prepared);
        let line = |one: &&Archive| {
            let problem = if there.contains_key(&one.identity()) {
                "there with another content"
            } else if held_back.contains(&one.identity()) {
                "there, and not to be fetched without the others"
            } else {
                "gone"
            };
            format!("{}: {problem}", shown(one))
        };
        let lines: Vec<String> = missing.iter().map(line).collect();
        LockError::Gone {
            path: self.lock.path.clone(),
            list: listed(&lines),
            hint: "build from a mirror that keeps them (Mirror=), from a package cache (Cache=) that has \
                   them, or with --update-lock from what is there now"
                .to_owned(),
        }
    }
}

/// Turns the failure of an installation into an error that says what to do: where the package manager
/// misses what the lock does not have, it is that.
pub(in crate::installer) fn explain_locked(
    what: &str,
    request: Option<&Request>,
    source: CommandError,
) -> InstallError {
    let lock = request.and_then(|request| request.lock.as_ref());
    if let (Some(lock), CommandError::Failed { tail, .. }) = (lock, &source) {
        if let Err(error) = lock.has(explain::lacking(tail)) {
            return InstallError::Lock(error);
        }
    }
    explain::explain(what, request, source)
}
