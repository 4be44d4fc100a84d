//! What apt chose for a new tree the last time, for as long as everything is the same that it chose by: the
//! lists of available packages, what was asked for, the settings, and the packages on the disk.
//!
//! It is kept beside the lists, which were verified before it is asked for.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::DPKG_STATUS;
use super::checksums::stamp;
use super::decided::{Choice, parse};
use super::settings::Settings;
use crate::distro::provenance::Archive;
use crate::host::{Host, hex};
use crate::installer::{InstallError, Site};
use crate::tree::stat::Kind;
use crate::tree::{Root, TreeError};

/// Beside the lists of a state: one file for each thing that was asked for.
const DIRECTORY: &str = "chosen";

/// Directories of a tree that apt reads settings from; what it keeps there for other programs only makes
/// a choice count for less.
const SETTINGS: [&str; 3] = ["etc/apt", "usr/lib/apt", "usr/share/apt"];

/// Where what apt chose for a tree is kept.
#[derive(Debug)]
pub(super) struct Remembered {
    path: PathBuf,
    /// The lists of available packages.
    lists: String,
}

/// What apt said.
#[derive(Serialize, Deserialize)]
struct Kept {
    lists: String,
    list: String,
    calls: String,
    extended_states: String,
    /// The packages, each with the state of its file.
    packages: BTreeMap<PathBuf, String>,
    /// What the packages are.
    archives: Vec<Archive>,
}

impl Remembered {
    /// Where the choice is kept for these names in this tree, which is a new one; nowhere if not all of its
    /// settings can be compared.
    ///
    /// # Errors
    /// When the tree or the settings cannot be read.
    pub fn of(
        settings: &Settings,
        names: &[String],
        site: &Site,
        host: &Host,
    ) -> Result<Option<Self>, InstallError> {
        let mut hash = Sha256::new();
        let mut add = |part: &[u8]| {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        };
        add(env!("CARGO_PKG_VERSION").as_bytes());
        add(super::UNPACKING.as_bytes());
        // Another apt may choose otherwise.
        let apt = host.find("apt-get").unwrap_or_default();
        add(stamp(&apt).unwrap_or_default().as_bytes());
        for name in names {
            add(name.as_bytes());
        }
        for file in [&settings.file, &settings.last] {
            add(without_places(file, site)?.as_bytes());
        }
        let root = Root::open(&site.root)?;
        for path in [DPKG_STATUS, "etc/machine-id"] {
            add(&root.read_if_present(path)?.unwrap_or_default());
        }
        for directory in SETTINGS {
            let mut take = |path: &Path, content: &[u8]| {
                add(path.as_os_str().as_bytes());
                add(content);
            };
            if root.is_dir(directory)? && !each_file(&root, Path::new(directory), &mut take)? {
                return Ok(None);
            }
        }
        let lists = settings.lists();
        let prepare = |source| InstallError::Prepare {
            path: lists.clone(),
            source,
        };
        Ok(Some(Self {
            path: settings.state.join(DIRECTORY).join(hex(&hash.finalize())),
            lists: state_of(&lists).map_err(prepare)?,
        }))
    }

    /// What apt chose the last time, if it would choose the same again. Its notes are put in their places.
    ///
    /// # Errors
    /// When the notes cannot be written.
    pub fn recall(&self, settings: &Settings) -> Result<Option<Choice>, InstallError> {
        let Some(kept) = self.read() else {
            return Ok(None);
        };
        for (path, content) in [
            (&settings.calls, &kept.calls),
            (&settings.extended_states, &kept.extended_states),
        ] {
            fs::write(path, content).map_err(|source| InstallError::Prepare {
                path: path.clone(),
                source,
            })?;
        }
        Ok(Some(Choice {
            archives: kept.archives,
            ..parse(&kept.list)
        }))
    }

    /// What was kept, if it still counts. What cannot be read is as good as nothing.
    fn read(&self) -> Option<Kept> {
        let text = fs::read(&self.path).ok()?;
        let kept: Kept = serde_json::from_slice(&text).ok()?;
        let is_same = |(path, then): (&PathBuf, &String)| stamp(path).is_ok_and(|now| now == *then);
        (kept.lists == self.lists && kept.packages.iter().all(is_same)).then_some(kept)
    }

    /// Keeps what apt has just chosen, all of it verified, and forgets what was chosen from other lists. A
    /// cache that cannot be written to is none.
    pub fn keep(&self, settings: &Settings, choice: &Choice) {
        let text = |path: &Path| fs::read_to_string(path).ok();
        let stamped = choice.packages.iter().map(|one| {
            let stamp = stamp(&one.path).ok()?;
            Some((one.path.clone(), stamp))
        });
        let kept = || {
            Some(Kept {
                lists: self.lists.clone(),
                list: text(&settings.list)?,
                calls: text(&settings.calls)?,
                extended_states: text(&settings.extended_states)?,
                packages: stamped.collect::<Option<_>>()?,
                archives: choice.archives.clone(),
            })
        };
        if let Some(kept) = kept() {
            let _ = self.write(&kept);
        }
    }

    fn write(&self, kept: &Kept) -> io::Result<()> {
        let directory = self.path.parent().unwrap_or(&self.path);
        fs::create_dir_all(directory)?;
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            let known = fs::read(&path)
                .ok()
                .and_then(|text| serde_json::from_slice::<Kept>(&text).ok());
            if known.is_none_or(|known| known.lists != self.lists) {
                fs::remove_file(&path)?;
            }
        }
        let new = self.path.with_extension("new");
        fs::write(&new, serde_json::to_vec(kept)?)?;
        fs::rename(&new, &self.path)
    }
}

/// A settings file without the places of this build's own files.
fn without_places(path: &Path, site: &Site) -> Result<String, InstallError> {
    let text = fs::read_to_string(path).map_err(|source| InstallError::Prepare {
        path: path.to_owned(),
        source,
    })?;
    let text = text.replace(&*site.scratch.to_string_lossy(), "SCRATCH");
    Ok(text.replace(&*site.root.to_string_lossy(), "TREE"))
}

/// Hands over all files beneath a directory, in order; whether that was all that there is. Links to
/// directories are not followed.
fn each_file(
    root: &Root,
    directory: &Path,
    take: &mut impl FnMut(&Path, &[u8]),
) -> Result<bool, TreeError> {
    let mut all = true;
    for entry in root.list(directory)? {
        let path = directory.join(&entry.name);
        if entry.kind == Kind::Directory {
            all &= each_file(root, &path, take)?;
        } else if root.is_file(&path)? {
            take(&path, &root.read(&path)?);
        } else {
            all = false;
        }
    }
    Ok(all)
}

/// The state of the lists: the signed files by what they hold, which has the checksums of all others; those
/// by size and time.
fn state_of(lists: &Path) -> io::Result<String> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(lists)? {
        let entry = entry?;
        let found = entry.metadata()?;
        if !found.is_file() {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        let state = if name.ends_with("Release") {
            hex(&Sha256::digest(fs::read(entry.path())?))
        } else {
            format!(
                "{}:{}.{:09}",
                found.size(),
                found.mtime(),
                found.mtime_nsec()
            )
        };
        files.insert(name, state);
    }
    let lines = files
        .into_iter()
        .map(|(name, state)| format!("{name} {state}\n"));
    Ok(lines.collect())
}

#[cfg(test)]
#[path = "remembered_tests.rs"]
mod tests;
