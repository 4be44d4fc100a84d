//! `--update-lock` and `--locked`: an image is built again from exactly the packages that it was built
//! from, or it is said which are gone. Needs root, dpkg, gpg, busybox and systemd-nspawn; no network.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod apt;
mod locks;
mod signing;
mod support;

use std::fs;
use std::path::Path;

use apt::Repository;
use apt::server::Server;
use locks::{artifact, build, copy_lock};
use support::{Project, root};

/// A repository with `a` and `b`, each of version 1.0, and where it is served.
fn served() -> (Repository, Server) {
    root();
    let mut repository = Repository::new();
    repository.add("a", "1.0", &[("usr/share/a", b"one")]);
    repository.add("b", "1.0", &[("usr/share/b", b"one")]);
    repository.publish();
    let server = Server::new(repository.path());
    (repository, server)
}

/// A project that makes a tar of `packages`.
fn project(repository: &Repository, server: &Server, cache: &Path, packages: &str) -> Project {
    let project = repository.project(&server.address, cache, packages);
    let path = project.path().join("mkosi.default");
    let text = fs::read_to_string(&path).unwrap();
    project.file(
        "mkosi.default",
        text.replace("Format=directory\nOutput=image\n", "Format=tar\nXZ=no\n"),
    );
    project
}

#[test]
fn root_lock_names_each_package_and_is_followed_when_the_repository_has_moved_on() {
    let (mut repository, server) = served();
    let cache = tempfile::tempdir().unwrap();
    let first = project(&repository, &server, cache.path(), "a b");
    first
        .run(&["--locked"])
        .exits(2)
        .says("there is no lock")
        .says("--update-lock");
    build(&first, &["--update-lock"]).succeeds();
    let text = String::from_utf8(artifact(&first, "mkosi.lock")).unwrap();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    for start in [
        "{\"name\":\"a\",\"version\":\"1.0\",\"architecture\":\"all\",\"sha256\":\"",
        "{\"name\":\"b\",\"version\":\"1.0\",\"architecture\":\"all\",\"sha256\":\"",
        "{\"name\":\"base\",\"version\":\"1\",\"architecture\":\"amd64\",\"sha256\":\"",
        "{\"list\":\"127.0.0.1:",
    ] {
        let found = lines.iter().filter(|line| line.starts_with(start)).count();
        assert_eq!(found, 1, "{start} in {text}");
    }
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["distribution"], "debian");
    assert_eq!(json["packages"].as_array().unwrap().len(), 3);
    // The manifest says the same.
    let manifest: serde_json::Value =
        serde_json::from_slice(&artifact(&first, "image.manifest")).unwrap();
    assert_eq!(manifest["repositories"], json["repositories"]);
    assert_eq!(
        manifest["packages"][0]["sha256"],
        json["packages"][0]["sha256"]
    );
    let in_release = fs::read(repository.dists().join("InRelease")).unwrap();
    assert_eq!(
        json["repositories"][0]["sha256"].as_str().unwrap(),
        format!("{:x}", <sha2::Sha256 as sha2::Digest>::digest(in_release))
    );

    // While nothing has changed.
    let new = tempfile::tempdir().unwrap();
    let second = project(&repository, &server, new.path(), "a b");
    copy_lock(&first, &second);
    build(&second, &["--locked"]).succeeds();
    assert!(artifact(&first, "image.tar") == artifact(&second, "image.tar"));
    assert_eq!(
        artifact(&first, "mkosi.lock"),
        artifact(&second, "mkosi.lock")
    );

    // There is another version, and the one of the lock still is, too.
    repository.add("a", "1.1", &[("usr/share/a", b"two")]);
    repository.publish();
    build(&second, &["-f", "--locked"]).succeeds();
    assert!(artifact(&first, "image.tar") == artifact(&second, "image.tar"));
    // Without it, the newer one counts.
    build(&second, &["-f"]).succeeds();
    assert!(artifact(&first, "image.tar") != artifact(&second, "image.tar"));

    // It is gone.
    repository.remove("a", "1.0");
    repository.publish();
    let new = tempfile::tempdir().unwrap();
    let third = project(&repository, &server, new.path(), "a b");
    copy_lock(&first, &third);
    let before = third.untouched();
    build(&third, &["--locked"])
        .exits(1)
        .says("a 1.0 all: gone")
        .says("Mirror=http://snapshot.debian.org/archive/debian/2")
        .says("--update-lock");
    before.check();
    // But for the package cache, and what is there beside it.
    fs::copy(
        cache.path().join("a_1.0_all.deb"),
        new.path().join("a_1.0_all.deb"),
    )
    .unwrap();
    build(&third, &["--locked"]).succeeds();
    assert!(artifact(&first, "image.tar") == artifact(&third, "image.tar"));
    assert_eq!(
        artifact(&first, "image.manifest"),
        artifact(&third, "image.manifest")
    );
    // What is in the cache under that name is another.
    fs::write(new.path().join("a_1.0_all.deb"), "another").unwrap();
    build(&third, &["-f", "--locked"])
        .exits(1)
        .says("a 1.0 all: gone");

    // No repository need be there when the cache has all packages.
    drop(server);
    let offline = tempfile::tempdir().unwrap();
    for name in ["a_1.0_all.deb", "b_1.0_all.deb", "base_1_amd64.deb"] {
        fs::copy(cache.path().join(name), offline.path().join(name)).unwrap();
    }
    let text = fs::read_to_string(third.path().join("mkosi.default")).unwrap();
    let (with, _) = text.split_once("Cache=").unwrap();
    let with = format!("{with}Cache={}\n", offline.path().display());
    third.file("mkosi.default", with);
    build(&third, &["-f", "--locked"]).succeeds();
    assert!(artifact(&first, "image.tar") == artifact(&third, "image.tar"));
}

#[test]
fn root_lock_that_does_not_fit_is_said_to() {
    let (mut repository, server) = served();
    let cache = tempfile::tempdir().unwrap();
    let project = project(&repository, &server, cache.path(), "a");
    build(&project, &["--update-lock"]).succeeds();
    build(&project, &["-f", "--locked", "--update-lock"])
        .exits(2)
        .says("use one of them");
    // More is asked for than there is in the lock, and less.
    build(&project, &["-f", "--locked", "-p", "b"])
        .exits(1)
        .says("b: not in the lock");
    build(&project, &["-f", "--update-lock", "-p", "b"]).succeeds();
    build(&project, &["-f", "--locked"])
        .exits(1)
        .says("b 1.0 all: not taken any more");
    build(&project, &["-f", "--locked", "-p", "b"]).succeeds();
    // The same version is something else now.
    repository.remove("b", "1.0");
    repository.add("b", "1.0", &[("usr/share/b", b"changed")]);
    repository.publish();
    for entry in fs::read_dir(cache.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains("/b_") {
            fs::remove_file(path).unwrap();
        }
    }
    build(&project, &["-f", "--locked", "-p", "b"])
        .exits(1)
        .says("b 1.0 all: there with another content");
    // Of another system, or none at all.
    let lock = fs::read_to_string(project.path().join("mkosi.lock")).unwrap();
    project.file("mkosi.lock", lock.replace("bullseye", "trixie"));
    build(&project, &["-f", "--locked"])
        .exits(2)
        .says("is of debian trixie amd64, and this image is debian bullseye amd64");
    project.file("mkosi.lock", lock.replace("\"1.0\"", "\"1.0\\nPin: x\""));
    build(&project, &["-f", "--locked"])
        .exits(2)
        .says("no valid entry");
    project.file("mkosi.lock", "[]");
    build(&project, &["-f", "--locked"])
        .exits(2)
        .says("cannot read the lock");
}

#[test]
fn root_lock_counts_for_cached_trees_and_both_phases() {
    let (mut repository, server) = served();
    let cache = tempfile::tempdir().unwrap();
    let project = project(&repository, &server, cache.path(), "a");
    let text = fs::read_to_string(project.path().join("mkosi.default")).unwrap();
    project.file("mkosi.default", format!("{text}BuildPackages=b\n"));
    project.script("mkosi.build", "#!/bin/sh\ncp /usr/share/b $DESTDIR/built\n");
    build(&project, &["-i"]).succeeds();
    // Both trees are there already.
    build(&project, &["-i", "-f", "--update-lock"])
        .succeeds()
        .says("cache hit");
    let lock = fs::read_to_string(project.path().join("mkosi.lock")).unwrap();
    assert!(lock.contains("\"name\":\"b\""), "{lock}");
    let first = artifact(&project, "image.tar");
    project
        .run(&["-i", "why", "--locked"])
        .succeeds()
        .prints("the lock of packages");
    build(&project, &["-i", "-f", "--locked"]).succeeds();
    assert!(first == artifact(&project, "image.tar"));
    build(&project, &["-i", "-f", "--locked"])
        .succeeds()
        .says("cache hit");
    assert!(first == artifact(&project, "image.tar"));
    // Another lock, other trees.
    repository.add("b", "1.1", &[("usr/share/b", b"two")]);
    repository.publish();
    build(&project, &["-f", "--update-lock"]).succeeds();
    build(&project, &["-i", "-f", "--locked"]).succeeds();
    let second = artifact(&project, "image.tar");
    assert!(first != second);
    project.file("mkosi.lock", lock);
    build(&project, &["-i", "-f", "--locked"]).succeeds();
    assert!(first == artifact(&project, "image.tar"));
}
