//! The one function that removes directory trees.
//!
//! It works on trees of any origin: never follows a symbolic link, never leaves the mount it began
//! on, and needs neither memory nor open files in proportion to a tree's size or depth.

use std::cell::Cell;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, IFlags, Mode, OFlags, RenameFlags, StatxFlags, fchmod,
    ioctl_getflags, ioctl_setflags, openat, renameat_with, statat, statx, unlinkat,
};
use rustix::io::Errno;

use super::{HostError, subvolume};

/// How many directories are held open at once. What lies deeper is first moved up to the top of the
/// tree, so that no depth runs out of open files.
const DEEPEST: usize = 64;
/// The inode number of every btrfs subvolume's top.
const SUBVOLUME_INODE: u64 = 256;

/// Removes a file, a symbolic link (not what it points to) or a directory with everything in it.
/// That there is nothing is no error.
///
/// Refuses, wherever it meets it, a directory or file that something is mounted on; what lies
/// behind a mount is never touched. Read-only directories, the immutable and append-only attributes
/// and btrfs subvolumes (read-only ones, too) do not stop it.
///
/// # Errors
/// Something cannot be removed, or its place is not what it was.
pub fn remove(path: &Path) -> Result<(), HostError> {
    let invalid = || HostError::path("remove", path)(io::Error::from(io::ErrorKind::InvalidInput));
    let name = path.file_name().ok_or_else(invalid)?;
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let parent = match open_path(parent) {
        Ok(parent) => parent,
        Err(Errno::NOENT) => return Ok(()),
        Err(e) => return Err(HostError::path("open", parent)(e)),
    };
    let place = Place::of(&parent).map_err(HostError::path("examine", path))?;
    let name = CString::new(name.as_bytes()).map_err(|_| invalid())?;
    Remover::new(path, place).remove_entry(&parent, &name)
}

/// Removes everything in a directory, as [`remove`] does, but not the directory, which may be a
/// mount point itself.
///
/// # Errors
/// As [`remove`].
pub fn remove_contents(directory: &Path) -> Result<(), HostError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = match openat(CWD, directory, flags, Mode::empty()) {
        Ok(fd) => fd,
        Err(Errno::NOENT) => return Ok(()),
        Err(e) => return Err(HostError::path("open", directory)(e)),
    };
    let place = Place::of(&fd).map_err(HostError::path("examine", directory))?;
    let mut remover = Remover::new(directory, place);
    let level = remover.level(fd, OsString::new(), place)?;
    remover.levels.push(level);
    remover.empty_stack(None)
}

fn open_path(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, path, flags, Mode::empty())
}

/// Which mount, and which device, a directory is on.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Not known before Linux 5.8.
    mount: Option<u64>,
    device: (u32, u32),
    inode: u64,
}

impl Place {
    fn of(fd: &impl AsFd) -> rustix::io::Result<Self> {
        let wanted = StatxFlags::INO | StatxFlags::MNT_ID;
        let stat = statx(fd, c"", AtFlags::EMPTY_PATH, wanted)?;
        let has_mount = StatxFlags::from_bits_retain(stat.stx_mask).contains(StatxFlags::MNT_ID);
        Ok(Self {
            mount: has_mount.then_some(stat.stx_mnt_id),
            device: (stat.stx_dev_major, stat.stx_dev_minor),
            inode: stat.stx_ino,
        })
    }

    /// A bind mount has the device of what it shows, so the mount decides where it is known.
    fn same_mount(&self, other: &Self) -> bool {
        match (self.mount, other.mount) {
            (Some(a), Some(b)) => a == b,
            _ => self.device == other.device,
        }
    }

    fn is_subvolume_in(&self, parent: &Self) -> bool {
        self.inode == SUBVOLUME_INODE && self.device != parent.device
    }
}

/// A directory that is being emptied.
struct Level {
    fd: OwnedFd,
    entries: Dir,
    name: OsString,
    place: Place,
    /// Whether anything went since the listing began.
    progress: bool,
}

struct Remover {
    top: PathBuf,
    base: Place,
    levels: Vec<Level>,
    /// Numbers the directories moved to the top.
    moved: Cell<u64>,
}

/// What became of an attempt to remove an entry as a file.
enum Unlinked {
    Gone,
    IsDirectory,
}

impl Remover {
    fn new(top: &Path, base: Place) -> Self {
        Self {
            top: top.to_owned(),
            base,
            levels: Vec::new(),
            moved: Cell::new(0),
        }
    }

    /// Removes the entry `name` of `parent`, which is not part of the tree.
    fn remove_entry(&mut self, parent: &OwnedFd, name: &CStr) -> Result<(), HostError> {
        let kind = match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => FileType::from_raw_mode(stat.st_mode),
            Err(Errno::NOENT) => return Ok(()),
            Err(e) => return Err(HostError::path("examine", &self.top)(e)),
        };
        if kind == FileType::Directory {
            let base = self.base;
            let entered = self.open_directory(parent.as_fd(), name, &base, false)?;
            if entered.is_some() {
                self.levels.extend(entered);
                self.empty_stack(Some((parent.as_fd(), name)))?;
            }
            return Ok(());
        }
        match self.unlink(parent.as_fd(), name, false)? {
            Unlinked::Gone => Ok(()),
            Unlinked::IsDirectory => Err(HostError::path("remove", &self.top)(Errno::ISDIR)),
        }
    }

    /// Empties the directories on the stack until none is left. The first one is removed from
    /// `parent`, or kept when there is no parent.
    fn empty_stack(&mut self, parent: Option<(BorrowedFd<'_>, &CStr)>) -> Result<(), HostError> {
        while let Some(level) = self.levels.last_mut() {
            match level.entries.next() {
                Some(Ok(entry)) => {
                    let name = entry.file_name();
                    if name == c"." || name == c".." {
                        continue;
                    }
                    let name = name.to_owned();
                    self.take(&name, entry.file_type())?;
                }
                Some(Err(e)) => return Err(self.error("list", None, e)),
                None => self.leave(parent)?,
            }
        }
        Ok(())
    }

    /// Removes one entry of the innermost directory, or enters it.
    fn take(&mut self, name: &CStr, kind: FileType) -> Result<(), HostError> {
        let Some(level) = self.levels.last_mut() else {
            return Ok(());
        };
        level.progress = true;
        let Some(level) = self.levels.last() else {
            return Ok(());
        };
        let fd = level.fd.as_fd();
        let is_directory = match kind {
            FileType::Directory => true,
            FileType::Unknown => match statat(fd, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => FileType::from_raw_mode(stat.st_mode) == FileType::Directory,
                Err(Errno::NOENT) => return Ok(()),
                Err(e) => return Err(self.error("examine", Some(name), e)),
            },
            _ => false,
        };
        if !is_directory && matches!(self.unlink(fd, name, true)?, Unlinked::Gone) {
            return Ok(());
        }
        if self.levels.len() >= DEEPEST && self.move_to_top(fd, name) {
            return Ok(());
        }
        let entered = self.open_directory(fd, name, &level.place, true)?;
        self.levels.extend(entered);
        Ok(())
    }

    /// The innermost directory has been listed to its end: removes it, or lists it again.
    fn leave(&mut self, parent: Option<(BorrowedFd<'_>, &CStr)>) -> Result<(), HostError> {
        let Some(mut level) = self.levels.pop() else {
            return Ok(());
        };
        let name = CString::new(level.name.as_bytes()).unwrap_or_default();
        let removed = match (self.levels.last(), parent) {
            (Some(above), _) => unlinkat(&above.fd, &name, AtFlags::REMOVEDIR),
            (None, Some((parent, name))) => unlinkat(parent, name, AtFlags::REMOVEDIR),
            // The directory itself stays: it is done when a whole listing found nothing.
            (None, None) if level.progress => Err(Errno::NOTEMPTY),
            (None, None) => Ok(()),
        };
        match removed {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::NOTEMPTY | Errno::EXIST) if level.progress => {
                level.progress = false;
                level.entries.rewind();
                self.levels.push(level);
                Ok(())
            }
            Err(Errno::BUSY) => Err(HostError::MountPoint {
                path: self.path_of(Some(&name)),
            }),
            Err(e @ (Errno::PERM | Errno::ACCESS)) => {
                let above = self.levels.last();
                let again = match above {
                    Some(above) => unprotect(above.fd.as_fd(), &level.fd)
                        .and_then(|()| unlinkat(&above.fd, &name, AtFlags::REMOVEDIR)),
                    None => match parent {
                        Some((parent, name)) => clear_attributes(&level.fd)
                            .and_then(|()| unlinkat(parent, name, AtFlags::REMOVEDIR)),
                        None => Err(e),
                    },
                };
                again.map_err(|_| self.error("remove", Some(&name), e))
            }
            Err(e) => Err(self.error("remove", Some(&name), e)),
        }
    }

    /// Removes an entry that is not a directory. `ours` tells whether the directory it is in belongs
    /// to the tree and may be changed to allow it.
    fn unlink(
        &self,
        parent: BorrowedFd<'_>,
        name: &CStr,
        ours: bool,
    ) -> Result<Unlinked, HostError> {
        match unlinkat(parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(Unlinked::Gone),
            Err(Errno::ISDIR) => Ok(Unlinked::IsDirectory),
            Err(Errno::BUSY) => Err(HostError::MountPoint {
                path: self.path_of(Some(name)),
            }),
            Err(e @ (Errno::PERM | Errno::ACCESS)) => {
                let immutable = |e: Errno| HostError::Immutable {
                    path: self.path_of(Some(name)),
                    source: e.into(),
                };
                if ours {
                    make_writable(parent);
                    clear_attributes(&parent).map_err(immutable)?;
                }
                // Only regular files can carry the attributes, and nothing else is safe to open.
                let stat = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW);
                if stat.is_ok_and(|s| FileType::from_raw_mode(s.st_mode) == FileType::RegularFile) {
                    let flags =
                        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                    if let Ok(file) = openat(parent, name, flags, Mode::empty()) {
                        clear_attributes(&file).map_err(immutable)?;
                    }
                }
                match unlinkat(parent, name, AtFlags::empty()) {
                    Ok(()) | Err(Errno::NOENT) => Ok(Unlinked::Gone),
                    Err(_) => Err(self.error("remove", Some(name), e)),
                }
            }
            Err(e) => Err(self.error("remove", Some(name), e)),
        }
    }

    /// Opens a directory to be emptied; `None` when there was a way to remove it as a whole.
    fn open_directory(
        &self,
        parent: BorrowedFd<'_>,
        name: &CStr,
        parent_place: &Place,
        ours: bool,
    ) -> Result<Option<Level>, HostError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut opened = openat(parent, name, flags, Mode::empty());
        if opened.as_ref().err() == Some(&Errno::ACCESS) {
            if ours {
                make_writable(parent);
            }
            let path = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            if let Ok(handle) = openat(parent, name, path, Mode::empty()) {
                let _ = rustix::fs::chmod(proc_path(&handle), Mode::RWXU);
            }
            opened = openat(parent, name, flags, Mode::empty());
        }
        let fd = match opened {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(e) => return Err(self.error("open", Some(name), e)),
        };
        let place = Place::of(&fd).map_err(|e| self.error("examine", Some(name), e))?;
        if !place.same_mount(&self.base) {
            return Err(HostError::MountPoint {
                path: self.path_of(Some(name)),
            });
        }
        if place.is_subvolume_in(parent_place) {
            subvolume::make_writable(fd.as_fd());
            if subvolume::delete(parent, name).is_ok() {
                return Ok(None);
            }
        }
        let name = OsStr::from_bytes(name.to_bytes()).to_owned();
        self.level(fd, name, place).map(Some)
    }

    fn level(&self, fd: OwnedFd, name: OsString, place: Place) -> Result<Level, HostError> {
        let entries = Dir::read_from(&fd).map_err(|e| self.error("list", None, e))?;
        Ok(Level {
            fd,
            entries,
            name,
            place,
            progress: false,
        })
    }

    /// Moves a directory that lies too deep to the top of the tree, where a later listing finds it.
    /// `false` when that is not possible, such as between btrfs subvolumes.
    fn move_to_top(&self, parent: BorrowedFd<'_>, name: &CStr) -> bool {
        let Some(top) = self.levels.first() else {
            return false;
        };
        loop {
            self.moved.set(self.moved.get() + 1);
            let target = format!(".removing-{}", self.moved.get());
            match renameat_with(
                parent,
                name,
                &top.fd,
                target.as_str(),
                RenameFlags::NOREPLACE,
            ) {
                Ok(()) => return true,
                Err(Errno::EXIST) => {}
                Err(_) => return false,
            }
        }
    }

    fn error(
        &self,
        action: &'static str,
        name: Option<&CStr>,
        source: impl Into<io::Error>,
    ) -> HostError {
        HostError::path(action, self.path_of(name))(source)
    }

    /// The path of an entry of the innermost directory, for messages.
    fn path_of(&self, name: Option<&CStr>) -> PathBuf {
        let mut path = self.top.clone();
        path.extend(self.levels.iter().skip(1).map(|level| &level.name));
        if !self.levels.is_empty() {
            path.extend(name.map(|name| OsStr::from_bytes(name.to_bytes())));
        }
        path
    }
}

/// Clears what forbids removing `child` from `parent`.
fn unprotect(parent: BorrowedFd<'_>, child: &OwnedFd) -> rustix::io::Result<()> {
    make_writable(parent);
    clear_attributes(&parent)?;
    clear_attributes(child)
}

/// Lets the owner write to a directory of the tree. A failure shows in what is tried next.
fn make_writable(directory: BorrowedFd<'_>) {
    let _ = fchmod(directory, Mode::RWXU);
}

/// Clears the immutable and the append-only attribute, where the file system knows them.
fn clear_attributes(fd: &impl AsFd) -> rustix::io::Result<()> {
    let protection = IFlags::IMMUTABLE | IFlags::APPEND;
    match ioctl_getflags(fd) {
        Ok(flags) if flags.intersects(protection) => ioctl_setflags(fd, flags - protection),
        _ => Ok(()),
    }
}

fn proc_path(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(fd))
}

#[cfg(test)]
#[path = "remove_tests.rs"]
mod tests;
