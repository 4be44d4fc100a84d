//! What packages came from: the state of each repository, and the very archives.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{InstallError, Site};

/// Where an installer leaves word of it, in a build's scratch directory.
const NOTE: &str = "provenance.json";

/// What the packages of a tree came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The repositories, in order of their lists' addresses.
    pub repositories: Vec<Snapshot>,
    /// The packages, in order.
    pub packages: Vec<Archive>,
}

/// A repository at one time: whatever is in it follows from this list, which is signed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Snapshot {
    /// The address of the list, without the scheme.
    pub list: String,
    /// What the list says of its own age, in its own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// The list's SHA-256, in hexadecimal.
    pub sha256: String,
}

/// A package as a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Archive {
    /// Its name.
    pub name: String,
    /// Its full version.
    pub version: String,
    /// Its architecture, by the package manager's name.
    pub architecture: String,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
    /// Whether the repository says that every system has it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
}

impl Provenance {
    /// Leaves word for who called the installer.
    pub(super) fn note(&self, site: &Site) -> Result<(), InstallError> {
        let path = site.scratch.join(NOTE);
        let text = serde_json::to_vec(self).unwrap_or_default();
        std::fs::write(&path, text).map_err(failed(&path))
    }

    /// What an installer left word of in `scratch`, once; nothing, where it does not say.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn take(scratch: &Path) -> Result<Option<Self>, InstallError> {
        let path = scratch.join(NOTE);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed(&path)(source)),
        };
        std::fs::remove_file(&path).map_err(failed(&path))?;
        Ok(serde_json::from_slice(&text).ok())
    }

    /// The same and what another tree came from, each thing once, in order.
    pub fn add(&mut self, other: &Self) {
        self.repositories.extend(other.repositories.iter().cloned());
        self.packages.extend(other.packages.iter().cloned());
        self.repositories.sort();
        self.repositories.dedup();
        self.packages.sort();
        self.packages.dedup();
    }
}

impl Archive {
    /// Name, version and architecture.
    #[must_use]
    pub fn key(&self) -> (&str, &str, &str) {
        (&self.name, &self.version, &self.architecture)
    }
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> InstallError {
    let path: PathBuf = path.to_owned();
    move |source| InstallError::Prepare { path, source }
}
