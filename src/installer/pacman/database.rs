//! Databases of repositories: an archive with a directory for each package, and in it a file `desc`.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Cursor, ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::distro::provenance::{Archive, Identity};
use crate::tree::archive::compression::{self, Limits};
use crate::tree::archive::{Fault, from_base64};

/// What decompressing a database or a package may take: makepkg's and repo-add's settings need far less.
const LIMITS: Limits = Limits {
    zstd_window_log: 27,
    xz_memory: 1 << 30,
};
/// No database and no description of a package comes near these.
const LONGEST: u64 = 1 << 30;
const LONGEST_DESCRIPTION: u64 = 16 << 20;
/// The file of a package that describes it.
const INFORMATION: &str = ".PKGINFO";

/// Fields of a package's description, and of the database's.
const FIELDS: [(&str, &str); 16] = [
    ("pkgname", "NAME"),
    ("pkgbase", "BASE"),
    ("pkgver", "VERSION"),
    ("pkgdesc", "DESC"),
    ("group", "GROUPS"),
    ("size", "ISIZE"),
    ("url", "URL"),
    ("license", "LICENSE"),
    ("arch", "ARCH"),
    ("builddate", "BUILDDATE"),
    ("packager", "PACKAGER"),
    ("replaces", "REPLACES"),
    ("conflict", "CONFLICTS"),
    ("provides", "PROVIDES"),
    ("depend", "DEPENDS"),
    ("optdepend", "OPTDEPENDS"),
];

/// A package in a repository's database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Listed {
    pub name: String,
    pub version: String,
    pub architecture: String,
    /// The name of its file.
    pub file: String,
    /// The file's SHA-256, in hexadecimal.
    pub sha256: String,
    /// The detached signature of the file.
    pub signature: Option<Vec<u8>>,
}

impl Listed {
    /// Name, version and architecture.
    pub fn key(&self) -> (&str, &str, &str) {
        (&self.name, &self.version, &self.architecture)
    }
}

/// The packages in a database.
///
/// # Errors
/// When it is no archive.
pub(super) fn read(content: Vec<u8>) -> io::Result<Vec<Listed>> {
    let reader = plain(Cursor::new(content))?.take(LONGEST);
    let mut packages = Vec::new();
    for entry in tar::Archive::new(reader).entries()? {
        let mut entry = entry?;
        if entry.path()?.file_name() != Some("desc".as_ref()) {
            continue;
        }
        let mut text = Vec::new();
        entry
            .by_ref()
            .take(LONGEST_DESCRIPTION)
            .read_to_end(&mut text)?;
        packages.extend(listed(&String::from_utf8_lossy(&text)));
    }
    Ok(packages)
}

/// The first value of each field of a description.
fn fields(text: &str) -> HashMap<&str, &str> {
    let mut values = HashMap::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.starts_with('%') {
            values.insert(line, lines.next().unwrap_or_default());
        }
    }
    values
}

/// Which package a description is of.
pub(super) fn identity(text: &str) -> Option<Identity> {
    let fields = fields(text);
    let value = |field: &str| Some((*fields.get(field)?).to_owned());
    Some((value("%NAME%")?, value("%VERSION%")?, value("%ARCH%")?))
}

fn listed(text: &str) -> Option<Listed> {
    let (name, version, architecture) = identity(text)?;
    let fields = fields(text);
    let value = |field: &str| Some((*fields.get(field)?).to_owned());
    let file = value("%FILENAME%")?;
    if file.contains('/') || file.starts_with('.') {
        return None;
    }
    Some(Listed {
        name,
        version,
        architecture,
        file,
        sha256: value("%SHA256SUM%").unwrap_or_default(),
        signature: value("%PGPSIG%").and_then(|text| from_base64(text.as_bytes())),
    })
}

/// Where the signature of a package is kept that the repository's database has, and no file beside the
/// package: pacman notes in the image which it was.
pub(super) fn listed_signature(package: &Path) -> PathBuf {
    let mut name = package.as_os_str().to_owned();
    name.push(".listed.sig");
    name.into()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let byte = |nth| three.get(nth).copied().map_or(0, u32::from);
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for nth in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * nth) & 63) as usize];
            text.push(if nth > three.len() { '=' } else { digit.into() });
        }
    }
    text
}

/// A package's file, and what the lock has of it.
pub(super) struct Member<'a> {
    pub path: &'a Path,
    pub archive: &'a Archive,
}

/// A database of these packages.
///
/// # Errors
/// When one cannot be read, or is not what the lock calls it.
pub(super) fn make(packages: &[Member<'_>]) -> io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for one in packages {
        let text = description(one)?;
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        let name = format!("{}-{}/desc", one.archive.name, one.archive.version);
        builder.append_data(&mut header, name, text.as_bytes())?;
    }
    builder.into_inner()
}

/// As repo-add(8) writes it.
fn description(one: &Member<'_>) -> io::Result<String> {
    let information = information(one.path)?;
    let values = |key: &str| -> Vec<&str> {
        let pairs = information.lines().filter_map(|line| line.split_once('='));
        pairs
            .filter(|(name, _)| name.trim() == key)
            .map(|(_, value)| value.trim())
            .collect()
    };
    let (name, version, architecture) = one.archive.key();
    let says = [values("pkgname"), values("pkgver"), values("arch")];
    if says != [[name], [version], [architecture]] {
        return Err(io::Error::new(
            ErrorKind::InvalidData,
            "it is another package than the lock says",
        ));
    }
    let size = std::fs::metadata(one.path)?.len();
    let file = one.path.file_name().unwrap_or_default().to_string_lossy();
    let mut text = format!(
        "%FILENAME%\n{file}\n\n%CSIZE%\n{size}\n\n%SHA256SUM%\n{}\n\n",
        one.archive.sha256
    );
    let signature = listed_signature(one.path);
    if signature.exists() {
        let _ = write!(text, "%PGPSIG%\n{}\n\n", base64(&std::fs::read(signature)?));
    }
    for (key, field) in FIELDS {
        let values = values(key);
        if !values.is_empty() {
            let _ = write!(text, "%{field}%\n{}\n\n", values.join("\n"));
        }
    }
    Ok(text)
}

/// What a package says of itself.
fn information(path: &Path) -> io::Result<String> {
    let reader = plain(File::open(path)?)?;
    for entry in tar::Archive::new(reader).entries()? {
        let entry = entry?;
        if entry.path()?.as_ref() == Path::new(INFORMATION) {
            let mut text = Vec::new();
            entry.take(LONGEST_DESCRIPTION).read_to_end(&mut text)?;
            return Ok(String::from_utf8_lossy(&text).into_owned());
        }
    }
    Err(io::Error::new(
        ErrorKind::InvalidData,
        "it does not describe itself",
    ))
}

fn plain<R: Read + 'static>(reader: R) -> io::Result<Box<dyn Read>> {
    let (reader, _) = compression::open_within(reader, LIMITS)
        .map_err(|fault: Fault| io::Error::new(ErrorKind::InvalidData, fault.problem))?;
    Ok(reader)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A package with this description.
    fn package(path: &Path, information: &str) {
        let mut builder = tar::Builder::new(File::create(path).unwrap());
        for (name, text) in [(".BUILDINFO", "x"), (INFORMATION, information)] {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            builder
                .append_data(&mut header, name, text.as_bytes())
                .unwrap();
        }
        builder.finish().unwrap();
    }

    #[test]
    fn a_database_says_what_the_packages_say() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a-1:2-3-any.pkg.tar");
        package(
            &path,
            "# made\npkgname = a\npkgver = 1:2-3\narch = any\ndepend = b>=1\ndepend = c\n",
        );
        let archive = Archive {
            name: "a".into(),
            version: "1:2-3".into(),
            architecture: "any".into(),
            sha256: "5".into(),
            ..Archive::default()
        };
        let member = |archive| Member {
            path: &path,
            archive,
        };
        let text = description(&member(&archive)).unwrap();
        assert!(text.contains("%DEPENDS%\nb>=1\nc\n\n"), "{text}");
        let database = make(&[member(&archive)]).unwrap();
        let listed = read(database).unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].key(), archive.key());
        assert_eq!(listed[0].file, "a-1:2-3-any.pkg.tar");
        assert_eq!(
            (listed[0].sha256.as_str(), &listed[0].signature),
            ("5", &None)
        );
        let other = Archive {
            version: "9".into(),
            ..archive.clone()
        };
        let error = make(&[member(&other)]).unwrap_err();
        assert!(error.to_string().contains("another package"), "{error}");
    }

    #[test]
    fn signatures_are_written_as_they_are_read() {
        for bytes in [&b""[..], b"a", b"ab", b"abc", &[0, 255, 254, 1, 128]] {
            assert_eq!(from_base64(base64(bytes).as_bytes()).unwrap(), bytes);
        }
        assert_eq!(base64(b"ab"), "YWI=");
    }

    #[test]
    fn files_of_packages_have_plain_names() {
        let text = |file: &str| {
            format!(
                "%FILENAME%\n{file}\n\n%NAME%\na\n\n%VERSION%\n1\n\n%ARCH%\nany\n\n%PGPSIG%\nAQI=\n"
            )
        };
        let found = listed(&text("a.pkg.tar")).unwrap();
        assert_eq!(found.signature, Some(vec![1, 2]));
        assert_eq!(listed(&text("../a")), None);
        assert_eq!(listed(&text(".a")), None);
    }
}
