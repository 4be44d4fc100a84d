//! The manifest says what of a project's and the host's files an image was made from, and says the same
//! wherever that was. Needs root, dpkg, gpg, git, tar and systemd-nspawn. No network.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod apt;
mod elsewhere;
mod signing;
mod support;

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use apt::Repository;
use elsewhere::{Elsewhere, HostFileSystem, alone};
use serde_json::{Map, Value};
use support::{Project, root, tool};

const OUTPUT: &str = "out";

/// A project of one package, and of all files that go in.
fn project(repository: &Repository, cache: &Path) -> Project {
    let mirror = repository.path().to_string_lossy().into_owned();
    let project = repository.project(&mirror, cache, "one");
    let settings = fs::read_to_string(project.path().join("mkosi.default")).unwrap();
    let settings = settings.replace("Output=image", &format!("OutputDirectory={OUTPUT}"));
    // Of what is not in the project, the manifest has the name alone.
    let shared = cache.join("shared.tar");
    fs::write(cache.join("shared"), "shared\n").unwrap();
    pack(cache);
    project.file(
        "mkosi.default",
        format!(
            "{settings}ExtraTrees=mkosi.extra {}\nBuildSources=src\n[Validation]\nPassword=secret\n",
            shared.display()
        ),
    );
    project.file("mkosi.extra/etc/motd", "hello\n");
    project.mode("mkosi.extra/etc/motd", 0o644);
    for name in ["prepare", "postinst", "finalize"] {
        project.script(&format!("mkosi.{name}"), "#!/bin/sh\n");
    }
    project.script("mkosi.build", "#!/bin/sh\ncp main.c $DESTDIR\n");
    project.file("src/main.c", "int main;\n");
    git(&project, &["init", "--quiet"]);
    commit(&project);
    project
}

fn repository() -> Repository {
    root();
    let mut repository = Repository::new();
    repository.add("one", "1", &[("usr/share/one", b"1")]);
    repository.publish();
    repository
}

fn pack(cache: &Path) {
    let at = cache.to_str().unwrap();
    tool(
        "tar",
        &["-C", at, "-cf", &format!("{at}/shared.tar"), "shared"],
    );
}

fn git(project: &Project, words: &[&str]) -> String {
    let at = project.path().to_str().unwrap();
    let who = ["-c", "user.name=A", "-c", "user.email=a@example.org"];
    tool("git", &[&["-C", at], &who[..], words].concat())
}

fn commit(project: &Project) {
    git(project, &["add", "src"]);
    git(project, &["commit", "--quiet", "--message=all"]);
}

/// What a build says that the image was made from, by kind and name.
fn inputs(project: &Project, flags: &[&str]) -> Map<String, Value> {
    alone(project, &[flags, &["-f", "build"]].concat()).succeeds();
    let text = fs::read(project.path().join(OUTPUT).join("image.manifest")).unwrap();
    let manifest: Value = serde_json::from_slice(&text).unwrap();
    let inputs = manifest["inputs"].as_array().unwrap();
    let entry = |input: &Value| {
        let word = |name: &str| input[name].as_str().unwrap().to_owned();
        (format!("{} {}", word("kind"), word("name")), input.clone())
    };
    inputs.iter().map(entry).collect()
}

/// The names of those that are not the same in both.
fn changed(before: &Map<String, Value>, after: &Map<String, Value>) -> Vec<String> {
    let names: Vec<_> = before.keys().collect();
    assert_eq!(names, after.keys().collect::<Vec<_>>());
    let names = names.into_iter();
    names
        .filter(|name| before[*name] != after[*name])
        .cloned()
        .collect()
}

fn touch(path: &Path) {
    let later = SystemTime::now() + Duration::from_secs(1000);
    File::open(path).unwrap().set_modified(later).unwrap();
}

#[test]
fn root_materials_change_with_what_reaches_the_image_and_with_nothing_else() {
    let repository = repository();
    let cache = tempfile::tempdir().unwrap();
    let project = project(&repository, cache.path());
    let before = inputs(&project, &[]);
    let names: Vec<&str> = before.keys().map(String::as_str).collect();
    let expected = [
        "skeleton-tree mkosi.skeleton",
        "prepare-script mkosi.prepare",
        "postinst-script mkosi.postinst",
        "finalize-script mkosi.finalize",
        "sources src",
        "build-script mkosi.build",
        "extra-tree mkosi.extra",
        "extra-tree shared.tar",
    ];
    assert_eq!(names, expected);
    let head = git(&project, &["rev-parse", "HEAD"]);
    assert_eq!(before["sources src"]["commit"], head.trim());
    // Files and archives can be checked with other people's programs.
    for (name, path) in [
        (
            "prepare-script mkosi.prepare",
            project.path().join("mkosi.prepare"),
        ),
        ("extra-tree shared.tar", cache.path().join("shared.tar")),
    ] {
        let sum = tool("sha256sum", &["-b", path.to_str().unwrap()]);
        let digest = before[name]["sha256"].as_str().unwrap();
        assert!(sum.starts_with(digest), "{name}: {sum}");
    }

    // What does not reach the image: times, the password, and what is not among the sources.
    touch(&project.path().join("mkosi.extra/etc/motd"));
    touch(&project.path().join("src/main.c"));
    project.mode("src/main.c", 0o600);
    project.file("src/untracked", "");
    assert_eq!(before, inputs(&project, &["--password=other"]));
    // Trees that were kept are not looked at again, and were made from the same.
    assert_eq!(before, inputs(&project, &["-i"]));
    assert_eq!(before, inputs(&project, &["-i"]));

    let mut last = before;
    let mut now = |expected: &str| {
        let inputs = inputs(&project, &["-i"]);
        assert_eq!(changed(&last, &inputs), [expected]);
        last = inputs;
    };
    project.file("mkosi.extra/etc/motd", "hellO\n");
    now("extra-tree mkosi.extra");
    project.mode("mkosi.extra/etc/motd", 0o600);
    now("extra-tree mkosi.extra");
    project.file("mkosi.skeleton/etc/new", "");
    now("skeleton-tree mkosi.skeleton");
    fs::write(cache.path().join("shared"), "others\n").unwrap();
    pack(cache.path());
    now("extra-tree shared.tar");
    for name in ["prepare", "postinst", "finalize"] {
        project.script(&format!("mkosi.{name}"), "#!/bin/sh -e\n");
        now(&format!("{name}-script mkosi.{name}"));
    }
    // Sources that are not committed as they are show, too.
    project.file("src/main.c", "int main[1];\n");
    now("sources src");
    commit(&project);
    now("sources src");
}

#[test]
fn root_materials_are_the_same_elsewhere() {
    let repository = repository();
    let cache = tempfile::tempdir().unwrap();
    let project = project(&repository, cache.path());
    inputs(&project, &[]);
    let here = fs::read(project.path().join(OUTPUT).join("image.manifest")).unwrap();
    fs::remove_dir_all(project.path().join(OUTPUT)).unwrap();
    for flags in [&["build"][..], &["-i", "build"]] {
        let there = Elsewhere::new(HostFileSystem::Xfs);
        there.build(&project, OUTPUT, flags).succeeds();
        let there = fs::read(there.kept(OUTPUT).join("image.manifest")).unwrap();
        assert_eq!(
            String::from_utf8(here.clone()).unwrap(),
            String::from_utf8(there).unwrap()
        );
    }
    support::assert_no_leaks(project.path());
}

#[test]
fn root_materials_name_the_base_image() {
    let repository = repository();
    let cache = tempfile::tempdir().unwrap();
    let project = project(&repository, cache.path());
    // Only a system is a base image.
    let system = "ID=debian\nVERSION_CODENAME=bullseye\nVERSION_ID=11\n";
    project.file("mkosi.extra/etc/os-release", system);
    inputs(&project, &[]);
    let at = |name: &str| project.path().join(name);
    let image = at(OUTPUT).join("image");
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    tool("cp", &["-a", &path(&image), &path(&at("base"))]);
    tool(
        "tar",
        &["-C", &path(&image), "-cf", &path(&at("base.tar")), "."],
    );
    let base = |name: &str, flags: &[&str]| {
        let flag = format!("--base-image={name}");
        let inputs = inputs(&project, &[&[flag.as_str()], flags].concat());
        let found = inputs.keys().next().unwrap();
        assert_eq!(*found, format!("base-image {name}"));
        inputs[found]["sha256"].as_str().unwrap().to_owned()
    };
    let sum = tool("sha256sum", &["-b", &path(&at("base.tar"))]);
    assert!(sum.starts_with(&base("base.tar", &[])));
    let before = base("base", &[]);
    touch(&at("base/etc/motd"));
    assert_eq!(before, base("base", &[]));
    assert_eq!(before, base("base", &["-i"]));
    // A base image has owners of its own.
    std::os::unix::fs::chown(at("base/etc/motd"), Some(7), Some(7)).unwrap();
    let after = base("base", &[]);
    assert_ne!(before, after);
    assert_eq!(after, base("base", &["-i"]));
}
