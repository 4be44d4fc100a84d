//! A changed root directory (chroot(2)) as the root of this process's mounts.
//!
//! Below a changed root the kernel makes no user namespaces, and whoever has the capabilities for it gets out: by
//! setns(2) into the mount namespace where it is already, or by changing the root once more. Both come to the root
//! of the mount namespace, so that has to be the directory itself.

use std::env;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns};
use nix::unistd::{chdir, fchdir, pivot_root};
use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags, open, statx};
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};

/// Makes the root directory of this process, if it was changed, the root of its mount namespace, which nobody else
/// may be in. All paths stay what they are. The process must have one thread.
pub(super) fn settle() -> Result<(), Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = |path: &str| open(path, flags, Mode::empty()).map_err(errno);
    let (top, here) = (directory("/")?, directory(".")?);
    let path = env::current_dir();
    let namespace = File::open("/proc/self/ns/mnt").map_err(|e| of_io(&e))?;
    // To where it is already, but to its root.
    setns(&namespace, CloneFlags::CLONE_NEWNS)?;
    if place(&directory("/")?)? == place(&top)? {
        return fchdir(&here);
    }
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none)?;
    // Only a mount point can be a root, and with this it is one.
    let clone = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    let tree = open_tree(&top, "", clone).map_err(errno)?;
    let onto = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(&tree, "", &top, "", onto).map_err(errno)?;
    fchdir(&tree)?;
    pivot_root(".", ".")?;
    // What was the root lies on top of it now.
    umount2(".", MntFlags::MNT_DETACH)?;
    chdir("/")?;
    path.map_or(Ok(()), |path| chdir(&path))
}

/// What tells a directory from all others, and from itself as another mount.
fn place(directory: &OwnedFd) -> Result<(u64, u64, u32, u32), Errno> {
    let wanted = StatxFlags::INO | StatxFlags::MNT_ID;
    let found = statx(directory.as_fd(), "", AtFlags::EMPTY_PATH, wanted).map_err(errno)?;
    // Linux before 5.8 has no numbers of mounts, and says 0 for all.
    Ok((
        found.stx_mnt_id,
        found.stx_ino,
        found.stx_dev_major,
        found.stx_dev_minor,
    ))
}

fn errno(error: rustix::io::Errno) -> Errno {
    Errno::from_raw(error.raw_os_error())
}

fn of_io(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(nix::libc::EIO))
}
