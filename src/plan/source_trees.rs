//! The trees that go into an image, described file by file, so that a change can be named.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::PlanError;
use super::texts::Texts;
use crate::host::{Cancel, hex, is_hidden};
use crate::tree::{self, Described, Root, TreeError};

/// What stands before an archive's own hash.
const ARCHIVE: &str = "archive sha256 ";

/// What the files of a tree are, by their paths in it.
pub(super) type Files = BTreeMap<String, String>;

/// What each file of the tree (a directory, or a tar archive) is, by its path in it. An archive is one
/// file without a path.
pub(super) fn describe(path: &Path, cancel: &Cancel) -> Result<Files, PlanError> {
    described(path, cancel, text)
}

/// As [`describe`], of a tree whose owners count.
pub(super) fn describe_owned(path: &Path, cancel: &Cancel) -> Result<Files, PlanError> {
    described(path, cancel, |file| match file.owner {
        Some((user, group)) => format!("{} of {user}:{group}", text(file)),
        None => text(file),
    })
}

fn described(
    path: &Path,
    cancel: &Cancel,
    text: impl Fn(&Described) -> String,
) -> Result<Files, PlanError> {
    let described = tree::describe(path, cancel).map_err(|(path, source)| PlanError::Read {
        path,
        source: source.into(),
    })?;
    let files = described.iter();
    Ok(files
        .map(|(path, file)| (shown(path), text(file)))
        .collect())
}

/// What git would keep of each file in the directory `path` of an image: whether it can be run, but no
/// other bits of its mode, which are those of whoever checked it out.
pub(super) fn describe_checked_out(
    root: &Root,
    path: &Path,
    cancel: &Cancel,
) -> Result<Files, TreeError> {
    let described = tree::describe_inside(root, path, cancel)?;
    let files = described.into_iter();
    Ok(files
        .map(|(path, mut file)| {
            let mode = file.mode.filter(|_| file.kind == "file");
            file.mode = mode.map(|mode| if mode & 0o100 == 0 { 0o644 } else { 0o755 });
            file.attributes = None;
            (shown(&path), text(&file))
        })
        .collect())
}

fn text(file: &Described) -> String {
    let mut text = file.kind.to_owned();
    if let Some(mode) = file.mode {
        text.push_str(&format!(" {mode:04o}"));
    }
    if let Some(target) = &file.target {
        text.push_str(&format!(" to {}", shown(Path::new(target))));
    }
    if let Some(digest) = &file.digest {
        text.push_str(&format!(" sha256 {}", hex(digest)));
    }
    if let Some(attributes) = &file.attributes {
        text.push_str(&format!(" attributes {}", hex(attributes)));
    }
    text
}

/// SHA-256 over a tree as it was described; an archive's own.
pub(super) fn digest(files: &Files) -> String {
    let archive = files.get("").and_then(|text| text.strip_prefix(ARCHIVE));
    if let Some(digest) = archive {
        return digest.to_owned();
    }
    let mut texts = Texts::default();
    for (path, text) in files {
        texts.add(path);
        texts.add(text);
    }
    texts.finish()
}

/// A path as text that no other path has: what is no printable text is shown as bytes.
pub(super) fn shown(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '\\' || is_hidden(c) {
                text.extend(c.escape_default());
            } else {
                text.push(c);
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    #[test]
    fn no_two_names_look_alike() {
        for (name, expected) in [
            (&b"plain \xc3\xa9"[..], "plain é"),
            (b"new\nline", "new\\nline"),
            (b"new\\nline", "new\\\\nline"),
            (b"\xff", "\\xff"),
            (b"\\xff", "\\\\xff"),
        ] {
            assert_eq!(shown(Path::new(OsStr::from_bytes(name))), expected);
        }
    }

    #[test]
    fn every_change_that_reaches_the_image_shows_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("tree");
        let at = |path: &str| top.join(path);
        let mode = |path: &str, mode| {
            fs::set_permissions(at(path), Permissions::from_mode(mode)).unwrap();
        };
        fs::create_dir_all(at("etc/apt")).unwrap();
        fs::write(at("etc/motd"), "hello").unwrap();
        fs::write(at("etc/twin"), "hello").unwrap();
        symlink("motd", at("etc/link")).unwrap();
        for (path, bits) in [("etc", 0o755), ("etc/apt", 0o755), ("etc/motd", 0o644)] {
            mode(path, bits);
        }
        let mut before = describe(&top, &Cancel::default()).unwrap();
        assert_eq!(before.len(), 5);
        assert!(before["etc/motd"].starts_with("file 0644 sha256 2cf24dba"));
        assert_eq!(before["etc/link"], "link to motd");
        assert_eq!(before["etc"], "directory 0755");
        let mut changed = |paths: &[&str]| {
            let after = describe(&top, &Cancel::default()).unwrap();
            let mut names: Vec<String> = before.keys().chain(after.keys()).cloned().collect();
            names.sort();
            names.dedup();
            names.retain(|name| before.get(name) != after.get(name));
            assert_eq!(names, paths);
            before = after;
        };
        fs::write(at("etc/motd"), "hellO").unwrap();
        changed(&["etc/motd"]);
        mode("etc/motd", 0o600);
        changed(&["etc/motd"]);
        mode("etc/apt", 0o700);
        changed(&["etc/apt"]);
        fs::remove_file(at("etc/link")).unwrap();
        symlink("twin", at("etc/link")).unwrap();
        changed(&["etc/link"]);
        fs::write(at("new\nname"), "").unwrap();
        changed(&["new\\nname"]);
        fs::remove_file(at("etc/twin")).unwrap();
        fs::hard_link(at("etc/motd"), at("etc/twin")).unwrap();
        changed(&["etc/twin"]);
        fs::remove_dir(at("etc/apt")).unwrap();
        changed(&["etc/apt"]);
        let now = std::time::SystemTime::now() + std::time::Duration::from_secs(60);
        fs::File::open(at("etc/motd"))
            .unwrap()
            .set_modified(now)
            .unwrap();
        changed(&[]);
    }

    #[test]
    fn an_archive_is_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tar");
        fs::write(&path, "one").unwrap();
        let one = describe(&path, &Cancel::default()).unwrap();
        assert_eq!(one.keys().collect::<Vec<_>>(), [""]);
        fs::write(&path, "two").unwrap();
        assert_ne!(one, describe(&path, &Cancel::default()).unwrap());
        assert!(describe(&dir.path().join("missing"), &Cancel::default()).is_err());
    }
}
