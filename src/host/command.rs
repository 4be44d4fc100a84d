//! The one way to start a process: what to run, said as data.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::quote::shell_quote;
use super::system_calls::Answered;

/// How many characters of a command line an error message repeats.
const SHORT_LINE: usize = 400;

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
    /// As [`Stdout::Capture`], and never repeated in a message, not even in that of a failure.
    Secret,
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
    pub(crate) inherited: Vec<OwnedFd>,
    pub(crate) clean_env: bool,
    pub(crate) answered: Answered,
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
            inherited: Vec::new(),
            clean_env: false,
            answered: Answered::default(),
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

    /// Sets a variable of the command's environment. It is shown with the command line, so it is no
    /// way to hand over a secret: that is [`Stdin::Bytes`].
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Starts from an environment of `PATH`, `LC_ALL`, `HOME`, `TERM`, `TMPDIR` and
    /// `SOURCE_DATE_EPOCH` alone, instead of everything this program inherited.
    #[must_use]
    pub fn clean_env(mut self) -> Self {
        self.clean_env = true;
        self
    }

    /// Lets the command, and everything it starts, ask in vain for its writing to reach the disk: for
    /// work whose result is thrown away when it does not come to its end.
    #[must_use]
    pub fn no_sync(mut self) -> Self {
        self.answered.sync = true;
        self
    }

    /// Makes the command, and everything it starts, copy where it could make files share blocks: for
    /// programs that make something else of it then.
    #[must_use]
    pub fn no_clones(mut self) -> Self {
        self.answered.clone = true;
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

    /// Leaves this open file open in the command, under the same number, so that an argument can
    /// name it as `/proc/self/fd/N`. All others are closed.
    #[must_use]
    pub fn inherit(mut self, fd: OwnedFd) -> Self {
        self.inherited.push(fd);
        self
    }

    /// The command line for an error message: long ones end in the number of arguments left out.
    #[must_use]
    pub fn short(&self) -> String {
        let mut line = shell_quote(&self.program);
        for (nth, arg) in self.args.iter().enumerate() {
            let word = shell_quote(arg);
            if line.chars().count() + word.chars().count() > SHORT_LINE {
                let left = self.args.len() - nth;
                line.push_str(&format!(" … ({left} more)"));
                break;
            }
            line.push(' ');
            line.push_str(&word);
        }
        line
    }
}

/// The whole line as a POSIX shell with `$'…'` quoting (bash, zsh, busybox) reads it.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(dir) = &self.cwd {
            write!(f, "(cd {} && ", shell_quote(dir.as_os_str()))?;
        }
        for (name, value) in &self.env {
            write!(f, "{}={} ", name.to_string_lossy(), shell_quote(value))?;
        }
        write!(f, "{}", shell_quote_program(&self.program))?;
        for arg in &self.args {
            write!(f, " {}", shell_quote(arg))?;
        }
        if self.cwd.is_some() {
            f.write_str(")")?;
        }
        Ok(())
    }
}

/// A program whose name holds a `=` would be read as an assignment.
fn shell_quote_program(program: &OsStr) -> String {
    let quoted = shell_quote(program);
    if quoted.contains('=') && !quoted.starts_with(['\'', '$']) {
        return format!("'{quoted}'");
    }
    quoted
}

/// What a finished command left behind.
#[derive(Debug, Default)]
pub struct Output {
    /// Its standard output, with [`Stdout::Capture`] and [`Stdout::Secret`].
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_can_be_pasted_into_a_shell() {
        let command = Command::new("a=b")
            .arg("it's")
            .arg("")
            .arg("x y")
            .arg("line\nbreak\x1b")
            .env("SOURCE_DATE_EPOCH", "0")
            .env("A", "b c")
            .current_dir("/a dir");
        assert_eq!(
            command.to_string(),
            r"(cd '/a dir' && SOURCE_DATE_EPOCH=0 A='b c' 'a=b' 'it'\''s' '' 'x y' $'line\nbreak\x1b')"
        );
    }

    #[test]
    fn a_long_line_is_cut_in_errors_only() {
        let command = Command::new("apt-get").args((0..200).map(|n| format!("package-{n}")));
        let short = command.short();
        assert!(short.chars().count() < SHORT_LINE + 30, "{short}");
        assert!(short.ends_with("more)"), "{short}");
        assert!(command.to_string().ends_with("package-199"));
    }
}
