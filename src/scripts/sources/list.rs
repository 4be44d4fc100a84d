//! The files that are chosen of a source tree.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::tree::Kind;

/// Chosen paths, relative to the source tree's top.
#[derive(Debug, Default)]
pub(super) struct List {
    files: HashSet<PathBuf>,
    directories: HashSet<PathBuf>,
}

impl List {
    /// Chooses a file, with the directories above it.
    pub fn add(&mut self, path: PathBuf) {
        self.add_above(&path);
        self.files.insert(path);
    }

    /// Chooses a directory, but nothing that it holds.
    pub fn add_directory(&mut self, path: PathBuf) {
        self.add_above(&path);
        self.directories.insert(path);
    }

    fn add_above(&mut self, path: &Path) {
        for above in path.ancestors().skip(1) {
            // Whoever has a directory has those above it.
            if above == Path::new("") || !self.directories.insert(above.to_owned()) {
                break;
            }
        }
    }

    /// Whether something of this kind is chosen: a directory in the place of a file is not.
    pub fn has(&self, path: &Path, kind: Kind) -> bool {
        match kind {
            Kind::Directory => self.directories.contains(path),
            _ => self.files.contains(path),
        }
    }

    /// Whether no file is chosen.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_bring_the_directories_above_them() {
        let mut list = List::default();
        list.add("a/b/c".into());
        list.add("a/d".into());
        list.add_directory("m/sub".into());
        for (path, kind, chosen) in [
            ("a", Kind::Directory, true),
            ("a/b", Kind::Directory, true),
            ("a/b/c", Kind::File, true),
            ("a/b/c", Kind::Symlink, true),
            ("a/b/c", Kind::Directory, false),
            ("a/b", Kind::File, false),
            ("m/sub", Kind::Directory, true),
            ("m/sub/x", Kind::File, false),
            ("x", Kind::File, false),
        ] {
            assert_eq!(list.has(Path::new(path), kind), chosen, "{path} {kind:?}");
        }
        assert!(!list.is_empty());
    }
}
