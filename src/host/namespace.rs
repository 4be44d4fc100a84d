//! A build's own processes and mounts: whatever ends it, none of either is left.
//!
//! Three processes take part. The outer one, which the user started, waits and passes signals on. Its
//! child is process 1 of a new PID namespace, with a mount namespace of its own; it reaps orphans and
//! does nothing else, so that it can never take the status of a command from who waits for it. Its
//! child, the worker, builds. When process 1 ends, the kernel kills everything in the namespace, and
//! with the last process the mounts are gone.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use nix::errno::Errno;
use nix::libc;
use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{
    SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, kill, pthread_sigmask, sigaction,
};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

use super::process::signal_name;
use super::signals::INTERRUPTED;
use super::{HostError, own_root, user};

/// The exit status of a worker that panicked, as Rust programs have it.
pub(super) const PANICKED: u8 = 101;
/// Where systemd-nspawn keeps its run-time files; it would leave some on the host after a SIGKILL.
const NSPAWN_STATE: &str = "/run/systemd/nspawn";

/// What the build and the programs that it starts cannot do without, and where that is.
const NEEDED: [(&str, &str); 3] = [
    ("/proc/self/ns/pid", "/proc"),
    ("/dev/null", "/dev"),
    ("/sys/fs", "/sys"),
];

/// The process number of the outer process; 0 outside of [`isolate`].
static OUTER: AtomicU32 = AtomicU32::new(0);

/// Set in the worker only.
static ISOLATED: AtomicBool = AtomicBool::new(false);

/// The process number by which others know this run: inside [`isolate`], that of the process that
/// the user started.
#[must_use]
pub fn outer_pid() -> u32 {
    match OUTER.load(Ordering::Relaxed) {
        0 => std::process::id(),
        pid => pid,
    }
}

/// This process is a worker of `pid`, which the user started.
pub(super) fn set_outer(pid: Pid) {
    OUTER.store(pid.as_raw().unsigned_abs(), Ordering::Relaxed);
}

/// Whether this process works inside [`isolate`].
#[must_use]
pub fn is_isolated() -> bool {
    ISOLATED.load(Ordering::Relaxed)
}

/// Runs `work` in a process of its own whose child processes and mounts end with it, and returns its
/// exit status; [`INTERRUPTED`] when one of the signals below ended it. `work` begins without signal
/// handlers, and on its own `/proc`.
///
/// Mounts made by `work` are not seen outside. Mounts that the host makes or removes meanwhile are
/// seen inside (mounts are slaves of the host's, not private): otherwise a long build would keep a
/// file system busy that the user unmounted.
///
/// SIGKILL of any of the processes ends all of them. SIGTERM and SIGHUP are passed on to the worker,
/// as are SIGINT and SIGQUIT unless they come from the terminal, which sends them to the worker itself.
///
/// To be called before there is a second thread, or a lock is held.
///
/// # Errors
/// When the namespaces cannot be made, which takes root, or when a signal killed the worker.
pub fn isolate(work: impl FnOnce() -> u8) -> Result<u8, HostError> {
    let failed = |action| move |errno: Errno| namespace_error(action, errno.into());
    for (file, missing) in NEEDED {
        if !Path::new(file).exists() {
            return Err(HostError::Bare { missing });
        }
    }
    only_one_thread()?;
    // Where this process is itself a worker, the user started another one.
    let _ = OUTER.compare_exchange(0, std::process::id(), Ordering::Relaxed, Ordering::Relaxed);
    let own_pids = File::open("/proc/self/ns/pid")
        .map_err(|e| namespace_error("look at the process namespace", e))?;
    let watched = Watched::begin().map_err(failed("wait for signals"))?;
    // The child reads the end of the first when this process is gone, and writes to the second what
    // became of it.
    let (alive, alive_here) = pipe()?;
    let (told, told_there) = pipe()?;
    // What is still in the buffer would be printed by both processes.
    let _ = io::stdout().flush();
    unshare(CloneFlags::CLONE_NEWPID).map_err(failed("make a process namespace for the build"))?;
    // SAFETY: there is no other thread, so the child may do whatever this process may.
    let forked = unsafe { fork() };
    if let Ok(ForkResult::Child) = forked {
        drop((alive_here, told, own_pids));
        init(&watched, alive, told_there, work);
    }
    // Otherwise no further child could be made once that namespace has ended.
    setns(&own_pids, CloneFlags::CLONE_NEWPID)
        .map_err(failed("return to the process namespace"))?;
    let Ok(ForkResult::Parent { child }) = forked else {
        return Err(namespace_error(
            "start the build process",
            io::Error::last_os_error(),
        ));
    };
    drop((alive, told_there));
    let result = outer(&watched, child, told);
    drop(alive_here);
    result
}

/// Fork copies one thread only: locks that others hold would stay locked for ever.
pub(super) fn only_one_thread() -> Result<(), HostError> {
    let threads = std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    if threads == 1 {
        return Ok(());
    }
    let source = io::Error::other(format!("{threads} threads are running"));
    Err(namespace_error("start the build process", source))
}

pub(super) fn pipe() -> Result<(File, File), HostError> {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|e| namespace_error("make a pipe", e.into()))?;
    Ok((File::from(reader), File::from(writer)))
}

pub(super) fn namespace_error(action: &'static str, source: io::Error) -> HostError {
    let refused = source.kind() == io::ErrorKind::PermissionDenied;
    HostError::Namespace {
        action,
        hint: match (refused, user::is_root()) {
            (true, false) => " (only root may; run it with sudo)",
            (true, true) => " (in a container, that takes the SYS_ADMIN capability)",
            (false, _) => "",
        },
        source,
    }
}

/// Signals that are waited for instead of being handled, until dropped.
struct Watched {
    queue: SignalFd,
    before: SigSet,
    /// Under nohup, a hang-up is nobody's business.
    ignores_hangup: bool,
}

impl Watched {
    fn begin() -> nix::Result<Self> {
        let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
        // A caller that ignores SIGCHLD would leave no status to wait for.
        // SAFETY: sets the default action, which runs no code of this program.
        unsafe { sigaction(Signal::SIGCHLD, &default) }?;
        let signals: SigSet = [
            Signal::SIGCHLD,
            Signal::SIGINT,
            Signal::SIGQUIT,
            Signal::SIGTERM,
            Signal::SIGHUP,
        ]
        .into_iter()
        .collect();
        let mut before = SigSet::empty();
        pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&signals), Some(&mut before))?;
        let queue = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC)?;
        Ok(Self {
            queue,
            before,
            ignores_hangup: ignored(libc::SIGHUP),
        })
    }

    /// Waits for the next signal. Passes it on to `child`, if it is one to be passed on.
    fn next(&self, child: Pid) {
        let Ok(Some(info)) = self.queue.read_signal() else {
            return;
        };
        let Ok(signal) = i32::try_from(info.ssi_signo).map_or(Err(Errno::EINVAL), Signal::try_from)
        else {
            return;
        };
        let typed = info.ssi_code > 0;
        let passed_on = match signal {
            Signal::SIGINT | Signal::SIGQUIT => !typed,
            Signal::SIGHUP => !self.ignores_hangup,
            Signal::SIGTERM => true,
            _ => false,
        };
        if passed_on {
            // It may have ended meanwhile.
            let _ = kill(child, signal);
        }
    }

    fn restore(&self) {
        let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&self.before), None);
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.restore();
    }
}

fn ignored(signal: i32) -> bool {
    // SAFETY: asks for the action without changing it; all-zero is a valid `sigaction`.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut action) == 0
            && action.sa_sigaction == libc::SIG_IGN
    }
}

/// What process 1 has to say: one of these, the last two with numbers.
const READY: u8 = b'R';
const FAILED: u8 = b'F';
const WORKER_KILLED: u8 = b'K';

/// The outer process: waits until process 1, and with it the whole namespace, has ended.
fn outer(watched: &Watched, init: Pid, mut told: File) -> Result<u8, HostError> {
    let ended = loop {
        match waitpid(init, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => watched.next(init),
            Ok(status) => break status,
            Err(e) => return Err(namespace_error("wait for the build process", e.into())),
        }
    };
    let mut message = Vec::new();
    let _ = told.read_to_end(&mut message);
    let message = message.strip_prefix(&[READY]).unwrap_or(&message);
    match (message, ended) {
        ([FAILED, step, errno @ ..], _) => {
            let errno = <[u8; 4]>::try_from(errno).map_or(0, i32::from_ne_bytes);
            let action = SETUP.get(usize::from(*step)).copied().unwrap_or("start");
            Err(namespace_error(action, io::Error::from_raw_os_error(errno)))
        }
        ([WORKER_KILLED, signal], _) => match i32::from(*signal) {
            // It was told to stop before it listened to that.
            libc::SIGINT | libc::SIGTERM | libc::SIGHUP | libc::SIGQUIT => Ok(INTERRUPTED),
            signal => Err(killed(signal)),
        },
        (_, WaitStatus::Exited(_, code)) => Ok(u8::try_from(code).unwrap_or(1)),
        (_, WaitStatus::Signaled(_, signal, _)) => Err(killed(signal as i32)),
        _ => Err(namespace_error(
            "wait for the build process",
            io::Error::other("it ended in an unknown way"),
        )),
    }
}

pub(super) fn killed(number: i32) -> HostError {
    HostError::Killed {
        signal: signal_name(number),
        number,
        hint: match number {
            libc::SIGKILL => "; if nobody did that, the system ran out of memory",
            _ => "",
        },
    }
}

/// What process 1 does before the worker starts, by number.
const SETUP: [&str; 7] = [
    "tie the build process to its parent",
    "make a mount namespace for the build",
    "make the changed root directory that of the build's mounts",
    "separate the build's mounts from the host's",
    "mount /proc for the build",
    "mount a directory for the run-time files of systemd-nspawn",
    "start the worker process",
];

/// Process 1: sets the namespace up, starts the worker, reaps. Never returns.
fn init(watched: &Watched, alive: File, mut told: File, work: impl FnOnce() -> u8) -> ! {
    let started = set_up(&alive).and_then(|()| {
        // SAFETY: there is no other thread, so the child may do whatever this process may.
        unsafe { fork() }.map_err(|errno| (6, errno))
    });
    let worker = match started {
        Ok(ForkResult::Parent { child }) => child,
        Ok(ForkResult::Child) => {
            drop((alive, told));
            ISOLATED.store(true, Ordering::Relaxed);
            watched.restore();
            let status = catch_unwind(AssertUnwindSafe(work)).unwrap_or(PANICKED);
            std::process::exit(i32::from(status));
        }
        Err((step, errno)) => {
            let mut message = vec![FAILED, step];
            message.extend((errno as i32).to_ne_bytes());
            let _ = told.write_all(&message);
            end(1);
        }
    };
    let _ = told.write_all(&[READY]);
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == worker => end(code),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == worker => {
                let _ = told.write_all(&[WORKER_KILLED, signal as u8]);
                end(1);
            }
            Ok(WaitStatus::StillAlive) => watched.next(worker),
            // Somebody else's orphan, now reaped.
            Ok(_) | Err(Errno::EINTR) => {}
            // Without children, the worker's end was missed: cannot be, but must not spin.
            Err(_) => end(1),
        }
    }
}

/// Ends this process without running what its parent registered for its own end.
fn end(status: i32) -> ! {
    // SAFETY: ends the process; there is nothing it could leave in disorder.
    unsafe { libc::_exit(status) }
}

fn set_up(alive: &File) -> Result<(), (u8, Errno)> {
    set_pdeathsig(Signal::SIGKILL).map_err(|e| (0, e))?;
    // The parent may have ended before the line above; its end of the pipe has closed then.
    let mut hung_up = [PollFd::new(alive.as_fd(), PollFlags::POLLIN)];
    if poll(&mut hung_up, PollTimeout::ZERO) != Ok(0) {
        end(1);
    }
    unshare(CloneFlags::CLONE_NEWNS).map_err(|e| (1, e))?;
    own_root::settle().map_err(|e| (2, e))?;
    let none = None::<&str>;
    let slave = MsFlags::MS_REC | MsFlags::MS_SLAVE;
    mount(none, "/", none, slave, none).map_err(|e| (3, e))?;
    let careful = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), careful, none).map_err(|e| (4, e))?;
    std::fs::create_dir_all(Path::new(NSPAWN_STATE))
        .map_err(|e| (5, Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO))))?;
    let careful = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(
        Some("tmpfs"),
        NSPAWN_STATE,
        Some("tmpfs"),
        careful,
        Some("mode=0755"),
    )
    .map_err(|e| (5, e))
}
