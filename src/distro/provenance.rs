//! What packages came from: the state of each repository, and the very archives.

use serde::{Deserialize, Serialize};

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

/// Name, version and architecture of a package.
pub type Identity = (String, String, String);

/// A package as a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
    /// The short name of the repository that had it, where the package manager remembers that or checks
    /// the packages of one and not of another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
}

impl Provenance {
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

    /// The same, for keeping.
    #[must_use]
    pub fn identity(&self) -> Identity {
        let (name, version, architecture) = self.key();
        (name.to_owned(), version.to_owned(), architecture.to_owned())
    }
}
