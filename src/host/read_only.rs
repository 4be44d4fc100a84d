//! A process that can change nothing, made without root's rights: everything is mounted read-only for it,
//! there is no network, and it can get no rights that its caller lacks.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::errno::Errno;
use nix::libc;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::{set_no_new_privs, set_pdeathsig};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Gid, Pid, Uid, fork};

use super::HostError;
use super::namespace::{PANICKED, only_one_thread};

/// What is done to get there, by number.
const STEPS: [&str; 5] = [
    "make a user namespace",
    "set up a user namespace",
    "separate the mounts of a process",
    "mount everything read-only for a process",
    "start a process in a namespace",
];
/// The exit status of a process that did not get there: this and the step's number.
const NOT_THERE: i32 = 200;

/// `struct mount_attr` of `mount_setattr(2)`.
#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}
/// From linux/mount.h.
const MOUNT_ATTR_RDONLY: u64 = 1;
/// From linux/fcntl.h.
const AT_RECURSIVE: libc::c_uint = 0x8000;

/// Runs `work` in a process of its own, as the same user, in namespaces of its own: of users, mounts,
/// processes, and networks. Every mount is read-only there, but for an empty one at `/dev/shm`, where
/// temporary files go. Returns the exit status of `work`.
///
/// To be called before there is a second thread, or a lock is held.
///
/// # Errors
/// When the kernel, or its administrator, does not let users make namespaces, or lacks `mount_setattr`
/// (Linux 5.12).
pub fn read_only(work: impl FnOnce() -> u8) -> Result<u8, HostError> {
    let failed = |step: usize, source: io::Error| {
        let action = STEPS.get(step).copied().unwrap_or("start");
        HostError::Namespace {
            action,
            hint: "",
            source,
        }
    };
    only_one_thread()?;
    // SAFETY: there is no other thread, so the child may do whatever this process may.
    match unsafe { fork() }.map_err(|e| failed(4, e.into()))? {
        ForkResult::Child => {
            let status = enter().map_or_else(
                |(step, _)| NOT_THERE + step,
                |()| match inner(work) {
                    Ok(status) => status,
                    Err(_) => NOT_THERE + 4,
                },
            );
            end(status)
        }
        ForkResult::Parent { child } => {
            let status = wait(child).map_err(|e| failed(4, e.into()))?;
            match status.checked_sub(NOT_THERE) {
                Some(step) if (0..5).contains(&step) => Err(failed(
                    usize::try_from(step).unwrap_or(0),
                    io::ErrorKind::PermissionDenied.into(),
                )),
                _ => Ok(u8::try_from(status).unwrap_or(1)),
            }
        }
    }
}

fn enter() -> Result<(), (i32, Errno)> {
    let (uid, gid) = (Uid::effective(), Gid::effective());
    set_pdeathsig(Signal::SIGKILL).map_err(|e| (4, e))?;
    unshare(
        CloneFlags::CLONE_NEWUSER
            | CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWPID,
    )
    .map_err(|e| (0, e))?;
    let write = |name: &str, text: String| {
        fs::write(format!("/proc/self/{name}"), text)
            .map_err(|e| (1, Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO))))
    };
    write("setgroups", "deny".to_owned())?;
    write("uid_map", format!("{uid} {uid} 1"))?;
    write("gid_map", format!("{gid} {gid} 1"))
}

/// Starts the first process of the new namespace, and returns its exit status.
fn inner(work: impl FnOnce() -> u8) -> nix::Result<i32> {
    // SAFETY: as in `read_only`.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => wait(child),
        ForkResult::Child => {
            let status = match set_up() {
                Ok(()) => i32::from(catch_unwind(AssertUnwindSafe(work)).unwrap_or(PANICKED)),
                Err((step, _)) => NOT_THERE + step,
            };
            end(status)
        }
    }
}

fn set_up() -> Result<(), (i32, Errno)> {
    let none = None::<&str>;
    set_pdeathsig(Signal::SIGKILL).map_err(|e| (4, e))?;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).map_err(|e| (2, e))?;
    let careful = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    // Within some containers it is refused; then the old one stays, which says nothing that is secret.
    let _ = mount(Some("proc"), "/proc", Some("proc"), careful, none);
    let attributes = MountAttr {
        set: MOUNT_ATTR_RDONLY,
        clear: 0,
        propagation: 0,
        user_namespace: 0,
    };
    // SAFETY: the path is a string with a null byte behind it, and the attributes are as large as said.
    let changed = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            c"/".as_ptr(),
            AT_RECURSIVE,
            &raw const attributes,
            size_of::<MountAttr>(),
        )
    };
    if changed != 0 {
        return Err((3, Errno::last()));
    }
    if mount(Some("tmpfs"), "/dev/shm", Some("tmpfs"), careful, none).is_ok() {
        // SAFETY: there is one thread.
        unsafe { std::env::set_var("TMPDIR", "/dev/shm") };
    }
    // What it starts loses the rights that it has in its own namespace, and gets none back.
    set_no_new_privs().map_err(|e| (4, e))
}

fn wait(child: Pid) -> nix::Result<i32> {
    loop {
        match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, status)) => return Ok(status),
            Ok(WaitStatus::Signaled(_, signal, _)) => return Ok(128 + signal as i32),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(e),
        }
    }
}

/// Ends this process without running what its parent registered for its own end.
fn end(status: i32) -> ! {
    // SAFETY: ends the process; there is nothing it could leave in disorder.
    unsafe { libc::_exit(status) }
}
