//! A host on paper, for tests: keeps the command lines and answers with what was prepared.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::{Command, CommandError, Host, Output, Runner, SearchPath, Stdin, Stdout};

/// What a command would have done.
type Effect = Box<dyn Fn(&Command) -> Result<Vec<u8>, CommandError> + Send>;

/// One command that would have been run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The command line, quoted for a shell.
    pub line: String,
    /// The bytes on its standard input, with [`Stdin::Bytes`].
    pub stdin: Vec<u8>,
}

/// Keeps the command lines it is given and answers with prepared output: for tests.
///
/// A command without a prepared answer succeeds and prints nothing. Of several answers that fit,
/// the one prepared last counts.
#[derive(Default)]
pub struct Recorder {
    calls: Mutex<Vec<Call>>,
    answers: Mutex<Vec<(String, Effect)>>,
    missing: Mutex<Vec<String>>,
}

impl Recorder {
    /// The command lines so far, quoted for a shell.
    pub fn lines(&self) -> Vec<String> {
        self.calls().into_iter().map(|call| call.line).collect()
    }

    /// The commands so far.
    pub fn calls(&self) -> Vec<Call> {
        self.calls
            .lock()
            .map(|calls| calls.clone())
            .unwrap_or_default()
    }

    /// Commands whose line has `fragment` in it (a program's name, say) print `stdout`.
    pub fn answer(&self, fragment: &str, stdout: impl Into<Vec<u8>>) -> &Self {
        let stdout = stdout.into();
        self.on(fragment, move |_| Ok(stdout.clone()))
    }

    /// Commands whose line has `fragment` in it exit with status `code` after printing `message`.
    pub fn fail(&self, fragment: &str, code: i32, message: &str) -> &Self {
        let message = message.to_owned();
        self.on(fragment, move |command| {
            Err(CommandError::Failed {
                command: command.short(),
                status: format!("exited with status {code}"),
                code: Some(code),
                tail: message.lines().map(|line| format!("\n  {line}")).collect(),
            })
        })
    }

    /// Commands whose line has `fragment` in it do this, such as writing the file they would have
    /// written, and print what it returns.
    pub fn on(
        &self,
        fragment: &str,
        effect: impl Fn(&Command) -> Result<Vec<u8>, CommandError> + Send + 'static,
    ) -> &Self {
        if let Ok(mut answers) = self.answers.lock() {
            answers.push((fragment.to_owned(), Box::new(effect)));
        }
        self
    }

    /// This program is not installed. All others are.
    pub fn without(&self, program: &str) -> &Self {
        if let Ok(mut missing) = self.missing.lock() {
            missing.push(program.to_owned());
        }
        self
    }

    fn record(&self, command: &Command) -> Result<Vec<u8>, CommandError> {
        let line = command.to_string();
        let stdin = match &command.stdin {
            Stdin::Bytes(bytes) => bytes.clone(),
            Stdin::Null | Stdin::File(_) => Vec::new(),
        };
        if let Ok(mut calls) = self.calls.lock() {
            calls.push(Call {
                line: line.clone(),
                stdin,
            });
        }
        if !self.has(&command.program) {
            return Err(CommandError::NotFound {
                program: command.program.to_string_lossy().into_owned(),
                hint: String::new(),
            });
        }
        let answers = self.answers.lock();
        let found = answers
            .iter()
            .flat_map(|answers| answers.iter().rev())
            .find(|(fragment, _)| line.contains(fragment.as_str()));
        found.map_or_else(|| Ok(Vec::new()), |(_, effect)| effect(command))
    }

    fn has(&self, program: &OsStr) -> bool {
        let name = Path::new(program).file_name().unwrap_or(program);
        !self
            .missing
            .lock()
            .is_ok_and(|missing| missing.iter().any(|m| name == m.as_str()))
    }
}

impl Runner for Recorder {
    fn run(&self, command: Command, host: &Host) -> Result<Output, CommandError> {
        let printed = self.record(&command)?;
        let io = |source| CommandError::Io {
            command: command.short(),
            source,
        };
        match &command.stdout {
            Stdout::Capture | Stdout::Secret => return Ok(Output { stdout: printed }),
            Stdout::File(file) => std::io::Write::write_all(&mut &*file, &printed).map_err(io)?,
            Stdout::Report => {
                for line in String::from_utf8_lossy(&printed).lines() {
                    host.report.line(line);
                }
            }
        }
        Ok(Output::default())
    }

    fn interactive(&self, command: Command, _: &Host) -> Result<i32, CommandError> {
        match self.record(&command) {
            Ok(_) => Ok(0),
            Err(CommandError::Failed {
                code: Some(code), ..
            }) => Ok(code),
            Err(error) => Err(error),
        }
    }

    fn find(&self, program: &OsStr, _: &SearchPath) -> Option<PathBuf> {
        self.has(program)
            .then(|| Path::new("/usr/bin").join(program))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Cancel, Quiet};
    use std::sync::Arc;

    #[test]
    fn a_host_on_paper() {
        let recorder = Arc::new(Recorder::default());
        recorder
            .answer("dpkg-query", "bash 5.2\n")
            .fail("mkfs.ext4 -q", 1, "no space\n")
            .without("swupd");
        let host = Host::new(recorder.clone(), Arc::new(Quiet), Cancel::default());
        let query = Command::new("dpkg-query").arg("-W").stdout(Stdout::Capture);
        assert_eq!(host.run(query).unwrap().stdout, b"bash 5.2\n");
        let error = host
            .run(Command::new("mkfs.ext4").args(["-q", "x y"]))
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "mkfs.ext4 -q 'x y' exited with status 1\n  no space"
        );
        host.run(Command::new("cat").stdin(Stdin::Bytes(b"secret".into())))
            .unwrap();
        assert!(host.require(&["tar", "swupd"]).is_err());
        assert!(host.run(Command::new("swupd")).is_err());
        assert_eq!(
            host.interactive(Command::new("mkfs.ext4").arg("-q"))
                .unwrap(),
            1
        );
        assert_eq!(
            recorder.lines(),
            [
                "dpkg-query -W",
                "mkfs.ext4 -q 'x y'",
                "cat",
                "swupd",
                "mkfs.ext4 -q"
            ]
        );
        assert_eq!(recorder.calls()[2].stdin, b"secret");
    }

    #[test]
    fn a_cancelled_host_starts_nothing() {
        let recorder = Arc::new(Recorder::default());
        let host = Host::new(recorder.clone(), Arc::new(Quiet), Cancel::default());
        host.cancel.cancel();
        assert!(matches!(
            host.run(Command::new("true")),
            Err(CommandError::Cancelled)
        ));
        assert!(recorder.lines().is_empty());
    }
}
