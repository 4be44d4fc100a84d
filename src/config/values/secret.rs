//! A text that is never shown.

use std::fmt;

use serde_json::Value as Json;

use super::{BadValue, Place, Value};
use crate::config::Context;

/// A password. It prints as `***` and has no way into JSON.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret {
    text: String,
    unreadable: bool,
}

impl Secret {
    /// Keeps `text` from being shown.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            unreadable: false,
        }
    }

    /// A secret that exists but that this user may not read; only good for showing that it is set.
    #[must_use]
    pub fn unreadable() -> Self {
        Self {
            text: String::new(),
            unreadable: true,
        }
    }

    /// The text itself. Never put it on a command line or into a log.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// Whether the text is known to be empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && !self.unreadable
    }

    /// Whether the text could not be read; it must not be used then.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        self.unreadable
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Value for Secret {
    const SECRET: bool = true;

    fn metavar() -> String {
        "PASSWORD".into()
    }

    fn parse(text: &str, _: Place, _: &Context) -> Result<Self, BadValue> {
        Ok(Self::new(text))
    }

    fn parse_optional(text: &str, _: Place, _: &Context) -> Result<Option<Self>, BadValue> {
        Ok(Some(Self::new(text)))
    }

    fn to_json(&self) -> Json {
        if self.is_empty() { "(empty)" } else { "(set)" }.into()
    }
}
