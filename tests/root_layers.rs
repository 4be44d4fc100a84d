//! Builds that begin from cached trees: what they yield, what they survive, and what they leave.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use sha2::{Digest as _, Sha256};
use support::{Project, Run, assert_no_leaks, finish, root, tool};

const STORE: &str = ".mkosi-layers";
const DIRECTORY: &str = "[Output]\nFormat=directory\n";

/// The smallest Debian that can be built, with one more file.
fn small() -> Project {
    let project = Project::debian(&format!("{DIRECTORY}[Packages]\nBasePackages=no\n"));
    project.file("mkosi.extra/etc/motd", "one\n");
    project
}

/// The names of the layers beside the output.
fn layers(project: &Project) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(project.path().join(STORE))
        .map(|entries| {
            let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
            names.collect()
        })
        .unwrap_or_default();
    names.sort();
    names
}

fn layer(project: &Project) -> PathBuf {
    let names = layers(project);
    assert_eq!(names.len(), 1, "{names:?}");
    assert_eq!(names[0].len(), 64, "{names:?}");
    project.path().join(STORE).join(&names[0])
}

/// Everything that a tree is, file by file: kind, mode, owner, links, content, attributes.
fn contents(tree: &Path, times: bool) -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    let mut names: BTreeMap<(u64, u64), PathBuf> = BTreeMap::new();
    for entry in walkdir::WalkDir::new(tree).sort_by_file_name() {
        let entry = entry.unwrap();
        let path = entry.path().strip_prefix(tree).unwrap().to_owned();
        let meta = entry.path().symlink_metadata().unwrap();
        let kind = meta.file_type();
        assert!(
            !(kind.is_char_device() && meta.rdev() == 0),
            "{path:?} is the mark of a removed file"
        );
        let mut text = format!(
            "{:o} {}:{} {}",
            meta.mode(),
            meta.uid(),
            meta.gid(),
            meta.rdev()
        );
        if times {
            text.push_str(&format!(" at {}.{}", meta.mtime(), meta.mtime_nsec()));
        }
        if kind.is_symlink() {
            let target = fs::read_link(entry.path()).unwrap();
            text.push_str(&format!(" to {}", target.display()));
        } else if kind.is_file() {
            let digest = Sha256::digest(fs::read(entry.path()).unwrap());
            text.push_str(&format!(" {digest:x}"));
            let id = (meta.dev(), meta.ino());
            let first = names.entry(id).or_insert_with(|| path.clone());
            text.push_str(&format!(
                " {} names, first {}",
                meta.nlink(),
                first.display()
            ));
        }
        let mut list = vec![0u8; 65536];
        let length = rustix::fs::llistxattr(entry.path(), &mut list).unwrap_or(0);
        for name in list[..length].split(|b| *b == 0).filter(|n| !n.is_empty()) {
            let mut value = vec![0u8; 65536];
            let name = std::ffi::OsStr::from_bytes(name);
            let length = rustix::fs::lgetxattr(entry.path(), name, &mut value).unwrap();
            text.push_str(&format!(" {name:?}={:02x?}", &value[..length]));
        }
        files.insert(path, text);
    }
    files
}

/// Asserts that two trees are the same, and shows what is not.
#[track_caller]
fn assert_same(one: &BTreeMap<PathBuf, String>, other: &BTreeMap<PathBuf, String>) {
    let mut different = Vec::new();
    for path in one.keys().chain(other.keys()) {
        if one.get(path) != other.get(path) {
            different.push(format!(
                "{path:?}: {:?} / {:?}",
                one.get(path),
                other.get(path)
            ));
        }
    }
    different.sort();
    different.dedup();
    assert!(different.is_empty(), "{}", different.join("\n"));
    assert!(one.len() > 1000);
}

#[track_caller]
fn reused(run: &Run) {
    run.succeeds().says("cache hit");
    assert!(!run.stderr.contains("Installing Debian"), "{}", run.stderr);
}

#[track_caller]
fn rebuilt(run: &Run) {
    run.succeeds().says("Installing Debian");
    assert!(!run.stderr.contains("cache hit"), "{}", run.stderr);
}

/// Starts a build and returns when its packages are being installed.
#[expect(
    clippy::zombie_processes,
    reason = "the caller waits; a panic ends the test"
)]
fn installing(project: &Project, arguments: &[&str]) -> Child {
    let mut words = vec!["--verbose"];
    words.extend(arguments);
    let mut child = project
        .command(&words)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let lines = BufReader::new(child.stderr.as_mut().expect("standard error")).lines();
    for line in lines {
        if line.expect("a line").contains("Setting up ") {
            return child;
        }
    }
    panic!("the build ended before anything was installed");
}

/// Reads what a build still says, and waits for it.
fn ended(mut child: Child) -> Run {
    let mut stderr = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    Run {
        code: child.wait().unwrap().code(),
        stdout: String::new(),
        stderr,
    }
}

#[test]
fn root_cached_and_uncached_images_are_the_same() {
    root();
    let project = small();
    // Scripts that change, remove, link and rename what packages brought.
    project.script(
        "mkosi.postinst",
        "#!/bin/sh\nset -e\necho more >> /etc/motd\nrm -r /usr/share/common-licenses\n\
         mkdir /usr/share/common-licenses\necho new > /usr/share/common-licenses/new\n\
         chmod 700 /usr/bin/perl*\ntouch -d @1000000000 /usr/bin/perl\n\
         mv /usr/share/misc /usr/share/misc.moved\nln /etc/motd /etc/motd.again\n\
         mv /etc/skel /opt/skel\ncp -a /opt/skel /etc/skel\nchmod 751 /var\n\
         touch -d @1000000000 /var /etc /usr/share /usr/bin /opt\n",
    );
    project.file("mkosi.skeleton/etc/skeleton", "from the skeleton\n");
    // One installation for both: two of them differ in time stamps and random numbers.
    rebuilt(&project.run(&["-i", "build"]));
    let layer = layer(&project);
    assert_eq!(
        fs::metadata(project.path().join(STORE)).unwrap().mode() & 0o7777,
        0o700
    );
    assert_eq!(fs::metadata(&layer).unwrap().mode() & 0o7777, 0o700);
    let before = contents(&layer.join("tree"), true);
    let first = contents(&project.path().join("image"), false);
    reused(&project.run(&["-if", "build"]));
    let second = contents(&project.path().join("image"), false);
    assert_same(&first, &second);
    assert_same(&before, &contents(&layer.join("tree"), true));
    // Without a cache: a tree of its own, filled by another installation.
    project.run(&["-f", "build"]).succeeds();
    let third = contents(&project.path().join("image"), false);
    assert_same(&second, &third);
    let links = |files: &BTreeMap<PathBuf, String>| {
        let text = &files[Path::new("usr/bin/perl")];
        assert!(text.contains("2 names"), "{text}");
    };
    links(&third);
    // A tar and a directory of one cached tree hold the same.
    reused(&project.run(&["-if", "-t", "tar", "--xz=no", "-o", "image.tar", "build"]));
    let unpacked = project.path().join("unpacked");
    fs::create_dir(&unpacked).unwrap();
    let paths = [project.path().join("image.tar"), unpacked.clone()];
    let [tar, to] = paths.each_ref().map(|path| path.to_str().unwrap());
    tool(
        "tar",
        &[
            "-xpf",
            tar,
            "-C",
            to,
            "--xattrs",
            "--xattrs-include=*",
            "--numeric-owner",
        ],
    );
    assert_same(&second, &contents(&unpacked, false));
    assert_same(&before, &contents(&layer.join("tree"), true));
    assert_no_leaks(project.path());
}

#[test]
fn root_what_changes_is_rebuilt_and_explained() {
    root();
    let project = small();
    project.file("mkosi.skeleton/etc/skeleton", "one\n");
    project
        .run(&["-i", "why"])
        .succeeds()
        .prints("base: made for the first time");
    rebuilt(&project.run(&["-i", "build"]));
    project
        .run(&["-i", "why"])
        .succeeds()
        .prints("base: reused");
    // None of this is in the tree.
    project.file("mkosi.extra/etc/motd", "two\n");
    reused(&project.run(&["-if", "--hostname=other", "--password=secret", "build"]));
    let motd = fs::read_to_string(project.path().join("image/etc/motd")).unwrap();
    assert_eq!(motd, "two\n");
    project.mode("mkosi.skeleton/etc/skeleton", 0o755);
    let run = project.run(&["-i", "why"]);
    run.succeeds()
        .prints("base: made again, because of changes")
        .prints("SkeletonTrees, number 1: etc/skeleton\n    was file 0644")
        .prints("\n    is  file 0755");
    let json: serde_json::Value =
        serde_json::from_str(&project.run(&["-i", "why", "--json"]).stdout).unwrap();
    assert_eq!(json["layers"][0]["outcome"], "rebuilt");
    assert_eq!(json["layers"][0]["changes"][0]["file"], "etc/skeleton");
    rebuilt(&project.run(&["-if", "build"]));
    let mode = fs::metadata(project.path().join("image/etc/skeleton"))
        .unwrap()
        .mode();
    assert_eq!(mode & 0o7777, 0o755);
    assert_eq!(layers(&project).len(), 2);
    // The former tree is still there, for whoever goes back.
    project.mode("mkosi.skeleton/etc/skeleton", 0o644);
    reused(&project.run(&["-if", "build"]));
    // A tree that lacks a file is not used, and neither is one that cannot be read.
    let damage = |name: &String| project.path().join(STORE).join(name);
    let names = layers(&project);
    for name in &names {
        fs::remove_file(damage(name).join("tree/etc/skeleton")).unwrap();
    }
    project
        .run(&["-i", "why"])
        .succeeds()
        .prints("base: made again, because it is damaged");
    let run = project.run(&["-if", "build"]);
    rebuilt(&run);
    run.says("the cached base tree is damaged (files were removed, added or changed)");
    assert!(project.path().join("image/etc/skeleton").exists());
    for name in &names {
        fs::write(damage(name).join("layer.json"), "{}").unwrap();
    }
    let run = project.run(&["-iff", "build"]);
    rebuilt(&run);
    run.says("its record cannot be read");
    assert_eq!(
        layers(&project).len(),
        1,
        "the other one is of no use to anybody"
    );
    project.run(&["-f", "clean"]).succeeds().says(STORE);
    assert!(!project.path().join(STORE).exists());
    assert_no_leaks(project.path());
}

#[test]
fn root_the_least_recently_used_goes_when_there_is_too_much() {
    root();
    let project = small();
    let build = |flags: &[&str]| {
        let mut arguments = vec!["-if"];
        arguments.extend(flags);
        project.run(&arguments).succeeds();
        layers(&project)
    };
    let first = build(&[]);
    let both = build(&["--with-docs"]);
    assert_eq!(both.len(), 2, "both have room");
    // Used again, so that the other one is the older.
    reused(&project.run(&["-if"]));
    // Room for one of them: about 100 MB each.
    assert_eq!(build(&["--layers-size=150M"]), first);
    // Room for none.
    let run = project.run(&["-if", "--layers-size=1M"]);
    run.succeeds().says("more than LayersSize allows");
    assert!(layers(&project).is_empty());
    assert_no_leaks(project.path());
}

#[test]
fn root_a_build_that_dies_leaves_no_half_layer() {
    root();
    let project = small();
    let child = installing(&project, &["-i", "build"]);
    tool("kill", &["-KILL", &child.id().to_string()]);
    ended(child);
    let left = layers(&project);
    assert!(left.iter().all(|name| name.len() != 64), "{left:?}");
    assert!(
        left.iter().any(|name| name.starts_with(".mkosi-work-")),
        "{left:?}"
    );
    assert_no_leaks(project.path());
    // Two at once, for different images: one installs, the other waits for it.
    let first = installing(&project, &["-i", "build"]);
    let second = project.run(&["-i", "-o", "second", "build"]);
    second
        .succeeds()
        .says("Waiting for another run that makes the base tree")
        .says("cache hit");
    ended(first).exits(0);
    assert_eq!(layers(&project).len(), 1);
    assert_same(
        &contents(&project.path().join("image"), false),
        &contents(&project.path().join("second"), false),
    );
}

#[test]
fn root_without_overlays_everything_is_copied() {
    root();
    let project = small();
    // An overlay cannot be the upper layer of another one.
    for name in ["over/lower", "over/upper", "over/work", "out"] {
        fs::create_dir_all(project.path().join(name)).unwrap();
    }
    let run = |arguments: &str| {
        let script = format!(
            "mount -t overlay overlay -o lowerdir=over/lower,upperdir=over/upper,workdir=over/work out\n\
             exec {} --output-dir=out {arguments}",
            env!("CARGO_BIN_EXE_mkosi")
        );
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-ec", &script])
            .current_dir(project.path())
            .stdin(Stdio::null());
        finish(command)
    };
    run("-i --verbose build").succeeds().says("no overlay here");
    let first = contents(&project.path().join("over/upper/image"), false);
    let again = run("-if build");
    reused(&again);
    assert_same(
        &first,
        &contents(&project.path().join("over/upper/image"), false),
    );
}

#[test]
fn root_the_development_tree_is_a_layer_on_the_base() {
    root();
    let project = small();
    project.file(
        "mkosi.default.d/build.conf",
        "[Packages]\nBuildPackages=make\n",
    );
    // In the layer: a file changed under one of its two names, and a directory renamed.
    project.script(
        "mkosi.prepare",
        "#!/bin/sh\nset -e\ntest \"$1\" = build || exit 0\n\
         printf x >> $(echo /usr/bin/perl5.*)\nmv /usr/share/misc /usr/share/moved\n",
    );
    project.script(
        "mkosi.build",
        "#!/bin/sh\nset -e\ncmp /usr/bin/perl /usr/bin/perl5.*\n\
         test \"$(stat -c %h /usr/bin/perl)\" = 2\n\
         test -d /usr/share/moved\ntest ! -e /usr/share/misc\nmake --version\n\
         mkdir -p $DESTDIR/opt\necho built > $DESTDIR/opt/built\n",
    );
    let check = || {
        let image = project.path().join("image");
        assert_eq!(
            fs::read_to_string(image.join("opt/built")).unwrap(),
            "built\n"
        );
        assert!(image.join("usr/share/misc").exists());
        assert!(!image.join("usr/bin/make").exists());
    };
    project.run(&["-i", "build"]).succeeds();
    check();
    assert_eq!(layers(&project).len(), 2);
    reused(&project.run(&["-if", "build"]));
    check();
    // Only the upper layer depends on these.
    let run = project.run(&["-i", "--build-packages=bc", "why"]);
    run.succeeds()
        .prints("base: reused")
        .prints("development: made again")
        .prints("BuildPackages\n    was make\n    is  bc make");
    assert_no_leaks(project.path());
}

#[test]
fn root_others_cannot_put_layers_there() {
    root();
    let project = small();
    let store = project.path().join(STORE);
    fs::create_dir(&store).unwrap();
    fs::set_permissions(&store, fs::Permissions::from_mode(0o755)).unwrap();
    project
        .run(&["-i", "build"])
        .exits(1)
        .says("must be a directory of root's with mode 0700");
}
