//! What can be wrong with a command line.

use std::ffi::OsStr;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::command::long_flags;
use super::invocation::Verb;
use crate::config::message::Excerpt;
use crate::config::{SETTINGS, suggest};

/// A command line that was not understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CliError {
    /// There is no such option.
    #[error("unknown option {option}{hint}")]
    UnknownOption {
        /// As the user wrote it.
        option: String,
        /// What was probably meant, or nothing.
        hint: String,
    },
    /// A shortened option could be several.
    #[error("the option {option} is not clear: it could be {candidates}")]
    AmbiguousOption {
        /// As the user wrote it.
        option: String,
        /// The options it begins.
        candidates: String,
    },
    /// An option needs a value.
    #[error("{option} needs a value, as in {option}=…")]
    MissingValue {
        /// The option.
        option: String,
    },
    /// The value of an option that is no setting is not accepted.
    #[error("--{option}={value}: {why}")]
    BadValue {
        /// The option, without dashes.
        option: &'static str,
        /// As the user wrote it.
        value: String,
        /// What is accepted.
        why: String,
    },
    /// There is no such verb.
    #[error("unknown verb {word}{hint}")]
    UnknownVerb {
        /// As the user wrote it.
        word: String,
        /// What was probably meant, or what there is.
        hint: String,
    },
    /// Words follow a verb that passes nothing on.
    #[error("{verb} takes no arguments, but {word} follows it")]
    ExtraArgument {
        /// The verb.
        verb: Verb,
        /// The first word after it.
        word: String,
    },
    /// Something that must be text is not.
    #[error("an argument is not valid UTF-8")]
    NotText,
    /// Anything else that the parser refuses.
    #[error("{0}")]
    Other(String),
}

impl CliError {
    pub(super) fn verb(word: &OsStr) -> Self {
        let word = word.to_string_lossy();
        let words = Verb::WORDS_AND_HELP.iter().map(|(verb, _)| verb.as_str());
        let hint = suggest::nearest(&word, words.clone()).map_or_else(
            || format!("; there are {}", words.collect::<Vec<_>>().join(", ")),
            |near| format!("; did you mean {near}?"),
        );
        Self::UnknownVerb {
            word: Excerpt(&word).to_string(),
            hint,
        }
    }
}

impl From<clap::Error> for CliError {
    fn from(error: clap::Error) -> Self {
        let context = |kind| match error.get(kind) {
            Some(ContextValue::String(text)) => Some(text.as_str()),
            _ => None,
        };
        // The parser shows an option with its placeholder: `--format <format>`.
        let option = context(ContextKind::InvalidArg).map(|text| {
            text.split([' ', '[', '='])
                .next()
                .unwrap_or(text)
                .to_owned()
        });
        match (error.kind(), option) {
            (ErrorKind::UnknownArgument, Some(option)) => unknown(&option),
            // Only options that must have a value are refused for these.
            (
                ErrorKind::InvalidValue
                | ErrorKind::WrongNumberOfValues
                | ErrorKind::TooFewValues
                | ErrorKind::NoEquals,
                Some(option),
            ) => Self::MissingValue { option },
            (ErrorKind::InvalidUtf8, _) => Self::NotText,
            _ => {
                let text = error.to_string();
                let line = text.lines().next().unwrap_or_default();
                Self::Other(Excerpt(line.trim_start_matches("error: ")).to_string())
            }
        }
    }
}

fn unknown(option: &str) -> CliError {
    let shown = Excerpt(option).to_string();
    let name = option.trim_start_matches('-');
    if option.starts_with("--") && !name.is_empty() {
        let mut candidates: Vec<_> = long_flags()
            .filter(|(flag, _)| flag.starts_with(name))
            .map(|(_, flag)| flag)
            .collect();
        candidates.dedup();
        if candidates.len() > 1 {
            let candidates: Vec<_> = candidates.iter().map(|flag| format!("--{flag}")).collect();
            return CliError::AmbiguousOption {
                option: shown,
                candidates: candidates.join(", "),
            };
        }
    }
    CliError::UnknownOption {
        option: shown,
        hint: hint(name),
    }
}

/// The flag that was probably meant: a setting's name, a misspelling, or a `no-` of our own.
fn hint(name: &str) -> String {
    let is = |candidate: &str| long_flags().any(|(flag, _)| flag == candidate);
    for negation in ["no-", "without-"] {
        let Some(rest) = name.strip_prefix(negation) else {
            continue;
        };
        for flag in [rest.to_owned(), format!("with-{rest}")] {
            if is(&flag) {
                return format!("; did you mean --{flag}=no?");
            }
        }
    }
    let by_setting = SETTINGS
        .iter()
        .find(|row| row.spec.name.eq_ignore_ascii_case(name))
        .map(|row| row.spec.flag);
    by_setting
        .or_else(|| suggest::nearest(name, long_flags().map(|(flag, _)| flag)))
        .map(|flag| format!("; did you mean --{flag}?"))
        .unwrap_or_default()
}
