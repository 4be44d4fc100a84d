//! What a new process changes about itself between fork and exec.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use nix::libc;

use super::system_calls::{self, Answered};

/// Whether a command is cut off from the user's terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Session {
    /// A session and process group of its own, without a terminal. A prompt fails at once instead of
    /// stopping the process, and the whole group can be killed.
    Own,
    /// The caller's session, group and terminal.
    Shared,
}

/// Bytes of the kernel's set of 64 signals.
const SIGNAL_SET_SIZE: usize = 8;

/// Files above standard error are closed one by one up to here where `close_range` is missing.
const HIGHEST_FD: RawFd = 4096;

/// Makes every process that `command` starts: die with this thread; have default signal handling,
/// umask 022 and no open files but its standard ones and `inherited`; and be in its own session, or
/// have system calls answered, if so wanted.
///
/// "With this thread": the kernel ties the parent-death signal to the thread that forked. Callers
/// wait for the process in the same thread.
pub(super) fn prepare(
    command: &mut Command,
    session: Session,
    inherited: &[OwnedFd],
    answered: Answered,
) {
    let parent = std::process::id();
    let keep: Vec<RawFd> = inherited.iter().map(AsRawFd::as_raw_fd).collect();
    let filter = system_calls::filter(answered);
    // SAFETY: between fork and exec in a process that may have threads, only async-signal-safe calls
    // are allowed: `in_child` makes system calls only, allocates nothing, and takes no lock.
    unsafe {
        command.pre_exec(move || in_child(parent, session, &keep, &filter));
    }
}

fn in_child(
    parent: u32,
    session: Session,
    keep: &[RawFd],
    filter: &[libc::sock_filter],
) -> io::Result<()> {
    // SAFETY: plain system calls on values that live on this stack; every one is async-signal-safe
    // or a bare kernel entry.
    unsafe {
        if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
            return Err(io::Error::last_os_error());
        }
        // The parent may have died before the line above: then nothing would ever kill this process.
        if libc::getppid() as u32 != parent {
            libc::_exit(127);
        }
        if session == Session::Own && libc::setsid() < 0 {
            return Err(io::Error::last_os_error());
        }
        libc::umask(0o022);
        default_signals();
        close_on_exec();
        for &fd in keep {
            if libc::fcntl(fd, libc::F_SETFD, 0) < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        system_calls::install(filter);
    }
    Ok(())
}

/// Ignored signals and the signal mask survive exec: programs expect neither.
///
/// # Safety
/// Async-signal-safe; only the calling process is changed.
unsafe fn default_signals() {
    // SAFETY: the kernel's `sigaction`, all zero, means the default action with an empty mask; the
    // array is at least as large on every architecture. Signals whose action cannot be changed are
    // refused, which is harmless. The C library's function would leave out the two signals that it
    // keeps for itself, although they are inherited like any other.
    unsafe {
        let default = [0u64; 8];
        for signal in 1..=libc::SIGRTMAX() {
            let (new, old) = (default.as_ptr(), std::ptr::null_mut::<u64>());
            libc::syscall(libc::SYS_rt_sigaction, signal, new, old, SIGNAL_SET_SIZE);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Marks everything above standard error to be closed by exec: files that this program itself was
/// started with lack the mark.
///
/// # Safety
/// Async-signal-safe; only the calling process is changed.
unsafe fn close_on_exec() {
    // SAFETY: numbers only; unused descriptors are skipped by the kernel.
    unsafe {
        let flags = libc::CLOSE_RANGE_CLOEXEC;
        if libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, flags) == 0 {
            return;
        }
        for fd in 3..HIGHEST_FD {
            libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
        }
    }
}
