//! Subvolumes: those within a root file system, and a subvolume of the host as an image of its own.

use std::fs;
use std::path::Path;

use rustix::fs::{XattrFlags, lsetxattr};

use super::Algorithm;
use crate::disk::DiskError;
use crate::host::{Host, create_subvolume};
use crate::tree::{CopyOptions, Root, copy_tree};

/// Directories of a system that are subvolumes of their own, so that snapshots of the system leave
/// them alone. The outer ones first.
const NESTED: [&str; 4] = ["home", "srv", "var", "var/tmp"];

/// The attribute by which btrfs knows what compresses a file, and new ones in a directory.
const COMPRESSION: &str = "btrfs.compression";

/// A subvolume that becomes an image.
#[derive(Clone, Copy, Debug)]
pub struct Subvolume<'a> {
    /// The finished tree.
    pub tree: &'a Path,
    /// Where the subvolume is made: a path at which nothing is, on btrfs.
    pub target: &'a Path,
    /// What compresses its files, now and from then on.
    pub compress: Option<Algorithm>,
    /// The time in seconds that nothing in it shall be newer than (`SOURCE_DATE_EPOCH`).
    pub latest: Option<u64>,
}

/// The directories of a tree, the outer ones first, that are subvolumes of a root file system.
pub(super) fn nested(tree: &Path) -> Result<Vec<&'static str>, DiskError> {
    let mut nested = Vec::new();
    for path in NESTED {
        if is_directory(tree, path)? {
            nested.push(path);
        }
    }
    Ok(nested)
}

/// Whether `path`, without a symbolic link anywhere on it, is a directory of the tree.
fn is_directory(tree: &Path, path: &str) -> Result<bool, DiskError> {
    let mut at = tree.to_owned();
    for part in Path::new(path) {
        at.push(part);
        match fs::symlink_metadata(&at) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Ok(false),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(e) => return Err(DiskError::io("read", &at)(e)),
        }
    }
    Ok(true)
}

/// Copies a tree into a new subvolume with subvolumes in it. On the file system where the tree is,
/// the copy shares its data with the tree unless it is to be compressed.
///
/// # Errors
/// When it cannot be made, as on another file system than btrfs.
pub fn make_subvolume(subvolume: &Subvolume<'_>, host: &Host) -> Result<(), DiskError> {
    let Subvolume {
        tree,
        target,
        compress,
        latest,
    } = *subvolume;
    create_subvolume(target)?;
    if let Some(algorithm) = compress {
        // What is made inside inherits it, subvolumes too.
        let flags = XattrFlags::empty();
        lsetxattr(target, COMPRESSION, algorithm.name().as_bytes(), flags)
            .map_err(|e| DiskError::io("set the compression of", target)(e.into()))?;
    }
    for path in nested(tree)? {
        create_subvolume(&target.join(path))?;
    }
    let options = CopyOptions {
        share: compress.is_none(),
        ..CopyOptions::faithful(latest)
    };
    let (report, cancel) = (host.report.as_ref(), &host.cancel);
    copy_tree(
        &Root::open(target)?,
        tree,
        Path::new(""),
        &options,
        report,
        cancel,
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_real_directories_become_subvolumes() {
        let tree = tempfile::tempdir().unwrap();
        let at = |path: &str| tree.path().join(path);
        fs::create_dir_all(at("data/tmp")).unwrap();
        std::os::unix::fs::symlink("data", at("var")).unwrap();
        fs::create_dir(at("home")).unwrap();
        fs::write(at("srv"), "").unwrap();
        assert_eq!(nested(tree.path()).unwrap(), ["home"]);
    }
}
