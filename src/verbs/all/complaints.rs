//! What is wrong with several settings files, said once where it is the same.

use std::path::{Path, PathBuf};

use crate::host::printable_path;

/// How many files are named before the rest is only counted.
const NAMED: usize = 3;

/// Messages with the settings files that they are about, in the order in which they came.
#[derive(Debug, Default)]
pub struct Complaints {
    messages: Vec<(String, Vec<PathBuf>)>,
}

impl Complaints {
    /// Something is wrong with what `file` says.
    pub fn add(&mut self, file: &Path, message: String) {
        match self.messages.iter_mut().find(|(m, _)| *m == message) {
            Some((_, files)) => files.push(file.to_owned()),
            None => self.messages.push((message, vec![file.to_owned()])),
        }
    }

    /// Something is wrong with several files together; the message names them.
    pub fn add_common(&mut self, message: String) {
        self.messages.push((message, Vec::new()));
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Each message, with the files before it, unless it begins with one itself.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.messages
            .iter()
            .map(|(message, files)| match files.as_slice() {
                [] => message.clone(),
                [file] if message.starts_with(&printable_path(file)) => message.clone(),
                files => format!("{}: {message}", named(files)),
            })
    }
}

fn named(files: &[PathBuf]) -> String {
    let mut text = files
        .iter()
        .take(NAMED)
        .map(printable_path)
        .collect::<Vec<_>>()
        .join(", ");
    if files.len() > NAMED {
        text.push_str(&format!(" and {} more", files.len() - NAMED));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_once() {
        let mut complaints = Complaints::default();
        assert!(complaints.is_empty());
        for file in ["f/mkosi.a", "f/mkosi.b", "f/mkosi.c", "f/mkosi.d", "x\n"] {
            complaints.add(Path::new(file), "no such mirror".to_owned());
        }
        complaints.add(Path::new("f/mkosi.a"), "f/mkosi.a:3: no".to_owned());
        complaints.add(Path::new("x\n"), "bad".to_owned());
        complaints.add_common("a and b collide".to_owned());
        assert_eq!(
            complaints.lines().collect::<Vec<_>>(),
            [
                "f/mkosi.a, f/mkosi.b, f/mkosi.c and 2 more: no such mirror",
                "f/mkosi.a:3: no",
                "x\\n: bad",
                "a and b collide"
            ]
        );
    }
}
