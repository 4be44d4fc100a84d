//! `--update-lock` and `--locked` with this host's pacman, from a small signed repository. Needs root,
//! pacman, repo-add, gpg and busybox-static; no network.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod locks;
mod pacman;
mod signing;
mod support;

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use locks::{artifact, build, copy_lock};
use pacman::{Package, Repository, add_base, keyring};
use signing::Key;
use support::{Project, root};

/// A repository with the base system, and the key that signs it.
struct World {
    key: Key,
    repository: Repository,
}

impl World {
    fn new() -> Self {
        root();
        let world = Self {
            key: Key::new("Tester <tester@example.com>"),
            repository: Repository::new(),
        };
        add_base(&world.repository, Some(&world.key));
        world.repository.index(Some(&world.key));
        world
    }

    /// Publishes another `hello`.
    fn publish(&self, version: &str, content: &str) {
        let hello = Package {
            version,
            info: &["depend = bash", "group = tools"],
            files: &[("usr/share/hello", content)],
            ..Package::new("hello")
        };
        self.repository.add(&hello, Some(&self.key));
        self.repository.index(Some(&self.key));
    }

    /// Takes a `hello` away.
    fn remove(&self, version: &str) {
        fs::remove_file(self.repository.file_of("hello", version)).unwrap();
    }

    /// A project that makes a tar of the base system and `packages`.
    fn project(&self, cache: &Path, packages: &str) -> Project {
        let project = Project::new();
        keyring(&self.key, &project);
        project.file(
            "mkosi.default",
            format!(
                "[Distribution]\nDistribution=arch\nMirror=file://{}\n\n\
                 [Output]\nFormat=tar\nXZ=no\nOutput=image.tar\nManifestFormat=json\n\n\
                 [Packages]\nCleanPackageMetadata=no\nCache={}\nPackages={packages}\n",
                self.repository.mirror().display(),
                cache.display()
            ),
        );
        project
    }
}

/// Sizes, modes and names in the tar, without the databases of repositories.
fn members(project: &Project) -> Vec<String> {
    let tar = project.path().join("image.tar");
    let words = ["-tvf", &tar.to_string_lossy(), "--full-time"].map(str::to_owned);
    let list = support::tool("tar", &words.each_ref().map(String::as_str));
    let lines = list.lines().filter(|line| !line.contains("/pacman/sync/"));
    lines.map(str::to_owned).collect()
}

#[track_caller]
fn assert_same(one: &Project, other: &Project) {
    assert_eq!(members(one), members(other));
    assert_eq!(
        String::from_utf8(artifact(one, "image.manifest")),
        String::from_utf8(artifact(other, "image.manifest"))
    );
}

/// What pacman's database says of `hello`.
fn description(project: &Project, version: &str) -> String {
    let tar = project.path().join("image.tar");
    let name = format!("./var/lib/pacman/local/hello-{version}/desc");
    let text = support::tool("tar", &["-xOf", &tar.to_string_lossy(), &name]);
    // When it was installed.
    let lines = text.lines().collect::<Vec<_>>().join("\n");
    let (before, after) = lines.split_once("%INSTALLDATE%\n").unwrap();
    format!("{before}{}", after.split_once('\n').unwrap().1)
}

#[test]
fn root_lock_pacman_follows_when_the_mirror_moves_on() {
    let world = World::new();
    let cache = tempfile::tempdir().unwrap();
    let first = world.project(cache.path(), "hello");
    build(&first, &["--update-lock"]).succeeds();
    let (lock, names) = locks::lock(&first);
    assert_eq!(names, ["base", "bash", "busybox", "filesystem", "hello"]);
    let hello = &lock["packages"][4];
    let sum = |path: &Path| {
        let content = fs::read(path).unwrap();
        format!("{:x}", <sha2::Sha256 as sha2::Digest>::digest(content))
    };
    assert_eq!(hello["sha256"], sum(&world.repository.file("hello")));
    assert_eq!(hello["repository"], "core");
    assert_eq!(hello["version"], "1.0-1");
    let list = &lock["repositories"][0];
    assert_eq!(
        list["sha256"],
        sum(&world.repository.packages().join("core.db"))
    );
    let manifest: serde_json::Value =
        serde_json::from_slice(&artifact(&first, "image.manifest")).unwrap();
    assert_eq!(manifest["repositories"], lock["repositories"]);
    assert_eq!(manifest["packages"][4]["sha256"], hello["sha256"]);

    // What is in the cache has changed: it is fetched again, and so is what is not there.
    let new = tempfile::tempdir().unwrap();
    let name = "hello-1.0-1-x86_64.pkg.tar.zst";
    let path = new.path().join(name);
    fs::copy(cache.path().join(name), &path).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.write_at(b"X", 30).unwrap();
    let second = world.project(new.path(), "hello");
    copy_lock(&first, &second);
    build(&second, &["--locked"]).succeeds();
    assert_same(&first, &second);
    let described = description(&first, "1.0-1");
    assert!(described.contains("%VALIDATION%\npgp"), "{described}");
    assert_eq!(described, description(&second, "1.0-1"));

    // There is another version, and repositories of this kind have one.
    world.publish("1:1.1-1", "two\n");
    build(&second, &["-f", "--locked"]).succeeds();
    assert_same(&first, &second);
    assert_eq!(described, description(&second, "1.0-1"));
    build(&second, &["-f", "--update-lock"]).succeeds();
    let manifest = String::from_utf8(artifact(&second, "image.manifest")).unwrap();
    assert!(manifest.contains("\"1:1.1-1\""), "{manifest}");
    build(&second, &["-f", "--locked"]).succeeds();
    assert!(manifest == String::from_utf8(artifact(&second, "image.manifest")).unwrap());

    // It is gone.
    world.remove("1.0-1");
    world.repository.index(Some(&world.key));
    let new = tempfile::tempdir().unwrap();
    let third = world.project(new.path(), "hello");
    copy_lock(&first, &third);
    let before = third.untouched();
    build(&third, &["--locked"])
        .exits(1)
        .says("hello 1.0-1 x86_64: gone")
        .says("archive.archlinux.org")
        .says("--update-lock");
    before.check();
    for name in [
        "hello-1.0-1-x86_64.pkg.tar.zst",
        "hello-1.0-1-x86_64.pkg.tar.zst.listed.sig",
    ] {
        fs::copy(cache.path().join(name), new.path().join(name)).unwrap();
    }
    // No mirror need be there when the cache has all packages.
    let mirror = world.repository.mirror();
    fs::rename(&mirror, mirror.with_extension("away")).unwrap();
    build(&third, &["--locked"]).succeeds();
    assert_same(&first, &third);
    assert_eq!(described, description(&third, "1.0-1"));
    // A signature that is no good counts, whatever the lock says.
    let signature = new.path().join("hello-1.0-1-x86_64.pkg.tar.zst.listed.sig");
    let other = new.path().join("base-1.0-1-x86_64.pkg.tar.zst.listed.sig");
    fs::copy(other, signature).unwrap();
    build(&third, &["-f", "--locked"])
        .exits(1)
        .says("signature");
    support::assert_no_leaks(third.path());
}

#[test]
fn root_lock_pacman_says_what_does_not_fit() {
    let world = World::new();
    let cache = tempfile::tempdir().unwrap();
    let project = world.project(cache.path(), "hello");
    build(&project, &["--update-lock"]).succeeds();
    // More is asked for than there is in the lock, and less.
    build(&project, &["-f", "--locked", "-p", "compiler"])
        .exits(1)
        .says("compiler: not in the lock");
    build(&project, &["-f", "--update-lock", "-p", "compiler"]).succeeds();
    build(&project, &["-f", "--locked"])
        .exits(1)
        .says("compiler 1.0-1 x86_64: not taken any more");
    build(&project, &["-f", "--locked", "-p", "compiler"]).succeeds();
    // The same version is something else now.
    world.publish("1.0-1", "other\n");
    fs::remove_file(cache.path().join("hello-1.0-1-x86_64.pkg.tar.zst")).unwrap();
    build(&project, &["-f", "--locked", "-p", "compiler"])
        .exits(1)
        .says("hello 1.0-1 x86_64: there with another content");
    let lock = String::from_utf8(artifact(&project, "mkosi.lock")).unwrap();
    let elsewhere = lock.replace("\"repository\":\"core\"", "\"repository\":\"other\"");
    project.file("mkosi.lock", elsewhere);
    build(&project, &["-f", "--locked", "-p", "compiler"])
        .exits(1)
        .says("from the repository other, which is not asked for");
}

#[test]
fn root_lock_pacman_counts_for_cached_trees_and_both_phases() {
    let world = World::new();
    let cache = tempfile::tempdir().unwrap();
    let project = world.project(cache.path(), "hello");
    let settings = String::from_utf8(artifact(&project, "mkosi.default")).unwrap();
    project.file(
        "mkosi.default",
        format!("{settings}BuildPackages=compiler\n"),
    );
    project.script("mkosi.build", "#!/bin/sh\ncompiler >$DESTDIR/built\n");
    build(&project, &["-i"]).succeeds();
    build(&project, &["-i", "-f", "--update-lock"])
        .succeeds()
        .says("cache hit");
    let lock = String::from_utf8(artifact(&project, "mkosi.lock")).unwrap();
    assert!(lock.contains("\"name\":\"compiler\""), "{lock}");
    let first = artifact(&project, "image.manifest");
    project
        .run(&["-i", "why", "--locked"])
        .succeeds()
        .prints("the lock of packages");
    world.publish("1.1-1", "two\n");
    build(&project, &["-i", "-f", "--locked"]).succeeds();
    assert!(first == artifact(&project, "image.manifest"));
    build(&project, &["-i", "-f", "--locked"])
        .succeeds()
        .says("cache hit");
    assert!(first == artifact(&project, "image.manifest"));
    // The tree of before and what is added to it now are of two days.
    world.publish("1.2-1", "three\n");
    let settings = String::from_utf8(artifact(&project, "mkosi.default")).unwrap();
    project.file("mkosi.default", format!("{settings}BuildPackages=bloat\n"));
    build(&project, &["-i", "-f", "--update-lock"])
        .exits(1)
        .says("hello 1.2-1 x86_64, and 1.0-1 below it")
        .says("-ff");
    assert_eq!(lock.as_bytes(), artifact(&project, "mkosi.lock"));
}
