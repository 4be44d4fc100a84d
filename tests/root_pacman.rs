//! Arch-like images by the host's pacman from a repository of the tests' own. Needs root, pacman,
//! repo-add, gpg and busybox-static; no network.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod pacman;
mod signing;
mod support;

use std::fs;
use std::path::Path;

use pacman::{Package, Repository, add_base, keyring};
use signing::Key;
use support::{Project, assert_no_leaks, root, tool};

/// A repository and the key that signs it.
struct World {
    key: Key,
    repository: Repository,
}

impl World {
    /// The base system, and what is added to it.
    fn with(add: impl Fn(&Self)) -> Self {
        let world = Self {
            key: Key::new("Tester <tester@example.com>"),
            repository: Repository::new(),
        };
        add_base(&world.repository, Some(&world.key));
        add(&world);
        world.repository.index(Some(&world.key));
        world
    }

    fn new() -> Self {
        Self::with(|_| {})
    }

    /// Adds a package that is signed as it should be.
    fn add(&self, package: &Package<'_>) {
        self.repository.add(package, Some(&self.key));
    }

    /// A project that installs from the repository, with the keyring of its key.
    fn project(&self, settings: &str) -> Project {
        let project = Project::new();
        keyring(&self.key, &project);
        project.file(
            "mkosi.default",
            format!(
                "[Distribution]\nDistribution=arch\nMirror=file://{}\n\n\
                 [Output]\nFormat=directory\nOutput=image\n\n\
                 [Packages]\nCleanPackageMetadata=no\n{settings}",
                self.repository.mirror().display()
            ),
        );
        project
    }

    /// Asserts that a build fails, says this, and leaves nothing.
    fn refuses(&self, packages: &str, words: &[&str]) {
        let project = self.project(&format!("Packages={packages}\n"));
        let before = project.untouched();
        let run = project.run(&[]);
        run.exits(1);
        for word in words {
            run.says(word);
        }
        before.check();
    }
}

fn installed(tree: &Path) -> Vec<String> {
    let path = tree.to_string_lossy().into_owned();
    let dbpath = format!("{path}/var/lib/pacman");
    let text = tool(
        "pacman",
        &[
            "--config=/dev/null",
            "--root",
            &path,
            "--dbpath",
            &dbpath,
            "--query",
            "--quiet",
        ],
    );
    text.lines().map(str::to_owned).collect()
}

#[test]
fn root_pacman_builds_an_image_with_what_was_asked_for() {
    root();
    let world = World::new();
    let project = world
        .project("Packages=hello\n\n[Output]\nManifestFormat=json\n\n[Validation]\nPassword=x\n");
    project.run(&[]).succeeds().says("with pacman");
    let tree = project.path().join("image");
    let at = |path: &str| tree.join(path);
    assert_eq!(
        installed(&tree),
        ["base", "bash", "busybox", "filesystem", "hello"]
    );
    // The scriptlet ran inside, with the file systems that it expects.
    let script = fs::read_to_string(at("etc/hello.installed")).unwrap();
    assert_eq!(script, "installed 1.0-1 in a system\n/dev/null\n");
    assert!(!at("usr/share/doc/hello/manual").exists());
    assert!(!at("usr/share/man/man1/hello.1").exists());
    assert!(at("usr/share/licenses/hello/LICENSE").exists());
    assert!(
        !at("usr/share/bloat").exists(),
        "optional dependencies stay out"
    );
    assert_eq!(
        fs::read_to_string(at("etc/locale.conf")).unwrap(),
        "LANG=C.UTF-8\n"
    );
    // Nothing of the build is left: no keys, no downloads, no log, no mounts.
    for path in [
        "etc/pacman.d/gnupg",
        "var/log/pacman.log",
        "var/lib/pacman/db.lck",
    ] {
        assert!(!at(path).exists(), "{path}");
    }
    for path in [
        "var/cache/pacman/pkg",
        "var/lib/pacman/sync",
        "dev",
        "proc",
        "run",
    ] {
        let names: Vec<_> = fs::read_dir(at(path)).into_iter().flatten().collect();
        assert!(names.is_empty(), "{path}: {names:?}");
    }
    assert_no_leaks(project.path());
    let manifest = fs::read_to_string(project.path().join("image.manifest")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["config"]["distribution"], "arch");
    let packages = manifest["packages"].as_array().unwrap();
    assert_eq!(packages.len(), 5);
    let hello = packages.iter().find(|p| p["name"] == "hello").unwrap();
    let file = fs::read(world.repository.file("hello")).unwrap();
    let expected = serde_json::json!({
        "type": "pacman", "name": "hello", "version": "1.0-1", "architecture": "x86_64", "size": 4096,
        "sha256": format!("{:x}", <sha2::Sha256 as sha2::Digest>::digest(file))
    });
    assert_eq!(*hello, expected);
}

#[test]
fn root_pacman_keeps_documentation_and_uses_its_cache() {
    root();
    let world = World::new();
    let project = world.project("Packages=tools,!bloat\nWithDocs=yes\nCache=cache\n");
    project.run(&[]).succeeds();
    let tree = project.path().join("image");
    assert!(tree.join("usr/share/doc/hello/manual").exists());
    // A group without the member that was taken out.
    assert!(installed(&tree).contains(&"hello".to_owned()));
    assert!(!installed(&tree).contains(&"bloat".to_owned()));
    // Only the database is left on the mirror.
    for entry in fs::read_dir(world.repository.packages()).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains(".pkg.tar.zst") {
            fs::remove_file(path).unwrap();
        }
    }
    project.run(&["-f"]).succeeds();
    assert!(tree.join("usr/bin/hello").exists());
    // What is in the cache is verified like everything else.
    let cached = project.path().join("cache/hello-1.0-1-x86_64.pkg.tar.zst");
    let mut content = fs::read(&cached).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 0xff;
    fs::write(&cached, content).unwrap();
    project.run(&["-f"]).exits(1);
    assert_no_leaks(project.path());
}

#[test]
fn root_pacman_two_phases_and_kept_trees() {
    root();
    let world = World::new();
    let project = world.project("BuildPackages=compiler\nRemovePackages=hello\nPackages=hello\n");
    project.script(
        "mkosi.build",
        "#!/bin/sh\nset -e\nmkdir -p \"$DESTDIR/usr/share/made\"\ncompiler >\"$DESTDIR/usr/share/made/result\"\n",
    );
    project.run(&["-i"]).succeeds();
    let tree = project.path().join("image");
    assert_eq!(
        fs::read_to_string(tree.join("usr/share/made/result")).unwrap(),
        "compiled\n"
    );
    assert_eq!(installed(&tree), ["base", "bash", "busybox", "filesystem"]);
    // The same again begins from kept trees; with another key it does not.
    let again = project.run(&["-i", "-f"]);
    again.succeeds();
    assert!(!again.stderr.contains("with pacman"), "{}", again.stderr);
    let trusted = project
        .path()
        .join("mkosi.skeleton/usr/share/pacman/keyrings/tests-trusted");
    let text = fs::read_to_string(&trusted).unwrap();
    fs::write(&trusted, format!("# changed\n{text}")).unwrap();
    project.run(&["-i", "why"]).prints("tests-trusted");
    project.run(&["-i", "-f"]).succeeds().says("with pacman");
    assert_no_leaks(project.path());
}

#[test]
fn root_pacman_what_is_not_signed_well_fails_the_build() {
    root();
    let evil = Package {
        files: &[("usr/bin/evil", "#!/bin/sh\n")],
        ..Package::new("evil")
    };
    let unsigned = World::with(|world| world.repository.add(&evil, None));
    unsigned.refuses(
        "evil",
        &["evil-1.0-1-x86_64.pkg.tar.zst.sig", "must be signed"],
    );

    let other = Key::new("Somebody else <else@example.com>");
    let wrong = World::with(|world| world.repository.add(&evil, Some(&other)));
    wrong.refuses("evil", &["a signature could not be verified"]);

    let wrong_database = World::new();
    wrong_database.repository.index(Some(&other));
    wrong_database.refuses("hello", &["a signature could not be verified"]);

    let corrupted = World::with(|world| world.add(&evil));
    let file = corrupted.repository.file("evil");
    let mut content = fs::read(&file).unwrap();
    let last = content.len() - 20;
    content[last] ^= 0xff;
    fs::write(file, content).unwrap();
    corrupted.refuses("evil", &["invalid or corrupted package"]);

    // The way out is shouted about.
    let project = unsigned.project("Packages=evil\n");
    project
        .run(&["--repository-key-check=no"])
        .succeeds()
        .says("SIGNATURES OF PACKAGES ARE NOT CHECKED");
    assert!(project.path().join("image/usr/bin/evil").exists());
}

#[test]
fn root_pacman_what_does_not_fit_together_fails_the_build() {
    root();
    let world = World::with(|world| {
        world.add(&Package {
            info: &["depend = nowhere"],
            ..Package::new("needy")
        });
        world.add(&Package {
            files: &[("usr/bin/hello", "#!/bin/sh\n")],
            ..Package::new("other-hello")
        });
    });
    world.refuses("nosuch", &["there is no package nosuch", "Packages="]);
    world.refuses("needy", &["no repository has 'nowhere' required by needy"]);
    world.refuses(
        "hello,other-hello",
        &["exists in both", "have the same file"],
    );
    world.refuses(
        "needs-bloat,!bloat",
        &["bloat was taken out of Packages= with !bloat"],
    );
    let mut gone = world.project("");
    gone.run(&["--mirror=/nowhere/at/all"])
        .exits(1)
        .says("check Mirror=");
    gone = world.project("");
    fs::remove_dir_all(gone.path().join("mkosi.skeleton")).unwrap();
    let run = gone.run(&["--cache=none"]);
    // The host may have the distribution's keyring, which did not sign this, or none.
    let has_keyring = Path::new("/usr/share/pacman/keyrings/archlinux.gpg").exists()
        || Path::new("/usr/share/keyrings/archlinux.gpg").exists();
    run.exits(if has_keyring { 1 } else { 2 });
    assert!(run.stderr.contains("archlinux-keyring"), "{}", run.stderr);
}

#[test]
fn root_pacman_links_of_a_skeleton_do_not_lead_out() {
    root();
    let outside = tempfile::tempdir().unwrap();
    let world = World::new();
    let project = world.project("");
    std::os::unix::fs::symlink(outside.path(), project.path().join("mkosi.skeleton/var")).unwrap();
    project.run(&[]).exits(1).says("make the link relative");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn root_pacman_check_asks_the_distribution() {
    root();
    let world = World::with(|world| {
        world.add(&Package {
            info: &["provides = greeter=2"],
            ..Package::new("waver")
        });
    });
    let project = world.project("Packages=hello helo tools greeter>=2 compiler=9 nosuch\n");
    let before = project.untouched();
    let run = project.run(&["check"]);
    run.exits(2)
        .prints("Arch Linux rolling has no package helo; did you mean hello?")
        .prints("has no package compiler=9")
        .prints("has no package nosuch")
        .prints("3 errors.");
    before.check();
    let project = world.project("Packages=hello tools\n");
    project.run(&["check"]).exits(0).prints("Nothing is wrong.");
}
