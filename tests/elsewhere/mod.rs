//! Builds as if on another machine: another host file system, directory, user, mask, time zone,
//! language, name and number of processors.
#![allow(dead_code, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Project, Run, finish};

/// The time of all builds that are compared.
const EPOCH: &str = "1700000000";

/// What a project and the workspace are on.
#[derive(Clone, Copy, Debug)]
pub enum HostFileSystem {
    Btrfs,
    Ext4,
    Tmpfs,
    Xfs,
}

/// Another machine, as far as a build sees.
pub struct Elsewhere {
    file_system: HostFileSystem,
    directory: tempfile::TempDir,
}

/// Builds with one processor, where the project is.
pub fn alone(project: &Project, arguments: &[&str]) -> Run {
    let mut command = Command::new("taskset");
    command
        .args(["--cpu-list", "0", env!("CARGO_BIN_EXE_mkosi")])
        .args(arguments)
        .current_dir(project.path())
        .env("SOURCE_DATE_EPOCH", EPOCH)
        .env("TZ", "UTC")
        .env("LC_ALL", "C");
    for name in ["SUDO_UID", "SUDO_GID", "SUDO_USER"] {
        command.env_remove(name);
    }
    finish(command)
}

impl Elsewhere {
    pub fn new(file_system: HostFileSystem) -> Self {
        let above = Path::new(env!("CARGO_TARGET_TMPDIR"));
        Self {
            file_system,
            directory: tempfile::Builder::new()
                .prefix("elsewhere-")
                .tempdir_in(above)
                .expect("a directory"),
        }
    }

    /// Builds a copy of the project there, and keeps what is in its directory `output`.
    pub fn build(&self, project: &Project, output: &str, arguments: &[&str]) -> Run {
        let mount = match self.file_system {
            HostFileSystem::Tmpfs => "mount -t tmpfs -o size=3G tmpfs at".to_owned(),
            HostFileSystem::Btrfs => "mkfs.btrfs -q disk; mount -o loop disk at".to_owned(),
            HostFileSystem::Ext4 => "mkfs.ext4 -q disk; mount -o loop disk at".to_owned(),
            HostFileSystem::Xfs => "mkfs.xfs -q disk; mount -o loop disk at".to_owned(),
        };
        // In the other order: the file systems list names in orders of their own anyway.
        let script = format!(
            "mkdir at kept; truncate -s 8G disk; {mount}\n\
             hostname elsewhere\n\
             mkdir -p at/some/where/else\n\
             cp -a \"$1\" at/some/where/else/project; here=$PWD; shift\n\
             cd at/some/where/else/project; umask 077\n\
             \"$@\"\n\
             cp -a --sparse=always {output} \"$here/kept\"\n\
             cd /; umount \"$here/at\"; rm \"$here/disk\""
        );
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--uts", "--propagation=private"])
            .args(["sh", "-ec", &script, "sh"])
            .arg(project.path())
            .arg(env!("CARGO_BIN_EXE_mkosi"))
            .args(arguments)
            .current_dir(self.directory.path())
            .env("SOURCE_DATE_EPOCH", EPOCH)
            .env("TZ", "Asia/Kathmandu")
            .env("LC_ALL", "C.UTF-8")
            .env("LANGUAGE", "tr")
            .env("USER", "somebody")
            .env("LOGNAME", "somebody")
            .env("HOME", self.directory.path())
            .env("SUDO_USER", "nobody")
            .env("SUDO_UID", "65534")
            .env("SUDO_GID", "65534");
        finish(command)
    }

    /// What was kept of a directory.
    pub fn kept(&self, output: &str) -> PathBuf {
        self.directory.path().join("kept").join(output)
    }
}

/// Everything below a directory: kinds, modes, owners, times and sizes by name.
fn listed(top: &Path) -> BTreeMap<PathBuf, String> {
    let mut list = BTreeMap::new();
    let mut waiting = vec![top.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(top).expect("below").to_owned();
            let found = fs::symlink_metadata(&path).expect("an entry");
            // Artifacts belong to who built them, and were made just now; what is in a tree does not.
            let in_tree = name.components().count() > 1;
            let what = if in_tree {
                let size = if found.is_dir() { 0 } else { found.len() };
                format!(
                    "{:o} {}:{} {size} bytes, time {}, to {:?}",
                    found.mode(),
                    found.uid(),
                    found.gid(),
                    found.mtime(),
                    fs::read_link(&path).ok()
                )
            } else {
                format!("{:o}", found.mode() & 0o170_000)
            };
            list.insert(name, what);
            if found.is_dir() {
                waiting.push(path);
            }
        }
    }
    list
}

/// Asserts that two files, or all below two directories, are the same byte for byte.
#[track_caller]
pub fn assert_same(first: &Path, second: &Path) {
    if first.is_dir() {
        assert_eq!(listed(first), listed(second));
        for name in listed(first).keys() {
            if first.join(name).is_symlink() || !first.join(name).is_file() {
                continue;
            }
            assert_same_file(&first.join(name), &second.join(name));
        }
    } else {
        assert_same_file(first, second);
    }
}

#[track_caller]
fn assert_same_file(first: &Path, second: &Path) {
    let mut command = Command::new("cmp");
    command.args(["--silent".as_ref(), first.as_os_str(), second.as_os_str()]);
    if finish(command).code == Some(0) {
        return;
    }
    let mut places = Command::new("sh");
    places.args(["-c", "cmp -l \"$1\" \"$2\" 2>&1 | awk '{p=int($1/4096); if (p!=l) print p; l=p}' | head -n 40 | tr '\\n' ' '", "sh"]);
    places.args([first, second]);
    let places = finish(places).stdout;
    let mut command = Command::new("diffoscope");
    command
        .args([
            "--max-report-size=20000",
            "--exclude-directory-metadata=yes",
        ])
        .args([first, second]);
    let report = match command.output() {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(_) => "(diffoscope would say what differs)".to_owned(),
    };
    panic!(
        "{} and {} differ, first in blocks {places}\n{report}",
        first.display(),
        second.display()
    );
}
