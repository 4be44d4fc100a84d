//! Removes from a finished image what belongs to its making and not to the machines that run it.
//!
//! Logs: those that installing packages wrote go, and the journal. Other files in `/var/log` stay:
//! packages ship some with owners and modes that matter (`btmp`, `lastlog`).

use std::path::Path;

use super::error::{TreeError, check};
use super::globs::remove_files;
use super::package_managers::PACKAGE_MANAGERS;
use super::root::Root;
use crate::host::{Cancel, Report};

/// Secrets and random numbers that each machine must have of its own.
const IDENTITY: &[&str] = &[
    "var/lib/systemd/random-seed",
    "var/lib/systemd/credential.secret",
    "var/lib/random-seed",
    "var/lib/urandom/random-seed",
    "var/lib/seedrng/*",
];

/// Copies and locks that the tools that change accounts leave.
const BACKUPS: &[&str] = &[
    "etc/passwd-",
    "etc/shadow-",
    "etc/group-",
    "etc/gshadow-",
    "etc/subuid-",
    "etc/subgid-",
    "etc/.pwd.lock",
];

/// Other files that hold inode numbers and times of the build, or its log.
const TRACES: &[&str] = &["var/cache/ldconfig/aux-cache", "var/log/journal/*"];

/// Directories whose content no boot relies on.
const TEMPORARY: &[&str] = &["tmp", "var/tmp", "run/lock"];

/// Emptied but for one directory: containers that start without an init system need it.
const RUN: (&str, &str) = ("run", "lock");

/// Private and public keys by which ssh clients recognise one machine.
const HOST_KEYS: &[&str] = &["etc/ssh/ssh_host_*_key", "etc/ssh/ssh_host_*_key.pub"];

/// Units that make host keys when a machine starts without them.
const KEY_MAKERS: &[&str] = &[
    "usr/lib/systemd/system/sshd-keygen*",
    "usr/lib/systemd/system/ssh-keygen*",
    "usr/lib/systemd/system/sshdgenkeys.service",
    "usr/lib/systemd/system/regenerate_ssh_host_keys.service",
    "usr/lib/systemd/system/cloud-init.service",
    "usr/lib/systemd/system/cloud-init-main.service",
    "usr/lib/systemd/system/dropbear*",
    "etc/systemd/system/*ssh*keygen*",
    "etc/init.d/sshd",
];

/// Removes caches and logs of the package managers, random seeds, backups of the account files and
/// what is in the directories for temporary files.
///
/// # Errors
/// When something cannot be removed, or is mounted there.
pub fn clean_up(root: &Root, cancel: &Cancel) -> Result<(), TreeError> {
    for manager in PACKAGE_MANAGERS {
        remove_files(root, manager.caches, cancel)?;
        remove_files(root, manager.logs, cancel)?;
    }
    for list in [IDENTITY, BACKUPS, TRACES] {
        remove_files(root, list, cancel)?;
    }
    for directory in TEMPORARY {
        check(cancel)?;
        root.remove_content(directory)?;
    }
    let (run, kept) = RUN;
    if root.is_dir(run)? {
        for entry in root.list(run)? {
            check(cancel)?;
            if entry.name != kept {
                root.remove_tree(Path::new(run).join(entry.name))?;
            }
        }
    }
    Ok(())
}

/// Removes the ssh host keys that installing packages made: with them every machine of the image
/// could pass for any other. It is meant for the time right after the installation, so that keys
/// from an extra tree, which somebody chose, stay. Warns when nothing in the image will make new
/// ones, for then the ssh server will not start.
///
/// # Errors
/// When something cannot be removed.
pub fn remove_host_keys(
    root: &Root,
    report: &dyn Report,
    cancel: &Cancel,
) -> Result<(), TreeError> {
    if remove_files(root, HOST_KEYS, cancel)?.is_empty() {
        return Ok(());
    }
    for pattern in KEY_MAKERS {
        let pattern = super::globs::Pattern::parse(pattern)?;
        if !pattern.matches(root, cancel)?.is_empty() {
            return Ok(());
        }
    }
    report.warn(
        "the ssh host keys made during installation were removed, because all machines of this image \
         would share them, and nothing in the image makes new ones: let a service run `ssh-keygen -A` \
         before the ssh server starts, or put keys into an extra tree",
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn removes_what_the_build_left_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        let gone = [
            "var/lib/apt/lists/deb.debian.org_Release",
            "var/cache/apt/pkgcache.bin",
            "var/cache/apt/archives/x.deb",
            "var/lib/dpkg/status-old",
            "var/log/dpkg.log",
            "var/log/apt/term.log",
            "var/log/journal/0123/system.journal",
            "var/lib/systemd/random-seed",
            "var/lib/systemd/credential.secret",
            "etc/shadow-",
            "etc/.pwd.lock",
            "tmp/.hidden/x",
            "var/tmp/x",
            "run/x/y",
            "run/lock/z",
            "run/login",
            "run/lvm/x",
            "var/cache/dnf/x/y",
            "var/log/dnf.rpm.log",
        ];
        let kept = [
            "var/lib/dpkg/status",
            "var/log/btmp",
            "var/lib/apt/extended_states",
            "etc/shadow",
            "etc/ssh/ssh_host_rsa_key",
        ];
        for file in gone.iter().chain(&kept) {
            root.write(file, "", 0o644).unwrap();
        }
        clean_up(&root, &Cancel::default()).unwrap();
        for file in gone {
            assert!(!root.exists(file).unwrap(), "{file}");
        }
        for file in kept {
            assert!(root.exists(file).unwrap(), "{file}");
        }
        for directory in [
            "tmp",
            "var/tmp",
            "run/lock",
            "var/log/journal",
            "var/log/apt",
        ] {
            assert!(root.is_dir(directory).unwrap(), "{directory}");
        }
    }

    #[derive(Default)]
    struct Warnings(Mutex<Vec<String>>);

    impl Report for Warnings {
        fn line(&self, _: &str) {}
        fn warn(&self, message: &str) {
            self.0.lock().unwrap().push(message.to_owned());
        }
        fn progress(&self, _: u64, _: u64) {}
        fn command(&self, _: &str) {}
    }

    #[test]
    fn warns_when_nothing_makes_new_host_keys() {
        for (key, unit, warnings) in [
            (true, None, 1),
            (true, Some("usr/lib/systemd/system/sshd-keygen@.service"), 0),
            (false, None, 0),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let root = Root::open(dir.path()).unwrap();
            root.write("etc/ssh/sshd_config", "", 0o644).unwrap();
            if key {
                root.write("etc/ssh/ssh_host_ed25519_key", "", 0o600)
                    .unwrap();
                root.write("etc/ssh/ssh_host_ed25519_key.pub", "", 0o644)
                    .unwrap();
            }
            if let Some(unit) = unit {
                root.write(unit, "", 0o644).unwrap();
            }
            let report = Warnings::default();
            remove_host_keys(&root, &report, &Cancel::default()).unwrap();
            assert_eq!(report.0.lock().unwrap().len(), warnings);
            assert_eq!(root.list("etc/ssh").unwrap().len(), 1);
        }
    }
}
