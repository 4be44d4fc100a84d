//! btrfs subvolumes, as far as removing one goes.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use nix::libc;

/// `btrfs_ioctl_vol_args` of `linux/btrfs.h`.
#[repr(C)]
struct VolumeArguments {
    fd: i64,
    name: [u8; 4088],
}

/// `BTRFS_SUBVOL_RDONLY`
const READ_ONLY: u64 = 1 << 1;

const BTRFS: u8 = 0x94;
const SNAP_DESTROY: libc::Ioctl =
    nix::request_code_write!(BTRFS, 15, size_of::<VolumeArguments>()) as libc::Ioctl;
const GET_FLAGS: libc::Ioctl = nix::request_code_read!(BTRFS, 25, size_of::<u64>()) as libc::Ioctl;
const SET_FLAGS: libc::Ioctl = nix::request_code_write!(BTRFS, 26, size_of::<u64>()) as libc::Ioctl;

/// Takes the read-only mark off the subvolume whose top is open as `fd`. A failure shows in what is
/// tried next.
pub(super) fn make_writable(fd: BorrowedFd<'_>) {
    let mut flags = 0u64;
    // SAFETY: both requests read or write one u64, which lives on this stack; a descriptor that is
    // no subvolume is refused by the kernel.
    unsafe {
        if libc::ioctl(fd.as_raw_fd(), GET_FLAGS, &raw mut flags) == 0 && flags & READ_ONLY != 0 {
            flags &= !READ_ONLY;
            libc::ioctl(fd.as_raw_fd(), SET_FLAGS, &raw const flags);
        }
    }
}

/// Deletes the subvolume `name` of the directory `parent` with its files. Fails, and changes
/// nothing, when it holds further subvolumes.
pub(super) fn delete(parent: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    let mut arguments = VolumeArguments {
        fd: 0,
        name: [0; 4088],
    };
    for (to, from) in arguments.name.iter_mut().zip(name.to_bytes_with_nul()) {
        *to = *from;
    }
    // SAFETY: the request reads one `VolumeArguments`; its name ends in a zero because no file name
    // is longer than 255 bytes.
    match unsafe { libc::ioctl(parent.as_raw_fd(), SNAP_DESTROY, &raw const arguments) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
