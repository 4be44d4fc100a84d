//! `IMAGE_ID` and `IMAGE_VERSION` in the image's os-release file.

use super::error::TreeError;
use super::root::Root;
use super::shown::shown;

/// The file, in the order in which programs look for it.
const PLACES: [&str; 2] = ["etc/os-release", "usr/lib/os-release"];

/// Sets the variables that are given, in place of earlier values; the other lines stay. A symbolic
/// link, usually from `/etc` to `/usr/lib`, is followed and stays. Returns whether the image has an
/// os-release file.
///
/// # Errors
/// When a value holds control characters, or the file cannot be written.
pub fn set_image_version(
    root: &Root,
    id: Option<&str>,
    version: Option<&str>,
) -> Result<bool, TreeError> {
    let values = [("IMAGE_ID", id), ("IMAGE_VERSION", version)];
    let mut new = Vec::new();
    for (key, value) in values {
        let Some(value) = value else { continue };
        if value.chars().any(char::is_control) {
            return Err(TreeError::OsRelease {
                key,
                value: shown(value),
            });
        }
        new.push((key, format!("{key}={}", quoted(value))));
    }
    for place in PLACES {
        if root.is_file(place)? {
            root.update(place, |old| Ok(replaced(old, &new)))?;
            return Ok(true);
        }
    }
    Ok(false)
}

fn replaced(old: &[u8], new: &[(&str, String)]) -> Vec<u8> {
    let text = old.strip_suffix(b"\n").unwrap_or(old);
    let mut lines: Vec<&[u8]> = text
        .split(|b| *b == b'\n')
        .filter(|line| !new.iter().any(|(key, _)| assigns(line, key)))
        .collect();
    lines.extend(new.iter().map(|(_, line)| line.as_bytes()));
    let mut text = lines.join(&b'\n');
    text.push(b'\n');
    text
}

fn assigns(line: &[u8], key: &str) -> bool {
    line.trim_ascii_start()
        .strip_prefix(key.as_bytes())
        .is_some_and(|rest| rest.starts_with(b"="))
}

/// A value as a shell reads it.
fn quoted(value: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._+-".contains(&b);
    if !value.is_empty() && value.bytes().all(plain) {
        return value.to_owned();
    }
    let mut text = String::from("\"");
    for c in value.chars() {
        if matches!(c, '"' | '\\' | '$' | '`') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_earlier_values_through_the_link() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        root.write(
            "usr/lib/os-release",
            "ID=debian\nIMAGE_ID=old\nIMAGE_IDX=1",
            0o644,
        )
        .unwrap();
        root.symlink("../usr/lib/os-release", "etc/os-release")
            .unwrap();
        assert!(set_image_version(&root, Some("web"), Some("7 \"$x\"")).unwrap());
        assert_eq!(
            String::from_utf8(root.read("usr/lib/os-release").unwrap()).unwrap(),
            "ID=debian\nIMAGE_IDX=1\nIMAGE_ID=web\nIMAGE_VERSION=\"7 \\\"\\$x\\\"\"\n"
        );
        assert!(root.read_link("etc/os-release").unwrap().is_some());
        set_image_version(&root, None, Some("8")).unwrap();
        let text = root.read("etc/os-release").unwrap();
        assert!(text.ends_with(b"IMAGE_ID=web\nIMAGE_VERSION=8\n"));
        assert!(set_image_version(&root, Some("a\nB=1"), None).is_err());
    }

    #[test]
    fn an_image_without_the_file_stays_without() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        assert!(!set_image_version(&root, Some("x"), None).unwrap());
    }
}
