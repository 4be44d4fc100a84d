//! Trees that this program unpacks itself, compared with mmdebstrap's, checked by dpkg and used with
//! apt. Needs root, mmdebstrap, dpkg, setcap and the network.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod installed;
mod support;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use installed::{Times, bookworm, differences};
use mkosi::host::{Cancel, Host, HostRunner, Quiet};
use mkosi::installer::{Deb, Installer as _, Site};
use support::{Project, assert_no_leaks, finish, inside, root, tool};

/// Packages with diversions, alternatives, configuration files, users, triggers, set-user-ID files,
/// capabilities and hard links.
const SOME: &str = "cron,git,iputils-ping,molly-guard,openssh-server,python3-minimal,sudo,zsh";

/// A desktop's worth of packages: more than 300 with what they need.
const MANY: &str = "at,avahi-daemon,build-essential,ca-certificates,cron,docbook-xml,emacs-nox,\
    fontconfig,fuse3,git,gnupg,iputils-ping,libgl1-mesa-dri,lightdm,locales,logrotate,man-db,\
    molly-guard,mtr-tiny,network-manager,nginx,openssh-server,postfix,python3,rsyslog,screen,sudo,\
    tmux,udisks2,uidmap,vim,xauth,xfce4-panel,xfce4-session,xfwm4,xserver-xorg-core,xterm,zsh";

fn project(release: &str, packages: &str, settings: &str) -> Project {
    let project = Project::debian(&format!(
        "[Distribution]\nRelease={release}\n\n[Output]\nFormat=directory\nOutput=image\n\n\
         [Packages]\nPackages={packages}\n{settings}"
    ));
    // Only the later of two settings shall count, without a warning.
    let path = project.path().join("mkosi.default");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("Release=bookworm\n", "", 1)).unwrap();
    if release == "sid" {
        // The lists of no other release expire, and a mirror may be late. Trust has tests of its own.
        project.file(
            "mkosi.skeleton/etc/apt/apt.conf.d/20late",
            "Acquire::Check-Valid-Until \"false\";\n",
        );
    }
    project
}

/// Builds with mmdebstrap, by hiding what the faster way needs.
fn build_with_mmdebstrap(project: &Project) {
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c"])
        .arg("mount --bind /dev/null \"$(command -v systemd-nspawn)\" && exec \"$0\" build")
        .arg(env!("CARGO_BIN_EXE_mkosi"))
        .current_dir(project.path());
    finish(command).succeeds().says("with mmdebstrap");
}

/// Asserts that trees differ only where the list says so.
fn assert_equal_but_for_the_list(ours: &Path, theirs: &Path) {
    let list: Vec<&str> = include_str!("root_deb_differences.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let differences = differences(ours, theirs, Times::None, &list);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn compare(release: &str, packages: &str, settings: &str) -> Project {
    root();
    let ours = project(release, packages, settings);
    let run = ours.run(&[]);
    run.succeeds().says("with apt");
    let theirs = project(release, packages, settings);
    build_with_mmdebstrap(&theirs);
    let (tree, reference) = (ours.path().join("image"), theirs.path().join("image"));
    assert_equal_but_for_the_list(&tree, &reference);
    let interests = |tree: &Path| {
        let text = fs::read_to_string(tree.join("var/lib/dpkg/triggers/File")).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(interests(&tree), interests(&reference));
    let path = tree.to_string_lossy().into_owned();
    assert_eq!(tool("dpkg", &["--root", &path, "--audit"]), "");
    // Only documentation, left out on purpose, is missing.
    let verify = Command::new("dpkg")
        .args(["--root", &path, "--verify"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&verify.stdout).into_owned();
    let wrong: Vec<&str> = text
        .lines()
        .filter(|line| !(line.starts_with("missing ") && line.contains("/usr/share/")))
        .collect();
    let caches = |line: &&str| line.contains("/var/cache/") || line.contains("/var/lib/apt/lists");
    assert!(wrong.iter().all(caches), "{wrong:?}");
    assert_no_leaks(ours.path());
    ours
}

/// Adds a package as the layers of a build do.
fn add(tree: &Path, package: &str) {
    let request = bookworm(&[package]);
    let scratch = tempfile::tempdir().unwrap();
    let site = Site {
        root: tree.to_owned(),
        scratch: scratch.path().to_owned(),
    };
    let host = Host::new(Arc::new(HostRunner), Arc::new(Quiet), Cancel::default());
    let auto = |tree: &Path| fs::read_to_string(tree.join("var/lib/apt/extended_states")).unwrap();
    let before = auto(tree);
    Deb.add(&request, &site, &host).unwrap();
    let status = fs::read_to_string(tree.join("var/lib/dpkg/status")).unwrap();
    let entry = status
        .split("\n\n")
        .find(|s| s.starts_with(&format!("Package: {package}\n")));
    assert!(entry.unwrap().contains("Status: install ok installed"));
    assert_eq!(auto(tree), before);
    assert!(!tree.join("usr/sbin/policy-rc.d").exists());
    assert!(!tree.join("usr/sbin/start-stop-daemon.REAL").exists());
}

#[test]
fn root_deb_tree_is_mmdebstraps_and_apt_goes_on_with_it() {
    let project = compare("bookworm", SOME, "");
    let tree = project.path().join("image");
    let path = |name: &str| tree.join(name);
    // What had to be special is.
    let mode = |name: &str| fs::metadata(path(name)).unwrap().mode() & 0o7777;
    assert_eq!(mode("usr/bin/sudo"), 0o4755);
    assert_eq!(mode("usr/bin/crontab"), 0o2755);
    let capabilities = tool("getcap", &[&path("usr/bin/ping").to_string_lossy()]);
    assert!(capabilities.contains("cap_net_raw"), "{capabilities}");
    let diversions = fs::read_to_string(path("var/lib/dpkg/diversions")).unwrap();
    assert!(diversions.contains("molly-guard"), "{diversions}");
    assert!(!path("usr/share/man/man1").exists());
    assert!(!path("usr/sbin/policy-rc.d").exists());
    add(&tree, "less");
    inside(&tree, &["apt-get", "--quiet", "update"]);
    let installed = inside(
        &tree,
        &["apt-get", "--quiet", "--assume-yes", "install", "nano"],
    );
    assert!(installed.contains("Setting up nano"), "{installed}");
    inside(&tree, &["apt-get", "--quiet", "--assume-yes", "upgrade"]);
    let removable = inside(&tree, &["apt-get", "--simulate", "autoremove"]);
    assert!(removable.contains("0 to remove"), "{removable}");
    assert_eq!(
        tool("dpkg", &["--root", &tree.to_string_lossy(), "--audit"]),
        ""
    );
}

#[test]
#[ignore = "builds two trees of this release"]
fn root_deb_tree_of_bullseye_is_mmdebstraps() {
    compare("bullseye", "", "");
}

#[test]
#[ignore = "builds two trees of this release"]
fn root_deb_tree_of_bookworm_is_mmdebstraps() {
    compare("bookworm", "", "");
}

#[test]
#[ignore = "builds two trees of this release"]
fn root_deb_tree_of_trixie_is_mmdebstraps() {
    compare("trixie", "", "");
}

#[test]
#[ignore = "builds two trees of this release"]
fn root_deb_tree_of_sid_is_mmdebstraps() {
    compare("sid", "", "");
}

#[test]
#[ignore = "builds two large trees of this release"]
fn root_deb_large_tree_of_bullseye_is_mmdebstraps() {
    compare("bullseye", MANY, "");
}

#[test]
#[ignore = "builds two large trees of this release"]
fn root_deb_large_tree_of_bookworm_is_mmdebstraps() {
    compare("bookworm", MANY, "");
}

#[test]
#[ignore = "builds two large trees of this release"]
fn root_deb_large_tree_of_trixie_is_mmdebstraps() {
    compare("trixie", MANY, "");
}

#[test]
#[ignore = "builds two large trees of this release"]
fn root_deb_large_tree_of_sid_is_mmdebstraps() {
    compare("sid", MANY, "");
}

#[test]
#[ignore = "builds two trees with documentation"]
fn root_deb_tree_with_docs_is_mmdebstraps() {
    compare("bookworm", "man-db", "WithDocs=yes\n");
}
