//! Reads which packages are installed from dpkg's database in a tree.

use std::io;
use std::path::Path;

use super::manifest::{Package, PackageType, Source};
use super::{OutputError, inside};

/// The database, from the root of the image.
const STATUS: &str = "var/lib/dpkg/status";
/// `Installed-Size` counts in units of 1024 bytes (Debian Policy, section 5.6.20).
const SIZE_UNIT: u64 = 1024;

/// The packages in `tree` whose state is `installed`, in the database's order.
pub fn installed(tree: &Path) -> Result<Vec<Package>, OutputError> {
    match inside::read(tree, Path::new(STATUS)) {
        Ok(status) => Ok(parse(&status)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Err(OutputError::NotAFile {
            path: Path::new("/").join(STATUS),
        }),
        Err(error) => Err(OutputError::io("read", &tree.join(STATUS))(error)),
    }
}

/// Reads paragraphs of `Field: value` lines. Lines that are none are passed over, and bytes that are
/// no UTF-8 are replaced: a manifest is worth having in spite of one odd maintainer's name.
fn parse(status: &[u8]) -> Vec<Package> {
    let mut packages = Vec::new();
    let mut paragraph = Paragraph::default();
    for line in status.split(|byte| *byte == b'\n') {
        if line.iter().all(u8::is_ascii_whitespace) {
            packages.extend(std::mem::take(&mut paragraph).package());
        } else if !line.starts_with(b" ") && !line.starts_with(b"\t") {
            paragraph.add(line);
        }
    }
    packages.extend(paragraph.package());
    packages
}

#[derive(Default)]
struct Paragraph {
    name: Option<String>,
    source: Option<String>,
    version: Option<String>,
    architecture: Option<String>,
    installed: bool,
    size: Option<u64>,
}

impl Paragraph {
    fn add(&mut self, line: &[u8]) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            return;
        };
        let value = String::from_utf8_lossy(line[colon + 1..].trim_ascii());
        match line[..colon].to_ascii_lowercase().as_slice() {
            b"package" => self.name = Some(value.into_owned()),
            b"source" => self.source = Some(value.into_owned()),
            b"version" => self.version = Some(value.into_owned()),
            b"architecture" => self.architecture = Some(value.into_owned()),
            b"installed-size" => {
                self.size = value
                    .parse::<u64>()
                    .ok()
                    .and_then(|n| n.checked_mul(SIZE_UNIT));
            }
            // What is wanted, whether an error is known, the state (dpkg(1)). A package on hold is
            // as installed as any other.
            b"status" => {
                let mut words = value.split_ascii_whitespace();
                self.installed = words.nth(1) == Some("ok") && words.next() == Some("installed");
            }
            _ => {}
        }
    }

    fn package(self) -> Option<Package> {
        let name = self.name.filter(|_| self.installed)?;
        let version = self.version?;
        // The field is there where name or version differ from the package's own: `NAME (VERSION)`.
        let (of, at) = match self.source.as_deref().map(|field| field.split_once(' ')) {
            None => (name.clone(), None),
            Some(None) => (self.source.unwrap_or_default(), None),
            Some(Some((of, at))) => {
                let at = at.trim().trim_start_matches('(').trim_end_matches(')');
                (of.to_owned(), Some(at.to_owned()))
            }
        };
        Some(Package {
            sha256: None,
            kind: PackageType::Deb,
            source: Source {
                name: of,
                version: at.unwrap_or_else(|| version.clone()),
            },
            name,
            version,
            architecture: self.architecture.unwrap_or_default(),
            size: self.size,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    const TEXT: &[u8] = b"\
Package: bash
Status: install ok installed
Priority: required
Installed-Size: 7164
Architecture: amd64
Version: 5.2.15-2+b7
Description: GNU Bourne Again SHell
 Package: not-a-field
 .
 more

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: broken
Status: install reinstreq half-installed
Version: 1

Package: held
Status: hold ok installed
Architecture: all
Version: 2
Maintainer: J\xf6rg \xff <a@b>
Installed-Size: many


Package: no-version
Status: install ok installed

a line without colon
PACKAGE: last
STATUS: install ok installed
VERSION: 3
Installed-Size: 99999999999999999999";

    fn names(packages: &[Package]) -> Vec<(&str, &str, &str, Option<u64>)> {
        packages
            .iter()
            .map(|p| (&*p.name, &*p.version, &*p.architecture, p.size))
            .collect()
    }

    #[test]
    fn only_what_is_installed_counts() {
        assert_eq!(
            names(&parse(TEXT)),
            [
                ("bash", "5.2.15-2+b7", "amd64", Some(7164 * 1024)),
                ("held", "2", "all", None),
                ("last", "3", "", None),
            ]
        );
    }

    #[test]
    fn windows_line_ends_and_no_text_do_no_harm() {
        let text = String::from_utf8_lossy(TEXT).replace('\n', "\r\n");
        assert_eq!(parse(text.as_bytes()).len(), 3);
        assert_eq!(parse(b""), []);
        assert_eq!(parse(&[0xff; 1000]), []);
    }

    #[test]
    fn links_lead_nowhere_outside_the_tree() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("status"), TEXT).unwrap();
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir_all(tree.path().join("var/lib")).unwrap();
        let dpkg = tree.path().join("var/lib/dpkg");

        symlink(outside.path(), &dpkg).unwrap();
        assert_eq!(installed(tree.path()).unwrap(), []);
        fs::remove_file(&dpkg).unwrap();

        symlink("../../../../../..", &dpkg).unwrap();
        assert_eq!(installed(tree.path()).unwrap(), []);
        fs::remove_file(&dpkg).unwrap();

        // A link inside is followed from the image's root.
        fs::create_dir(tree.path().join("db")).unwrap();
        fs::write(tree.path().join("db/status"), TEXT).unwrap();
        symlink("/db", &dpkg).unwrap();
        assert_eq!(installed(tree.path()).unwrap().len(), 3);
    }

    #[test]
    fn what_is_no_file_is_an_error() {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir_all(tree.path().join(STATUS)).unwrap();
        assert_eq!(
            installed(tree.path()).unwrap_err().to_string(),
            "/var/lib/dpkg/status in the image is not a regular file"
        );
        fs::remove_dir(tree.path().join(STATUS)).unwrap();
        let fifo = tree.path().join(STATUS);
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRUSR).unwrap();
        assert!(matches!(
            installed(tree.path()),
            Err(OutputError::NotAFile { .. })
        ));
    }
}
