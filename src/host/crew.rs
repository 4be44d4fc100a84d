//! Processes of this program that work side by side, each on one thing.
//!
//! All of them are made before the first one works: a process can only be copied safely while it has
//! one thread, and whoever shows what they do has more. Each waits to be told to begin.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getpid, getppid, setpgid};

use super::HostError;
use super::namespace::{PANICKED, killed, namespace_error, only_one_thread, pipe, set_outer};

/// Worker processes, in the order in which they were hired. They do not outlive this process,
/// however it ends, nor this value.
///
/// Each is in a process group of its own: what is typed on the terminal reaches this process only,
/// which passes it on with [`Crew::ask_to_stop`].
#[derive(Debug, Default)]
pub struct Crew {
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    pid: Pid,
    /// Gone once the worker was told to begin, or dismissed.
    begin: Option<File>,
    ended: bool,
}

impl Crew {
    /// Makes a worker, which waits for [`Crew::begin`] and then does `work`; its exit status is what
    /// `work` returns. What `work` writes into the file that it is given can be read from the returned
    /// one, which ends when the worker, and everything that it started, has ended.
    ///
    /// To be called before there is a second thread, or a lock is held; and before signals are
    /// handled, because the worker begins with what is in force now.
    ///
    /// # Errors
    /// When there are too many processes or open files.
    pub fn hire(&mut self, work: impl FnOnce(File) -> u8) -> Result<File, HostError> {
        only_one_thread()?;
        let (says, says_there) = pipe()?;
        let (begin_there, begin) = pipe()?;
        let parent = getpid();
        // What is still in the buffer would be printed by both processes.
        let _ = io::stdout().flush();
        // SAFETY: there is no other thread, so the child may do whatever this process may.
        let forked =
            unsafe { fork() }.map_err(|e| namespace_error("start a worker process", e.into()))?;
        match forked {
            ForkResult::Child => {
                drop((says, begin));
                // The others' ends are not this worker's.
                for member in &mut self.members {
                    member.begin = None;
                }
                let status = be_worker(parent, begin_there, says_there, work);
                std::process::exit(i32::from(status));
            }
            ForkResult::Parent { child } => {
                // Whichever of the two processes is first: it has to be done when this one goes on.
                let _ = setpgid(child, child);
                self.members.push(Member {
                    pid: child,
                    begin: Some(begin),
                    ended: false,
                });
                Ok(says)
            }
        }
    }

    /// Lets a worker, by the order of hiring from 0, begin.
    pub fn begin(&mut self, number: usize) {
        if let Some(mut begin) = self.members.get_mut(number).and_then(|m| m.begin.take()) {
            // Whoever waits for it will see that it has ended.
            let _ = begin.write_all(b"!");
        }
    }

    /// Lets a worker that has not begun go: it ends without having done anything.
    pub fn dismiss(&mut self, number: usize) {
        if let Some(member) = self.members.get_mut(number) {
            member.begin = None;
        }
    }

    /// Lets workers that have not begun go, and asks the others to stop: at once, or to clean up
    /// first.
    pub fn ask_to_stop(&mut self, at_once: bool) {
        let signal = if at_once {
            Signal::SIGQUIT
        } else {
            Signal::SIGTERM
        };
        for member in self.members.iter_mut().filter(|member| !member.ended) {
            if member.begin.take().is_none() {
                // It may have ended meanwhile.
                let _ = kill(member.pid, signal);
            }
        }
    }

    /// Waits until a worker has ended and returns its exit status.
    ///
    /// # Errors
    /// When a signal killed it.
    pub fn wait(&mut self, number: usize) -> Result<u8, HostError> {
        let failed = |source| namespace_error("wait for a worker process", source);
        let Some(member) = self.members.get_mut(number).filter(|m| !m.ended) else {
            return Err(failed(io::ErrorKind::NotFound.into()));
        };
        member.begin = None;
        loop {
            let ended = match waitpid(member.pid, None) {
                Ok(WaitStatus::Exited(_, code)) => Ok(u8::try_from(code).unwrap_or(1)),
                Ok(WaitStatus::Signaled(_, signal, _)) => Err(killed(signal as i32)),
                Ok(_) | Err(Errno::EINTR) => continue,
                Err(e) => Err(failed(e.into())),
            };
            member.ended = true;
            return ended;
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        for number in 0..self.members.len() {
            if let Some(member) = self.members.get_mut(number).filter(|m| !m.ended) {
                let _ = kill(member.pid, Signal::SIGKILL);
                let _ = self.wait(number);
            }
        }
    }
}

fn be_worker(parent: Pid, mut begin: File, says: File, work: impl FnOnce(File) -> u8) -> u8 {
    let _ = set_pdeathsig(Signal::SIGKILL);
    // The parent may have ended before the line above: then nothing would ever end this process.
    if getppid() != parent {
        return 1;
    }
    let _ = setpgid(Pid::from_raw(0), Pid::from_raw(0));
    set_outer(parent);
    if begin.read_exact(&mut [0]).is_err() {
        // Dismissed.
        return 0;
    }
    drop(begin);
    catch_unwind(AssertUnwindSafe(|| work(says))).unwrap_or(PANICKED)
}
