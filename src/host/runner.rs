//! Who runs commands: the `Host` every step is handed, and the trait behind it.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Cancel, Command, CommandError, HostError, Output, Report, SearchPath, tools};

/// Starts processes: really, or, in tests, on paper.
pub trait Runner: Send + Sync {
    /// Runs `command` to its end; a non-zero status is an error.
    ///
    /// # Errors
    /// It cannot be started, ends with another status than 0 or by a signal, or an interruption.
    fn run(&self, command: Command, host: &Host) -> Result<Output, CommandError>;

    /// Runs `command` on the user's terminal and returns its exit status, 128 + the signal's number
    /// when a signal ended it.
    ///
    /// # Errors
    /// It cannot be started, or an interruption before that.
    fn interactive(&self, command: Command, host: &Host) -> Result<i32, CommandError>;

    /// Where `program` is, if it is installed.
    fn find(&self, program: &OsStr, search: &SearchPath) -> Option<PathBuf>;
}

/// The operating system as a build sees it: how to run commands, whom to tell, when to stop.
#[derive(Clone)]
pub struct Host {
    runner: Arc<dyn Runner>,
    /// Who hears what the work has to say.
    pub report: Arc<dyn Report>,
    /// Set when the work shall stop.
    pub cancel: Cancel,
    search: Arc<SearchPath>,
}

impl Host {
    /// A host that starts its processes through `runner`.
    pub fn new(runner: Arc<dyn Runner>, report: Arc<dyn Report>, cancel: Cancel) -> Self {
        Self {
            runner,
            report,
            cancel,
            search: Arc::new(SearchPath::from_environment(Vec::new())),
        }
    }

    /// The same host, looking for programs in these directories before any other.
    #[must_use]
    pub fn with_extra_search_paths(mut self, directories: Vec<PathBuf>) -> Self {
        self.search = Arc::new(SearchPath::from_environment(directories));
        self
    }

    /// The same host, telling somebody else.
    #[must_use]
    pub fn with_report(mut self, report: Arc<dyn Report>) -> Self {
        self.report = report;
        self
    }

    /// Where programs are looked for.
    #[must_use]
    pub fn search(&self) -> &SearchPath {
        &self.search
    }

    /// Where `program` is, if this host has it.
    #[must_use]
    pub fn find(&self, program: impl AsRef<OsStr>) -> Option<PathBuf> {
        self.runner.find(program.as_ref(), &self.search)
    }

    /// Checks, before work begins, that all these programs are installed. The error names every one
    /// that is not, with the packages of this host's distribution that have them.
    ///
    /// # Errors
    /// Some are missing; all of them are named, with the packages that have them.
    pub fn require(&self, programs: &[&str]) -> Result<(), HostError> {
        let missing: Vec<&str> = programs
            .iter()
            .copied()
            .filter(|program| self.find(program).is_none())
            .collect();
        tools::missing_error(&missing)
    }

    /// Runs a command to its end. A non-zero status is an error that carries the last lines printed.
    ///
    /// # Errors
    /// It cannot be started, ends with another status than 0 or by a signal, or an interruption.
    pub fn run(&self, command: Command) -> Result<Output, CommandError> {
        let command = self.announce(command)?;
        self.runner.run(command, self)
    }

    /// Runs a command on the user's terminal and returns its exit status, 128 + the signal's number
    /// when a signal ended it. Ctrl-C belongs to the command meanwhile. Its standard files are this
    /// program's, unless the command names files for them.
    ///
    /// # Errors
    /// It cannot be started, or an interruption before that.
    pub fn interactive(&self, command: Command) -> Result<i32, CommandError> {
        let command = self.announce(command)?;
        self.runner.interactive(command, self)
    }

    fn announce(&self, mut command: Command) -> Result<Command, CommandError> {
        if self.cancel.is_cancelled() {
            return Err(CommandError::Cancelled);
        }
        // A program that only the extra directories have is shown with its whole path: the line
        // would mean another program, or none, when pasted into a shell.
        if let Some(path) = self.search.find_extra(&command.program) {
            command.program = path.into_os_string();
        }
        self.report.command(&command.to_string());
        Ok(command)
    }
}
