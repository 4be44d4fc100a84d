//! Who called this program: root itself, or somebody through sudo, doas or pkexec.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid, User};

use super::Command;

/// The user on whose behalf root acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallingUser {
    /// User number; never 0.
    pub uid: u32,
    /// The user's primary group.
    pub gid: u32,
    /// Login name, when the number has one.
    pub name: Option<String>,
    /// Home directory, when the user database knows one.
    pub home: Option<PathBuf>,
}

impl CallingUser {
    /// The user with this number, whether the user database knows it or not. `None` for root.
    #[must_use]
    pub fn with_uid(uid: u32) -> Option<Self> {
        let number = uid.to_string();
        from_variables(
            |name| (name == "SUDO_UID").then(|| number.clone()),
            |uid| User::from_uid(Uid::from_raw(uid)).ok().flatten(),
            |_| None,
        )
    }

    /// A command that runs `program` as this user, with nothing of root's rights. It takes `setpriv`.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let groups = match self.name {
            Some(_) => "--init-groups",
            None => "--clear-groups",
        };
        let command = Command::new("setpriv")
            .arg(format!("--reuid={}", self.uid))
            .arg(format!("--regid={}", self.gid))
            .args([groups, "--"])
            .arg(program);
        // Without one of its own it must not look for its settings in root's.
        let home = self.home.as_deref().unwrap_or(Path::new("/nonexistent"));
        command.env("HOME", home)
    }
}

/// Whether this process may do what only root may.
#[must_use]
pub fn is_root() -> bool {
    Uid::effective().is_root()
}

/// Whether a user may own a secret of a project in `directory`: root may, whoever runs this or had root run it, and
/// who owns the project, without whom there would be none.
#[must_use]
pub fn may_own_secret(uid: u32, directory: &Path) -> bool {
    uid == 0
        || uid == Uid::effective().as_raw()
        || calling_user().is_some_and(|user| user.uid == uid)
        || fs::metadata(directory).is_ok_and(|meta| meta.uid() == uid)
}

/// The user who called sudo, doas or pkexec. `None` for root itself and without root's rights.
#[must_use]
pub fn calling_user() -> Option<CallingUser> {
    if !is_root() {
        return None;
    }
    from_variables(
        |name| std::env::var(name).ok(),
        |uid| User::from_uid(Uid::from_raw(uid)).ok().flatten(),
        |name| User::from_name(name).ok().flatten(),
    )
}

/// Files get this umask whatever the user's is: what root makes for an image must not depend on it.
pub fn set_umask() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
}

fn from_variables(
    variable: impl Fn(&str) -> Option<String>,
    by_uid: impl Fn(u32) -> Option<User>,
    by_name: impl Fn(&str) -> Option<User>,
) -> Option<CallingUser> {
    let number = |name: &str| variable(name)?.parse::<u32>().ok();
    let uid = number("SUDO_UID").or_else(|| number("PKEXEC_UID"));
    let known = match uid {
        Some(uid) => by_uid(uid),
        None => variable("DOAS_USER").and_then(|name| by_name(&name)),
    };
    let uid = uid.or(known.as_ref().map(|user| user.uid.as_raw()))?;
    if uid == 0 {
        return None;
    }
    let sudo_gid = variable("SUDO_UID").and_then(|_| number("SUDO_GID"));
    let gid = sudo_gid.or(known.as_ref().map(|user| user.gid.as_raw()));
    Some(CallingUser {
        uid,
        // A user without an entry has no group to speak of: the number usually has a twin.
        gid: gid.unwrap_or(Gid::from_raw(uid).as_raw()),
        name: known.as_ref().map(|user| user.name.clone()),
        home: known.map(|user| user.dir).filter(|dir| dir.is_absolute()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(variables: &[(&str, &str)]) -> Option<(u32, u32, Option<String>)> {
        let root = || User::from_uid(Uid::from_raw(0)).unwrap().unwrap();
        let user = |uid: u32, name: &str| User {
            name: name.into(),
            uid: Uid::from_raw(uid),
            gid: Gid::from_raw(100),
            dir: "/home/ann".into(),
            ..root()
        };
        let found = from_variables(
            |name| {
                let pair = variables.iter().find(|(key, _)| *key == name);
                pair.map(|(_, value)| (*value).to_owned())
            },
            |uid| (uid == 1000).then(|| user(1000, "ann")),
            |name| match name {
                "ann" => Some(user(1000, "ann")),
                "root" => Some(root()),
                _ => None,
            },
        );
        found.map(|user| (user.uid, user.gid, user.name))
    }

    #[test]
    fn every_way_to_become_root() {
        let ann = |gid| Some((1000, gid, Some("ann".to_owned())));
        let cases: &[(&[(&str, &str)], _)] = &[
            (&[], None),
            (&[("SUDO_UID", "1000"), ("SUDO_GID", "1001")], ann(1001)),
            (&[("SUDO_UID", "1000")], ann(100)),
            (&[("SUDO_UID", "0"), ("SUDO_GID", "0")], None),
            (&[("SUDO_UID", "junk")], None),
            (&[("PKEXEC_UID", "1000"), ("SUDO_GID", "7")], ann(100)),
            (&[("DOAS_USER", "ann")], ann(100)),
            (&[("DOAS_USER", "root")], None),
            (&[("DOAS_USER", "nobody-knows")], None),
            (&[("SUDO_UID", "4242")], Some((4242, 4242, None))),
        ];
        for (variables, expected) in cases {
            assert_eq!(&caller(variables), expected, "{variables:?}");
        }
    }
}
