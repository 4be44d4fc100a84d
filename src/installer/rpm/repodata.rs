//! The lists of a repository of rpm packages that the build makes itself: `primary.xml`, with all files of
//! each package, and `repomd.xml`, as createrepo_c(8) makes them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::groups::GroupList;
use super::header::{Header, Package, tag};
use crate::host::hex;
use crate::installer::InstallError;
use crate::installer::apt::make_directory;

/// Bits of dependencies (rpmds.h): how versions compare, and what is needed before scripts run.
const LESS: u64 = 1 << 1;
const GREATER: u64 = 1 << 2;
const EQUAL: u64 = 1 << 3;
const BEFORE_SCRIPTS: u64 = 1 << 6 | 1 << 9 | 1 << 10;
/// What rpm itself must be able to do is no package's.
const OF_RPM: u64 = 1 << 24;
/// A file that is not in the package (rpmfiles.h).
const GHOST: u64 = 1 << 6;
/// The kind of a file in its mode.
const KIND: u64 = 0o170_000;
const DIRECTORY: u64 = 0o040_000;

/// Kinds of relations: the element, and the tags of names, flags and versions.
const RELATIONS: [(&str, [u32; 3]); 8] = [
    ("provides", [1047, 1112, 1113]),
    ("requires", [1049, 1048, 1050]),
    ("conflicts", [1054, 1053, 1055]),
    ("obsoletes", [1090, 1114, 1115]),
    ("recommends", [5046, 5048, 5047]),
    ("suggests", [5049, 5051, 5050]),
    ("supplements", [5052, 5054, 5053]),
    ("enhances", [5055, 5057, 5056]),
];

/// A package of the repository.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub package: &'a Package,
    /// The name of its file, which needs no escape.
    pub file: String,
    /// The file's SHA-256, in hexadecimal.
    pub sha256: &'a str,
    /// Its size, in bytes.
    pub size: u64,
}

/// Writes the lists of a repository with these packages, and with these groups, into `directory`.
///
/// # Errors
/// When they cannot be written.
pub(super) fn write(
    directory: &Path,
    entries: &[Entry<'_>],
    groups: &[GroupList],
) -> Result<(), InstallError> {
    let lists = directory.join("repodata");
    make_directory(&lists)?;
    let put = |name: &str, content: &[u8]| {
        let path = lists.join(name);
        fs::write(&path, content).map_err(|source| InstallError::Prepare { path, source })
    };
    let primary = primary(entries).into_bytes();
    let mut index = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <repomd xmlns=\"http://linux.duke.edu/metadata/repo\" \
         xmlns:rpm=\"http://linux.duke.edu/metadata/rpm\">\n\
         <revision>{}</revision>\n",
        hex(&Sha256::digest(&primary))
    );
    index.push_str(&entry("primary", "primary.xml", &primary));
    put("primary.xml", &primary)?;
    for one in groups {
        let content = fs::read(&one.path).map_err(|source| InstallError::Prepare {
            path: one.path.clone(),
            source,
        })?;
        // How it is compressed shows in the end of its name.
        let name = one.path.file_name().unwrap_or_default().to_string_lossy();
        index.push_str(&entry(&escaped(&one.kind), &escaped(&name), &content));
        put(&name, &content)?;
    }
    index.push_str("</repomd>\n");
    put("repomd.xml", index.as_bytes())
}

/// A list, as the index has it.
fn entry(kind: &str, name: &str, content: &[u8]) -> String {
    format!(
        "<data type=\"{kind}\">\n<checksum type=\"sha256\">{}</checksum>\n\
         <location href=\"repodata/{name}\"/>\n<timestamp>1</timestamp>\n<size>{}</size>\n</data>\n",
        hex(&Sha256::digest(content)),
        content.len()
    )
}

fn primary(entries: &[Entry<'_>]) -> String {
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <metadata xmlns=\"http://linux.duke.edu/metadata/common\" \
         xmlns:rpm=\"http://linux.duke.edu/metadata/rpm\" packages=\"{}\">\n",
        entries.len()
    );
    for one in entries {
        add(&mut text, one);
    }
    text.push_str("</metadata>\n");
    text
}

fn add(text: &mut String, one: &Entry<'_>) {
    let header = &one.package.header;
    let value = |tag| escaped(&header.text(tag).unwrap_or_default());
    let number = |tag| header.numbers(tag).first().copied().unwrap_or_default();
    let installed = match number(tag::LONG_SIZE) {
        0 => number(tag::SIZE),
        size => size,
    };
    let _ = write!(
        text,
        "<package type=\"rpm\">\n<name>{}</name>\n<arch>{}</arch>\n\
         <version epoch=\"{}\" ver=\"{}\" rel=\"{}\"/>\n\
         <checksum type=\"sha256\" pkgid=\"YES\">{}</checksum>\n\
         <summary>{}</summary>\n<description/>\n<packager/>\n<url>{}</url>\n\
         <time file=\"{time}\" build=\"{time}\"/>\n\
         <size package=\"{}\" installed=\"{installed}\" archive=\"{installed}\"/>\n\
         <location href=\"{}\"/>\n<format>\n",
        value(tag::NAME),
        value(tag::ARCHITECTURE),
        number(tag::EPOCH),
        value(tag::VERSION),
        value(tag::RELEASE),
        one.sha256,
        value(tag::SUMMARY),
        value(tag::URL),
        one.size,
        one.file,
        time = number(tag::BUILD_TIME),
    );
    for (name, tag) in [
        ("license", tag::LICENSE),
        ("vendor", tag::VENDOR),
        ("group", tag::GROUP),
        ("buildhost", tag::BUILD_HOST),
        ("sourcerpm", tag::SOURCE),
    ] {
        let _ = writeln!(text, "<rpm:{name}>{}</rpm:{name}>", value(tag));
    }
    let (start, end) = one.package.range;
    let _ = writeln!(text, "<rpm:header-range start=\"{start}\" end=\"{end}\"/>");
    for (name, tags) in RELATIONS {
        relations(text, header, name, tags);
    }
    files(text, header);
    text.push_str("</format>\n</package>\n");
}

fn relations(text: &mut String, header: &Header, element: &str, tags: [u32; 3]) {
    let [names, flags, versions] = tags;
    let (flags, versions) = (header.numbers(flags), header.texts(versions));
    let mut lines = String::new();
    for (nth, name) in header.texts(names).iter().enumerate() {
        let bits = flags.get(nth).copied().unwrap_or_default();
        if bits & OF_RPM != 0 {
            continue;
        }
        let _ = write!(lines, "<rpm:entry name=\"{}\"", escaped(name));
        let compared = match bits & (LESS | GREATER | EQUAL) {
            LESS => "LT",
            GREATER => "GT",
            EQUAL => "EQ",
            bits if bits == LESS | EQUAL => "LE",
            bits if bits == GREATER | EQUAL => "GE",
            _ => "",
        };
        let version = versions.get(nth).map_or("", String::as_str);
        if !compared.is_empty() && !version.is_empty() {
            let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
            let _ = write!(lines, " flags=\"{compared}\" epoch=\"{}\"", escaped(epoch));
            let (version, release) = match rest.rsplit_once('-') {
                Some((version, release)) => (version, Some(release)),
                None => (rest, None),
            };
            let _ = write!(lines, " ver=\"{}\"", escaped(version));
            if let Some(release) = release {
                let _ = write!(lines, " rel=\"{}\"", escaped(release));
            }
        }
        if element == "requires" && bits & BEFORE_SCRIPTS != 0 {
            lines.push_str(" pre=\"1\"");
        }
        lines.push_str("/>\n");
    }
    if !lines.is_empty() {
        let _ = writeln!(text, "<rpm:{element}>\n{lines}</rpm:{element}>");
    }
}

fn files(text: &mut String, header: &Header) {
    let directories = header.texts(tag::DIRECTORY_NAMES);
    let indexes = header.numbers(tag::DIRECTORY_INDEXES);
    let (modes, flags) = (
        header.numbers(tag::FILE_MODES),
        header.numbers(tag::FILE_FLAGS),
    );
    for (nth, name) in header.texts(tag::BASE_NAMES).iter().enumerate() {
        let index = indexes.get(nth).and_then(|nth| usize::try_from(*nth).ok());
        let Some(directory) = index.and_then(|index| directories.get(index)) else {
            continue;
        };
        let has = |all: &[u64], mask, bits| all.get(nth).is_some_and(|one| one & mask == bits);
        let kind = if has(&flags, GHOST, GHOST) {
            " type=\"ghost\""
        } else if has(&modes, KIND, DIRECTORY) {
            " type=\"dir\""
        } else {
            ""
        };
        let path = escaped(&format!("{directory}{name}"));
        let _ = writeln!(text, "<file{kind}>{path}</file>");
    }
}

/// A text as XML has it, which knows no control characters.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\n' | '\t' => safe.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => safe.push('?'),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_no_markup() {
        assert_eq!(
            escaped("a<b> & \"c\"\n\u{1}"),
            "a&lt;b&gt; &amp; &quot;c&quot; ?"
        );
    }
}
