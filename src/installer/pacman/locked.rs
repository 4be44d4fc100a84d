//! Packages of a lock, and no others: each is taken from the package cache, or fetched, and compared with
//! the lock as it is copied into a directory of the build's own. That is shown to pacman as its package
//! cache, with a database for each repository that had them when the lock was written.
//!
//! pacman decides as always, with the same names to install, but from nothing else. A package that comes
//! with its signature is checked as ever; where the package cache has the package alone, the lock has its
//! word: it was good when that was written.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::conf::Signatures;
use super::database::{self, Member, listed_signature};
use super::provenance::{DATABASES, Synced, keep_signature, synced};
use super::{Manager, NAME, OWN, REFRESH};
use crate::distro::PacmanRepositories;
use crate::distro::provenance::Archive;
use crate::host::{Host, remove};
use crate::installer::archives::copy_verified;
use crate::installer::confined::make_directory;
use crate::installer::lock::{LockError, PackageLock, listed, shown};
use crate::installer::{InstallError, Request, Site};
use crate::tree::Root;

/// The directory of a build with the lock's packages, which all of its installations share.
const PLACE: &str = "locked";
/// Downloads what it is told, whatever that needs.
const DOWNLOAD: [&str; 4] = ["--sync", "--downloadonly", "--nodeps", "--nodeps"];
/// No signature comes near this.
const LONGEST_SIGNATURE: u64 = 1 << 20;

/// What it takes to keep to a lock.
pub(super) struct Keeping<'a> {
    pub lock: &'a PackageLock,
    pub request: &'a Request,
    pub pacman: &'a PacmanRepositories,
    pub site: &'a Site,
    pub host: &'a Host,
}

/// What a repository has of a package that is missing.
enum Offer {
    Nothing,
    /// One of the same name, version and architecture with other content.
    Another,
    This,
}

impl<'a> Keeping<'a> {
    /// A pacman that chooses from the packages of the lock alone, once they are all found.
    ///
    /// # Errors
    /// [`LockError::Gone`] with all that are not to be had, [`LockError::Unfit`] where a repository is
    /// not asked for any more; when databases cannot be fetched or verified.
    pub fn manager(&self) -> Result<Manager<'a>, InstallError> {
        let held = crate::installer::cache::lock(self.request, self.host)?;
        self.sources_are_there()?;
        make_directory(&self.place())?;
        let packages = &self.lock.provenance.packages;
        let missing = self.take(packages.iter().collect())?;
        if !missing.is_empty() {
            let offers = self.download(&missing)?;
            let missing = self.take(missing)?;
            if !missing.is_empty() {
                return Err(InstallError::Lock(self.gone(&missing, &offers)));
            }
        }
        let mut pacman = self.pacman.clone();
        pacman.repositories.retain(|repository| {
            let mut packages = packages.iter();
            packages.any(|one| one.repository.as_ref() == Some(&repository.name))
        });
        for repository in &mut pacman.repositories {
            self.publish(&repository.name)?;
            repository.servers = vec![OWN.to_owned()];
            repository.signed_database = false;
        }
        let place = self.place();
        let (request, site, host) = (self.request, self.site, self.host);
        let signatures = Signatures::WhereThereAre;
        Manager::at(
            request,
            &pacman,
            (site, site),
            Some(&place),
            signatures,
            host,
        )
        .map(|manager| manager.holding(held))
    }

    /// Takes databases that were this build's own out of the tree.
    ///
    /// # Errors
    /// When they cannot be removed.
    pub fn finish(&self, root: &Root) -> Result<(), InstallError> {
        for repository in &self.pacman.repositories {
            root.remove_file(Path::new(DATABASES).join(format!("{}.db", repository.name)))?;
        }
        Ok(())
    }

    fn place(&self) -> PathBuf {
        self.site.scratch.join(PLACE)
    }

    /// The package cache.
    fn cache(&self) -> PathBuf {
        let own = || self.site.scratch.join(NAME).join("cache");
        self.request.cache.clone().unwrap_or_else(own)
    }

    /// Each package names a repository that is asked for.
    fn sources_are_there(&self) -> Result<(), InstallError> {
        let names = self.pacman.repositories.iter();
        let names: HashSet<&str> = names.map(|one| one.name.as_str()).collect();
        self.lock.is_from(&names).map_err(InstallError::Lock)
    }

    /// Takes those that are in the package cache; returns those that are not. A file that should be one
    /// of them and is not goes, so that it is fetched again.
    fn take<'b>(&self, wanted: Vec<&'b Archive>) -> Result<Vec<&'b Archive>, InstallError> {
        let (cache, place) = (self.cache(), self.place());
        let mut missing = Vec::new();
        for one in wanted {
            if file_of(one, &place).is_some() {
                continue;
            }
            let found = file_of(one, &cache);
            let taken = found.map(|path| self.take_file(&path, one)).transpose()?;
            if taken != Some(true) {
                missing.push(one);
            }
        }
        Ok(missing)
    }

    fn take_file(&self, path: &Path, one: &Archive) -> Result<bool, InstallError> {
        let failed = |source| InstallError::Prepare {
            path: path.to_owned(),
            source,
        };
        let target = self.place().join(path.file_name().unwrap_or_default());
        let signatures = |path| [signature(path), listed_signature(path)];
        match copy_verified(path, &target, &one.sha256) {
            Ok(true) => {}
            Ok(false) => {
                for path in signatures(path).iter().chain([&path.to_owned()]) {
                    remove(path)?;
                }
                return Ok(false);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(failed(error)),
        }
        for (from, to) in signatures(path).iter().zip(signatures(&target)) {
            let found = fs::metadata(from);
            if found.is_ok_and(|found| found.is_file() && found.len() <= LONGEST_SIGNATURE) {
                fs::copy(from, to).map_err(failed)?;
            }
        }
        Ok(true)
    }

    /// Has pacman download the missing ones, as far as repositories have them, with a tree that goes away.
    fn download<'b>(
        &self,
        missing: &[&'b Archive],
    ) -> Result<Vec<(&'b Archive, Offer)>, InstallError> {
        let (request, site, host) = (self.request, self.site, self.host);
        let elsewhere = Site {
            root: site.scratch.join("locked-tree"),
            scratch: site.scratch.clone(),
        };
        make_directory(&elsewhere.root)?;
        let manager = Manager::at(
            request,
            self.pacman,
            (&elsewhere, site),
            request.cache.as_deref(),
            Signatures::AsAsked,
            host,
        )?;
        manager.run(&REFRESH, &[], false)?;
        let synced = synced(self.pacman, &elsewhere.root)?;
        let offer = |one: &&'b Archive| (*one, offer(one, &synced));
        let offers: Vec<_> = missing.iter().map(offer).collect();
        let names: Vec<String> = offers
            .iter()
            .filter(|(_, offer)| matches!(offer, Offer::This))
            .map(|(one, _)| match &one.repository {
                Some(repository) => format!("{repository}/{}", one.name),
                None => one.name.clone(),
            })
            .collect();
        if !names.is_empty() {
            manager.run(&DOWNLOAD, &names, false)?;
            for one in synced.iter().flat_map(|repository| &repository.packages) {
                if missing.iter().any(|archive| archive.key() == one.key()) {
                    keep_signature(one, &self.cache())?;
                }
            }
        }
        remove(&elsewhere.root)?;
        Ok(offers)
    }

    /// Writes the database of one repository.
    fn publish(&self, repository: &str) -> Result<(), InstallError> {
        let place = self.place();
        let packages = self.lock.provenance.packages.iter();
        let own = packages.filter(|one| one.repository.as_deref() == Some(repository));
        let files: Vec<_> = own
            .filter_map(|one| Some((one, file_of(one, &place)?)))
            .collect();
        let members: Vec<_> = files
            .iter()
            .map(|(archive, path)| Member { path, archive })
            .collect();
        let path = place.join(format!("{repository}.db"));
        database::make(&members)
            .and_then(|content| fs::write(&path, content))
            .map_err(|source| InstallError::Prepare { path, source })
    }

    fn gone(&self, missing: &[&Archive], offers: &[(&Archive, Offer)]) -> LockError {
        let lines: Vec<String> = offers
            .iter()
            .filter(|(one, _)| missing.contains(one))
            .map(|(one, offer)| match offer {
                Offer::Nothing => format!("{}: gone", shown(one)),
                Offer::Another | Offer::This => {
                    format!("{}: there with another content", shown(one))
                }
            })
            .collect();
        LockError::Gone {
            path: self.lock.path.clone(),
            list: listed(&lines),
            hint: "build from a mirror that keeps them, such as \
                   Mirror=https://archive.archlinux.org/repos/YEAR/MONTH/DAY, from a package cache \
                   (Cache=) that has them, or with --update-lock from what is there now"
                .to_owned(),
        }
    }
}

/// The file of a package in a directory, by the name that makepkg(8) gives it.
fn file_of(one: &Archive, directory: &Path) -> Option<PathBuf> {
    let start = format!("{}-{}-{}.pkg.tar", one.name, one.version, one.architecture);
    let names = fs::read_dir(directory).into_iter().flatten();
    let mut names: Vec<String> = names
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| {
            let rest = name.strip_prefix(&start);
            rest.is_some_and(|rest| !rest.ends_with(".sig") && !rest.ends_with(".part"))
        })
        .collect();
    names.sort();
    let path = directory.join(names.first()?);
    path.is_file().then_some(path)
}

/// What the repository has that the package came from.
fn offer(one: &Archive, synced: &[Synced]) -> Offer {
    let own = synced
        .iter()
        .filter(|repository| one.repository.as_ref() == Some(&repository.name));
    let found = own
        .flat_map(|repository| &repository.packages)
        .find(|listed| listed.key() == one.key());
    match found {
        None => Offer::Nothing,
        Some(listed) if listed.sha256.is_empty() || listed.sha256 == one.sha256 => Offer::This,
        Some(_) => Offer::Another,
    }
}

/// Where pacman puts the signature of a package that has one beside it.
fn signature(package: &Path) -> PathBuf {
    let mut name = package.as_os_str().to_owned();
    name.push(".sig");
    name.into()
}
