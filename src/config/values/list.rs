//! Settings that hold several values.

use std::collections::HashMap;
use std::path::PathBuf;

use serde_json::Value as Json;

use super::{BadValue, BootProtocol, ManifestFormat, Place, Shape, Value};
use crate::config::Context;

/// Parts of `text` between white space and commas. Quotes around them, or around all of them, mean
/// nothing.
pub(crate) fn split_words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || c == ',')
        .map(|word| word.trim_matches(['"', '\'']))
        .filter(|word| !word.is_empty())
}

/// As [`split_words`], but `"…"` and `'…'` keep white space and commas together.
pub(crate) fn split_quoted(text: &str) -> Result<Vec<String>, BadValue> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    for c in text.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => word.get_or_insert_default().push(c),
            None if c == '"' || c == '\'' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() || c == ',' => words.extend(word.take()),
            None => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(BadValue("a quote is not closed".into()));
    }
    words.extend(word);
    words.retain(|word| !word.is_empty());
    Ok(words)
}

/// Each name once, where it first came, with what was said of it last.
pub(super) fn last_of_each<T>(pairs: impl IntoIterator<Item = (String, T)>) -> Vec<(String, T)> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut result: Vec<(String, T)> = Vec::new();
    for (name, value) in pairs {
        if let Some(place) = places.get(&name) {
            result[*place].1 = value;
        } else {
            places.insert(name.clone(), result.len());
            result.push((name, value));
        }
    }
    result
}

/// A type of which a setting can hold several.
pub trait Item: Value {
    /// Whether quotes keep white space within an item.
    const QUOTED: bool = false;
    /// Whether a repeated item counts once.
    const UNIQUE: bool = false;
}

impl Item for String {}
impl Item for PathBuf {
    const QUOTED: bool = true;
}
impl Item for BootProtocol {
    const UNIQUE: bool = true;
}
impl Item for ManifestFormat {
    const UNIQUE: bool = true;
}

fn extend<T: Item>(list: &mut Vec<T>, more: Vec<T>) {
    for item in more {
        if !T::UNIQUE || !list.contains(&item) {
            list.push(item);
        }
    }
}

impl<T: Item> Value for Vec<T> {
    const SHAPE: Shape = Shape::List;
    const EMPTY_IS_VALUE: bool = true;

    fn metavar() -> String {
        T::metavar()
    }

    fn parse(text: &str, place: Place, context: &Context) -> Result<Self, BadValue> {
        let mut list = Vec::new();
        let words = if T::QUOTED {
            split_quoted(text)?
        } else {
            split_words(text).map(str::to_owned).collect()
        };
        let items = words.iter().map(|word| T::parse(word, place, context));
        extend(&mut list, items.collect::<Result<_, _>>()?);
        Ok(list)
    }

    fn add(&mut self, later: Self, _: Place) {
        extend(self, later);
    }

    fn override_with(self, mut command_line: Self) -> Self {
        extend(&mut command_line, self);
        command_line
    }

    fn to_json(&self) -> Json {
        self.iter().map(T::to_json).collect()
    }

    fn to_lines(&self) -> Vec<String> {
        if self.is_empty() {
            return vec!["none".into()];
        }
        self.iter().map(T::to_text).collect()
    }

    fn paths(&self) -> Vec<PathBuf> {
        self.iter().flat_map(T::paths).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_words() {
        let words: Vec<_> = split_words(" a,b  c\n\td ,, e \"f g\" ").collect();
        assert_eq!(words, ["a", "b", "c", "d", "e", "f", "g"]);
    }

    #[test]
    fn quotes_keep_white_space() {
        for (text, words) in [
            ("a \"b c\",d", vec!["a", "b c", "d"]),
            ("A='1, 2' B=3", vec!["A=1, 2", "B=3"]),
            ("'' \"\"", vec![]),
            ("it\"'\"s", vec!["it's"]),
        ] {
            assert_eq!(split_quoted(text).unwrap(), words, "{text}");
        }
        assert!(split_quoted("\"a").is_err());
    }
}
