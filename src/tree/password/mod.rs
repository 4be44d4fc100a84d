//! The root password, in `/etc/shadow` and `/etc/passwd` of an image.

mod crypt;
mod shadow;

use self::shadow::{change_passwd, change_shadow, days};
use super::error::TreeError;
use super::root::Root;
use super::shown::shown_bytes;

/// What becomes of the root password.
#[derive(Clone, Copy)]
pub enum RootPassword<'a> {
    /// Nobody logs in with a password: the field begins with `!` or `*`. A hash that is there is kept
    /// behind a `!`, as `passwd -l` does, so that `passwd -u` brings it back.
    Locked,
    /// No password is asked for, where the image's PAM settings allow that (`nullok`, which Debian,
    /// Fedora and others have).
    Empty,
    /// This password, hashed here; one without a byte means [`Empty`](Self::Empty).
    Plain(&'a [u8]),
    /// This crypt(3) hash, taken as it is.
    Hashed(&'a [u8]),
}

impl std::fmt::Debug for RootPassword<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Locked => "Locked",
            Self::Empty => "Empty",
            Self::Plain(_) => "Plain(***)",
            Self::Hashed(_) => "Hashed(***)",
        })
    }
}

/// Where the account's data are.
const PASSWD: &str = "etc/passwd";
const SHADOW: &str = "etc/shadow";

/// Mode of a shadow file that is made here; one that exists keeps mode and owner.
const SHADOW_MODE: u32 = 0o600;

/// Sets the root password. With `source_date_epoch` (seconds since 1970) the salt derives from
/// `salt_seed`, and the day of the last change is that of the epoch; without, the salt is random and
/// the day stays what the package manager wrote.
///
/// The hash is yescrypt where the image's own `passwd` would make one, else SHA-512-crypt, which
/// every C library verifies. Returns whether there was an account to set it for: an image without
/// `/etc/passwd` has nothing to lock.
///
/// # Errors
/// When the password holds what cannot be typed at a login prompt, the hash is none, a password is
/// to be set and there is no root account, or a file cannot be changed.
pub fn set_root_password(
    root: &Root,
    password: RootPassword<'_>,
    salt_seed: Option<&[u8]>,
    source_date_epoch: Option<u64>,
) -> Result<bool, TreeError> {
    set_user_password(root, "root", password, salt_seed, source_date_epoch)
}

/// As [`set_root_password`], for the user of this name.
///
/// # Errors
/// As [`set_root_password`].
pub fn set_user_password(
    root: &Root,
    user: &str,
    password: RootPassword<'_>,
    salt_seed: Option<&[u8]>,
    source_date_epoch: Option<u64>,
) -> Result<bool, TreeError> {
    let hash = match password {
        RootPassword::Locked | RootPassword::Empty | RootPassword::Plain(b"") => None,
        RootPassword::Plain(plain) => {
            let method = crypt::method_of(root)?;
            Some(crypt::hash(plain, method, salt_seed)?)
        }
        RootPassword::Hashed(hash) => Some(crypt::checked_hash(hash)?),
    };
    let Some(passwd) = root.read_if_present(PASSWD)? else {
        return match hash {
            None => Ok(false),
            Some(_) => Err(TreeError::Password {
                why: "the image has no /etc/passwd".to_owned(),
            }),
        };
    };
    let new_passwd = change_passwd(&passwd, user).ok_or_else(|| TreeError::Password {
        why: format!(
            "the image's /etc/passwd has no user {}",
            shown_bytes(user.as_bytes())
        ),
    })?;
    let field = |old: &[u8]| match (&hash, password) {
        (Some(hash), _) => hash.clone().into_bytes(),
        (None, RootPassword::Locked) => locked(old),
        _ => Vec::new(),
    };
    let day = source_date_epoch.map(days);
    match root.read_if_present(SHADOW)? {
        Some(_) => root.update(SHADOW, |old| Ok(change_shadow(old, user, field, day)))?,
        None => root.write(SHADOW, change_shadow(b"", user, field, day), SHADOW_MODE)?,
    }
    root.update(PASSWD, |_| Ok(new_passwd))?;
    Ok(true)
}

/// A password field with which no password fits.
fn locked(old: &[u8]) -> Vec<u8> {
    match old.first() {
        Some(b'!' | b'*') => old.to_vec(),
        // `!` alone would become an empty password when it is unlocked.
        None => b"!*".to_vec(),
        Some(_) => [b"!", old].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    const PASSWD_TEXT: &str = "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1::/:/bin/false\n";

    fn image(shadow: Option<&str>) -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("etc")).unwrap();
        fs::write(dir.path().join("etc/passwd"), PASSWD_TEXT).unwrap();
        if let Some(shadow) = shadow {
            let path = dir.path().join("etc/shadow");
            fs::write(&path, shadow).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        }
        let root = Root::open(dir.path()).unwrap();
        (dir, root)
    }

    #[test]
    fn changes_only_roots_field() {
        let hash = RootPassword::Hashed(b"$6$salt$hash");
        for (before, password, epoch, after) in [
            (
                "root:*:19000:0:99999:7:::\nd:*:1::::::\n",
                hash,
                None,
                "root:$6$salt$hash:19000:0:99999:7:::\nd:*:1::::::\n",
            ),
            (
                "root:*:19000:0:99999:7:::\n",
                hash,
                Some(86_400 * 3 + 5),
                "root:$6$salt$hash:3:0:99999:7:::\n",
            ),
            (
                "root:*:19000:0:99999:7:::\n",
                hash,
                Some(0),
                "root:$6$salt$hash:1:0:99999:7:::\n",
            ),
            (
                "root:*:19000::::::\n",
                RootPassword::Locked,
                None,
                "root:*:19000::::::\n",
            ),
            (
                "root::19000::::::\n",
                RootPassword::Locked,
                None,
                "root:!*:19000::::::\n",
            ),
            (
                "root:$y$x:19000::::::\n",
                RootPassword::Locked,
                None,
                "root:!$y$x:19000::::::\n",
            ),
            (
                "root:!unprovisioned::0:99999:7:::\n",
                RootPassword::Empty,
                None,
                "root:::0:99999:7:::\n",
            ),
            (
                "d:*:1::::::",
                hash,
                None,
                "d:*:1::::::\nroot:$6$salt$hash:::::::\n",
            ),
            ("root:*\n", hash, Some(86_400), "root:$6$salt$hash:1\n"),
        ] {
            let (dir, root) = image(Some(before));
            assert!(set_root_password(&root, password, None, epoch).unwrap());
            let path = dir.path().join("etc/shadow");
            assert_eq!(fs::read_to_string(&path).unwrap(), after);
            let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
            assert_eq!(mode, 0o640);
        }
    }

    #[test]
    fn makes_a_missing_shadow_file_and_refers_to_it() {
        let (dir, root) = image(None);
        fs::write(dir.path().join("etc/passwd"), "root::0:0::/root:/bin/sh\n").unwrap();
        set_root_password(&root, RootPassword::Hashed(b"$1$x$y"), None, None).unwrap();
        let shadow = dir.path().join("etc/shadow");
        assert_eq!(fs::read_to_string(&shadow).unwrap(), "root:$1$x$y:::::::\n");
        assert_eq!(
            fs::metadata(&shadow).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let passwd = fs::read_to_string(dir.path().join("etc/passwd")).unwrap();
        assert_eq!(passwd, "root:x:0:0::/root:/bin/sh\n");
    }

    #[test]
    fn never_touches_the_hosts_files() {
        let (dir, root) = image(None);
        let host = tempfile::NamedTempFile::new().unwrap();
        fs::write(host.path(), "root:host:1::::::\n").unwrap();
        symlink(host.path(), dir.path().join("etc/shadow")).unwrap();
        set_root_password(&root, RootPassword::Empty, None, None).unwrap();
        assert_eq!(
            fs::read_to_string(host.path()).unwrap(),
            "root:host:1::::::\n"
        );
    }

    #[test]
    fn an_image_without_accounts_has_nothing_to_lock() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        assert!(!set_root_password(&root, RootPassword::Locked, None, None).unwrap());
        let text = set_root_password(&root, RootPassword::Plain(b"x"), None, None)
            .unwrap_err()
            .to_string();
        assert!(text.contains("no /etc/passwd"), "{text}");
    }

    #[test]
    fn refuses_what_nobody_can_type_and_what_is_no_hash() {
        let (_dir, root) = image(Some("root:*:1::::::\n"));
        let long = vec![b'x'; 600];
        for (password, why) in [
            (RootPassword::Plain(b"a\nb"), "line break"),
            (RootPassword::Plain(b"a\0b"), "null byte"),
            (RootPassword::Plain(&long), "longer than"),
            (RootPassword::Hashed(b"$6$a:b"), "`:`"),
            (RootPassword::Hashed(b"$6$a\n"), "no crypt(3) hash"),
            (RootPassword::Hashed(b""), "empty"),
        ] {
            let text = set_root_password(&root, password, None, None)
                .unwrap_err()
                .to_string();
            assert!(text.contains(why), "{text}");
            assert!(!text.contains("$6$"), "{text}");
        }
        assert_eq!(root.read("etc/shadow").unwrap(), b"root:*:1::::::\n");
    }

    #[test]
    fn debug_output_keeps_the_secret() {
        let text = format!("{:?}", RootPassword::Plain(b"secret"));
        assert_eq!(text, "Plain(***)");
    }
}
