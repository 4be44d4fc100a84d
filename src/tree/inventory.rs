//! Every file of a tree, with what it takes.

use std::collections::HashSet;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::error::TreeError;
use super::listing::{list, open_child};
use super::root::Root;
use super::size::data_bytes;
use super::stat::{Kind, Metadata};
use crate::host::Cancel;

/// Every regular file of a tree, by directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The directories that hold files, each before those below it, in byte order.
    pub directories: Vec<Directory>,
}

/// One directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// Its path in the image, without a slash at the start: no link leads there.
    pub path: PathBuf,
    /// Device and inode number: the same by whichever path it is opened.
    pub id: (u64, u64),
    /// Its regular files, in byte order.
    pub files: Vec<File>,
}

/// One regular file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name in the directory.
    pub name: OsString,
    /// Its length in bytes without holes; 0 for another name of a file that was counted.
    pub bytes: u64,
    /// The lengths of its holes in bytes; 0 for another name of a file that was counted.
    pub holes: u64,
}

/// Lists the files below `root`.
///
/// # Errors
/// When something cannot be read, or somebody wants the build to stop.
pub fn inventory(root: &Root, cancel: &Cancel) -> Result<Inventory, TreeError> {
    let mut job = Job {
        root,
        cancel,
        counted: HashSet::new(),
        found: Inventory::default(),
    };
    job.directory(root.open_dir("")?, Path::new(""))?;
    Ok(job.found)
}

/// The identity of a directory of the image, by a path in it; none where there is no such directory.
/// Links are followed inside the image.
#[must_use]
pub fn directory_id(root: &Root, path: &Path) -> Option<(u64, u64)> {
    let directory = root.open_dir(path).ok()?;
    Metadata::of(&directory).ok().map(|meta| meta.id)
}

struct Job<'a> {
    root: &'a Root,
    cancel: &'a Cancel,
    /// Files with several names that were counted.
    counted: HashSet<(u64, u64)>,
    found: Inventory,
}

impl Job<'_> {
    fn directory(&mut self, fd: OwnedFd, path: &Path) -> Result<(), TreeError> {
        if self.cancel.is_cancelled() {
            return Err(TreeError::Cancelled);
        }
        let root = self.root;
        let failed = |e| root.failed("look at", path, e);
        let id = Metadata::of(&fd).map_err(failed)?.id;
        let mut files = Vec::new();
        let mut below = Vec::new();
        for entry in list(&fd).map_err(failed)? {
            match entry.kind {
                Kind::Directory => below.push(entry.name),
                Kind::File => {
                    let meta = Metadata::at(&fd, &entry.name).map_err(failed)?;
                    let counts = meta.links < 2 || self.counted.insert(meta.id);
                    let (bytes, holes) = if counts {
                        let bytes = data_bytes(&fd, &entry, &meta).map_err(failed)?;
                        let bytes = bytes.min(meta.size);
                        (bytes, meta.size - bytes)
                    } else {
                        (0, 0)
                    };
                    let name = entry.name;
                    files.push(File { name, bytes, holes });
                }
                _ => {}
            }
        }
        if !files.is_empty() {
            let path = path.to_owned();
            self.found.directories.push(Directory { path, id, files });
        }
        for name in below {
            let path = path.join(&name);
            let fd = open_child(&fd, &name).map_err(|e| root.failed("look at", &path, e))?;
            self.directory(fd, &path)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn each_file_counts_once_without_its_holes() {
        let tree = tempfile::tempdir().unwrap();
        let at = |name: &str| tree.path().join(name);
        fs::create_dir_all(at("usr/bin")).unwrap();
        symlink("usr/bin", at("bin")).unwrap();
        fs::write(at("usr/bin/a"), [1; 5000]).unwrap();
        fs::hard_link(at("usr/bin/a"), at("usr/bin/b")).unwrap();
        let sparse = fs::File::create(at("usr/sparse")).unwrap();
        sparse.set_len(1 << 30).unwrap();
        symlink("/etc/passwd", at("link")).unwrap();

        let root = Root::open(tree.path()).unwrap();
        let found = inventory(&root, &Cancel::default()).unwrap();
        let files: Vec<_> = found
            .directories
            .iter()
            .flat_map(|d| d.files.iter().map(|f| (d.path.join(&f.name), f.bytes)))
            .collect();
        assert_eq!(
            files,
            [
                ("usr/sparse".into(), 0),
                ("usr/bin/a".into(), 5000),
                ("usr/bin/b".into(), 0),
            ]
        );
        assert_eq!(found.directories[0].files[0].holes, 1 << 30);
        let id = found.directories[1].id;
        assert_eq!(directory_id(&root, Path::new("bin")), Some(id));
        assert_eq!(directory_id(&root, Path::new("usr/bin/a")), None);
        let cancel = Cancel::default();
        cancel.cancel();
        assert!(matches!(
            inventory(&root, &cancel),
            Err(TreeError::Cancelled)
        ));
    }
}
