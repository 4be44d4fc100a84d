//! `SHA256SUMS`: a line for each artifact, as sha256sum(1) writes and checks them.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use super::digest::Digest;

/// The content of the file: lines `HASH *NAME`, in the order of the names' bytes.
#[must_use]
pub fn text(artifacts: &[(OsString, Digest)]) -> Vec<u8> {
    let mut sorted: Vec<_> = artifacts.iter().collect();
    sorted.sort_by_key(|(name, _)| name);
    let mut text = Vec::new();
    for (name, digest) in sorted {
        let escaped = escape(name);
        if escaped.len() != name.len() {
            text.push(b'\\');
        }
        text.extend_from_slice(digest.to_string().as_bytes());
        text.extend_from_slice(b" *");
        text.extend_from_slice(&escaped);
        text.push(b'\n');
    }
    text
}

/// The names in such a file; lines that are none are passed over.
#[must_use]
pub fn names(text: &[u8]) -> Vec<OsString> {
    text.split(|byte| *byte == b'\n').filter_map(name).collect()
}

/// A file of checksums that is longer than this, in bytes, is something else.
const LONGEST: u64 = 16 << 20;

/// Whether the file `sums` has a line for one of these files, which lie beside it. Several images can
/// be built in one directory: the checksums of one are no concern of another.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn cover(sums: &Path, files: &[PathBuf]) -> io::Result<bool> {
    // Not even opened unless it is a file: a FIFO would block.
    match sums.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
        Ok(metadata) if !metadata.is_file() => return Ok(false),
        Ok(_) => {}
    }
    let mut text = Vec::new();
    File::open(sums)?.take(LONGEST).read_to_end(&mut text)?;
    Ok(names(&text)
        .iter()
        .any(|name| files.iter().any(|file| file.file_name() == Some(name))))
}

/// The name in a line.
fn name(line: &[u8]) -> Option<OsString> {
    let (escaped, line) = match line.strip_prefix(b"\\") {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let (digits, rest) = line.split_at_checked(64)?;
    let name = rest.strip_prefix(b" *").or(rest.strip_prefix(b"  "))?;
    let whole = digits.iter().all(u8::is_ascii_hexdigit) && !name.is_empty();
    whole.then(|| {
        OsString::from_vec(if escaped {
            unescape(name)
        } else {
            name.to_vec()
        })
    })
}

/// Characters that would end or blur a line, with what sha256sum writes for them.
const ESCAPES: [(u8, u8); 3] = [(b'\\', b'\\'), (b'\n', b'n'), (b'\r', b'r')];

fn escape(name: &OsStr) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(name.len());
    for byte in name.as_bytes() {
        match ESCAPES.iter().find(|(plain, _)| plain == byte) {
            Some((_, letter)) => escaped.extend([b'\\', *letter]),
            None => escaped.push(*byte),
        }
    }
    escaped
}

fn unescape(name: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name.iter();
    while let Some(byte) = rest.next() {
        let meant = (*byte == b'\\')
            .then(|| rest.clone().next())
            .flatten()
            .and_then(|letter| ESCAPES.iter().find(|(_, known)| known == letter));
        match meant {
            Some((meant, _)) => {
                plain.push(*meant);
                rest.next();
            }
            None => plain.push(*byte),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_sorted_and_read_back() {
        let all = ["b.raw", "a\\b", "a.raw", "new\nline", "c\rr", "\\n", "a b"];
        let artifacts: Vec<_> = all
            .iter()
            .map(|name| (OsString::from(name), Digest::of(name.as_bytes())))
            .collect();
        let text = text(&artifacts);
        let mut sorted: Vec<_> = all.iter().map(OsString::from).collect();
        sorted.sort();
        assert_eq!(names(&text), sorted);
        let text = String::from_utf8(text).unwrap();
        let line = |name: &str, shown: &str| format!("{} *{shown}\n", Digest::of(name.as_bytes()));
        assert!(text.contains(&line("a.raw", "a.raw")));
        assert!(text.contains(&format!("\\{}", line("a\\b", "a\\\\b"))));
        assert!(text.contains(&format!("\\{}", line("new\nline", "new\\nline"))));
        assert!(text.ends_with('\n') && text.lines().count() == all.len());
    }

    #[test]
    fn checksums_of_other_images_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let sums = directory.path().join("SHA256SUMS");
        let covers = |name: &str| cover(&sums, &[directory.path().join(name)]).unwrap();
        assert!(!covers("a.raw"));
        std::fs::write(&sums, text(&[("a.raw".into(), Digest::of(b""))])).unwrap();
        assert!(covers("a.raw"));
        assert!(!covers("b.raw"));
    }

    #[test]
    fn only_lines_of_checksums_count() {
        let digest = Digest::of(b"");
        let text =
            format!("{digest}  a\n# comment\n{digest} b\nshort *c\n\n{digest} *\n{digest} *d");
        assert_eq!(names(text.as_bytes()), ["a", "d"]);
    }
}
