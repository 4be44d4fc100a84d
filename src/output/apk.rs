//! Reads which packages are installed from apk's database in a tree.

use std::io;
use std::path::Path;

use super::file_lists::FileLists;
use super::manifest::{Package, PackageType, Source};
use super::{OutputError, inside};

/// The database, from the root of the image: before and after Alpine merges /usr.
const DATABASES: [&str; 2] = ["lib/apk/db/installed", "usr/lib/apk/db/installed"];

/// The packages in `tree`, in the database's order.
pub fn installed(tree: &Path) -> Result<Vec<Package>, OutputError> {
    Ok(database(tree)?.map_or_else(Vec::new, |text| parse(&text)))
}

/// The database's text, if there is one.
fn database(tree: &Path) -> Result<Option<String>, OutputError> {
    for database in DATABASES {
        match read(tree, Path::new(database)) {
            Ok(text) => return Ok(Some(text)),
            Err(error) if inside::is_missing(&error) => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                return Err(OutputError::NotAFile {
                    path: Path::new("/").join(database),
                });
            }
            Err(error) => return Err(OutputError::io("read", &tree.join(database))(error)),
        }
    }
    Ok(None)
}

/// The files of each package.
pub fn files(tree: &Path) -> Result<FileLists, OutputError> {
    Ok(database(tree)?.map_or_else(FileLists::new, |text| {
        paragraphs(&text).filter_map(list).collect()
    }))
}

fn list(paragraph: &str) -> Option<(String, Vec<Vec<u8>>)> {
    let name = paragraph.lines().find_map(|line| line.strip_prefix("P:"))?;
    let mut directory = "";
    let mut paths = Vec::new();
    for line in paragraph.lines() {
        if let Some(path) = line.strip_prefix("F:") {
            directory = path;
        } else if let Some(file) = line.strip_prefix("R:") {
            paths.push(format!("{directory}/{file}").into_bytes());
        }
    }
    Some((name.to_owned(), paths))
}

fn read(tree: &Path, path: &Path) -> io::Result<String> {
    let content = inside::read(tree, path)?;
    Ok(String::from_utf8_lossy(&content).into_owned())
}

/// Reads paragraphs of `X:value` lines (apk-v2(5)); the case of the letter counts.
fn parse(text: &str) -> Vec<Package> {
    let text = text.replace("\r\n", "\n");
    paragraphs(&text).filter_map(package).collect()
}

fn paragraphs(text: &str) -> impl Iterator<Item = &str> {
    text.split("\n\n")
}

fn package(paragraph: &str) -> Option<Package> {
    let value = |field: &str| {
        let found = paragraph
            .lines()
            .find_map(|line| line.strip_prefix(field))?;
        Some(found.trim().to_owned()).filter(|value| !value.is_empty())
    };
    let (name, version) = (value("P:")?, value("V:")?);
    Some(Package {
        sha256: None,
        kind: PackageType::Apk,
        source: Source {
            name: value("o:").unwrap_or_else(|| name.clone()),
            version: version.clone(),
        },
        name,
        version,
        architecture: value("A:").unwrap_or_default(),
        // In bytes.
        size: value("I:").and_then(|size| size.parse().ok()),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const TEXT: &str = "C:Q1abc=\nP:musl\nV:1.2.5-r10\nA:x86_64\nS:411231\nI:667648\n\
                        T:the musl c library\no:musl\nF:lib\nR:ld-musl-x86_64.so.1\n\n\
                        P:busybox-binsh\nV:1.37.0-r12\nA:x86_64\nI:8192\no:busybox\n\n\
                        P:no-version\n\nV:no-name\n";

    #[test]
    fn paragraphs_are_packages() {
        for database in DATABASES {
            let tree = tempfile::tempdir().unwrap();
            assert_eq!(installed(tree.path()).unwrap(), []);
            let path = tree.path().join(database);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, TEXT).unwrap();
            let found = installed(tree.path()).unwrap();
            assert_eq!(found.len(), 2, "{database}");
            assert_eq!((&*found[0].name, &*found[0].version), ("musl", "1.2.5-r10"));
            assert_eq!(
                (&*found[0].architecture, found[0].size),
                ("x86_64", Some(667_648))
            );
            assert_eq!(found[1].source.name, "busybox");
        }
    }

    #[test]
    fn no_text_does_no_harm() {
        assert_eq!(parse(""), []);
        assert_eq!(parse("\n\n\n:\nP:\nV:\n"), []);
        assert_eq!(parse(&TEXT.replace('\n', "\r\n")).len(), 2);
    }
}
