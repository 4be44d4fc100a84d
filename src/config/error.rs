//! What can be wrong with a configuration. All of it is reported at once.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::Config;
use super::message::{Escaped, Excerpt};
use super::origin::Origin;

/// One thing that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A line of a settings file is not in the language of settings files.
    #[error("{}:{line}: {what}", Escaped(&file.to_string_lossy()))]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        line: u32,
        /// What was expected.
        what: String,
    },
    /// A value is not one that the setting can have.
    #[error("{origin}: {setting}{value}: {why}")]
    Value {
        /// Where it stands.
        origin: Origin,
        /// The setting.
        setting: &'static str,
        /// `=` and the text, ready to be shown; empty for secrets.
        value: String,
        /// What is accepted.
        why: String,
    },
    /// Settings do not go together, or something that they need is not there.
    #[error("{0}")]
    Conflict(String),
    /// A file could not be read.
    #[error("cannot read {}: {source}", Escaped(&path.to_string_lossy()))]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// `--default=` names nothing.
    #[error("the settings file {} does not exist", Escaped(&.0.to_string_lossy()))]
    NoSettingsFile(PathBuf),
    /// A script cannot be run.
    #[error("the {what} {path} is not executable; run: chmod +x {path}", path = Escaped(&path.to_string_lossy()))]
    NotExecutable {
        /// The setting that names it.
        what: &'static str,
        /// The script.
        path: PathBuf,
    },
    /// A file with a secret can be read by others.
    #[error("{path} has mode {mode:04o}, so that others can read the secret in it; run: chmod 600 {path}", path = Escaped(&path.to_string_lossy()))]
    OpenSecret {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file with a secret belongs to somebody who has nothing to do with the project.
    #[error("{path} belongs to user {uid}, who can read and change the secret in it; run: chown root {path}", path = Escaped(&path.to_string_lossy()))]
    SecretOfAnother {
        /// The file.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// A file with a password holds something else.
    #[error("{}: {why}", Escaped(&path.to_string_lossy()))]
    NoPassword {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A file that a setting names is not there.
    #[error("{origin}: {setting}: {} does not exist", Escaped(&path.to_string_lossy()))]
    Missing {
        /// Where the setting was made.
        origin: Origin,
        /// The setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
    },
}

impl ConfigError {
    pub(super) fn value(
        origin: Origin,
        setting: &'static str,
        text: Option<&str>,
        why: impl fmt::Display,
    ) -> Self {
        // A flag's origin shows the flag; the setting's own name would only repeat it.
        let value = text
            .map(|text| format!("={}", Excerpt(text)))
            .unwrap_or_default();
        Self::Value {
            origin,
            setting,
            value,
            why: why.to_string(),
        }
    }
}

/// Something that the user should know although the configuration can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning(pub String);

impl Warning {
    pub(super) fn at(origin: impl fmt::Display, what: impl fmt::Display) -> Self {
        Self(format!("{origin}: {what}"))
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Everything that is wrong with a configuration, and the warnings that came with it.
#[derive(Debug)]
pub struct Errors {
    /// Never empty when returned.
    pub errors: Vec<ConfigError>,
    /// What else was noticed.
    pub warnings: Vec<Warning>,
    /// The configuration, if the settings are right and only files of the project are not: good
    /// for showing, not for building.
    pub config: Option<Box<Config>>,
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

/// Collects what is wrong while reading goes on.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub errors: Vec<ConfigError>,
    /// What is wrong with the project's files, not with its settings.
    pub file_errors: Vec<ConfigError>,
    pub warnings: Vec<Warning>,
}

impl Findings {
    pub fn error(&mut self, error: ConfigError) {
        self.errors.push(error);
    }

    pub fn conflict(&mut self, what: impl Into<String>) {
        self.errors.push(ConfigError::Conflict(what.into()));
    }

    pub fn warn(&mut self, warning: Warning) {
        self.warnings.push(warning);
    }
}
