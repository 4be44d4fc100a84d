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
    for key in source.keys.iter().filter(|key| !key.url.is_empty()) {
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

/// What the tree's database says of the packages of this name, or of all.
pub(super) fn ask(
    work: &Work,
    query: &str,
    name: Option<&str>,
    site: &Site,
    host: &Host,
) -> Result<String, InstallError> {
    let command = work
        .command("rpm")
        .arg("--root")
        .arg(&site.root)
        .args(["--query", "--all", "--queryformat", query])
        .args(name)
        .stdout(Stdout::Capture)
        .no_sync();
    let output = host.run(command).map_err(|source| InstallError::Command {
        what: "rpm's database cannot be read".to_owned(),
        hint: String::new(),
        source,
    })?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What stands for the keys in the tree's database, as the name of a directory.
pub(super) fn imported(work: &Work, site: &Site, host: &Host) -> Result<String, InstallError> {
    let query = "%{VERSION}-%{RELEASE}\\n";
    let text = ask(work, query, Some("gpg-pubkey*"), site, host)?;
    let mut keys: Vec<&str> = text.lines().collect();
    keys.sort_unstable();
    let digest = Sha256::digest(keys.join("\n"));
    Ok(format!("keys-{:.16}", format!("{digest:x}")))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use super::*;
    use crate::distro::rpm::tests::wanted;
    use crate::distro::{Facts as _, Repositories, opensuse::Opensuse};
    use crate::host::{Cancel, Quiet, Recorder};

    struct Fixture {
        scratch: tempfile::TempDir,
        recorder: Arc<Recorder>,
    }

    impl Fixture {
        fn new() -> Self {
            let scratch = tempfile::tempdir().unwrap();
            fs::create_dir(scratch.path().join("tree")).unwrap();
            Self {
                scratch,
                recorder: Arc::new(Recorder::default()),
            }
        }

        fn skeleton(&self, name: &str) {
            let directory = self.scratch.path().join("tree/etc/pki/rpm-gpg");
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join(name), "key").unwrap();
        }

        /// The names of the keys of the first repository of Tumbleweed, for a host without any.
        fn keys(&self, mirror: Option<&str>, filled: bool) -> Result<Vec<String>, InstallError> {
            let mut wanted = wanted("tumbleweed", "x86_64");
            wanted.mirror = mirror;
            let Repositories::Rpm(mut rpm) = Opensuse.repositories(&wanted) else {
                panic!("not for rpm");
            };
            for key in rpm.sources.iter_mut().flat_map(|source| &mut source.keys) {
                key.file = None;
            }
            let site = Site {
                root: self.scratch.path().join("tree"),
                scratch: self.scratch.path().to_owned(),
            };
            let cancel = Cancel::default();
            let host = Host::new(self.recorder.clone(), Arc::new(Quiet), cancel);
            let work = Work::open(None, "zypp", &site, &host)?;
            let trusted = collect(&rpm, filled, &site, &work, &host)?;
            let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
            Ok(trusted[0].keys.iter().map(name).collect())
        }
    }

    #[test]
    fn keys_come_over_https_when_nobody_has_them() {
        let fixture = Fixture::new();
        let keys = fixture.keys(None, false).unwrap();
        assert_eq!(keys, ["RPM-GPG-KEY-openSUSE-Tumbleweed"]);
        let lines = fixture.recorder.lines();
        let line = &lines[0];
        assert!(
            line.contains("--proto =https --proto-redir =https"),
            "{line}"
        );
        let url = "https://download.opensuse.org/tumbleweed/repo/oss/repodata/repomd.xml.key";
        assert!(line.ends_with(url), "{line}");
        // Also where packages come from somewhere else: a mirror has no say in it.
        let keys = fixture.keys(Some("http://mirror.example"), false).unwrap();
        assert_eq!(keys.len(), 1);
        let lines = fixture.recorder.lines();
        assert!(lines.iter().all(|line| line.ends_with(url)), "{lines:?}");
    }

    #[test]
    fn the_projects_key_stands_for_the_distributions() {
        let fixture = Fixture::new();
        fixture.skeleton("RPM-GPG-KEY-openSUSE");
        fixture.skeleton("RPM-GPG-KEY-of-a-friend");
        fixture.skeleton("odd name");
        let keys = fixture.keys(None, false).unwrap();
        assert_eq!(keys, ["RPM-GPG-KEY-openSUSE", "RPM-GPG-KEY-of-a-friend"]);
        assert!(fixture.recorder.lines().is_empty());
        // What else is in a filled tree came with packages.
        assert_eq!(fixture.keys(None, true).unwrap(), ["RPM-GPG-KEY-openSUSE"]);
    }

    #[test]
    fn a_mirror_on_the_disk_needs_a_key_on_the_disk() {
        let fixture = Fixture::new();
        let error = fixture.keys(Some("/srv/mirror"), false).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no key is known for the packages of file:///srv/mirror/tumbleweed/repo/oss: put \
             RPM-GPG-KEY-openSUSE-Tumbleweed into mkosi.skeleton/etc/pki/rpm-gpg/, or install the \
             package distribution-gpg-keys"
        );
        assert!(fixture.recorder.lines().is_empty());
        fixture.skeleton("RPM-GPG-KEY-mine");
        let keys = fixture.keys(Some("/srv/mirror"), false).unwrap();
        assert_eq!(keys, ["RPM-GPG-KEY-mine"]);
    }
}
