//! Directories to look for programs in.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use super::list::split_quoted;
use super::{BadValue, Place, Shape, Value};
use crate::config::Context;

/// Absolute directories, searched before those of `PATH`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchPaths(Vec<PathBuf>);

impl SearchPaths {
    /// The directories, in the order of the search.
    #[must_use]
    pub fn as_slice(&self) -> &[PathBuf] {
        &self.0
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Puts in the values of `$NAME` and `${NAME}`; none when one of them is not set.
fn expand(text: &str, context: &Context) -> Result<Option<String>, BadValue> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let name = if let Some(braced) = rest.strip_prefix('{') {
            let Some(end) = braced.find('}') else {
                return Err(BadValue("a ${ is not closed by }".into()));
            };
            rest = &braced[end + 1..];
            &braced[..end]
        } else if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        } else {
            let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            rest = after;
            name
        };
        if name.is_empty() || !name.chars().all(is_name) {
            return Err(BadValue::expected("the name of a variable after $"));
        }
        match context.variable(name) {
            Some(value) => out.push_str(&value),
            None => return Ok(None),
        }
    }
    out.push_str(rest);
    Ok(Some(out))
}

impl Value for SearchPaths {
    const SHAPE: Shape = Shape::List;
    const EMPTY_IS_VALUE: bool = true;

    fn metavar() -> String {
        "PATH[:PATH…]".into()
    }

    fn parse(text: &str, _: Place, context: &Context) -> Result<Self, BadValue> {
        let mut paths = Vec::new();
        for word in split_quoted(text)? {
            for part in word.split(':').filter(|part| !part.is_empty()) {
                if let Some(path) = expand(part, context)?.filter(|path| !path.is_empty()) {
                    paths.push(context.absolute(Path::new(&path)));
                }
            }
        }
        Ok(Self(paths))
    }

    fn add(&mut self, later: Self, _: Place) {
        self.0.extend(later.0);
    }

    fn override_with(self, mut command_line: Self) -> Self {
        command_line.0.extend(self.0);
        command_line
    }

    fn to_json(&self) -> Json {
        self.0.to_json()
    }

    fn to_lines(&self) -> Vec<String> {
        self.0.to_lines()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_put_in() {
        let variables = [("A", "/a"), ("EMPTY", "")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        let context = Context::new("/p", variables.into(), "/nowhere");
        for (text, paths) in [
            ("$A/bin:${A}x", vec!["/a/bin", "/ax"]),
            ("/b,c d:/e/", vec!["/b", "/p/c", "/p/d", "/e"]),
            ("$UNSET/bin:/b", vec!["/b"]),
            ("$EMPTY:/b", vec!["/b"]),
            ("/a$$b", vec!["/a$b"]),
        ] {
            let found = SearchPaths::parse(text, Place::File, &context).unwrap();
            assert_eq!(
                found.as_slice(),
                paths.iter().map(PathBuf::from).collect::<Vec<_>>(),
                "{text}"
            );
        }
        for text in ["${A", "$", "$/a", "${}"] {
            assert!(
                SearchPaths::parse(text, Place::File, &context).is_err(),
                "{text}"
            );
        }
    }
}
