//! What package managers of the host leave in a tree at the path of a directory outside it: they put
//! the tree's path before some of the paths that they were told, and not before others.

use std::path::{Path, PathBuf};

use crate::installer::InstallError;
use crate::tree::Root;

/// Directories that packages make, empty or not.
const OF_PACKAGES: [&str; 15] = [
    "etc",
    "home",
    "media",
    "mnt",
    "opt",
    "root",
    "run",
    "srv",
    "tmp",
    "usr",
    "var",
    "var/cache",
    "var/lib",
    "var/log",
    "var/tmp",
];

/// A directory of the host, and which of those above it the tree did not have.
#[derive(Debug)]
pub(in crate::installer) struct Leavings {
    path: PathBuf,
    /// The innermost first.
    missing: Vec<PathBuf>,
    there: bool,
}

impl Leavings {
    /// Notes what a tree has of the path of `directory` before a package manager runs.
    pub fn expect(root: &Root, directory: &Path) -> Result<Self, InstallError> {
        let path = directory.strip_prefix("/").unwrap_or(directory).to_owned();
        let mut missing = Vec::new();
        for above in path.ancestors().skip(1) {
            let is_of_packages = OF_PACKAGES.iter().any(|name| above == Path::new(name));
            if above.as_os_str().is_empty() || is_of_packages {
                break;
            }
            if !root.exists(above)? {
                missing.push(above.to_owned());
            }
        }
        let there = root.exists(&path)?;
        Ok(Self {
            path,
            missing,
            there,
        })
    }

    /// Removes what was not there.
    pub fn remove(self, root: &Root) -> Result<(), InstallError> {
        if self.there {
            return Ok(());
        }
        root.remove_tree(&self.path)?;
        for directory in self.missing {
            if !root.is_dir(&directory)? || !root.list(&directory)?.is_empty() {
                break;
            }
            root.remove_empty_dir(&directory)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_of_packages_stay() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        root.create_dir_all("srv/work", 0o755).unwrap();
        for (path, gone) in [
            ("/home/ann/project/.mkosi-work-x/cache", "home/ann"),
            ("/srv/build/cache", "srv/build/cache"),
            ("/build/cache", "build"),
        ] {
            let leavings = Leavings::expect(&root, Path::new(path)).unwrap();
            let inside = path.trim_start_matches('/');
            root.create_dir_all(format!("{inside}/solv/@System"), 0o755)
                .unwrap();
            leavings.remove(&root).unwrap();
            assert!(!root.exists(gone).unwrap(), "{path}");
        }
        assert!(root.exists("home").unwrap());
        assert!(root.exists("srv/work").unwrap());
    }
}
