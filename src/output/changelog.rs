//! The change log of an image, for people: what is in it, and what its makers changed last.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write};
use std::path::Path;

use flate2::read::GzDecoder;

use super::manifest::{Package, PackageType, Source, Subject};
use super::{Manifest, OutputError, inside, rpm};
use crate::host::{Host, printable};

/// Where Debian's packages have their change logs (Debian Policy, section 12.7).
const DOC: &str = "usr/share/doc";
/// What is read of one at most, in bytes: the latest entry stands at its beginning.
const LONGEST: u64 = 256 << 10;

/// The packages of an image by source, each with the latest entry of its change log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changelog {
    subject: Subject,
    sources: BTreeMap<Source, Built>,
}

/// What was built from a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Built {
    /// Name, version and architecture of each package.
    packages: Vec<[String; 3]>,
    /// Lines of the latest entry; none where the tree has no change log.
    entry: Option<Vec<String>>,
}

impl Changelog {
    /// Reads the change logs that the packages of `manifest` have in `tree`. Must happen before
    /// documentation is cleaned away.
    ///
    /// # Errors
    /// The package database cannot be read.
    pub fn read(manifest: &Manifest, tree: &Path, host: &Host) -> Result<Self, OutputError> {
        let is_rpm = |package: &Package| package.kind == PackageType::Rpm;
        let mut from_rpm = if manifest.packages().iter().any(is_rpm) {
            rpm::changes(tree, host)?
        } else {
            BTreeMap::new()
        };
        let mut sources: BTreeMap<Source, Built> = BTreeMap::new();
        for package in manifest.packages() {
            let built = sources.entry(package.source.clone()).or_default();
            built.packages.push([
                package.name.clone(),
                package.version.clone(),
                package.architecture.clone(),
            ]);
            if built.entry.is_none() {
                built.entry = if is_rpm(package) {
                    let (name, version) = (package.name.clone(), package.version.clone());
                    from_rpm.remove(&(name, version, package.architecture.clone()))
                } else {
                    latest(package, tree)?
                };
            }
        }
        Ok(Self {
            subject: manifest.subject().clone(),
            sources,
        })
    }

    /// How many sources there are.
    #[must_use]
    pub fn sources(&self) -> usize {
        self.sources.len()
    }

    /// Writes it as text.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, mut to: impl Write) -> io::Result<()> {
        let Subject {
            name,
            version,
            distribution,
            release,
            architecture,
        } = &self.subject;
        let image = [name, version].into_iter().flatten();
        let title: Vec<&str> = image.map(String::as_str).collect();
        if !title.is_empty() {
            writeln!(to, "{}", printable(&title.join(" ")))?;
        }
        writeln!(to, "{distribution} {release} {architecture}")?;
        for (source, built) in &self.sources {
            let Source { name, version } = source;
            writeln!(to, "\n{}", "-".repeat(72))?;
            writeln!(to, "Source: {} {}", printable(name), printable(version))?;
            for package in &built.packages {
                writeln!(to, "Package: {}", printable(&package.join(" ")))?;
            }
            writeln!(to)?;
            match &built.entry {
                None => writeln!(to, "  (the image has no change log of it)")?,
                Some(lines) => {
                    for line in lines {
                        writeln!(to, "{}", printable(line))?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// The latest entry of a package's change log. A rebuild without changes has a log of its own.
fn latest(package: &Package, tree: &Path) -> Result<Option<Vec<String>>, OutputError> {
    // The name comes from the tree: it must be one.
    if package.name.contains('/') || package.name.starts_with('.') {
        return Ok(None);
    }
    let directory = Path::new(DOC).join(&package.name);
    let names = [
        format!("changelog.Debian.{}.gz", package.architecture),
        "changelog.Debian.gz".to_owned(),
        "changelog.gz".to_owned(),
    ];
    for name in names.iter().filter(|name| !name.contains('/')) {
        let path = directory.join(name);
        match entry(tree, &path, &package.source.name) {
            Ok(Some(lines)) => return Ok(Some(lines)),
            Ok(None) => {}
            Err(error) if is_no_log(&error) => {}
            Err(error) => return Err(OutputError::io("read", &tree.join(&path))(error)),
        }
    }
    Ok(None)
}

/// What a tree may hold without this being an error: nothing, something else, or broken data.
fn is_no_log(error: &io::Error) -> bool {
    use io::ErrorKind::{
        InvalidData, InvalidInput, IsADirectory, NotADirectory, NotFound, UnexpectedEof,
    };
    let kinds = [
        InvalidData,
        InvalidInput,
        IsADirectory,
        NotADirectory,
        NotFound,
        UnexpectedEof,
    ];
    kinds.contains(&error.kind())
        || error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
        || error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error())
}

/// The first entry of a file, if it is a change log of `source`.
fn entry(tree: &Path, path: &Path, source: &str) -> io::Result<Option<Vec<String>>> {
    let mut bytes = Vec::new();
    GzDecoder::new(inside::open(tree, path)?)
        .take(LONGEST)
        .read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(first(&text, source))
}

/// The lines from `NAME (VERSION) DISTRIBUTION; …` to ` -- MAINTAINER  DATE` (deb-changelog(5)).
fn first(text: &str, source: &str) -> Option<Vec<String>> {
    let mut lines = text.lines().skip_while(|line| line.trim().is_empty());
    let head = lines.next()?;
    head.strip_prefix(source)?
        .strip_prefix(" (")
        .filter(|rest| rest.contains(");") || (rest.contains(')') && rest.contains(';')))?;
    let mut entry = vec![head.to_owned()];
    for line in lines {
        // The beginning of the next: this one has no end.
        if line.starts_with(|c: char| !c.is_whitespace()) {
            break;
        }
        entry.push(line.trim_end().to_owned());
        if line.starts_with(" -- ") {
            break;
        }
    }
    while entry.last().is_some_and(String::is_empty) {
        entry.pop();
    }
    Some(entry)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;
    use crate::output::manifest::PackageType;

    const LOG: &str = "bash (5.2-2) unstable; urgency=medium\n\n  * Fix \u{1b}[31mred.\n\n \
        -- Ann <ann@example.org>  Mon, 02 Jan 2023 13:06:21 +0100\n\n\
        bash (5.2-1) unstable; urgency=low\n\n  * Older.\n";

    fn package(name: &str, architecture: &str, source: &str) -> Package {
        Package {
            sha256: None,
            kind: PackageType::Deb,
            name: name.into(),
            version: "5.2-2+b1".into(),
            architecture: architecture.into(),
            size: None,
            source: Source {
                name: source.into(),
                version: "5.2-2".into(),
            },
        }
    }

    fn log(tree: &Path, path: &str, text: &str) {
        let path = tree.join(DOC).join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = File::create(path).unwrap();
        let mut file = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        file.write_all(text.as_bytes()).unwrap();
        file.finish().unwrap();
    }

    fn text(tree: &Path, packages: Vec<Package>) -> String {
        let subject = Subject {
            name: Some("web".into()),
            version: Some("7".into()),
            distribution: "debian".into(),
            release: "bookworm".into(),
            architecture: "x86_64".into(),
        };
        let manifest = Manifest::new(subject, packages);
        let mut text = Vec::new();
        let recorder = std::sync::Arc::new(crate::host::Recorder::default());
        let quiet = std::sync::Arc::new(crate::host::Quiet);
        let host = Host::new(recorder, quiet, crate::host::Cancel::default());
        let log = Changelog::read(&manifest, tree, &host).unwrap();
        log.write(&mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn packages_of_one_source_share_its_latest_entry() {
        let tree = tempfile::tempdir().unwrap();
        log(tree.path(), "bash/changelog.Debian.gz", LOG);
        log(tree.path(), "bash-doc/changelog.Debian.gz", LOG);
        let packages = vec![
            package("bash-doc", "all", "bash"),
            package("bash", "amd64", "bash"),
        ];
        let rule = "-".repeat(72);
        assert_eq!(
            text(tree.path(), packages),
            format!(
                "web 7\ndebian bookworm x86_64\n\n{rule}\nSource: bash 5.2-2\n\
                 Package: bash 5.2-2+b1 amd64\nPackage: bash-doc 5.2-2+b1 all\n\n\
                 bash (5.2-2) unstable; urgency=medium\n\n  * Fix red.\n\n \
                 -- Ann <ann@example.org>  Mon, 02 Jan 2023 13:06:21 +0100\n"
            )
        );
    }

    #[test]
    fn the_right_log_is_found() {
        let upstream = "2022-01-01 Somebody\n\n\t* Things.\n";
        let rebuilt = LOG.replace("5.2-2", "5.2-2+b1");
        for (files, expected) in [
            (vec![("changelog.gz", LOG)], Some("(5.2-2)")),
            (vec![("changelog.gz", upstream)], None),
            (
                vec![("changelog.gz", upstream), ("changelog.Debian.gz", LOG)],
                Some("(5.2-2)"),
            ),
            (
                vec![
                    ("changelog.Debian.gz", LOG),
                    ("changelog.Debian.amd64.gz", &rebuilt),
                ],
                Some("(5.2-2+b1)"),
            ),
            (
                vec![("changelog.Debian.gz", &LOG.replace("bash", "dash"))],
                None,
            ),
            (vec![("changelog.Debian.gz", "")], None),
            (vec![], None),
        ] {
            let tree = tempfile::tempdir().unwrap();
            for (name, content) in files {
                log(tree.path(), &format!("bash/{name}"), content);
            }
            let text = text(tree.path(), vec![package("bash", "amd64", "bash")]);
            let expected = expected.unwrap_or("(the image has no change log of it)");
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn a_hostile_tree_does_no_harm() {
        let tree = tempfile::tempdir().unwrap();
        let doc = tree.path().join(DOC);
        fs::create_dir_all(&doc).unwrap();
        let outside = tempfile::tempdir().unwrap();
        log(outside.path(), "x/changelog.Debian.gz", LOG);
        std::os::unix::fs::symlink(outside.path().join(DOC).join("x"), doc.join("bash")).unwrap();
        fs::create_dir_all(doc.join("dir/changelog.gz")).unwrap();
        fs::create_dir_all(doc.join("broken")).unwrap();
        fs::write(doc.join("broken/changelog.gz"), b"\x1f\x8bno").unwrap();
        std::os::unix::fs::symlink("loop", doc.join("loop")).unwrap();
        let names = ["bash", "dir", "broken", "loop", "../../x", ".."];
        let packages = names.map(|name| package(name, "a/b", "bash")).to_vec();
        assert!(text(tree.path(), packages).contains("no change log"));
    }
}
