//! What the packages came from that are new in a tree: the package manager leaves their files in the
//! package cache, or uses them where a repository on the disk has them.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use sha2::{Digest as _, Sha256};

use super::header::Package;
use super::keys::ask;
use super::{Dialect, Prepared, Work, macros};
use crate::distro::RpmRepositories;
use crate::distro::provenance::{Archive, Identity, Provenance, Snapshot};
use crate::distro::rpm::{Location, RpmSource};
use crate::host::{Host, hex};
use crate::installer::archives::{named, sha256};
use crate::installer::lock::LockError;
use crate::installer::{InstallError, Request, Site, provenance};
use crate::tree::Root;

/// The end of the names of packages' files.
const SUFFIX: &str = ".rpm";
/// The index of a repository's lists.
pub(super) const INDEX: &str = "repodata/repomd.xml";
/// How many digits of a checksum dnf names the directory of a repository by.
const DIGITS: usize = 16;

/// The packages of a tree, each with the digest of its header.
pub(in crate::installer) type Installed = BTreeMap<Identity, String>;

/// What packages are called in manifests, and the digest of the header.
const QUERY: &str =
    "%{NAME}\\t%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\\t%{ARCH}\\t%{SHA256HEADER}\\n";
/// Keys stand in the database as packages.
const KEY: &str = "gpg-pubkey";

/// The packages in a tree; nothing where the host's rpm is too old to say what they were made from.
///
/// # Errors
/// When its database cannot be looked for.
pub(in crate::installer) fn installed(
    work: &Work,
    site: &Site,
    host: &Host,
) -> Result<Option<Installed>, InstallError> {
    if macros::database(&Root::open(&site.root)?)?.is_none() {
        // rpm would make one.
        return Ok(Some(Installed::new()));
    }
    let Ok(text) = ask(work, QUERY, None, site, host) else {
        return Ok(None);
    };
    let entry = |line: &str| {
        let mut fields = line.split('\t').map(str::to_owned);
        let key = (fields.next()?, fields.next()?, fields.next()?);
        Some((key, fields.next()?)).filter(|(key, _)| key.0 != KEY)
    };
    Ok(Some(text.lines().filter_map(entry).collect()))
}

/// Leaves word of what the packages came from that were not there `before`.
///
/// # Errors
/// When one of them is not in the lock that is kept to, or a file cannot be read.
pub(in crate::installer) fn note(
    before: Option<Installed>,
    request: &Request,
    prepared: &Prepared,
    dialect: Dialect,
    site: &Site,
    host: &Host,
) -> Result<(), InstallError> {
    let (Some(before), Some(mut new)) = (before, installed(&prepared.work, site, host)?) else {
        if request.lock.is_some() {
            return Err(InstallError::Lock(LockError::Unknown));
        }
        return Ok(());
    };
    new.retain(|key, header| before.get(key) != Some(header));
    let mut provenance = Provenance::default();
    match &request.lock {
        Some(lock) => provenance = lock.taken(new.keys())?,
        None => {
            let rpm = request.rpm()?;
            let Some(packages) = of_files(new, rpm, prepared, dialect, host)? else {
                return Ok(());
            };
            provenance.add(&Provenance {
                repositories: snapshots(rpm, prepared, dialect)?,
                packages,
            });
        }
    }
    provenance::note(&provenance, site)
}

/// The files that packages came from; nothing when one is not found again.
fn of_files(
    mut new: Installed,
    rpm: &RpmRepositories,
    prepared: &Prepared,
    dialect: Dialect,
    host: &Host,
) -> Result<Option<Vec<Archive>>, InstallError> {
    let mut found = Vec::new();
    for source in &rpm.sources {
        for directory in directories(source, &prepared.work.cache, dialect) {
            let names = new.keys().map(|(name, ..)| name.as_str()).collect();
            let files = named(&directory, &names, SUFFIX);
            let read = |path: PathBuf| {
                let package = Package::read(&path).ok()?;
                let key = package.key();
                (new.get(&key) == Some(&package.digest)).then_some((key, path))
            };
            let files: HashMap<_, _> = files.into_par_iter().filter_map(read).collect();
            let hashed = |(key, path): (Identity, PathBuf)| match sha256(&path) {
                Ok(sum) => Ok((key, sum)),
                Err(source) => Err(InstallError::Prepare { path, source }),
            };
            let hashed: Result<Vec<_>, _> = files.into_par_iter().map(hashed).collect();
            for (key, sha256) in hashed? {
                new.remove(&key);
                let (name, version, architecture) = key;
                found.push(Archive {
                    name,
                    version,
                    architecture,
                    sha256,
                    repository: Some(source.id.clone()),
                    required: false,
                });
            }
        }
    }
    if new.is_empty() {
        return Ok(Some(found));
    }
    let names: Vec<String> = new.into_keys().map(|(name, ..)| name).collect();
    provenance::warn_of_unknown(&names, host);
    Ok(None)
}

/// Where the packages of a repository are on this host.
pub(super) fn directories(source: &RpmSource, cache: &Path, dialect: Dialect) -> Vec<PathBuf> {
    let mut directories = match dialect {
        Dialect::Dnf => {
            let lists = lists_of_dnf(source, cache).into_iter();
            lists.map(|path| path.join("packages")).collect()
        }
        Dialect::Zypper => vec![cache.join("packages").join(&source.id)],
    };
    directories.extend(source.location.directory().map(Path::to_owned));
    directories
}

/// Where dnf has lists and packages of a repository: a directory for each address that it had, the
/// present one's first.
fn lists_of_dnf(source: &RpmSource, cache: &Path) -> Vec<PathBuf> {
    let digest = hex(&Sha256::digest(source.location.address()));
    let present = format!("{}-{}", source.id, &digest[..DIGITS]);
    let names = fs::read_dir(cache).into_iter().flatten();
    let names = names.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let is_one = |name: &String| {
        let digits = name
            .strip_prefix(&source.id)
            .and_then(|rest| rest.strip_prefix('-'));
        digits.is_some_and(|digits| {
            digits.len() == DIGITS && digits.bytes().all(|b| b.is_ascii_hexdigit())
        })
    };
    let mut names: Vec<String> = names.filter(is_one).collect();
    names.sort_by_key(|name| (*name != present, name.clone()));
    names.iter().map(|name| cache.join(name)).collect()
}

/// Where the lists of a repository are in the cache, in a directory `repodata`.
pub(super) fn lists(source: &RpmSource, cache: &Path, dialect: Dialect) -> Option<PathBuf> {
    match dialect {
        Dialect::Dnf => lists_of_dnf(source, cache).into_iter().next(),
        Dialect::Zypper => Some(cache.join("raw").join(&source.id)),
    }
}

/// Which state of the repositories the lists in the cache are of.
fn snapshots(
    rpm: &RpmRepositories,
    prepared: &Prepared,
    dialect: Dialect,
) -> Result<Vec<Snapshot>, InstallError> {
    let cache = &prepared.work.cache;
    let mut snapshots = Vec::new();
    for source in &rpm.sources {
        let Some(path) = lists(source, cache, dialect).map(|lists| lists.join(INDEX)) else {
            continue;
        };
        match fs::read(&path) {
            Ok(text) => snapshots.push(Snapshot {
                list: list(&source.location),
                date: revision(&String::from_utf8_lossy(&text)),
                sha256: hex(&Sha256::digest(&text)),
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(InstallError::Prepare { path, source }),
        }
    }
    Ok(snapshots)
}

/// The address of a repository's index, or of what names its mirrors.
fn list(location: &Location) -> String {
    let plain = provenance::without_scheme(location.address());
    match location {
        Location::BaseUrl(_) => format!("{}/{INDEX}", plain.trim_end_matches('/')),
        Location::Metalink(_) | Location::MirrorList(_) => plain,
    }
}

/// What an index calls its state: mostly the time when it was made, in seconds since 1970.
fn revision(index: &str) -> Option<String> {
    let (_, rest) = index.split_once("<revision>")?;
    let (revision, _) = rest.split_once('<')?;
    Some(revision.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directories_of_a_repository_are_those_of_no_other() {
        let cache = tempfile::tempdir().unwrap();
        let address = "http://m/f/$releasever";
        let source = RpmSource {
            id: "fedora".into(),
            name: "f".into(),
            location: Location::BaseUrl(address.into()),
            keys: Vec::new(),
            check_packages: true,
            check_metadata: false,
            added: false,
        };
        let present = format!("fedora-{:.16}", hex(&Sha256::digest(address)));
        for name in [
            "fedora-0000000000000000",
            "fedora-updates-0000000000000000",
            "fedora.solv",
            &present,
        ] {
            fs::create_dir(cache.path().join(name)).unwrap();
        }
        let found = directories(&source, cache.path(), Dialect::Dnf);
        let names = [
            format!("{present}/packages"),
            "fedora-0000000000000000/packages".to_owned(),
        ];
        assert_eq!(found, names.map(|name| cache.path().join(name)));
        assert_eq!(
            list(&source.location),
            "m/f/$releasever/repodata/repomd.xml"
        );
        assert_eq!(revision("<revision> 17 </revision>").as_deref(), Some("17"));
    }
}
