//! The one way to start a process.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use super::{Cancel, Report};

/// What a command reads from its standard input.
#[derive(Debug, Default)]
pub enum Stdin {
    /// Nothing (`/dev/null`).
    #[default]
    Null,
    /// These bytes; the way secrets reach a command. Never printed.
    Bytes(Vec<u8>),
    /// An open file.
    File(File),
}

/// Where a command's standard output goes. Standard error is always reported line by line.
#[derive(Debug, Default)]
pub enum Stdout {
    /// To the report, line by line, like standard error.
    #[default]
    Report,
    /// Returned to the caller.
    Capture,
    /// Into an open file.
    File(File),
}

/// A program and its arguments, as a list: never a shell string.
#[derive(Debug)]
pub struct Command {
    pub(crate) program: OsString,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) cwd: Option<PathBuf>,
    pub(crate) stdin: Stdin,
    pub(crate) stdout: Stdout,
}

impl Command {
    /// A command without arguments; a program without `/` is looked up in the search path.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            cwd: None,
            stdin: Stdin::Null,
            stdout: Stdout::Report,
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds several arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args
            .extend(args.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    /// Sets a variable of the command's environment.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn current_dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.cwd = Some(dir.as_ref().to_owned());
        self
    }

    /// Sets what the command reads.
    #[must_use]
    pub fn stdin(mut self, stdin: Stdin) -> Self {
        self.stdin = stdin;
        self
    }

    /// Sets where the command's standard output goes.
    #[must_use]
    pub fn stdout(mut self, stdout: Stdout) -> Self {
        self.stdout = stdout;
        self
    }
}

/// What a finished command left behind.
#[derive(Debug, Default)]
pub struct Output {
    /// Its standard output, with [`Stdout::Capture`].
    pub stdout: Vec<u8>,
}

/// Why a command did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The program is not on this host.
    #[error("{program} is not installed{hint}")]
    NotFound {
        /// The program's name.
        program: String,
        /// What to install, as a sentence that starts with a separator, or nothing.
        hint: String,
    },
    /// The program ended with a failure.
    #[error("{command} {status}{tail}")]
    Failed {
        /// The command line.
        command: String,
        /// `exited with status 3`, `was killed by SIGSEGV`.
        status: String,
        /// The exit status, unless a signal ended the program.
        code: Option<i32>,
        /// The last lines that it printed, each after a newline and two spaces.
        tail: String,
    },
    /// The build was interrupted.
    #[error("interrupted")]
    Cancelled,
    /// The program could not be started or waited for.
    #[error("cannot run {command}")]
    Io {
        /// The command line.
        command: String,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
}

/// Starts processes: really, or, in tests, on paper.
pub trait Runner: Send + Sync {
    /// Runs `command` to its end; a non-zero status is an error.
    fn run(&self, command: Command, host: &Host) -> Result<Output, CommandError>;
}

/// The operating system as a build sees it: how to run commands, whom to tell, when to stop.
#[derive(Clone)]
pub struct Host {
    runner: Arc<dyn Runner>,
    /// Who hears what the work has to say.
    pub report: Arc<dyn Report>,
    /// Set when the work shall stop.
    pub cancel: Cancel,
}

impl Host {
    /// A host that starts its processes through `runner`.
    pub fn new(runner: Arc<dyn Runner>, report: Arc<dyn Report>, cancel: Cancel) -> Self {
        Self {
            runner,
            report,
            cancel,
        }
    }

    /// Runs a command to its end. A non-zero status is an error that carries the last lines printed.
    pub fn run(&self, command: Command) -> Result<Output, CommandError> {
        if self.cancel.is_cancelled() {
            return Err(CommandError::Cancelled);
        }
        self.report.command(&command.to_string());
        self.runner.run(command, self)
    }
}

/// Keeps the command lines it is given and answers with prepared output: for tests.
#[derive(Debug, Default)]
pub struct Recorder {
    lines: Mutex<Vec<String>>,
}

impl Recorder {
    /// The command lines so far, quoted for a shell.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().map(|l| l.clone()).unwrap_or_default()
    }
}

impl Runner for Recorder {
    fn run(&self, command: Command, _: &Host) -> Result<Output, CommandError> {
        if let Ok(mut lines) = self.lines.lock() {
            lines.push(command.to_string());
        }
        Ok(Output::default())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.program.to_string_lossy())?;
        for arg in &self.args {
            write!(f, " {}", arg.to_string_lossy())?;
        }
        Ok(())
    }
}

/// Starts real processes.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostRunner;

impl Runner for HostRunner {
    fn run(&self, command: Command, _: &Host) -> Result<Output, CommandError> {
        let line = command.to_string();
        let io = |source| CommandError::Io {
            command: line.clone(),
            source,
        };
        let mut process = std::process::Command::new(&command.program);
        process.args(&command.args).envs(command.env);
        if let Some(dir) = &command.cwd {
            process.current_dir(dir);
        }
        process.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = process.spawn().map_err(io)?;
        if let (Stdin::Bytes(bytes), Some(mut pipe)) = (&command.stdin, child.stdin.take()) {
            pipe.write_all(bytes).map_err(io)?;
        }
        let output = child.wait_with_output().map_err(io)?;
        Ok(Output {
            stdout: output.stdout,
        })
    }
}
