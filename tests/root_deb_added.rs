//! Packages added to a filled tree: what this program unpacks there is what the tree's own dpkg would
//! have unpacked. Needs root, dpkg and the network, or what it brought earlier.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod installed;
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use installed::{Times, bookworm, differences};
use mkosi::host::{Cancel, Host, HostRunner, Report};
use mkosi::installer::{Deb, Installer as _, Site};
use support::{Project, assert_no_leaks, root, tool};

/// Keeps the commands that were run.
#[derive(Default)]
struct Commands(Mutex<String>);

impl Report for Commands {
    fn line(&self, _: &str) {}
    fn warn(&self, message: &str) {
        panic!("{message}");
    }
    fn progress(&self, _: u64, _: u64) {}
    fn command(&self, line: &str) {
        let mut all = self.0.lock().unwrap();
        all.push_str(line);
        all.push('\n');
    }
}

/// Adds packages to a tree; returns the commands that were run.
fn add(tree: &Path, packages: &[&str]) -> String {
    let request = bookworm(packages);
    let scratch = tempfile::tempdir().unwrap();
    let site = Site {
        root: tree.to_owned(),
        scratch: scratch.path().to_owned(),
    };
    let commands = Arc::new(Commands::default());
    let host = Host::new(Arc::new(HostRunner), commands.clone(), Cancel::default());
    Deb.add(&request, &site, &host).unwrap();
    let mut all = commands.0.lock().unwrap();
    std::mem::take(&mut *all)
}

fn copy(from: &Path, to: &str) -> PathBuf {
    let to = from.with_file_name(to);
    tool(
        "cp",
        &["-a", &from.to_string_lossy(), &to.to_string_lossy()],
    );
    to
}

/// Adds packages to one tree as usual, and to another whose database says something that only dpkg may
/// judge, so that dpkg unpacks everything; then compares them. Returns the first tree, and the commands
/// that made it.
fn both_ways(base: &Path, packages: &[&str]) -> (PathBuf, String) {
    let start = SystemTime::now();
    let (ours, theirs) = (copy(base, "ours"), copy(base, "theirs"));
    // As left by a dpkg that was killed; the next one removes it.
    fs::write(theirs.join("var/lib/dpkg/updates/tmp.i"), "").unwrap();
    let said = add(&ours, packages);
    let told = add(&theirs, packages);
    assert!(left_to_dpkg(&told) >= packages.len(), "{told}");
    let found = differences(&ours, &theirs, Times::Before(start), &[]);
    assert_eq!(found, Vec::<String>::new());
    for tree in [&ours, &theirs] {
        let path = tree.to_string_lossy();
        assert_eq!(tool("dpkg", &["--root", &path, "--audit"]), "");
        let verified = support::finish({
            let mut command = std::process::Command::new("dpkg");
            command.args(["--root", &path, "--verify"]);
            command
        });
        // Only documentation, left out on purpose, is missing, and one configuration file is the
        // administrator's.
        let wrong: Vec<&str> = verified
            .stdout
            .lines()
            .filter(|line| !(line.starts_with("missing ") && line.contains("/usr/share/")))
            .filter(|line| !line.ends_with(" c /etc/crontab"))
            .filter(|line| !line.contains("/var/cache/") && !line.contains("/var/lib/apt/lists"))
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
    fs::remove_dir_all(theirs).unwrap();
    (ours, said)
}

/// A version that is older than any in the repository.
const OLD: &str = "2020a-0+deb10u1";

/// How many packages dpkg was given to unpack.
fn left_to_dpkg(commands: &str) -> usize {
    commands.matches(" /run/mkosi/packages/").count()
}

fn version(tree: &Path, package: &str) -> String {
    let root = format!("--root={}", tree.display());
    tool(
        "dpkg-query",
        &[
            &root,
            "--show",
            "--showformat=${db:Status-Abbrev}${Version}",
            package,
        ],
    )
}

#[test]
fn root_added_packages_are_as_dpkg_adds_them() {
    root();
    // Packages with interests in triggers are there before.
    let project = Project::debian(
        "[Packages]\nPackages=man-db systemd-sysv\n[Output]\nFormat=directory\nOutput=base\n",
    );
    project.run(&[]).succeeds();
    let base = project.path().join("base");

    // Compilers, an interpreter, configuration files, groups, capabilities, set-user-ID files.
    let usual = [
        "cron",
        "gcc",
        "iputils-ping",
        "libc6-dev",
        "make",
        "meson",
        "sudo",
    ];
    let (tree, said) = both_ways(&base, &usual);
    // Only python3 waits for what waits itself.
    assert_eq!(left_to_dpkg(&said), 1, "{said}");
    assert!(tree.join("usr/bin/gcc").exists() && tree.join("etc/sudoers").exists());
    let status = fs::read_to_string(tree.join("var/lib/dpkg/status")).unwrap();
    assert!(status.contains("\n /etc/sudoers ") && !status.contains("newconffile"));
    // The cache of libraries and the index of manual pages know of them.
    let libraries = fs::read(tree.join("etc/ld.so.cache")).unwrap();
    assert!(libraries.windows(9).any(|bytes| bytes == b"libisl.so"));
    fs::remove_dir_all(tree).unwrap();

    // A path that is diverted, one with an owner that the administrator has set, and a file that
    // belongs to no package: dpkg unpacks the packages that have them, and only those.
    let inside = |script: &str| {
        let directory = format!("--directory={}", base.display());
        let words = [
            "--quiet",
            "--register=no",
            "--keep-unit",
            "--as-pid2",
            "--console=pipe",
        ];
        tool(
            "systemd-nspawn",
            &[&words[..], &[&directory, "/bin/sh", "-ec", script]].concat(),
        );
    };
    inside(
        "dpkg-divert --local --no-rename --divert /usr/bin/make.other --add /usr/bin/make
         dpkg-divert --local --no-rename --divert /usr/bin/crontab.other --add /usr/bin/crontab
         dpkg-statoverride --add root mail 0750 /bin/ping
         echo mine > /usr/bin/m4
         echo mine > /etc/crontab",
    );
    let special = ["cron", "iputils-ping", "less", "m4", "make"];
    let (tree, said) = both_ways(&base, &special);
    assert_eq!(left_to_dpkg(&said), 4, "{said}");
    // Its script ran before it turned out that dpkg has to unpack it: dpkg gets it without.
    assert!(
        said.contains("package=cron") && said.contains(" /run/mkosi/packages/2.deb"),
        "{said}"
    );
    assert!(tree.join("var/lib/dpkg/info/cron.preinst").exists());
    assert!(tree.join("usr/bin/make.other").exists() && !tree.join("usr/bin/make").exists());
    assert_eq!(
        fs::read_to_string(tree.join("etc/crontab")).unwrap(),
        "mine\n"
    );
    let list = fs::read_to_string(tree.join("var/lib/dpkg/info/make.list")).unwrap();
    assert!(list.contains("/usr/bin/make\n"));
    fs::remove_dir_all(tree).unwrap();

    // Something that is there is replaced.
    let path = base.join("var/lib/dpkg/status");
    let newest = version(&base, "tzdata").split_off(3);
    let status = fs::read_to_string(&path).unwrap();
    fs::write(&path, status.replace(&newest, OLD)).unwrap();
    let (tree, said) = both_ways(&base, &["less", "tzdata"]);
    assert_eq!(left_to_dpkg(&said), 2, "{said}");
    assert!(version(&tree, "tzdata") > format!("ii {OLD}"));
    assert!(version(&tree, "less").starts_with("ii "));
    assert_no_leaks(project.path());
}
