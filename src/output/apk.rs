//! Reads which packages are installed from apk's database in a tree.

use std::io::{self, Read as _};
use std::path::Path;

use super::manifest::{Package, PackageType, Source};
use super::{OutputError, inside};

/// The database, from the root of the image: before and after Alpine merges /usr.
const DATABASES: [&str; 2] = ["lib/apk/db/installed", "usr/lib/apk/db/installed"];

/// The packages in `tree`, in the database's order.
pub fn installed(tree: &Path) -> Result<Vec<Package>, OutputError> {
    for database in DATABASES {
        match read(tree, Path::new(database)) {
            Ok(text) => return Ok(parse(&text)),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                return Err(OutputError::NotAFile {
                    path: Path::new("/").join(database),
                });
            }
            Err(error) => return Err(OutputError::io("read", &tree.join(database))(error)),
        }
    }
    Ok(Vec::new())
}

fn read(tree: &Path, path: &Path) -> io::Result<String> {
    let mut content = Vec::new();
    inside::open(tree, path)?.read_to_end(&mut content)?;
    Ok(String::from_utf8_lossy(&content).into_owned())
}

/// Reads paragraphs of `X:value` lines (apk-v2(5)); the case of the letter counts.
fn parse(text: &str) -> Vec<Package> {
    let text = text.replace("\r\n", "\n");
    text.split("\n\n").filter_map(package).collect()
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
