//! Package names to install and to leave out.

use serde_json::Value as Json;

use super::list::{last_of_each, split_words};
use super::{BadValue, Place, Shape, Value};
use crate::config::Context;

/// Names of packages; `!name` takes a name out. Of two words about one name the later counts, and
/// the command line's is the last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackageList {
    /// As given, with whether the name is taken out; empty once settled.
    words: Vec<(String, bool)>,
    install: Vec<String>,
    exclude: Vec<String>,
}

impl PackageList {
    /// The packages to install, in the order given, each once.
    #[must_use]
    pub fn install(&self) -> &[String] {
        &self.install
    }

    /// The packages that were taken out, without the `!`.
    #[must_use]
    pub fn exclude(&self) -> &[String] {
        &self.exclude
    }

    /// Whether nothing is to be installed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.install.is_empty()
    }

    fn entries(&self) -> impl Iterator<Item = String> {
        let excluded = self.exclude.iter().map(|name| format!("!{name}"));
        self.install.iter().cloned().chain(excluded)
    }
}

impl Value for PackageList {
    const SHAPE: Shape = Shape::List;
    const EMPTY_IS_VALUE: bool = true;

    fn metavar() -> String {
        "PACKAGE".into()
    }

    fn parse(text: &str, _: Place, _: &Context) -> Result<Self, BadValue> {
        let mut words = Vec::new();
        for word in split_words(text) {
            match word.strip_prefix('!') {
                Some("") => return Err(BadValue::expected("a package's name after !")),
                Some(name) => words.push((name.to_owned(), true)),
                None => words.push((word.to_owned(), false)),
            }
        }
        Ok(Self {
            words,
            ..Self::default()
        })
    }

    fn add(&mut self, later: Self, _: Place) {
        self.words.extend(later.words);
    }

    fn override_with(self, mut command_line: Self) -> Self {
        // The command line's names come first, and its word about them is also the last.
        let last = command_line.words.clone();
        command_line
            .words
            .extend(self.words.into_iter().chain(last));
        command_line
    }

    fn settle(&mut self) {
        for (name, excluded) in last_of_each(std::mem::take(&mut self.words)) {
            if excluded {
                &mut self.exclude
            } else {
                &mut self.install
            }
            .push(name);
        }
    }

    fn to_json(&self) -> Json {
        self.entries().collect()
    }

    fn to_lines(&self) -> Vec<String> {
        let lines: Vec<_> = self.entries().collect();
        if lines.is_empty() {
            vec!["none".into()]
        } else {
            lines
        }
    }
}
