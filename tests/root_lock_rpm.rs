//! `--update-lock` and `--locked` with this host's dnf and zypper, from small signed repositories that a
//! server of the test's own has. Needs root, dnf, zypper, rpm, createrepo_c and gpg; no network.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod locks;
mod support;

#[path = "apt/server.rs"]
#[allow(dead_code)]
mod server;

use std::fs;
use std::path::{Path, PathBuf};

use locks::{artifact, build, copy_lock};
use server::Server;
use support::{Project, made_once, root, tool};

/// A distribution of each package manager, where its mirrors have packages and updates, and what it calls
/// the key that signs them.
struct Kind {
    distribution: [&'static str; 2],
    packages: &'static str,
    updates: &'static str,
    key: &'static str,
}

const DNF: Kind = Kind {
    distribution: ["fedora", "44"],
    packages: "releases/44/Everything/x86_64/os",
    updates: "updates/44/Everything/x86_64",
    key: "RPM-GPG-KEY-fedora-44-primary",
};
const ZYPPER: Kind = Kind {
    distribution: ["opensuse", "tumbleweed"],
    packages: "tumbleweed/repo/oss",
    updates: "update/tumbleweed",
    key: "RPM-GPG-KEY-openSUSE-Tumbleweed",
};

/// A mirror of its own, of which packages come and go.
struct Mirror {
    kind: &'static Kind,
    directory: tempfile::TempDir,
    /// gpg's, whose agent no other test has.
    keys: tempfile::TempDir,
}

impl Mirror {
    /// One with the packages that are installed here.
    fn new(kind: &'static Kind) -> Self {
        let mirror = Self {
            kind,
            directory: tempfile::tempdir().unwrap(),
            keys: tempfile::tempdir().unwrap(),
        };
        let keys = repositories().join("gnupg").display().to_string();
        let own = mirror.keys.path().display().to_string();
        tool("cp", &["-a", &format!("{keys}/."), &own]);
        for name in [kind.packages, kind.updates] {
            fs::create_dir_all(mirror.directory.path().join(name)).unwrap();
        }
        for name in ["bash", "filesystem", "hello", "libhello", "builder"] {
            let name = format!("{name}-1.rpm");
            mirror.add(&repositories().join("mirror").join(&name));
        }
        mirror.publish(kind.updates);
        mirror.publish(kind.packages);
        mirror
    }

    fn packages(&self) -> PathBuf {
        self.directory.path().join(self.kind.packages)
    }

    fn add(&self, file: &Path) {
        fs::copy(file, self.packages().join(file.file_name().unwrap())).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.packages().join(name)).unwrap();
    }

    /// Lists what is there, and signs the list.
    fn publish(&self, directory: &str) {
        let directory = self.directory.path().join(directory);
        let groups = repositories().join("comps.xml").display().to_string();
        let words = ["--quiet", "--groupfile", &groups];
        tool(
            "createrepo_c",
            &[&words[..], &[&directory.to_string_lossy()]].concat(),
        );
        let index = directory.join("repodata/repomd.xml");
        let home = self.keys.path().to_string_lossy();
        let words = ["--homedir", &home, "--batch", "--yes", "--quiet", "--armor"];
        let who = ["--local-user", "ours@example.org", "--detach-sign"];
        let index = index.to_string_lossy();
        tool("gpg", &[&words[..], &who, &[&*index]].concat());
        tool("gpgconf", &["--homedir", &home, "--kill", "all"]);
    }

    fn publish_packages(&self) {
        self.publish(self.kind.packages);
    }

    /// A project that makes a tar of `packages`, from a mirror at this address.
    fn project(&self, address: &str, cache: &Path, packages: &str) -> Project {
        let project = Project::new();
        project.file(
            &format!("mkosi.skeleton/etc/pki/rpm-gpg/{}", self.kind.key),
            fs::read(repositories().join("keys/ours")).unwrap(),
        );
        let [distribution, release] = self.kind.distribution;
        project.file(
            "mkosi.default",
            format!(
                "[Distribution]\nDistribution={distribution}\nRelease={release}\nMirror={address}\n\
                 [Output]\nFormat=tar\nXZ=no\nOutput=image.tar\nManifestFormat=json\n\
                 [Packages]\nBasePackages=no\nPackages={packages}\nCache={}\n",
                cache.display()
            ),
        );
        project
    }
}

/// The repositories of `tests/rpm/repositories`, made once for all tests of this program's version.
fn repositories() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rpm/repositories");
    made_once("rpm", &[&script], |new| {
        tool(&script.to_string_lossy(), &[&new.to_string_lossy()]);
    })
}

#[track_caller]
fn assert_same(one: &Project, other: &Project) {
    for name in ["image.tar", "image.manifest"] {
        assert!(artifact(one, name) == artifact(other, name), "{name}");
    }
}

/// The package `libhello` 1 in a package cache.
fn cached(cache: &Path) -> PathBuf {
    let files = walkdir::WalkDir::new(cache).into_iter();
    let mut files = files.map(|entry| entry.unwrap().into_path());
    files
        .find(|path| path.ends_with("libhello-1.rpm"))
        .expect("the package is cached")
}

fn follows_when_the_mirror_moves_on(kind: &'static Kind) {
    root();
    let mirror = Mirror::new(kind);
    let server = Server::new(mirror.directory.path());
    let cache = tempfile::tempdir().unwrap();
    let first = mirror.project(&server.address, cache.path(), "hello");
    build(&first, &["--update-lock"]).succeeds();
    let (lock, names) = locks::lock(&first);
    assert_eq!(names, ["bash", "filesystem", "hello", "libhello"]);
    let of = |number: usize, what: &str| lock["packages"][number][what].clone();
    assert_eq!(of(3, "version"), "1-1");
    assert_eq!(of(3, "architecture"), "noarch");
    let sum = |path: &Path| {
        let content = fs::read(path).unwrap();
        format!("{:x}", <sha2::Sha256 as sha2::Digest>::digest(content))
    };
    assert_eq!(
        of(3, "sha256"),
        sum(&mirror.packages().join("libhello-1.rpm"))
    );
    // Of the repositories, too, there is a sum, and the manifest says the same.
    let index = sum(&mirror.packages().join("repodata/repomd.xml"));
    let lists = lock["repositories"].as_array().unwrap();
    assert_eq!(lists.len(), 2, "{lock}");
    assert!(lists.iter().any(|list| {
        list["sha256"] == *index
            && list["list"]
                .as_str()
                .unwrap()
                .ends_with("/repodata/repomd.xml")
            && list["list"].as_str().unwrap().starts_with("127.0.0.1:")
    }));
    let manifest: serde_json::Value =
        serde_json::from_slice(&artifact(&first, "image.manifest")).unwrap();
    assert_eq!(manifest["repositories"], lock["repositories"]);
    assert_eq!(manifest["packages"][3]["sha256"], of(3, "sha256"));

    // There is another version, and the one of the lock still is, too.
    mirror.add(&repositories().join("later/libhello-2.rpm"));
    mirror.publish_packages();
    let new = tempfile::tempdir().unwrap();
    let second = mirror.project(&server.address, new.path(), "hello");
    copy_lock(&first, &second);
    build(&second, &["--locked"]).succeeds();
    assert_same(&first, &second);
    // What is in the cache has changed: it is fetched again.
    let path = cached(new.path());
    let size = fs::metadata(&path).unwrap().len();
    let file = fs::File::options().write(true).open(&path).unwrap();
    std::os::unix::fs::FileExt::write_at(&file, b"X", size - 20).unwrap();
    build(&second, &["-f", "--locked"]).succeeds();
    assert_same(&first, &second);
    // Without the lock, the newer one counts.
    build(&second, &["-f"]).succeeds();
    let manifest = String::from_utf8(artifact(&second, "image.manifest")).unwrap();
    assert!(manifest.contains("\"2-1\""), "{manifest}");

    // It is gone.
    mirror.remove("libhello-1.rpm");
    mirror.publish_packages();
    let new = tempfile::tempdir().unwrap();
    let third = mirror.project(&server.address, new.path(), "hello");
    copy_lock(&first, &third);
    let before = third.untouched();
    let run = build(&third, &["--locked"]);
    run.exits(1)
        .says("libhello 1-1 noarch: gone")
        .says("--update-lock");
    // What needs it is there still.
    assert!(
        !run.stderr.contains(" hello 1-1 x86_64: gone"),
        "{}",
        run.stderr
    );
    before.check();
    // The rest was not in vain: with that one in the cache, too, all are there.
    let from = cached(cache.path());
    let to = new.path().join(from.strip_prefix(cache.path()).unwrap());
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(&from, &to).unwrap();
    build(&third, &["--locked"]).succeeds();
    assert_same(&first, &third);

    // No mirror need be there when the cache has all packages.
    drop(server);
    let settings = String::from_utf8(artifact(&third, "mkosi.default")).unwrap();
    let settings = settings.replace(
        &*new.path().to_string_lossy(),
        &cache.path().to_string_lossy(),
    );
    third.file("mkosi.default", settings);
    build(&third, &["-f", "--locked"]).succeeds();
    assert_same(&first, &third);
    support::assert_no_leaks(third.path());
}

#[test]
fn root_lock_rpm_dnf_follows_when_the_mirror_moves_on() {
    follows_when_the_mirror_moves_on(&DNF);
}

#[test]
fn root_lock_rpm_zypper_follows_when_the_mirror_moves_on() {
    follows_when_the_mirror_moves_on(&ZYPPER);
}

#[test]
fn root_lock_rpm_signatures_count_with_a_lock() {
    root();
    let mirror = Mirror::new(&DNF);
    let cache = tempfile::tempdir().unwrap();
    let address = mirror.packages().display().to_string();
    let project = mirror.project(&address, cache.path(), "hello");
    build(&project, &["--update-lock"]).succeeds();
    project.file(
        &format!("mkosi.skeleton/etc/pki/rpm-gpg/{}", DNF.key),
        fs::read(repositories().join("keys/foreign")).unwrap(),
    );
    build(&project, &["-f", "--locked"])
        .exits(1)
        .says("a signature could not be verified");
}

/// With a mirror on the disk, whose packages are used where they are.
fn says_what_does_not_fit(kind: &'static Kind) {
    root();
    let mirror = Mirror::new(kind);
    let cache = tempfile::tempdir().unwrap();
    let address = mirror.packages().display().to_string();
    let project = mirror.project(&address, cache.path(), "hello");
    build(&project, &["--update-lock"]).succeeds();
    let manifest = artifact(&project, "image.manifest");
    build(&project, &["-f", "--locked"]).succeeds();
    assert!(manifest == artifact(&project, "image.manifest"));
    // More is asked for than there is in the lock, and less.
    build(&project, &["-f", "--locked", "-p", "builder"])
        .exits(1)
        .says("builder: not in the lock");
    build(&project, &["-f", "--update-lock", "-p", "builder"]).succeeds();
    build(&project, &["-f", "--locked"])
        .exits(1)
        .says("builder 1-1 noarch: not taken any more");
    // The same version is something else now.
    mirror.add(&repositories().join("other/libhello-1.rpm"));
    mirror.publish_packages();
    build(&project, &["-f", "--locked", "-p", "builder"])
        .exits(1)
        .says("libhello 1-1 noarch: there with another content");
    // What is in the lock and not signed by who may sign is not installed, whatever the lock says.
    let lock = String::from_utf8(artifact(&project, "mkosi.lock")).unwrap();
    project.file(
        "mkosi.lock",
        lock.replace("\"repository\":\"", "\"repository\":\"x"),
    );
    build(&project, &["-f", "--locked", "-p", "builder"])
        .exits(1)
        .says("which is not asked for");
}

#[test]
fn root_lock_rpm_dnf_says_what_does_not_fit() {
    says_what_does_not_fit(&DNF);
}

#[test]
fn root_lock_rpm_zypper_says_what_does_not_fit() {
    says_what_does_not_fit(&ZYPPER);
}

/// Both phases, and cached trees.
fn counts_for_cached_trees(kind: &'static Kind) {
    root();
    let mirror = Mirror::new(kind);
    let server = Server::new(mirror.directory.path());
    let cache = tempfile::tempdir().unwrap();
    // A group of dnf's, which no package has.
    let hello = if kind.distribution[0] == "fedora" {
        "@greeters"
    } else {
        "hello"
    };
    let project = mirror.project(&server.address, cache.path(), hello);
    let settings = String::from_utf8(artifact(&project, "mkosi.default")).unwrap();
    project.file(
        "mkosi.default",
        format!("{settings}BuildPackages=builder\n"),
    );
    project.script(
        "mkosi.build",
        "#!/bin/sh\ncat /usr/share/builder/builder >$DESTDIR/built\n",
    );
    build(&project, &["-i"]).succeeds();
    build(&project, &["-i", "-f", "--update-lock"])
        .succeeds()
        .says("cache hit");
    let lock = String::from_utf8(artifact(&project, "mkosi.lock")).unwrap();
    assert!(lock.contains("\"name\":\"builder\""), "{lock}");
    let first = artifact(&project, "image.tar");
    project
        .run(&["-i", "why", "--locked"])
        .succeeds()
        .prints("the lock of packages");
    drop(server);
    build(&project, &["-i", "-f", "--locked"]).succeeds();
    assert!(first == artifact(&project, "image.tar"));
    build(&project, &["-i", "-f", "--locked"])
        .succeeds()
        .says("cache hit");
    assert!(first == artifact(&project, "image.tar"));
}

#[test]
fn root_lock_rpm_dnf_counts_for_cached_trees() {
    counts_for_cached_trees(&DNF);
}

#[test]
fn root_lock_rpm_zypper_counts_for_cached_trees() {
    counts_for_cached_trees(&ZYPPER);
}
