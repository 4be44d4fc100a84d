//! What every type of setting can do: be read from text, be combined, be shown.

use std::path::PathBuf;

use serde_json::Value as Json;

use crate::config::Context;

/// Where a text stands: the two places differ in how repeated settings combine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the command line.
    CommandLine,
    /// In a settings file.
    File,
}

/// How a setting's flag takes its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `--flag` means yes; a value needs `=` and is optional.
    Switch,
    /// `--flag=VALUE` or `--flag VALUE`.
    Word,
    /// As [`Shape::Word`]; several places combine.
    List,
}

/// Why a text is no value of a type: what would be accepted, as a half-sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadValue(pub String);

impl BadValue {
    /// `expected WHAT`.
    pub fn expected(what: impl std::fmt::Display) -> Self {
        Self(format!("expected {what}"))
    }
}

/// A type that a setting can have.
pub trait Value: Clone + PartialEq + std::fmt::Debug {
    /// How the flag takes its value.
    const SHAPE: Shape = Shape::Word;
    /// Whether an empty text is a value of its own; otherwise it takes the setting back.
    const EMPTY_IS_VALUE: bool = false;
    /// Whether the text must never be kept or shown.
    const SECRET: bool = false;

    /// The placeholder that stands for a value in `--help`.
    fn metavar() -> String;

    /// Reads a text without white space around it; empty only with [`Value::EMPTY_IS_VALUE`].
    ///
    /// # Errors
    /// What is wrong with the text, and what would be right.
    fn parse(text: &str, place: Place, context: &Context) -> Result<Self, BadValue>;

    /// Reads a text where no value is possible too.
    ///
    /// # Errors
    /// As [`Self::parse`].
    fn parse_optional(
        text: &str,
        place: Place,
        context: &Context,
    ) -> Result<Option<Self>, BadValue> {
        if text.is_empty() {
            return Ok(None);
        }
        Self::parse(text, place, context).map(Some)
    }

    /// A later text of the same place: lists grow, others are replaced.
    fn add(&mut self, later: Self, _place: Place) {
        *self = later;
    }

    /// What holds when the settings files and the command line both have a say.
    fn override_with(self, command_line: Self) -> Self {
        command_line
    }

    /// Brings the finished value into its final form, once everything that adds to it has.
    fn settle(&mut self) {}

    /// For machines.
    fn to_json(&self) -> Json;

    /// For people, on one line.
    fn to_text(&self) -> String {
        match self.to_json() {
            Json::Null => "none".into(),
            Json::Bool(true) => "yes".into(),
            Json::Bool(false) => "no".into(),
            Json::String(text) => text,
            other => other.to_string(),
        }
    }

    /// For people, one line for each part.
    fn to_lines(&self) -> Vec<String> {
        vec![self.to_text()]
    }

    /// The host's files that it names.
    fn paths(&self) -> Vec<PathBuf> {
        Vec::new()
    }
}

impl<T: Value> Value for Option<T> {
    const SHAPE: Shape = T::SHAPE;
    const EMPTY_IS_VALUE: bool = true;
    const SECRET: bool = T::SECRET;

    fn metavar() -> String {
        T::metavar()
    }

    fn parse(text: &str, place: Place, context: &Context) -> Result<Self, BadValue> {
        T::parse_optional(text, place, context)
    }

    fn add(&mut self, later: Self, place: Place) {
        match (self.as_mut(), later) {
            (Some(value), Some(later)) => value.add(later, place),
            (_, later) => *self = later,
        }
    }

    fn settle(&mut self) {
        if let Some(value) = self {
            value.settle();
        }
    }

    fn to_json(&self) -> Json {
        self.as_ref().map_or(Json::Null, T::to_json)
    }

    fn to_text(&self) -> String {
        self.as_ref().map_or_else(|| "none".into(), T::to_text)
    }

    fn paths(&self) -> Vec<PathBuf> {
        self.as_ref().map_or_else(Vec::new, T::paths)
    }
}
