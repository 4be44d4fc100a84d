//! The keys that packages and repositories may be signed with, and nobody else's.
//!
//! A key is taken from the project (`etc/pki/rpm-gpg` in a skeleton tree), from the host, or else from
//! where the distribution publishes it over https. It never comes from a mirror.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::{Work, write};
use crate::distro::RpmRepositories;
use crate::distro::rpm::{KEY_DIRECTORY, RpmSource};
use crate::host::{Host, Stdout};
use crate::installer::{InstallError, Site};
use crate::tree::Root;

/// The keys of one repository, as files of this build.
#[derive(Clone, Debug)]
pub(in crate::installer) struct Trusted {
    pub source: RpmSource,
    pub keys: Vec<PathBuf>,
}

/// Collects the keys of every repository. In a `filled` tree, the database has them already, and the
/// tree's directory has those of the distribution's other releases, too.
pub(super) fn collect(
    rpm: &RpmRepositories,
    filled: bool,
    site: &Site,
    work: &Work,
    host: &Host,
) -> Result<Vec<Trusted>, InstallError> {
    let root = Root::open(&site.root)?;
    let found = in_tree(&root)?;
    let mut trusted = Vec::new();
    for source in &rpm.sources {
        let mut keys = Vec::new();
        if source.check_packages {
            named(source, filled, &root, work, host, &mut keys)?;
            if !filled {
                for name in &found {
                    add(
                        name,
                        &root.read(Path::new(DIRECTORY).join(name))?,
                        work,
                        &mut keys,
                    )?;
                }
            }
            if keys.is_empty() && !filled {
                return Err(missing(source));
            }
        }
        trusted.push(Trusted {
            source: source.clone(),
            keys,
        });
    }
    Ok(trusted)
}

/// [`KEY_DIRECTORY`] in a tree.
const DIRECTORY: &str = "etc/pki/rpm-gpg";

/// Names of the files in the tree's directory of keys.
fn in_tree(root: &Root) -> Result<Vec<String>, InstallError> {
    if !root.is_dir(DIRECTORY)? {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in root.list(DIRECTORY)? {
        let Some(name) = entry.name.to_str() else {
            continue;
        };
        if is_plain(name) && root.is_file(Path::new(DIRECTORY).join(name))? {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// Names end up in lists that are separated by white space.
fn is_plain(name: &str) -> bool {
    name.chars()
        .all(|c| c.is_ascii_alphanumeric() || "-_.+".contains(c))
}

/// The keys that the distribution names for this repository.
fn named(
    source: &RpmSource,
    filled: bool,
    root: &Root,
    work: &Work,
    host: &Host,
    keys: &mut Vec<PathBuf>,
) -> Result<(), InstallError> {
    for key in &source.keys {
        let path = Path::new(DIRECTORY).join(&key.name);
        if root.is_file(&path)? {
            add(&key.name, &root.read(&path)?, work, keys)?;
        } else if let Some(file) = &key.file {
            let content = std::fs::read(file).map_err(|source| InstallError::Prepare {
                path: file.clone(),
                source,
            })?;
            add(&key.name, &content, work, keys)?;
        }
    }
    // A repository on the disk may be far from any network, and is signed by whoever made it. What a
    // filled tree needs is in its database.
    let wanted = keys.is_empty() && source.location.directory().is_none();
    if !wanted || (filled && !source.check_metadata) {
        return Ok(());
    }
    let mut fetched: Vec<&str> = Vec::new();
    for key in &source.keys {
        if fetched.contains(&key.url.as_str()) {
            continue;
        }
        fetched.push(&key.url);
        let target = work.keys.join(&key.name);
        if !target.exists() {
            fetch(&key.url, &target, work, host)?;
        }
        keys.push(target);
    }
    Ok(())
}

fn add(
    name: &str,
    content: &[u8],
    work: &Work,
    keys: &mut Vec<PathBuf>,
) -> Result<(), InstallError> {
    let target = work.keys.join(name);
    write(&target, content)?;
    if !keys.contains(&target) {
        keys.push(target);
    }
    Ok(())
}

/// Gets a key over https, also when it is redirected.
fn fetch(url: &str, target: &Path, work: &Work, host: &Host) -> Result<(), InstallError> {
    let command = work
        .command("curl")
        .args([
            "--disable",
            "--fail",
            "--silent",
            "--show-error",
            "--location",
        ])
        .args([
            "--proto",
            "=https",
            "--proto-redir",
            "=https",
            "--max-time",
            "120",
        ])
        .arg("--output")
        .arg(target)
        .arg(url);
    host.run(command).map_err(|source| match source {
        crate::host::CommandError::Cancelled => InstallError::Cancelled,
        source => InstallError::Command {
            what: format!("the key {url} could not be fetched"),
            hint: format!(
                "\ninstall the package distribution-gpg-keys on this host, or put the key into \
                 mkosi.skeleton{KEY_DIRECTORY}/"
            ),
            source,
        },
    })?;
    Ok(())
}

fn missing(source: &RpmSource) -> InstallError {
    let named = source.keys.first().map(|key| key.name.as_str());
    InstallError::RpmKey {
        repository: source.location.address().to_owned(),
        name: named.unwrap_or("its key").to_owned(),
        directory: KEY_DIRECTORY,
    }
}

/// Puts all keys into the tree's database, which is where rpm looks for them.
pub(super) fn import(
    trusted: &[Trusted],
    work: &Work,
    site: &Site,
    host: &Host,
) -> Result<(), InstallError> {
    let mut keys: Vec<&PathBuf> = trusted.iter().flat_map(|source| &source.keys).collect();
    keys.sort();
    keys.dedup();
    if keys.is_empty() {
        return Ok(());
    }
    let command = work
        .command("rpmkeys")
        .arg("--root")
        .arg(&site.root)
        .arg("--import")
        .args(keys)
        .no_sync();
    host.run(command).map_err(|source| match source {
        crate::host::CommandError::Cancelled => InstallError::Cancelled,
        source => InstallError::Command {
            what: "a key of the repositories cannot be used".to_owned(),
            hint: format!("\ncheck the keys in mkosi.skeleton{KEY_DIRECTORY}/"),
            source,
        },
    })?;
    Ok(())
}

/// What stands for the keys in the tree's database, as the name of a directory.
pub(super) fn imported(work: &Work, site: &Site, host: &Host) -> Result<String, InstallError> {
    let command = work
        .command("rpm")
        .arg("--root")
        .arg(&site.root)
        .args([
            "--query",
            "--all",
            "--queryformat",
            "%{VERSION}-%{RELEASE}\\n",
        ])
        .arg("gpg-pubkey*")
        .stdout(Stdout::Capture)
        .no_sync();
    let output = host.run(command).map_err(|source| InstallError::Command {
        what: "rpm's database cannot be read".to_owned(),
        hint: String::new(),
        source,
    })?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut keys: Vec<&str> = text.lines().collect();
    keys.sort_unstable();
    let digest = Sha256::digest(keys.join("\n"));
    Ok(format!("keys-{:.16}", format!("{digest:x}")))
}
