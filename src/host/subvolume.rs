//! btrfs subvolumes: making, marking and removing them.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use nix::libc;
use rustix::fs::{CWD, Mode, OFlags, openat};

use super::HostError;

/// `btrfs_ioctl_vol_args` of `linux/btrfs.h`.
#[repr(C)]
struct VolumeArguments {
    fd: i64,
    name: [u8; 4088],
}

impl VolumeArguments {
    /// For a name of at most 255 bytes, as all file names are; the rest would be cut off.
    fn new(name: &CStr) -> Self {
        let mut arguments = Self {
            fd: 0,
            name: [0; 4088],
        };
        // The last byte stays zero.
        for (to, from) in arguments.name.iter_mut().take(4087).zip(name.to_bytes()) {
            *to = *from;
        }
        arguments
    }
}

/// `BTRFS_SUBVOL_RDONLY`
const READ_ONLY: u64 = 1 << 1;

const BTRFS: u8 = 0x94;
const SUBVOL_CREATE: libc::Ioctl =
    nix::request_code_write!(BTRFS, 14, size_of::<VolumeArguments>()) as libc::Ioctl;
const SNAP_DESTROY: libc::Ioctl =
    nix::request_code_write!(BTRFS, 15, size_of::<VolumeArguments>()) as libc::Ioctl;
const GET_FLAGS: libc::Ioctl = nix::request_code_read!(BTRFS, 25, size_of::<u64>()) as libc::Ioctl;
const SET_FLAGS: libc::Ioctl = nix::request_code_write!(BTRFS, 26, size_of::<u64>()) as libc::Ioctl;

/// `BTRFS_SUPER_MAGIC` of `linux/magic.h`.
const SUPER_MAGIC: i64 = 0x9123_683e;

/// Whether a directory is on btrfs.
///
/// # Errors
/// The directory cannot be asked.
pub fn is_btrfs(directory: &Path) -> Result<bool, HostError> {
    let stat = rustix::fs::statfs(directory).map_err(HostError::path("examine", directory))?;
    // Of another width, and signedness, on other architectures.
    #[allow(clippy::unnecessary_cast)]
    let magic = stat.f_type as i64;
    Ok(magic == SUPER_MAGIC)
}

/// Makes the empty subvolume `path` in a directory that exists.
///
/// # Errors
/// The kernel refuses it; there may be something of that name.
pub fn create_subvolume(path: &Path) -> Result<(), HostError> {
    let failed = HostError::path::<io::Error>("create the subvolume", path);
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(failed(io::ErrorKind::InvalidInput.into()));
    };
    let create = || {
        let parent = File::open(parent)?;
        let arguments = VolumeArguments::new(&CString::new(name.as_bytes())?);
        // SAFETY: the request reads one `VolumeArguments`, whose name ends in a zero.
        match unsafe { libc::ioctl(parent.as_raw_fd(), SUBVOL_CREATE, &raw const arguments) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    create().map_err(failed)
}

/// Sets or clears the read-only flag of the subvolume whose top is `path`.
///
/// # Errors
/// The kernel refuses it; it may be no subvolume.
pub fn set_subvolume_read_only(path: &Path, on: bool) -> Result<(), HostError> {
    let set = || {
        let top = File::open(path)?;
        let flags = flags(top.as_fd())?;
        let wanted = if on {
            flags | READ_ONLY
        } else {
            flags & !READ_ONLY
        };
        set_flags(top.as_fd(), wanted)
    };
    set().map_err(HostError::path("set the read-only flag of", path))
}

/// Clears the read-only flag of the subvolume at `path`. Returns whether it had one; a path with
/// something else at it has none.
pub fn clear_subvolume_read_only(path: &Path) -> bool {
    let directory = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(CWD, path, directory, Mode::empty()).is_ok_and(|fd| make_writable(fd.as_fd()))
}

/// Whether there is a subvolume with the read-only mark at `path`.
#[must_use]
pub fn is_read_only_subvolume(path: &Path) -> bool {
    let directory = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(CWD, path, directory, Mode::empty())
        .is_ok_and(|fd| flags(fd.as_fd()).is_ok_and(|flags| flags & READ_ONLY != 0))
}

fn flags(fd: BorrowedFd<'_>) -> io::Result<u64> {
    let mut flags = 0u64;
    // SAFETY: the request writes one u64, which lives on this stack; a descriptor that is no
    // subvolume is refused by the kernel.
    match unsafe { libc::ioctl(fd.as_raw_fd(), GET_FLAGS, &raw mut flags) } {
        0 => Ok(flags),
        _ => Err(io::Error::last_os_error()),
    }
}

fn set_flags(fd: BorrowedFd<'_>, flags: u64) -> io::Result<()> {
    // SAFETY: the request reads one u64, which lives on this stack.
    match unsafe { libc::ioctl(fd.as_raw_fd(), SET_FLAGS, &raw const flags) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Takes the read-only mark off the subvolume whose top is open as `fd`. Returns whether it had
/// one. A failure shows in what is tried next.
pub(super) fn make_writable(fd: BorrowedFd<'_>) -> bool {
    match flags(fd) {
        Ok(flags) if flags & READ_ONLY != 0 => set_flags(fd, flags & !READ_ONLY).is_ok(),
        _ => false,
    }
}

/// Deletes the subvolume `name` of the directory `parent` with its files. Fails, and changes
/// nothing, when it holds further subvolumes.
pub(super) fn delete(parent: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    let arguments = VolumeArguments::new(name);
    // SAFETY: the request reads one `VolumeArguments`; its name ends in a zero because no file name
    // is longer than 255 bytes.
    match unsafe { libc::ioctl(parent.as_raw_fd(), SNAP_DESTROY, &raw const arguments) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
