//! What a tree's dpkg database says of the packages that are there.

use std::collections::HashSet;
use std::path::Path;

use super::control::Package;
use crate::installer::apt::DPKG_STATUS;
use crate::tree::{Root, TreeError};

const INFO: &str = "var/lib/dpkg/info";
/// Changes to the database that dpkg has not put into it yet.
const UPDATES: &str = "var/lib/dpkg/updates";
/// The architectures that dpkg knows besides, one a line.
const NATIVE: &str = "var/lib/dpkg/arch";

/// Packages of a tree and their files.
#[derive(Debug, Default)]
pub(super) struct Installed {
    /// Every package that the database knows, also those that were removed.
    names: HashSet<String>,
    /// Whether dpkg finished what it began, and the database is one that can be added to.
    is_sound: bool,
    /// The version of dpkg itself.
    pub dpkg: String,
    /// Every path of every package, as `/etc/x`.
    paths: HashSet<Vec<u8>>,
}

impl Installed {
    /// Reads the database.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(root: &Root) -> Result<Self, TreeError> {
        let mut found = Self::default();
        let status = root.read(DPKG_STATUS)?;
        let is_whole = found.read_status(&String::from_utf8_lossy(&status));
        let format = root.read_if_present(Path::new(INFO).join("format"))?;
        let updates = root.is_dir(UPDATES)? && !root.list(UPDATES)?.is_empty();
        let architectures = root.read_if_present(NATIVE)?.unwrap_or_default();
        let foreign = architectures
            .split(|b| *b == b'\n')
            .filter(|l| !l.is_empty());
        found.is_sound =
            is_whole && !updates && format.as_deref() == Some(b"1\n") && foreign.count() <= 1;
        for entry in root.list(INFO)? {
            if Path::new(&entry.name)
                .extension()
                .is_some_and(|e| e == "list")
            {
                let list = root.read(Path::new(INFO).join(&entry.name))?;
                let lines = list.split(|byte| *byte == b'\n').filter(|l| !l.is_empty());
                found.paths.extend(lines.map(<[u8]>::to_vec));
            }
        }
        Ok(found)
    }

    /// Reads names and states; whether every package is installed, or gone.
    fn read_status(&mut self, status: &str) -> bool {
        let mut is_whole = true;
        for stanza in status.split("\n\n").filter(|s| !s.trim().is_empty()) {
            let field = |name: &str| stanza.lines().find_map(|line| line.strip_prefix(name));
            let name = field("Package: ").unwrap_or_default();
            let state = field("Status: ").unwrap_or_default();
            let words: Vec<&str> = state.split(' ').collect();
            is_whole &= matches!(
                words.as_slice(),
                [_, "ok", "installed" | "config-files" | "not-installed"]
            );
            if name == "dpkg" {
                field("Version: ")
                    .unwrap_or_default()
                    .clone_into(&mut self.dpkg);
            }
            self.names.insert(name.to_owned());
        }
        is_whole
    }

    /// Whether these packages can be added without dpkg's judgement of what is there: they are new
    /// to the database, and of the tree's own architecture.
    pub fn takes(&self, packages: &[Package], architecture: &str) -> bool {
        self.is_sound
            && packages.iter().all(|package| {
                !self.names.contains(&package.name)
                    && [architecture, "all"].contains(&package.architecture.as_str())
            })
    }

    /// Whether some package has a path.
    pub fn has(&self, path: &[u8]) -> bool {
        self.paths.contains(path)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{deb, tar};
    use super::*;

    const STATUS: &str = "Package: dpkg\nStatus: install ok installed\nVersion: 1.21\n\n\
                          Package: gone\nStatus: deinstall ok config-files\nVersion: 2\n\n";

    fn installed(status: &str, more: &[(&str, &str)]) -> Installed {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::open(directory.path()).unwrap();
        let files = [
            (DPKG_STATUS, status),
            ("var/lib/dpkg/info/format", "1\n"),
            ("var/lib/dpkg/info/dpkg.list", "/.\n/usr\n/usr/bin/dpkg\n"),
        ];
        for (path, content) in files.iter().chain(more) {
            root.write(path, content, 0o644).unwrap();
        }
        Installed::of(&root).unwrap()
    }

    fn package(name: &str, architecture: &str) -> Package {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.deb");
        let control = format!("Package: {name}\nVersion: 1\nArchitecture: {architecture}\n");
        std::fs::write(&path, deb(&tar(&[("./control", &control)]), &tar(&[]))).unwrap();
        Package::read(path).unwrap()
    }

    #[test]
    fn only_new_packages_of_the_architecture_are_added() {
        let found = installed(STATUS, &[]);
        assert_eq!(found.dpkg, "1.21");
        assert!(found.has(b"/usr/bin/dpkg") && !found.has(b"/usr/bin"));
        for (name, architecture, expected) in [
            ("new", "amd64", true),
            ("new", "all", true),
            ("new", "arm64", false),
            ("dpkg", "amd64", false),
            ("gone", "amd64", false),
        ] {
            let packages = [package(name, architecture)];
            assert_eq!(found.takes(&packages, "amd64"), expected, "{name}");
        }
    }

    #[test]
    fn a_database_in_the_middle_of_something_is_dpkgs() {
        let half = format!("{STATUS}Package: x\nStatus: install ok half-configured\n\n");
        let new = [package("new", "all")];
        assert!(!installed(&half, &[]).takes(&new, "amd64"));
        for (path, content) in [
            ("var/lib/dpkg/updates/0001", ""),
            ("var/lib/dpkg/info/format", "2\n"),
            ("var/lib/dpkg/arch", "amd64\ni386\n"),
        ] {
            let found = installed(STATUS, &[(path, content)]);
            assert!(!found.takes(&new, "amd64"), "{path}");
        }
    }
}
