//! How much room a tree needs in a file system that is made for it.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::Scope;
use rustix::fs::{Mode, OFlags, SeekFrom, openat, seek};
use rustix::io::Errno;

use super::error::TreeError;
use super::listing::{Entry, list, open_child};
use super::root::{Root, clean};
use super::stat::{Kind, Metadata};
use super::xattrs::{self, Of};
use crate::host::Cancel;

/// The block size of the file systems that are made.
const BLOCK: u64 = 4096;

/// ext4 keeps targets of links up to this length in the inode.
const SHORT_LINK: u64 = 59;

/// The size of a tree, in numbers that do not depend on the file system it is in now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeSize {
    /// Content of regular files in bytes, in blocks of 4096; holes are left out, and a file with
    /// several names counts once.
    pub data_bytes: u64,
    /// Files, directories, links and everything else; one with several names counts once. The top
    /// directory counts too.
    pub inodes: u64,
    /// Directories, the top one too.
    pub dirs: u64,
    /// Names in directories, those of one file each for itself.
    pub names: u64,
    /// The lengths of these names in bytes.
    pub name_bytes: u64,
    /// Names in directories, in blocks of 4096 bytes per directory: 8 bytes and the name, rounded up
    /// to 4, for each entry.
    pub dir_bytes: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// One block of 4096 bytes for each symbolic link whose target is longer than 59 bytes.
    pub symlink_bytes: u64,
    /// One block of 4096 bytes for each inode with extended attributes: the most that ext4 needs.
    pub xattr_bytes: u64,
}

impl TreeSize {
    /// All bytes that need blocks; inodes are on top.
    #[must_use]
    pub fn block_bytes(&self) -> u64 {
        [self.dir_bytes, self.symlink_bytes, self.xattr_bytes]
            .into_iter()
            .fold(self.data_bytes, u64::saturating_add)
    }

    /// The sum of both. Where a file system does not tell where holes are, few files can be more bytes
    /// than there are numbers for.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            data_bytes: self.data_bytes.saturating_add(other.data_bytes),
            inodes: self.inodes + other.inodes,
            dirs: self.dirs + other.dirs,
            names: self.names + other.names,
            name_bytes: self.name_bytes + other.name_bytes,
            dir_bytes: self.dir_bytes + other.dir_bytes,
            symlinks: self.symlinks + other.symlinks,
            symlink_bytes: self.symlink_bytes + other.symlink_bytes,
            xattr_bytes: self.xattr_bytes + other.xattr_bytes,
        }
    }
}

/// Measures the directory `path` of the image, leaving out what is in the directories `without`
/// (paths in the image; they themselves count, empty), as those that get a partition of their own.
///
/// # Errors
/// When something cannot be read.
pub fn measure(
    root: &Root,
    path: &Path,
    without: &[&Path],
    cancel: &Cancel,
) -> Result<TreeSize, TreeError> {
    let path = clean(path)?;
    let without = without
        .iter()
        .map(|path| clean(path))
        .collect::<Result<Vec<_>, _>>()?;
    let dir = root.open_dir(&path)?;
    let job = Job {
        root,
        cancel,
        without,
        total: Mutex::default(),
        counted: Mutex::default(),
        failure: Mutex::default(),
    };
    rayon::scope(|scope| job.visit(scope, Arc::new(dir), path));
    if cancel.is_cancelled() {
        return Err(TreeError::Cancelled);
    }
    let failure = job.failure.into_inner();
    match failure.unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(job
            .total
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)),
    }
}

struct Job<'a> {
    root: &'a Root,
    cancel: &'a Cancel,
    without: Vec<PathBuf>,
    total: Mutex<TreeSize>,
    /// Files with several names that were counted.
    counted: Mutex<HashSet<(u64, u64)>>,
    failure: Mutex<Option<TreeError>>,
}

impl<'s> Job<'_> {
    fn visit(&'s self, scope: &Scope<'s>, dir: Arc<OwnedFd>, path: PathBuf) {
        match self.directory(scope, &dir, &path) {
            Ok(size) => {
                let mut total = self.total.lock().unwrap_or_else(PoisonError::into_inner);
                *total = total.plus(size);
            }
            Err(e) => {
                let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
                failure.get_or_insert(e);
            }
        }
    }

    fn stopped(&self) -> bool {
        let failed = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failed.is_some() || self.cancel.is_cancelled()
    }

    /// One directory and what is in it, but not what is in directories in it.
    fn directory(
        &'s self,
        scope: &Scope<'s>,
        dir: &Arc<OwnedFd>,
        path: &Path,
    ) -> Result<TreeSize, TreeError> {
        let mut size = TreeSize {
            inodes: 1,
            dirs: 1,
            ..TreeSize::default()
        };
        if has_xattrs(Of::fd(dir)).map_err(|e| self.root.failed("look at", path, e))? {
            size.xattr_bytes = BLOCK;
        }
        // `.` and `..`
        let mut names = 24;
        let left_out = self.without.iter().any(|other| other == path);
        let entries = if left_out || self.stopped() {
            Vec::new()
        } else {
            list(dir).map_err(|e| self.root.failed("list", path, e))?
        };
        for entry in entries {
            let length = entry.name.len() as u64;
            size.names += 1;
            size.name_bytes += length;
            names += 8 + length.next_multiple_of(4);
            if entry.kind == Kind::Directory {
                let dir = Arc::clone(dir);
                let below = path.join(&entry.name);
                scope.spawn(move |scope| {
                    if self.stopped() {
                        return;
                    }
                    match open_child(&*dir, &entry.name) {
                        Ok(fd) => {
                            drop(dir);
                            self.visit(scope, Arc::new(fd), below);
                        }
                        Err(e) => {
                            let e = self.root.failed("list", &below, e);
                            let failure = self.failure.lock();
                            let mut failure = failure.unwrap_or_else(PoisonError::into_inner);
                            failure.get_or_insert(e);
                        }
                    }
                });
            } else {
                let other = self
                    .other(dir, &entry)
                    .map_err(|e| self.root.failed("look at", &path.join(&entry.name), e))?;
                size = size.plus(other);
            }
        }
        size.dir_bytes += u64::next_multiple_of(names, BLOCK);
        Ok(size)
    }

    /// Anything but a directory.
    fn other(&self, dir: &OwnedFd, entry: &Entry) -> rustix::io::Result<TreeSize> {
        let meta = Metadata::at(dir, &entry.name)?;
        if meta.links > 1 {
            let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
            if !counted.insert(meta.id) {
                return Ok(TreeSize::default());
            }
        }
        let mut size = TreeSize {
            inodes: 1,
            ..TreeSize::default()
        };
        match meta.kind {
            Kind::File => size.data_bytes = data_bytes(dir, entry, &meta)?,
            Kind::Symlink => {
                size.symlinks = 1;
                if meta.size > SHORT_LINK {
                    size.symlink_bytes = BLOCK;
                }
            }
            _ => {}
        }
        if has_xattrs(Of::name(dir, &entry.name))? {
            size.xattr_bytes = BLOCK;
        }
        Ok(size)
    }
}

/// Whether attributes are to be stored; labels of the host are not.
fn has_xattrs(of: Of<'_>) -> rustix::io::Result<bool> {
    Ok(xattrs::names(of)?.iter().any(|name| xattrs::travels(name)))
}

/// The blocks of a file's content. Where fewer bytes are allocated than the file is long it has
/// holes or is compressed; only the file system can tell which.
pub(super) fn data_bytes(dir: &OwnedFd, entry: &Entry, meta: &Metadata) -> rustix::io::Result<u64> {
    // Sizes of files are signed: there is room to round up.
    let whole = meta.size.next_multiple_of(BLOCK);
    if meta.allocated >= meta.size {
        return Ok(whole);
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(dir, &entry.name, flags, Mode::empty())?;
    let mut bytes = 0;
    let mut end = 0;
    while end < meta.size {
        let start = match seek(&file, SeekFrom::Data(end)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(whole),
            Err(e) => return Err(e),
        };
        let hole = seek(&file, SeekFrom::Hole(start))?.min(meta.size);
        if hole <= end {
            break;
        }
        end = hole;
        bytes += end
            .next_multiple_of(BLOCK)
            .saturating_sub(start / BLOCK * BLOCK);
    }
    Ok(bytes.min(whole))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{FileExt as _, symlink};

    #[test]
    fn counts_what_a_file_system_will_hold() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        fs::create_dir_all(at("a/b")).unwrap();
        fs::create_dir_all(at("home/user")).unwrap();
        fs::write(at("home/user/big"), vec![1; 100_000]).unwrap();
        fs::write(at("a/five-thousand"), vec![1; 5000]).unwrap();
        fs::hard_link(at("a/five-thousand"), at("a/b/again")).unwrap();
        fs::write(at("empty"), "").unwrap();
        let sparse = fs::File::create(at("sparse")).unwrap();
        sparse.write_at(b"x", 1 << 20).unwrap();
        sparse.set_len(1 << 30).unwrap();
        symlink("x", at("short")).unwrap();
        symlink("x".repeat(100), at("long")).unwrap();
        let note = fs::File::open(at("empty")).unwrap();
        xattrs::set(Of::fd(&note), c"user.note", b"x").unwrap();
        let root = Root::open(dir.path()).unwrap();
        let size = |without: &[&Path]| {
            measure(&root, Path::new("/"), without, &Cancel::default()).unwrap()
        };
        let all = TreeSize {
            data_bytes: 8192 + 4096 + 102_400,
            inodes: 11,
            dirs: 5,
            names: 11,
            name_bytes: 51,
            dir_bytes: 5 * 4096,
            symlinks: 2,
            symlink_bytes: 4096,
            xattr_bytes: 4096,
        };
        assert_eq!(size(&[]), all);
        let rest = TreeSize {
            data_bytes: 8192 + 4096,
            inodes: 9,
            dirs: 4,
            names: 9,
            name_bytes: all.name_bytes - 7,
            dir_bytes: 4 * 4096,
            ..all
        };
        assert_eq!(size(&[Path::new("/home")]), rest);
        let home = measure(&root, Path::new("home"), &[], &Cancel::default()).unwrap();
        assert_eq!((home.inodes, home.data_bytes), (3, 102_400));
    }

    #[test]
    fn a_directory_of_many_names_needs_several_blocks() {
        let dir = tempfile::tempdir().unwrap();
        for i in 0..400 {
            fs::write(dir.path().join(format!("name-{i:03}")), "").unwrap();
        }
        let root = Root::open(dir.path()).unwrap();
        let size = measure(&root, Path::new(""), &[], &Cancel::default()).unwrap();
        assert_eq!(size.dir_bytes, 8192);
        assert_eq!(size.inodes, 401);
    }

    #[test]
    fn stops_when_asked() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        let cancel = Cancel::default();
        cancel.cancel();
        let result = measure(&root, Path::new(""), &[], &cancel);
        assert!(matches!(result, Err(TreeError::Cancelled)));
    }
}
