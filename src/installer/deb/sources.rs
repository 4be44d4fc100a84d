//! The repositories that apt reads for a tree: those of the request, and those that skeleton files put
//! into the tree.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::installer::apt::make_directory;
use crate::installer::{InstallError, Request, Site};
use crate::tree::Root;

/// Where a tree has further repositories.
const PARTS: &str = "etc/apt/sources.list.d";

/// The content of apt's files.
#[derive(Debug)]
pub(super) struct Sources {
    /// `sources.list`.
    pub list: String,
    /// Files of `sources.list.d` by name, in order.
    pub parts: Vec<(String, Vec<u8>)>,
}

impl Sources {
    /// Those of a request alone.
    ///
    /// # Errors
    /// When they are none of apt's.
    pub fn of_request(request: &Request) -> Result<Self, InstallError> {
        let lines = request.apt()?.sources.iter();
        Ok(Self {
            list: lines.map(|source| source.line(false) + "\n").collect(),
            parts: Vec::new(),
        })
    }

    /// Those of a request and of a tree.
    ///
    /// # Errors
    /// When the tree cannot be read.
    pub fn of(request: &Request, site: &Site) -> Result<Self, InstallError> {
        let Self { list, mut parts } = Self::of_request(request)?;
        let root = Root::open(&site.root)?;
        if root.is_dir(PARTS)? {
            for entry in root.list(PARTS)? {
                let suffix = Path::new(&entry.name).extension();
                if suffix.is_none_or(|suffix| suffix != "list" && suffix != "sources") {
                    continue;
                }
                // As apt has it: others it passes over.
                let name = entry.name.to_str().filter(|name| {
                    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-:".contains(&b);
                    name.bytes().all(plain)
                });
                let path = Path::new(PARTS).join(&entry.name);
                if let (Some(name), true) = (name, root.is_file(&path)?) {
                    parts.push((name.to_owned(), root.read(&path)?));
                }
            }
        }
        parts.sort();
        Ok(Self { list, parts })
    }

    /// Whether all of them are on this machine's disks.
    pub fn are_local(&self) -> bool {
        let is_local = |line: &str| {
            let mut words = line.split_whitespace().skip(1);
            // Options stand in brackets before the address.
            let uri = words.find(|word| word.contains(":/") && !word.contains('='));
            uri.is_some_and(|uri| uri.starts_with("file:/") || uri.starts_with("copy:/"))
        };
        self.parts.is_empty() && self.list.lines().all(is_local)
    }

    /// Writes them beneath a directory; returns where the list and the directory of parts are. They
    /// are as old as files can be: apt takes its digest of the available packages for outdated if a
    /// list of sources is younger, and that digest is kept by what the lists hold.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, directory: &Path) -> Result<(PathBuf, PathBuf), InstallError> {
        let (list, parts) = (
            directory.join("sources.list"),
            directory.join("sources.list.d"),
        );
        make_directory(&parts)?;
        write_old(&list, self.list.as_bytes())?;
        for (name, content) in &self.parts {
            write_old(&parts.join(name), content)?;
        }
        make_old(&parts)?;
        Ok((list, parts))
    }
}

fn write_old(path: &Path, content: &[u8]) -> Result<(), InstallError> {
    std::fs::write(path, content).map_err(|source| InstallError::Prepare {
        path: path.to_owned(),
        source,
    })?;
    make_old(path)
}

fn make_old(path: &Path) -> Result<(), InstallError> {
    File::open(path)
        .and_then(|file| file.set_modified(SystemTime::UNIX_EPOCH))
        .map_err(|source| InstallError::Prepare {
            path: path.to_owned(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::installer::tests::request;

    #[test]
    fn repositories_of_the_tree_come_along() {
        let directory = tempfile::tempdir().unwrap();
        let site = Site {
            root: directory.path().join("tree"),
            scratch: directory.path().to_owned(),
        };
        std::fs::create_dir(&site.root).unwrap();
        let root = Root::open(&site.root).unwrap();
        for name in ["b.sources", "a.list", "README", "odd name.list"] {
            root.write(Path::new(PARTS).join(name), name, 0o644)
                .unwrap();
        }
        let sources = Sources::of(&request(), &site).unwrap();
        let (list, parts) = sources.write(directory.path()).unwrap();
        let text = std::fs::read_to_string(&list).unwrap();
        assert_eq!(text, "deb http://deb.debian.org/debian bookworm main\n");
        let names: Vec<&str> = sources
            .parts
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(names, ["a.list", "b.sources"]);
        assert!(!sources.are_local());
        for path in [list, parts.clone(), parts.join("a.list")] {
            let found = std::fs::metadata(path).unwrap().modified().unwrap();
            assert_eq!(found, SystemTime::UNIX_EPOCH);
        }
    }

    #[test]
    fn repositories_on_the_disk_are_told_from_others() {
        for (list, expected) in [
            ("deb [trusted=yes] file:///srv/a b c\n", true),
            (
                "deb [trusted=yes signed-by=/k] copy:/srv/a b c\ndeb file:/srv/d ./\n",
                true,
            ),
            ("deb file:/srv/a b c\ndeb http://m/a b c\n", false),
            ("deb https://m/file:/ b c\n", false),
            ("deb [by=file:/x] http://m/a b c\n", false),
        ] {
            let sources = Sources {
                list: list.to_owned(),
                parts: Vec::new(),
            };
            assert_eq!(sources.are_local(), expected, "{list}");
        }
    }
}
