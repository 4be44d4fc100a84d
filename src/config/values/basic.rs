//! Booleans, numbers, texts and paths as settings.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use super::{BadValue, Place, Shape, Value};
use crate::config::Context;

/// The words for yes and no, in any case.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    const YES: &[&str] = &["1", "yes", "true", "on", "y"];
    const NO: &[&str] = &["0", "no", "false", "off", "n"];
    let is = |word: &&str| word.eq_ignore_ascii_case(text);
    if YES.iter().any(is) {
        Some(true)
    } else if NO.iter().any(is) {
        Some(false)
    } else {
        None
    }
}

/// Reads yes or no; the error names `other`, a word that the caller accepts too, unless empty.
pub(crate) fn parse_boolean(text: &str, other: &str) -> Result<bool, BadValue> {
    boolean(text).ok_or_else(|| {
        let other = if other.is_empty() {
            String::new()
        } else {
            format!(" or {other}")
        };
        BadValue(format!(
            "expected yes (1, true, on, y) or no (0, false, off, n){other}"
        ))
    })
}

/// Reads a value that yes and no stand in for: `yes` is what a bare yes means, no is nothing, and every
/// other word is for `parse`.
pub(crate) fn parse_switch<T>(
    text: &str,
    yes: T,
    parse: impl FnOnce(&str) -> Result<T, BadValue>,
) -> Result<Option<T>, BadValue> {
    match boolean(text) {
        _ if text.is_empty() => Ok(None),
        Some(true) => Ok(Some(yes)),
        Some(false) => Ok(None),
        None => parse(text).map(Some),
    }
}

impl Value for bool {
    const SHAPE: Shape = Shape::Switch;

    fn metavar() -> String {
        "BOOL".into()
    }

    fn parse(text: &str, _: Place, _: &Context) -> Result<Self, BadValue> {
        parse_boolean(text, "")
    }

    fn to_json(&self) -> Json {
        (*self).into()
    }
}

macro_rules! number {
    ($($type:ident),+) => { $(
        impl Value for $type {
            fn metavar() -> String {
                "NUMBER".into()
            }

            fn parse(text: &str, _: Place, _: &Context) -> Result<Self, BadValue> {
                if !text.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(BadValue::expected("a whole number"));
                }
                text.parse()
                    .map_err(|_| BadValue::expected(format_args!("a number up to {}", $type::MAX)))
            }

            fn to_json(&self) -> Json {
                (*self).into()
            }
        }
    )+ };
}

number!(u32, u64);

impl Value for String {
    fn metavar() -> String {
        "TEXT".into()
    }

    fn parse(text: &str, _: Place, _: &Context) -> Result<Self, BadValue> {
        Ok(text.to_owned())
    }

    fn to_json(&self) -> Json {
        self.as_str().into()
    }
}

impl Value for PathBuf {
    fn metavar() -> String {
        "PATH".into()
    }

    fn parse(text: &str, _: Place, context: &Context) -> Result<Self, BadValue> {
        Ok(context.absolute(Path::new(text)))
    }

    fn to_json(&self) -> Json {
        self.to_string_lossy().into()
    }

    fn paths(&self) -> Vec<PathBuf> {
        vec![self.clone()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_booleans_in_any_case() {
        for text in ["1", "yes", "YES", "True", "on", "y"] {
            assert_eq!(boolean(text), Some(true), "{text}");
        }
        for text in ["0", "no", "False", "OFF", "n"] {
            assert_eq!(boolean(text), Some(false), "{text}");
        }
        for text in ["", "2", "ye", "maybe", "yes "] {
            assert_eq!(boolean(text), None, "{text}");
        }
    }

    #[test]
    fn reads_numbers() {
        let context = Context::default();
        assert_eq!(u32::parse("007", Place::File, &context), Ok(7));
        for text in ["-1", "+1", "1.0", "4294967296", "1k"] {
            assert!(u32::parse(text, Place::File, &context).is_err(), "{text}");
        }
    }
}
