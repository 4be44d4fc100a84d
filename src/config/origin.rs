//! Where a setting's value came from.

use std::fmt;
use std::path::PathBuf;

use super::message::{Escaped, Excerpt};

/// Where a setting's value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A flag, as in `--format`.
    CommandLine(String),
    /// A line of a settings file.
    File {
        /// The file, as the user would name it.
        file: PathBuf,
        /// Counted from 1.
        line: u32,
    },
    /// A file or directory of the project that counts because it is there.
    Project(PathBuf),
    /// Another setting, as in `Verity`.
    Implied(String),
}

impl Origin {
    /// Whether somebody asked for the value in so many words.
    #[must_use]
    pub const fn is_explicit(&self) -> bool {
        matches!(self, Self::CommandLine(_) | Self::File { .. })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::CommandLine(flag) => write!(f, "command line ({})", Escaped(flag)),
            Self::File { file, line } => write!(f, "{}:{line}", Escaped(&file.to_string_lossy())),
            Self::Project(path) => write!(f, "{}", Escaped(&path.to_string_lossy())),
            Self::Implied(setting) => write!(f, "implied by {setting}"),
        }
    }
}

/// What is known of one setting's way to its value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trace {
    /// In order of precedence; empty means default.
    pub origins: Vec<Origin>,
    /// The text of the value that holds, unless it is secret.
    pub text: Option<String>,
    /// Whether the value is another than the default.
    pub differs: bool,
}

/// Where every setting's value came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(pub(crate) Vec<Trace>);

impl Origins {
    /// The places that had a say in a setting, most important first; never empty.
    #[must_use]
    pub fn of(&self, setting: &str) -> &[Origin] {
        const DEFAULT: &[Origin] = &[Origin::Default];
        self.trace(setting)
            .map(|trace| trace.origins.as_slice())
            .filter(|origins| !origins.is_empty())
            .unwrap_or(DEFAULT)
    }

    pub(crate) fn trace(&self, setting: &str) -> Option<&Trace> {
        super::settings::index_of(setting).and_then(|index| self.0.get(index))
    }

    pub(crate) fn trace_mut(&mut self, setting: &str) -> Option<&mut Trace> {
        super::settings::index_of(setting).and_then(|index| self.0.get_mut(index))
    }

    /// Whether a flag or a settings file set it.
    #[must_use]
    pub fn is_explicit(&self, setting: &str) -> bool {
        self.of(setting).iter().any(Origin::is_explicit)
    }

    /// What the user wrote for a setting, with where: `Output=x (mkosi.default:3)`.
    pub(crate) fn quoted(&self, setting: &str) -> String {
        let text = self.trace(setting).and_then(|trace| trace.text.as_deref());
        match (text, self.of(setting).first()) {
            (Some(text), Some(origin)) if origin.is_explicit() => {
                format!("{setting}={} ({origin})", Excerpt(text))
            }
            (_, Some(origin)) => format!("{setting} ({origin})"),
            _ => setting.to_owned(),
        }
    }

    /// Notes that a setting has its value because of another one.
    pub(crate) fn imply(&mut self, setting: &str, by: &str) {
        if let Some(trace) = self.trace_mut(setting) {
            trace.origins = vec![Origin::Implied(by.to_owned())];
            trace.text = None;
        }
    }
}
