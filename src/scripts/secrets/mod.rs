//! Values that a project uses and must not hold: each comes from a command, when it is needed.
//!
//! `secrets/NAME` is a shell script that prints the value. It runs on the host, since that is where
//! password stores are; `+NAME` runs as whoever called sudo or doas. Values are kept in memory only,
//! and reach others through a pipe or socket: never as an argument or variable, where `ps` shows them.

mod broker;
mod reveal;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{Mode, OFlags, open, openat};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::host::{Command, CommandError, Host, Stdout, calling_user, printable, printable_path};

pub use broker::{Broker, SOCKET_VARIABLE, ask};
pub use reveal::reveal_all;

/// The longest value that is read, in bytes.
const LONGEST: u64 = 1 << 20;
/// Shorter values are not looked for in messages: they would be found everywhere.
const SHORTEST_HIDDEN: usize = 4;

/// A secret's value.
pub type Value = Arc<Zeroizing<Vec<u8>>>;

/// Where secrets come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SecretSource {
    /// The directory of the commands, if the project has one.
    pub definitions: Option<PathBuf>,
    /// The directory of values that were revealed before; commands are not run then.
    pub revealed: Option<PathBuf>,
    /// Where commands run: the project's directory.
    pub directory: PathBuf,
}

impl SecretSource {
    /// Checks that somebody defined a secret, without asking for its value.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn check(&self, name: &str) -> Result<(), SecretError> {
        self.find(name).map(|_| ())
    }

    /// The file that holds a secret's value, or the command for it.
    fn find(&self, name: &str) -> Result<PathBuf, SecretError> {
        check_name(name)?;
        let directory = self.revealed.as_ref().or(self.definitions.as_ref());
        let Some(directory) = directory else {
            return Err(SecretError::NoDirectory { name: name.into() });
        };
        let path = directory.join(name);
        match path.is_file() {
            true => Ok(path),
            false => Err(SecretError::Missing {
                name: name.into(),
                path,
            }),
        }
    }
}

/// Why there is no value.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// No file can have this name.
    #[error(
        "{name:?} cannot be the name of a secret: it is the name of a file in the directory of secrets"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// Nobody defined it.
    #[error(
        "there is no secret {}: {} does not exist",
        printable(name),
        printable_path(path)
    )]
    Missing {
        /// The secret.
        name: String,
        /// The file that would define it.
        path: PathBuf,
    },
    /// The project has no secrets.
    #[error(
        "there is no secret {}: the project has no directory of secrets (secrets/, or --secrets=DIR)",
        printable(name)
    )]
    NoDirectory {
        /// The secret.
        name: String,
    },
    /// Its command failed.
    #[error("the command of the secret {} failed", printable(name))]
    Command {
        /// The secret.
        name: String,
        /// How it ended; never what it printed.
        #[source]
        source: CommandError,
    },
    /// A revealed value lies open.
    #[error("{path} has mode {mode:04o}, so that others can read the secret in it; run: chmod 600 {path}", path = printable_path(path))]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The directory for revealed values is not safe.
    #[error("{} is no place for secrets: {why}", printable_path(path))]
    Unsafe {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A file could not be used.
    #[error("cannot {action} {}", printable_path(path))]
    Io {
        /// What was being done, as a verb.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The build was interrupted.
    #[error("interrupted")]
    Cancelled,
}

impl SecretError {
    fn io<E: Into<io::Error>>(action: &'static str, path: &Path) -> impl FnOnce(E) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source: source.into(),
        }
    }
}

/// The secrets of a project, each asked for at most once.
pub struct Secrets<'a> {
    source: &'a SecretSource,
    host: &'a Host,
    known: Mutex<BTreeMap<String, Value>>,
}

impl<'a> Secrets<'a> {
    /// Secrets from `source`; nothing is read yet.
    #[must_use]
    pub fn new(source: &'a SecretSource, host: &'a Host) -> Self {
        Self {
            source,
            host,
            known: Mutex::default(),
        }
    }

    /// The value of a secret, every byte that its command printed.
    ///
    /// # Errors
    /// When nobody defined it, or its command fails.
    pub fn get(&self, name: &str) -> Result<Value, SecretError> {
        // Held while the command runs: nobody wants to be asked twice for the same passphrase.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = known.get(name) {
            return Ok(value.clone());
        }
        check_name(name)?;
        let value = match &self.source.revealed {
            Some(directory) => read_revealed(directory, name)?,
            None => self.run(name)?,
        };
        let value = Arc::new(Zeroizing::new(value));
        known.insert(name.to_owned(), value.clone());
        Ok(value)
    }

    /// The names of all secrets that are defined, in order.
    ///
    /// # Errors
    /// When their directory cannot be read.
    pub fn names(&self) -> Result<Vec<String>, SecretError> {
        let Some(directory) = &self.source.definitions else {
            return Ok(Vec::new());
        };
        let failed = || SecretError::io("read", directory);
        let mut names = Vec::new();
        for entry in fs::read_dir(directory).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_definition = check_name(&name).is_ok() && !name.ends_with('~');
            if is_definition && entry.path().is_file() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// A text without any value that was given out.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = text.to_owned();
        for value in known.values() {
            let value = String::from_utf8_lossy(value);
            for line in value.lines().filter(|line| line.len() >= SHORTEST_HIDDEN) {
                text = text.replace(line, "***");
            }
        }
        text
    }

    fn run(&self, name: &str) -> Result<Vec<u8>, SecretError> {
        let path = self.source.find(name)?;
        let caller = calling_user().filter(|_| name.starts_with('+'));
        let command = match caller {
            None => Command::new("sh"),
            Some(user) => {
                let command = user.command("sh");
                // Where the user's agents are, which sudo forgets about.
                let runtime = PathBuf::from(format!("/run/user/{}", user.uid));
                match runtime.is_dir() {
                    true => command.env("XDG_RUNTIME_DIR", runtime),
                    false => command,
                }
            }
        };
        let command = command
            .arg(&path)
            .current_dir(&self.source.directory)
            .stdout(Stdout::Secret);
        match self.host.run(command) {
            Ok(output) => Ok(output.stdout),
            Err(CommandError::Cancelled) => Err(SecretError::Cancelled),
            Err(source) => Err(SecretError::Command {
                name: name.into(),
                source,
            }),
        }
    }
}

/// The programs that getting at secrets takes.
#[must_use]
pub fn tools() -> &'static [&'static str] {
    match calling_user() {
        Some(_) => &["sh", "setpriv"],
        None => &["sh"],
    }
}

fn check_name(name: &str) -> Result<(), SecretError> {
    let good = !name.is_empty()
        && name.len() <= 255
        && !name.starts_with(['.', '-'])
        && !name.contains(|c: char| c == '/' || c.is_control());
    match good {
        true => Ok(()),
        false => Err(SecretError::Name { name: name.into() }),
    }
}

/// The value in a directory that [`reveal_all`] filled; no link is followed to it.
fn read_revealed(directory: &Path, name: &str) -> Result<Vec<u8>, SecretError> {
    let path = directory.join(name);
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let dir = open(directory, flags | OFlags::DIRECTORY, Mode::empty())
        .map_err(SecretError::io("read", directory))?;
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = match openat(&dir, name, flags, Mode::empty()) {
        Ok(fd) => File::from(fd),
        Err(rustix::io::Errno::NOENT) => {
            return Err(SecretError::Missing {
                name: name.into(),
                path,
            });
        }
        Err(e) => return Err(SecretError::io("read", &path)(e)),
    };
    let meta = file.metadata().map_err(SecretError::io("read", &path))?;
    let mode = std::os::unix::fs::MetadataExt::mode(&meta) & 0o7777;
    if mode & 0o077 != 0 {
        return Err(SecretError::Open { path, mode });
    }
    let mut value = Vec::new();
    file.take(LONGEST)
        .read_to_end(&mut value)
        .map_err(SecretError::io("read", &path))?;
    Ok(value)
}

#[cfg(test)]
mod tests;
