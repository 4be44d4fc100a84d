//! The manifest: what is in an image, as JSON.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use super::{Material, OutputError, apk, dpkg, pacman, rpm, swupd};
use crate::distro::provenance::{Provenance, Snapshot};
use crate::host::Host;

/// Raised when a field changes its meaning or goes away.
const VERSION: u32 = 1;

/// What an image is: the manifest's head.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Subject {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The distribution in it.
    pub distribution: String,
    /// The distribution's release.
    pub release: String,
    /// The architecture, by the kernel's name.
    pub architecture: String,
}

/// The kinds of package databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PackageType {
    /// dpkg's.
    Deb,
    /// rpm's.
    Rpm,
    /// pacman's.
    Pacman,
    /// apk's.
    Apk,
    /// swupd's.
    Bundle,
}

/// What a package was built from.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// An installed package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Package {
    /// Whose package it is.
    #[serde(rename = "type")]
    pub kind: PackageType,
    /// Its name.
    pub name: String,
    /// Its full version.
    pub version: String,
    /// Its architecture, by the package manager's name.
    pub architecture: String,
    /// The bytes that it takes when installed, as its maker stated them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The SHA-256 of the file that it was installed from, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// What it was built from.
    #[serde(skip)]
    pub source: Source,
}

/// The content of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Manifest {
    manifest_version: u32,
    config: Subject,
    /// The state of the repositories that the packages came from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    repositories: Vec<Snapshot>,
    /// What of the project's and the host's files went in, in the order in which it did.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<Material>,
    packages: Vec<Package>,
}

impl Manifest {
    /// A manifest of these packages, which are brought into order.
    #[must_use]
    pub fn new(config: Subject, mut packages: Vec<Package>) -> Self {
        packages.sort();
        packages.dedup();
        Self {
            manifest_version: VERSION,
            config,
            repositories: Vec::new(),
            inputs: Vec::new(),
            packages,
        }
    }

    /// A manifest of the packages that the databases in `tree` say are installed; none where there
    /// is no database. Must be read before package databases are cleaned away.
    ///
    /// # Errors
    /// The package database cannot be read.
    pub fn read(config: Subject, tree: &Path, host: &Host) -> Result<Self, OutputError> {
        Self::with_rpm(config, rpm::installed(tree, host)?, tree)
    }

    /// As [`Manifest::read`], of a tree in which nothing may be written.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_untouched(config: Subject, tree: &Path, host: &Host) -> Result<Self, OutputError> {
        Self::with_rpm(config, rpm::installed_by_copy(tree, host)?, tree)
    }

    fn with_rpm(
        config: Subject,
        mut packages: Vec<Package>,
        tree: &Path,
    ) -> Result<Self, OutputError> {
        for installed in [
            dpkg::installed,
            pacman::installed,
            apk::installed,
            swupd::installed,
        ] {
            packages.extend(installed(tree)?);
        }
        Ok(Self::new(config, packages))
    }

    /// The same without the packages of another one.
    #[must_use]
    pub fn without(mut self, other: &Self) -> Self {
        self.packages
            .retain(|package| other.packages.binary_search(package).is_err());
        self
    }

    /// The same with what the packages came from.
    #[must_use]
    pub fn from(mut self, provenance: &Provenance) -> Self {
        self.repositories.clone_from(&provenance.repositories);
        let sums: HashMap<_, _> = provenance
            .packages
            .iter()
            .map(|one| (one.key(), &one.sha256))
            .collect();
        for package in &mut self.packages {
            let Package {
                name,
                version,
                architecture,
                ..
            } = &*package;
            let sum = sums.get(&(name.as_str(), version.as_str(), architecture.as_str()));
            package.sha256 = sum.map(|sum| (*sum).clone());
        }
        self
    }

    /// The same with what of the project's and the host's files went in, in the order in which it did.
    #[must_use]
    pub fn made_from(mut self, inputs: Vec<Material>) -> Self {
        self.inputs = inputs;
        self
    }

    /// What the image is.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.config
    }

    /// The packages, in order.
    #[must_use]
    pub fn packages(&self) -> &[Package] {
        &self.packages
    }

    /// Writes a line for each package: its name, a blank, its version, and its architecture behind
    /// another one.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_lines(&self, mut to: impl Write) -> io::Result<()> {
        for package in &self.packages {
            let Package {
                name,
                version,
                architecture,
                ..
            } = package;
            writeln!(to, "{name} {version} {architecture}")?;
        }
        Ok(())
    }

    /// Writes the manifest as JSON: two spaces deep, a newline at the end.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, mut to: impl Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut to, self)?;
        to.write_all(b"\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::MaterialKind;

    fn package(name: &str, architecture: &str, size: Option<u64>) -> Package {
        Package {
            kind: PackageType::Deb,
            name: name.to_owned(),
            version: "1:2.0-3+b1".to_owned(),
            architecture: architecture.to_owned(),
            size,
            sha256: None,
            source: Source::default(),
        }
    }

    #[test]
    fn json() {
        let subject = Subject {
            name: Some("web".to_owned()),
            version: None,
            distribution: "debian".to_owned(),
            release: "bookworm".to_owned(),
            architecture: "x86_64".to_owned(),
        };
        let manifest = Manifest::new(
            subject,
            vec![
                package("zlib1g", "i386", None),
                package("bash", "amd64", Some(7_000_000)),
                package("zlib1g", "amd64", Some(1024)),
                package("bash", "amd64", Some(7_000_000)),
            ],
        );
        let mut text = Vec::new();
        manifest.write(&mut text).unwrap();
        let expected = r#"{
  "manifest_version": 1,
  "config": {
    "name": "web",
    "distribution": "debian",
    "release": "bookworm",
    "architecture": "x86_64"
  },
  "packages": [
    {
      "type": "deb",
      "name": "bash",
      "version": "1:2.0-3+b1",
      "architecture": "amd64",
      "size": 7000000
    },
    {
      "type": "deb",
      "name": "zlib1g",
      "version": "1:2.0-3+b1",
      "architecture": "amd64",
      "size": 1024
    },
    {
      "type": "deb",
      "name": "zlib1g",
      "version": "1:2.0-3+b1",
      "architecture": "i386"
    }
  ]
}
"#;
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn what_went_in_stands_before_the_packages() {
        let material = |kind, name: &str, commit: Option<&str>| Material {
            kind,
            name: name.to_owned(),
            sha256: "0".repeat(64),
            commit: commit.map(str::to_owned),
        };
        let manifest = Manifest::new(Subject::default(), Vec::new()).made_from(vec![
            material(MaterialKind::SkeletonTree, "mkosi.skeleton", None),
            material(MaterialKind::Sources, ".", Some("c0ffee")),
        ]);
        let mut text = Vec::new();
        manifest.write(&mut text).unwrap();
        let text = String::from_utf8(text)
            .unwrap()
            .replace(&"0".repeat(64), "…");
        let expected = r#"
  "inputs": [
    {
      "kind": "skeleton-tree",
      "name": "mkosi.skeleton",
      "sha256": "…"
    },
    {
      "kind": "sources",
      "name": ".",
      "sha256": "…",
      "commit": "c0ffee"
    }
  ],
  "packages": []
}
"#;
        assert!(text.ends_with(expected), "{text}");
    }

    #[test]
    fn an_image_without_package_database_has_no_packages() {
        let tree = tempfile::tempdir().unwrap();
        let recorder = std::sync::Arc::new(crate::host::Recorder::default());
        let quiet = std::sync::Arc::new(crate::host::Quiet);
        let host = Host::new(recorder, quiet, crate::host::Cancel::default());
        let manifest = Manifest::read(Subject::default(), tree.path(), &host).unwrap();
        assert_eq!(manifest.packages(), []);
    }
}
