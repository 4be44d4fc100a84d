//! What the packages came from that are new in a tree: pacman leaves their files in the package cache, and
//! the databases of the repositories in the tree.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use sha2::{Digest as _, Sha256};

use super::database::{self, Listed, listed_signature};
use crate::distro::PacmanRepositories;
use crate::distro::provenance::{Archive, Identity, Provenance, Snapshot};
use crate::host::{Host, hex, remove};
use crate::installer::archives::sha256;
use crate::installer::{InstallError, Request, Site, provenance};
use crate::tree::Root;

/// Where pacman has databases of repositories in a tree.
pub(super) const DATABASES: &str = "var/lib/pacman/sync";

/// Where pacman has what is installed: a directory for each package.
const LOCAL: &str = "var/lib/pacman/local";

/// The packages in a tree.
pub(super) type Installed = BTreeSet<Identity>;

/// A repository as pacman saw it last.
pub(super) struct Synced {
    pub name: String,
    pub packages: Vec<Listed>,
    /// The database's SHA-256, in hexadecimal.
    pub sha256: String,
}

/// The packages in a tree.
///
/// # Errors
/// When its database cannot be read.
pub(super) fn installed(site: &Site) -> Result<Installed, InstallError> {
    let tree = Root::open(&site.root)?;
    let mut keys = Installed::new();
    if !tree.is_dir(LOCAL)? {
        return Ok(keys);
    }
    for entry in tree.list(LOCAL)? {
        let path = Path::new(LOCAL).join(&entry.name);
        if tree.is_dir(&path)? {
            let text = tree.read_if_present(path.join("desc"))?.unwrap_or_default();
            keys.extend(database::identity(&String::from_utf8_lossy(&text)));
        }
    }
    Ok(keys)
}

/// The repositories whose databases are in the tree `root`.
///
/// # Errors
/// When one cannot be read.
pub(super) fn synced(
    pacman: &PacmanRepositories,
    root: &Path,
) -> Result<Vec<Synced>, InstallError> {
    let tree = Root::open(root)?;
    let mut all = Vec::new();
    for repository in &pacman.repositories {
        let path = Path::new(DATABASES).join(format!("{}.db", repository.name));
        let Some(content) = tree.read_if_present(&path)? else {
            continue;
        };
        let sha256 = hex(&Sha256::digest(&content));
        let packages = database::read(content).map_err(|source| InstallError::Prepare {
            path: root.join(&path),
            source,
        })?;
        all.push(Synced {
            name: repository.name.clone(),
            packages,
            sha256,
        });
    }
    Ok(all)
}

/// Leaves word of what the packages came from that were not there `before`.
///
/// # Errors
/// When one of them is not in the lock that is kept to, or a file cannot be read.
pub(super) fn note(
    before: &Installed,
    request: &Request,
    pacman: &PacmanRepositories,
    cache: &Path,
    site: &Site,
    host: &Host,
) -> Result<(), InstallError> {
    let after = installed(site)?;
    let new: Vec<_> = after.difference(before).collect();
    if let Some(lock) = &request.lock {
        return provenance::note(&lock.taken(new)?, site);
    }
    let synced = synced(pacman, &site.root)?;
    let find = |key: &&Identity| {
        let (name, version, architecture) = (key.0.as_str(), key.1.as_str(), key.2.as_str());
        let is_one = |one: &&Listed| one.key() == (name, version, architecture);
        let found = synced.iter().find_map(|repository| {
            let listed = repository.packages.iter().find(is_one)?;
            let path = cache.join(&listed.file);
            path.is_file().then_some((repository, listed, path))
        });
        found.ok_or_else(|| name.to_owned())
    };
    let (mut files, mut unknown) = (Vec::new(), Vec::new());
    for found in new.iter().map(find) {
        match found {
            Ok(found) => files.push(found),
            Err(name) => unknown.push(name),
        }
    }
    if !unknown.is_empty() {
        provenance::warn_of_unknown(&unknown, host);
        return Ok(());
    }
    let archive = |(repository, listed, path): &(&Synced, &Listed, PathBuf)| {
        keep_signature(listed, cache)?;
        Ok(Archive {
            name: listed.name.clone(),
            version: listed.version.clone(),
            architecture: listed.architecture.clone(),
            sha256: sha256(path).map_err(|source| InstallError::Prepare {
                path: path.clone(),
                source,
            })?,
            repository: Some(repository.name.clone()),
            required: false,
        })
    };
    let packages: Result<Vec<_>, InstallError> = files.par_iter().map(archive).collect();
    let mut all = Provenance::default();
    all.add(&Provenance {
        repositories: snapshots(pacman, request, &synced),
        packages: packages?,
    });
    provenance::note(&all, site)
}

/// Keeps a signature that only the database has beside the package.
///
/// # Errors
/// When it cannot be written.
pub(super) fn keep_signature(listed: &Listed, cache: &Path) -> Result<(), InstallError> {
    let path = listed_signature(&cache.join(&listed.file));
    match &listed.signature {
        Some(signature) => std::fs::write(&path, signature)
            .map_err(|source| InstallError::Prepare { path, source }),
        None => Ok(remove(&path)?),
    }
}

fn snapshots(pacman: &PacmanRepositories, request: &Request, synced: &[Synced]) -> Vec<Snapshot> {
    let architecture = pacman.architectures.first();
    let architecture = architecture.unwrap_or(&request.architecture);
    let snapshot = |one: &Synced| {
        let mut all = pacman.repositories.iter();
        let server = all.find(|other| other.name == one.name)?.servers.first()?;
        let address = server
            .replace("$repo", &one.name)
            .replace("$arch", architecture);
        Some(Snapshot {
            list: format!("{}/{}.db", provenance::without_scheme(&address), one.name),
            date: None,
            sha256: one.sha256.clone(),
        })
    };
    synced.iter().filter_map(snapshot).collect()
}
