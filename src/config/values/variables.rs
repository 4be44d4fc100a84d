//! Environment variables for scripts.

use serde_json::Value as Json;

use super::list::{last_of_each, split_quoted};
use super::{BadValue, Place, Shape, Value};
use crate::config::Context;

/// `NAME=VALUE` pairs, each name once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables(Vec<(String, String)>);

impl Variables {
    /// The pairs, in the order in which the names were first given.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

impl Value for Variables {
    const SHAPE: Shape = Shape::List;
    const EMPTY_IS_VALUE: bool = true;

    fn metavar() -> String {
        "NAME=VALUE".into()
    }

    fn parse(text: &str, _: Place, context: &Context) -> Result<Self, BadValue> {
        let mut variables = Vec::new();
        for word in split_quoted(text)? {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (word.as_str(), context.variable(&word)),
            };
            if !is_name(name) {
                return Err(BadValue::expected(
                    "NAME=VALUE, or NAME to pass on a variable of the caller",
                ));
            }
            if let Some(value) = value {
                variables.push((name.to_owned(), value));
            }
        }
        Ok(Self(variables))
    }

    fn add(&mut self, later: Self, _: Place) {
        self.0.extend(later.0);
    }

    fn override_with(self, mut command_line: Self) -> Self {
        // The command line's names come first, and its values are also the last.
        let last = command_line.0.clone();
        command_line.0.extend(self.0.into_iter().chain(last));
        command_line
    }

    fn settle(&mut self) {
        self.0 = last_of_each(std::mem::take(&mut self.0));
    }

    fn to_json(&self) -> Json {
        self.0
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    }

    fn to_lines(&self) -> Vec<String> {
        if self.0.is_empty() {
            return vec!["none".into()];
        }
        self.0
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    }
}
