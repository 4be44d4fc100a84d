//! What takes how much of an image: its files' bytes by package, and by directory where they are of
//! none.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::file_lists::FileLists;
use crate::host::{Cancel, printable, printable_path};
use crate::tree::{Inventory, Root, TreeError, directory_id, inventory};

/// How many of the largest files are named.
const NAMED: usize = 25;
/// How many directories below the root tell files without a package apart: `/var/lib`.
const DEPTH: usize = 2;

/// Everything in an image, in bytes of its files' content: holes are left out, and a file with several
/// names counts once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// All files together.
    pub bytes: u64,
    /// How many there are.
    pub files: u64,
    /// What each package has, the largest first. Packages without a file are left out.
    pub packages: Vec<Share>,
    /// The files that are in no package's list, by directory, the largest first.
    pub others: Vec<Share>,
    /// The largest files of all.
    pub largest: Vec<Large>,
}

/// What belongs together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The package's name, or the directory. May be shown anywhere but as code: it holds no control
    /// characters.
    pub name: String,
    /// The bytes of its files.
    pub bytes: u64,
    /// How many files these are.
    pub files: u64,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Large {
    /// Its path in the image.
    pub path: String,
    /// Its bytes.
    pub bytes: u64,
    /// The package that it is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
}

impl Contents {
    /// Measures the tree at `path`. The lists may be those of a larger tree: what is not there does not
    /// count.
    ///
    /// # Errors
    /// When the tree cannot be read, or somebody wants the build to stop.
    pub fn measure(path: &Path, lists: &FileLists, cancel: &Cancel) -> Result<Self, TreeError> {
        let root = Root::open(path)?;
        let found = inventory(&root, cancel)?;
        let owners = owners(&root, &found, lists);
        Ok(Self::of(&found, &owners))
    }

    fn of(found: &Inventory, owners: &Owners<'_>) -> Self {
        let mut contents = Self::default();
        let mut packages: BTreeMap<&str, Share> = BTreeMap::new();
        let mut others: BTreeMap<PathBuf, Share> = BTreeMap::new();
        for directory in &found.directories {
            for file in &directory.files {
                let owner = owners.get(&(directory.id, file.name.as_os_str())).copied();
                let share = match owner {
                    Some(package) => packages.entry(package).or_default(),
                    None => others.entry(place(&directory.path)).or_default(),
                };
                share.bytes += file.bytes;
                share.files += 1;
                contents.bytes += file.bytes;
                contents.files += 1;
                contents.largest.push(Large {
                    path: printable_path(Path::new("/").join(&directory.path).join(&file.name)),
                    bytes: file.bytes,
                    package: owner.map(printable),
                });
            }
            // Not all of them at once: a tree may have a million.
            contents.keep_largest();
        }
        contents.packages = by_size(packages.into_iter().map(|(name, share)| Share {
            name: printable(name),
            ..share
        }));
        contents.others = by_size(others.into_iter().map(|(path, share)| Share {
            name: printable_path(path),
            ..share
        }));
        contents
    }

    fn keep_largest(&mut self) {
        let key = |file: &Large| (std::cmp::Reverse(file.bytes), file.path.clone());
        self.largest.sort_by_cached_key(key);
        self.largest.truncate(NAMED);
    }
}

/// By the identity of the directory and the name in it: the package. Databases write paths through
/// links (`/bin/sh`, where `/bin` is a link), so the path alone would not do.
type Owners<'a> = HashMap<((u64, u64), &'a OsStr), &'a str>;

fn owners<'a>(root: &Root, found: &Inventory, lists: &'a FileLists) -> Owners<'a> {
    let mut ids: HashMap<&[u8], Option<(u64, u64)>> = HashMap::new();
    // Most directories are listed as they are.
    for directory in &found.directories {
        ids.insert(directory.path.as_os_str().as_bytes(), Some(directory.id));
    }
    let mut owners = Owners::new();
    for (package, paths) in lists {
        for path in paths {
            let path = path.strip_prefix(b"/").unwrap_or(path);
            let end = path.iter().rposition(|byte| *byte == b'/');
            let (directory, name) = match end {
                Some(end) => (&path[..end], &path[end + 1..]),
                None => (&path[..0], path),
            };
            let id = ids
                .entry(directory)
                .or_insert_with(|| directory_id(root, Path::new(OsStr::from_bytes(directory))));
            if let Some(id) = *id {
                // Where several packages have the same file, the first in order has it here.
                let key = (id, OsStr::from_bytes(name));
                owners.entry(key).or_insert(package.as_str());
            }
        }
    }
    owners
}

/// Where a file without a package is counted.
fn place(directory: &Path) -> PathBuf {
    Path::new("/").join(directory.components().take(DEPTH).collect::<PathBuf>())
}

fn by_size(shares: impl Iterator<Item = Share>) -> Vec<Share> {
    let mut shares: Vec<Share> = shares.collect();
    shares.sort_by(|a, b| (b.bytes, &a.name).cmp(&(a.bytes, &b.name)));
    shares
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn files_belong_to_packages_or_directories() {
        let tree = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: usize| {
            let path = tree.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, vec![b'x'; bytes]).unwrap();
        };
        put("usr/bin/dash", 100);
        put("usr/bin/env", 40);
        put("usr/share/doc/dash/copyright", 7);
        put("boot/initrd.img", 5000);
        put("var/lib/dpkg/status", 30);
        put("var/lib/dpkg/info/dash.list", 3);
        put("odd\x1b[31m\nname", 9);
        symlink("usr/bin", tree.path().join("bin")).unwrap();
        symlink("/outside/of/it", tree.path().join("etc")).unwrap();

        let list = |paths: &[&str]| paths.iter().map(|p| p.as_bytes().to_vec()).collect();
        let lists = FileLists::from([
            (
                "dash".to_owned(),
                list(&["/.", "/bin", "/bin/dash", "/usr/share/doc/dash/copyright"]),
            ),
            (
                "utils".to_owned(),
                list(&["usr/bin/env", "/usr/bin/dash", "/etc/passwd", "/gone/a"]),
            ),
            ("empty".to_owned(), list(&["/usr"])),
        ]);
        let found = Contents::measure(tree.path(), &lists, &Cancel::default()).unwrap();
        let shares = |shares: &[Share]| {
            let line = |s: &Share| format!("{} {} {}", s.name, s.bytes, s.files);
            shares.iter().map(line).collect::<Vec<_>>()
        };
        assert_eq!(shares(&found.packages), ["dash 107 2", "utils 40 1"]);
        assert_eq!(
            shares(&found.others),
            ["/boot 5000 1", "/var/lib 33 2", "/ 9 1"]
        );
        assert_eq!((found.bytes, found.files), (5189, 7));
        assert_eq!(found.largest[0].path, "/boot/initrd.img");
        assert_eq!(found.largest[1].package.as_deref(), Some("dash"));
        assert!(found.largest.iter().all(|file| !file.path.contains('\x1b')));
    }
}
