//! What packages hold: the lists of the Debian package and of `make install` are the same, and say what
//! the repository says elsewhere.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{finish, tool};

/// What building the examples where they are leaves there.
const BUILT: [&str; 5] = [
    "image",
    "image.manifest",
    "mkosi.builddir",
    "mkosi.cache",
    "mkosi.output",
];

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files with their modes, by their paths from the root.
type Files = BTreeMap<PathBuf, u32>;

fn files(root: &Path) -> Files {
    let entries = walkdir::WalkDir::new(root)
        .into_iter()
        .filter_entry(|entry| !BUILT.iter().any(|name| entry.file_name() == *name));
    entries
        .map(|entry| entry.expect("an entry"))
        .filter(|entry| !entry.file_type().is_dir())
        .map(|entry| {
            let path = entry.path().strip_prefix(root).expect("below").to_owned();
            (
                path,
                entry.metadata().expect("a file").permissions().mode() & 0o7777,
            )
        })
        .collect()
}

/// What Cargo.toml says of the Debian package.
fn metadata() -> serde_json::Value {
    let manifest = top().join("Cargo.toml");
    let text = tool(
        env!("CARGO"),
        &[
            "metadata",
            "--offline",
            "--no-deps",
            "--format-version=1",
            "--manifest-path",
            manifest.to_str().expect("a path"),
        ],
    );
    let all: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    all["packages"][0].clone()
}

fn packaged() -> Files {
    let assets = metadata()["metadata"]["deb"]["assets"].clone();
    let assets = assets.as_array().expect("assets").clone();
    assets
        .iter()
        .map(|asset| {
            let [source, target, mode] = [0, 1, 2].map(|at| asset[at].as_str().expect("text"));
            let mut path = PathBuf::from(target);
            if target.ends_with('/') {
                path.push(Path::new(source).file_name().expect("a name"));
            }
            (path, u32::from_str_radix(mode, 8).expect("a mode"))
        })
        .collect()
}

#[test]
fn the_debian_package_has_what_make_installs() {
    let work = tempfile::tempdir().expect("a directory");
    let target = work.path().join("target");
    fs::create_dir_all(target.join("release")).expect("a directory");
    fs::write(target.join("release/mkosi"), "program").expect("a file");
    let root = work.path().join("root");
    let mut make = Command::new("make");
    make.current_dir(top())
        .args(["--silent", "install", "PREFIX=/usr"])
        .arg("ZSHDIR=/usr/share/zsh/vendor-completions")
        .arg(format!("DESTDIR={}", root.display()))
        .env("CARGO_TARGET_DIR", &target);
    finish(make).succeeds();
    let installed = files(&root);
    let mut packaged = packaged();
    // What is Debian's alone.
    for path in [
        "usr/share/doc/mkosi/crate-licences",
        "usr/share/lintian/overrides/mkosi",
    ] {
        assert_eq!(packaged.remove(Path::new(path)), Some(0o644), "{path}");
    }
    let mode = packaged.remove(Path::new("usr/share/doc/mkosi/changelog.gz"));
    packaged.insert(
        "usr/share/doc/mkosi/CHANGELOG.md".into(),
        mode.expect("a change log"),
    );
    assert_eq!(packaged, installed);

    let examples: Files = files(&top().join("examples"));
    assert!(examples.len() >= 12, "{examples:?}");
    let shipped: Files = files(&root.join("usr/share/doc/mkosi/examples"));
    assert_eq!(shipped, examples, "examples of the repository");

    let mut remove = Command::new("make");
    remove
        .current_dir(top())
        .args(["--silent", "uninstall", "PREFIX=/usr"])
        .arg("ZSHDIR=/usr/share/zsh/vendor-completions")
        .arg(format!("DESTDIR={}", root.display()));
    finish(remove).succeeds();
    assert_eq!(files(&root), Files::new());
}

#[test]
fn the_debian_package_recommends_what_is_called_on_the_host() {
    let metadata = metadata();
    let names = metadata["metadata"]["deb"]["recommends"].as_str().unwrap();
    let mut recommended: Vec<&str> = names.trim().split(", ").collect();
    let script = top().join("scripts/packages");
    let called = tool(script.to_str().unwrap(), &["run"]);
    // Packages must not name essential ones without a version.
    let called = called.split_whitespace().filter(|name| *name != "tar");
    let mut called: Vec<&str> = called.collect();
    recommended.sort_unstable();
    called.sort_unstable();
    assert_eq!(recommended, called);
}

#[test]
fn the_debian_changelog_has_the_version() {
    let log = fs::read_to_string(top().join("packaging/debian/changelog")).unwrap();
    let first = format!("mkosi ({}-1) unstable;", env!("CARGO_PKG_VERSION"));
    assert!(log.starts_with(&first), "{log}");
    let mut made = Command::new(top().join("scripts/debian-changelog"));
    made.env("DEBFULLNAME", r"Ann \ & O'Nym")
        .env("DEBEMAIL", "ann@packages.test");
    finish(made)
        .prints(&first)
        .prints("\n -- Ann \\ & O'Nym <ann@packages.test>  Sat, 21 Nov 2026 12:00:00 +0000\n");
}
