//! `/etc/hostname`.

use super::error::TreeError;
use super::root::Root;
use super::shown::shown;

/// The kernel's limit (`HOST_NAME_MAX`).
const MAX_NAME: usize = 64;

/// The limit of one part between dots (RFC 1035).
const MAX_LABEL: usize = 63;

/// Checks a host name by the rules that systemd applies at boot, where a bad one is ignored in
/// favour of `localhost`.
///
/// # Errors
/// With the rule that the name breaks.
pub fn check_hostname(name: &str) -> Result<(), TreeError> {
    let bad = |why| TreeError::HostName {
        name: shown(name),
        why,
    };
    if name.is_empty() {
        return Err(bad("it is empty"));
    }
    if name.len() > MAX_NAME {
        return Err(bad("it is longer than 64 characters"));
    }
    for label in name.split('.') {
        if label.is_empty() {
            return Err(bad("a dot must stand between two parts"));
        }
        if label.len() > MAX_LABEL {
            return Err(bad("a part between dots is longer than 63 characters"));
        }
        if label.contains('_') {
            return Err(bad("it must not hold `_`; `-` is allowed"));
        }
        if !label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        {
            return Err(bad(
                "only the letters a to z, digits, `-` and `.` are allowed",
            ));
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err(bad("a part must not begin or end with `-`"));
        }
    }
    Ok(())
}

/// Writes the host name; a symbolic link that has the place of the file is replaced.
///
/// # Errors
/// When the name is none, or the file cannot be written.
pub fn set_hostname(root: &Root, name: &str) -> Result<(), TreeError> {
    check_hostname(name)?;
    root.write("etc/hostname", format!("{name}\n"), 0o644)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_host_names_and_nothing_else() {
        let (label, long) = ("a".repeat(63), format!("{0}.{0}", "a".repeat(32)));
        for good in ["image", "Image-1", "a.example.org", "1", &label] {
            assert!(check_hostname(good).is_ok(), "{good}");
        }
        for bad in [
            "", "a b", "a_b", "-a", "a-", "a..b", ".a", "a.", "a\nb", "m\u{fc}n", "a/b", &long,
        ] {
            assert!(check_hostname(bad).is_err(), "{bad:?}");
        }
        let text = check_hostname("a\u{1b}[0m").unwrap_err().to_string();
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn replaces_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        root.symlink("/run/hostname", "etc/hostname").unwrap();
        set_hostname(&root, "image").unwrap();
        assert_eq!(root.read("etc/hostname").unwrap(), b"image\n");
        assert_eq!(root.read_link("etc/hostname").unwrap(), None);
    }
}
