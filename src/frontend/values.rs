//! What a shell file says: names with values, as the shell handed them over.

use std::path::Path;

use crate::config::{ConfigError, Origin, PresetValue};

/// The name that ends the list: without it the shell left early.
pub(super) const END: &str = "end";

/// Variables and functions, in order; an array's name comes once for each element.
#[derive(Debug)]
pub(super) struct Values {
    pairs: Vec<(String, String)>,
    /// The file's text, to find the lines in that messages name.
    text: String,
    file: &'static str,
}

impl Values {
    /// Takes apart `NAME\0VALUE\0…`; nothing when the end is missing.
    pub fn parse(output: &[u8], file: &'static str, path: &Path) -> Option<Self> {
        let output = String::from_utf8_lossy(output);
        let parts: Vec<&str> = output.split('\0').collect();
        let pairs: Vec<(String, String)> = parts
            .chunks_exact(2)
            .map(|pair| (pair[0].to_owned(), pair[1].to_owned()))
            .collect();
        let (last, pairs) = pairs.split_last()?;
        (last.0 == END).then(|| Self {
            pairs: pairs.to_vec(),
            text: std::fs::read_to_string(path).unwrap_or_default(),
            file,
        })
    }

    /// A variable's value, without white space around it; `None` where it is unset or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        let value = self.all(name).next()?.trim();
        (!value.is_empty()).then_some(value)
    }

    /// All values of an array.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let pairs = self.pairs.iter().filter(move |pair| pair.0 == name);
        pairs.map(|pair| pair.1.as_str())
    }

    /// Whether the file defines a function.
    pub fn has_function(&self, name: &str) -> bool {
        self.all("function").any(|function| function == name)
    }

    /// Where a variable is set, as far as that can be seen without being a shell: the last line that
    /// looks like it. Only for messages.
    pub fn origin(&self, name: &str) -> Origin {
        let sets = |line: &str| {
            let line = line.trim_start();
            let line = line.strip_prefix("export ").unwrap_or(line);
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('=') || rest.starts_with("+="))
        };
        let lines = self.text.lines().zip(1_u32..);
        match lines.filter(|(line, _)| sets(line)).last() {
            Some((_, line)) => Origin::File {
                file: self.file.into(),
                line,
            },
            None => Origin::Project(self.file.into()),
        }
    }

    /// A setting that a variable stands for.
    pub fn preset(
        &self,
        setting: &'static str,
        text: impl Into<String>,
        variable: &str,
    ) -> PresetValue {
        PresetValue {
            setting,
            text: text.into(),
            origin: self.origin(variable),
        }
    }

    /// That a variable is wrong.
    pub fn wrong(&self, variable: &str, why: impl std::fmt::Display) -> ConfigError {
        ConfigError::Conflict(format!("{}: {why}", self.origin(variable)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("IMGBUILD");
        std::fs::write(
            &path,
            "# imgname=no\nimgname=x\nif :; then\n  export imgname=y\nfi\n",
        )
        .unwrap();
        let output = b"imgname\0 y \0packages\0a\nb\0function\0provision\0a\x001\0a\x002\0end\0\0";
        let values = Values::parse(output, "IMGBUILD", &path).unwrap();
        assert_eq!(values.get("imgname"), Some("y"));
        assert_eq!(values.get("format"), None);
        assert_eq!(values.get("packages"), Some("a\nb"));
        assert_eq!(values.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert!(values.has_function("provision") && !values.has_function("setup"));
        assert_eq!(values.origin("imgname").to_string(), "IMGBUILD:4");
        assert_eq!(values.origin("format").to_string(), "IMGBUILD");
        for output in [&b""[..], b"imgname\0y\0", b"imgname"] {
            assert!(Values::parse(output, "IMGBUILD", &path).is_none());
        }
    }
}
