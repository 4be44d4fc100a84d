//! Repositories of Debian packages that must not be believed: each fails the build with a word that
//! says what to do. Needs root, dpkg, gpg, busybox and systemd-nspawn, and no network.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod apt;
mod signing;
mod support;

use std::fs;
use std::path::Path;

use apt::Repository;
use apt::server::Server;
use signing::Key;
use support::{Project, root};

fn repository() -> Repository {
    root();
    let mut repository = Repository::new();
    repository.add("tool", "1", &[("usr/share/tool", b"one")]);
    repository.publish();
    repository
}

fn fails(project: &Project, expected: &[&str]) {
    let before = project.untouched();
    let run = project.run(&["build"]);
    run.exits(1);
    for text in expected {
        run.says(text);
    }
    before.check();
}

fn tool_of(project: &Project) -> String {
    fs::read_to_string(project.path().join("image/usr/share/tool")).unwrap()
}

#[test]
fn root_deb_lists_of_another_time_are_refused() {
    let repository = repository();
    let server = Server::new(repository.path());
    for (fields, expected) in [
        (
            "Date: 3 days ago\nValid-Until: 1 day ago\n",
            "the mirror is no longer updated",
        ),
        ("Date: 2 days\n", "this machine's clock is wrong"),
    ] {
        repository.publish_with(fields);
        let cache = tempfile::tempdir().unwrap();
        let project = repository.project(&server.address, cache.path(), "tool");
        // The host may have a mirror that stands still on purpose.
        project.file(
            "mkosi.skeleton/etc/apt/apt.conf.d/dates",
            "Acquire::Check-Date \"true\";\nAcquire::Check-Valid-Until \"true\";\n",
        );
        fails(&project, &[expected, &server.address]);
    }
}

#[test]
fn root_deb_a_repository_cannot_be_made_less_trustworthy_or_older() {
    let mut repository = repository();
    let server = Server::new(repository.path());
    let cache = tempfile::tempdir().unwrap();
    let project = || repository.project(&server.address, cache.path(), "tool");
    repository.publish_with("Date: 1 hour ago\n");
    let old: Vec<(std::path::PathBuf, Vec<u8>)> =
        ["InRelease", "Release", "main/binary-amd64/Packages"]
            .iter()
            .map(|name| repository.dists().join(name))
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect();
    // Never signed, with an empty cache.
    repository.unsign();
    let other = tempfile::tempdir().unwrap();
    let unsigned = repository.project(&server.address, other.path(), "tool");
    fails(&unsigned, &["could not be verified"]);
    // Once signed, and not any more.
    repository.publish();
    project().run(&["build"]).succeeds();
    repository.unsign();
    fails(&project(), &["was signed when it was read last"]);
    // Signed, and older than what was read before: the newer lists count.
    repository.add("tool", "2", &[("usr/share/tool", b"two")]);
    repository.publish();
    let newer = repository.project(&server.address, cache.path(), "tool");
    newer.run(&["build"]).succeeds();
    assert_eq!(tool_of(&newer), "two");
    for (path, content) in old {
        fs::write(path, content).unwrap();
    }
    let after = repository.project(&server.address, cache.path(), "tool");
    after.run(&["build"]).succeeds();
    assert_eq!(tool_of(&after), "two");
}

#[test]
fn root_deb_keys_that_do_not_fit_are_told_apart() {
    let repository = repository();
    let mirror = repository.path().to_string_lossy().into_owned();
    let cache = tempfile::tempdir().unwrap();
    let project = |name: &str, content: &[u8], mode: u32| {
        let project = repository.project_without_key(&mirror, cache.path(), "tool");
        let name = format!("mkosi.skeleton/etc/apt/trusted.gpg.d/{name}");
        project.file(&name, content).mode(&name, mode);
        project
    };
    let directory = tempfile::tempdir().unwrap();
    let export = |key: &Key, name: &str| {
        let path = directory.path().join(name);
        key.export(&path);
        fs::read(path).unwrap()
    };
    let right = export(&repository.key, "right.gpg");
    let armoured = repository.key.gpg(&["--armor", "--export"]).into_bytes();
    // Whoever may read a key: the build's apt can.
    for (name, content, mode) in [
        ("tests.gpg", &right, 0o600),
        ("tests.gpg", &right, 0o000),
        ("tests.asc", &armoured, 0o644),
    ] {
        let project = project(name, content, mode);
        project.run(&["build"]).succeeds();
        assert_eq!(tool_of(&project), "one");
    }
    let wrong = export(&Key::new("somebody else"), "wrong.gpg");
    let cut = &right[..right.len() / 2];
    for (name, content, expected) in [
        ("tests.gpg", wrong.as_slice(), "could not be verified"),
        ("tests.gpg", &armoured, "armoured ones in .asc"),
        ("tests.asc", &right, "could not be verified"),
        ("tests.gpg", cut, "could not be verified"),
        ("tests.gpg", b"", "could not be verified"),
        ("tests.key", &right, "could not be verified"),
    ] {
        fails(&project(name, content, 0o644), &[expected]);
    }
    let nothing = repository.project_without_key(&mirror, cache.path(), "tool");
    fails(&nothing, &["could not be verified", "trusted.gpg.d"]);
}

#[test]
fn root_deb_what_does_not_fit_its_list_is_not_used() {
    let mut repository = repository();
    let deb = repository.add("other", "1", &[("usr/share/other", b"other")]);
    repository.publish();
    let server = Server::new(repository.path());
    let empty = tempfile::tempdir().unwrap();
    let cache = empty.path();
    let project =
        |packages: &str, cache: &Path| repository.project(&server.address, cache, packages);
    // A package on the mirror, of the same size and of another.
    let good = fs::read(&deb).unwrap();
    let mut bad = good.clone();
    let at = bad.windows(5).rposition(|bytes| bytes == b"other").unwrap();
    bad[at] ^= 0x20;
    for content in [&bad[..], &[good.clone(), b"x".to_vec()].concat()] {
        fs::write(&deb, content).unwrap();
        fails(
            &project("other", cache),
            &["is not what its signed lists describe"],
        );
    }
    fs::write(&deb, &good).unwrap();
    // One in the cache: it is fetched again, and without the mirror it is not used.
    project("other", cache).run(&["build"]).succeeds();
    let cached = cache.join("other_1_all.deb");
    assert_eq!(fs::read(&cached).unwrap(), good);
    fs::write(&cached, &bad).unwrap();
    let again = project("other", cache);
    again
        .run(&["build"])
        .succeeds()
        .says("the package other in the package cache is not what the repository describes");
    assert_eq!(fs::read(&cached).unwrap(), good);
    let found = fs::read_to_string(again.path().join("image/usr/share/other")).unwrap();
    assert_eq!(found, "other");
    fs::write(&cached, &bad).unwrap();
    fs::remove_file(&deb).unwrap();
    fails(
        &project("other", cache),
        &[
            "is not what the repository describes",
            "could not be read from",
        ],
    );
    // A list.
    let list = repository.dists().join("main/binary-amd64/Packages");
    let text = fs::read_to_string(&list).unwrap();
    fs::write(&list, text.replace("a test's", "a thief's")).unwrap();
    let other = tempfile::tempdir().unwrap();
    fails(
        &project("tool", other.path()),
        &["is not what its signed lists describe"],
    );
}
