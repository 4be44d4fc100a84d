//! Real processes: started, listened to, waited for, and killed when the build is cancelled.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, pidfd_open,
    waitid,
};

use super::child::{self, Session};
use super::environment::{Kind, environment};
use super::lines::Tail;
use super::streams::{Streams, pipe};
use super::{
    Command, CommandError, Host, Output, Runner, SearchPath, Stdin, Stdout, fail_point, signals,
    tools,
};

/// How often a running command is looked after when it has nothing to say.
const TICK: Duration = Duration::from_millis(100);
/// How long a cancelled command may take to end by itself.
const GRACE: Duration = Duration::from_secs(5);
/// An interactive command may be a whole system that has to shut down.
const INTERACTIVE_GRACE: Duration = Duration::from_secs(30);
/// How long to go on reading after a command has ended when a process that it left behind still
/// holds its output open.
const LINGER: Duration = Duration::from_millis(200);

/// Starts real processes.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostRunner;

impl Runner for HostRunner {
    fn run(&self, command: Command, host: &Host) -> Result<Output, CommandError> {
        let shown = command.short();
        let io = |source| CommandError::Io {
            command: shown.clone(),
            source,
        };
        let kind = if command.clean_env {
            Kind::Clean
        } else {
            Kind::Piped
        };
        let (running, mut streams) = start(command, kind, host)?;
        let status = running.watch(&mut streams, host).map_err(io)?;
        streams.lines.finish(&*host.report);
        match status {
            None => Err(CommandError::Cancelled),
            Some(status) if status.success() => Ok(Output {
                stdout: streams.captured,
            }),
            Some(status) => Err(failed(shown, status, &streams)),
        }
    }

    fn interactive(&self, command: Command, host: &Host) -> Result<i32, CommandError> {
        let shown = command.short();
        let io = |source| CommandError::Io {
            command: shown.clone(),
            source,
        };
        // Before the process exists: a Ctrl-C right after its start is its own already.
        let _terminal = signals::leave_terminal_to_command();
        let mut process = build(&command, Kind::Interactive, Session::Shared, host)?;
        if let Stdin::File(file) = command.stdin {
            process.stdin(file);
        }
        if let Stdout::File(file) = command.stdout {
            process.stdout(file);
        }
        let child = process.spawn().map_err(io)?;
        drop(process);
        let running = Running::new(child, Session::Shared);
        fail_point::reach("command-running", &shown).map_err(io)?;
        let status = running.watch(&mut Streams::default(), host).map_err(io)?;
        let status = status.ok_or(CommandError::Cancelled)?;
        Ok(status
            .code()
            .or(status.signal().map(|s| 128 + s))
            .unwrap_or(1))
    }

    fn find(&self, program: &OsStr, search: &SearchPath) -> Option<PathBuf> {
        search.find(program)
    }
}

/// The process to be, all but its standard files.
fn build(
    command: &Command,
    kind: Kind,
    session: Session,
    host: &Host,
) -> Result<std::process::Command, CommandError> {
    let io = |source| CommandError::Io {
        command: command.short(),
        source,
    };
    if let Some(dir) = &command.cwd {
        // Otherwise a missing directory reads like a missing program.
        let dir_error = |e: io::Error| {
            let place = super::printable_bytes(dir.as_os_str().as_encoded_bytes());
            io::Error::new(e.kind(), format!("working directory {place}: {e}"))
        };
        std::fs::read_dir(dir).map_err(dir_error).map_err(io)?;
    }
    let path = if command.program.as_encoded_bytes().contains(&b'/') {
        explain_missing_interpreter(command).map_err(io)?;
        PathBuf::from(&command.program)
    } else {
        let found = host.search().find(&command.program);
        found.ok_or_else(|| tools::not_found(&command.program))?
    };
    let mut process = std::process::Command::new(path);
    process.args(&command.args);
    process.env_clear();
    process.envs(environment(kind, std::env::vars_os(), host.search()));
    process.envs(command.env.iter().map(|(name, value)| (name, value)));
    if let Some(dir) = &command.cwd {
        process.current_dir(dir);
    }
    child::prepare(&mut process, session, &command.inherited, command.answered);
    Ok(process)
}

/// A script whose first line names a missing program is "not found" to the kernel although it is
/// there: says what really is missing.
fn explain_missing_interpreter(command: &Command) -> io::Result<()> {
    let program = PathBuf::from(&command.program);
    let path = match &command.cwd {
        Some(dir) => dir.join(program),
        None => program,
    };
    let mut start = [0; 256];
    let Ok(read) = File::open(&path).and_then(|mut file| file.read(&mut start)) else {
        return Ok(());
    };
    let line = start.get(..read).unwrap_or_default();
    let Some(line) = line.strip_prefix(b"#!") else {
        return Ok(());
    };
    let line = line.split(|b| *b == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let interpreter = line.split_whitespace().next().unwrap_or_default();
    if interpreter.starts_with('/') && !std::path::Path::new(interpreter).exists() {
        let shown = super::printable(interpreter);
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("its first line asks for {shown}, which does not exist"),
        ));
    }
    if line.ends_with('\r') {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "its first line ends in a carriage return: save it with Unix line ends",
        ));
    }
    Ok(())
}

/// Starts the process with its pipes.
fn start(
    mut command: Command,
    kind: Kind,
    host: &Host,
) -> Result<(Running, Streams), CommandError> {
    let mut process = build(&command, kind, Session::Own, host)?;
    let shown = command.short();
    let io = |source: io::Error| CommandError::Io {
        command: shown.clone(),
        source,
    };
    let mut streams = Streams::default();
    let (reader, writer) = pipe().map_err(io)?;
    streams.reported = Some(reader);
    streams.secret = matches!(command.stdout, Stdout::Secret);
    match std::mem::take(&mut command.stdout) {
        // One pipe for both: lines stay in the order in which they were printed.
        Stdout::Report => process.stdout(writer.try_clone().map_err(io)?),
        Stdout::Capture | Stdout::Secret => {
            let (reader, writer) = pipe().map_err(io)?;
            streams.capture = Some(reader);
            process.stdout(writer)
        }
        Stdout::File(file) => process.stdout(file),
    };
    process.stderr(writer);
    match std::mem::take(&mut command.stdin) {
        Stdin::Null => process.stdin(Stdio::null()),
        Stdin::Bytes(bytes) => {
            let reader = streams.feed_with(bytes).map_err(io)?;
            process.stdin(reader)
        }
        Stdin::File(file) => process.stdin(file),
    };
    let child = process.spawn().map_err(io)?;
    // The value that describes the process holds our copies of the child's ends of the pipes: while
    // it lives, they never end.
    drop(process);
    let running = Running::new(child, Session::Own);
    fail_point::reach("command-running", command.program.to_string_lossy()).map_err(io)?;
    Ok((running, streams))
}

/// A process that is killed, with its group, and reaped when this value goes.
struct Running {
    child: Child,
    pid: Option<Pid>,
    pidfd: Option<OwnedFd>,
    session: Session,
}

impl Running {
    fn new(child: Child, session: Session) -> Self {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        // Only a wake-up call: without it (Linux before 5.3) the end is noticed at the next tick.
        let pidfd = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        Self {
            child,
            pid,
            pidfd,
            session,
        }
    }

    /// Waits for the end, moving data meanwhile. `None` when the build was cancelled.
    fn watch(mut self, streams: &mut Streams, host: &Host) -> io::Result<Option<ExitStatus>> {
        let mut asked: Option<Instant> = None;
        let mut ended: Option<Instant> = None;
        let grace = match self.session {
            Session::Own => GRACE,
            Session::Shared => INTERACTIVE_GRACE,
        };
        loop {
            let pidfd = self.pidfd.as_ref().filter(|_| ended.is_none());
            let wait = if ended.is_some() { LINGER / 4 } else { TICK };
            let moved = streams.pump(pidfd, wait, host)?;
            if ended.is_none() && self.has_ended()? {
                // What the command left running in its group must not outlive it. The process is
                // not reaped yet, so the group's number cannot be somebody else's.
                self.kill_group(Signal::KILL);
                streams.stop_feeding();
                ended = Some(Instant::now());
            }
            if let Some(at) = ended {
                if moved {
                    ended = Some(Instant::now());
                } else if !streams.is_open() || at.elapsed() > LINGER {
                    break;
                }
                continue;
            }
            if host.cancel.is_cancelled() {
                match asked {
                    None => {
                        asked = Some(Instant::now());
                        self.kill_group(Signal::TERM);
                    }
                    Some(at) if host.cancel.is_urgent() || at.elapsed() > grace => {
                        self.kill_group(Signal::KILL);
                    }
                    Some(_) => {}
                }
            }
        }
        let status = self.child.wait()?;
        self.pid = None;
        // A command that ends just when it would be asked to has not been heard of either.
        let cancelled = asked.is_some() || host.cancel.is_cancelled();
        Ok(if cancelled { None } else { Some(status) })
    }

    fn has_ended(&self) -> io::Result<bool> {
        let Some(pid) = self.pid else { return Ok(true) };
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::Pid(pid), look) {
            Ok(status) => Ok(status.is_some()),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    fn kill_group(&self, signal: Signal) {
        let Some(pid) = self.pid else { return };
        // Already gone is as good.
        let _ = match self.session {
            Session::Own => kill_process_group(pid, signal),
            Session::Shared => kill_process(pid, signal),
        };
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.pid.is_some() {
            self.kill_group(Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

fn failed(command: String, status: ExitStatus, streams: &Streams) -> CommandError {
    let tail = if streams.lines.tail.is_empty() && !streams.secret {
        Tail::of(&streams.captured).to_text()
    } else {
        streams.lines.tail.to_text()
    };
    CommandError::Failed {
        command,
        status: describe(status),
        code: status.code(),
        tail,
    }
}

/// `exited with status 3`, `was killed by SIGSEGV`.
fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with status {code}"),
        (None, Some(signal)) => format!("was killed by {}", signal_name(signal)),
        (None, None) => "ended in an unknown way".to_owned(),
    }
}

/// `SIGSEGV`, or `signal 40` for one without a name.
pub(super) fn signal_name(signal: i32) -> String {
    nix::sys::signal::Signal::try_from(signal)
        .map_or_else(|_| format!("signal {signal}"), |s| s.as_str().to_owned())
}

#[cfg(test)]
#[path = "process_tests.rs"]
mod tests;
