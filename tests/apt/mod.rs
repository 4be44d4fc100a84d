//! Small signed Debian repositories of the tests' own, with a base system that consists of this host's
//! dpkg and a shell.
#![allow(dead_code, clippy::expect_used, clippy::panic)]

pub mod server;

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};

use crate::signing::Key;
use crate::support::{Project, package_cache, tool};

/// A release whose links into `/usr` are there before packages, and no package needs to say so.
const RELEASE: &str = "bullseye";

/// What busybox does in the base system. Its shell would be its own dpkg, too.
const APPLETS: [&str; 8] = ["cat", "chmod", "cp", "diff", "ls", "mkdir", "mv", "rm"];

/// A repository.
pub struct Repository {
    directory: tempfile::TempDir,
    pub key: Key,
    entries: Vec<String>,
    /// When what is written next was modified: what HTTP and apt tell versions apart by has whole
    /// seconds, and tests publish several times in one.
    modified: Cell<SystemTime>,
}

impl Repository {
    /// A repository with the base system, not published yet.
    pub fn new() -> Self {
        let mut repository = Self::empty();
        let deb = base();
        repository.include(
            "base",
            "1",
            "amd64",
            &fs::read(deb).expect("the base system"),
        );
        repository
    }

    /// A repository without packages.
    pub fn empty() -> Self {
        let above = package_cache().with_file_name("apt");
        fs::create_dir_all(&above).expect("a directory");
        Self {
            directory: tempfile::Builder::new()
                .prefix("repository-")
                .tempdir_in(above)
                .expect("a directory"),
            key: Key::new("archive"),
            entries: Vec::new(),
            modified: Cell::new(SystemTime::now() - Duration::from_secs(3600)),
        }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Adds a package of any bytes; returns where it is.
    pub fn include(
        &mut self,
        name: &str,
        version: &str,
        architecture: &str,
        deb: &[u8],
    ) -> PathBuf {
        let file = format!("pool/{name}_{version}_{architecture}.deb");
        let path = self.path().join(&file);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(&path, deb).expect("a package");
        let essential = if name == "base" {
            "Essential: yes\n"
        } else {
            ""
        };
        self.entries.push(format!(
            "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\n{essential}\
             Maintainer: nobody <nobody@example.com>\nDescription: a test's\n\
             Filename: {file}\nSize: {}\nSHA256: {:x}\n\n",
            deb.len(),
            Sha256::digest(deb)
        ));
        path
    }

    /// Adds a package of these files, made by dpkg.
    pub fn add(&mut self, name: &str, version: &str, files: &[(&str, &[u8])]) -> PathBuf {
        let stage = tempfile::tempdir().expect("a directory");
        for (path, content) in files {
            write(&stage.path().join(path), content, 0o644);
        }
        let deb = build(stage.path(), name, version, "all", "");
        self.include(name, version, "all", &deb)
    }

    /// Adds a package with nothing but this postinst script.
    pub fn add_script(&mut self, name: &str, postinst: &str) {
        let stage = tempfile::tempdir().expect("a directory");
        write(
            &stage.path().join("DEBIAN/postinst"),
            postinst.as_bytes(),
            0o755,
        );
        let deb = build(stage.path(), name, "1", "all", "");
        self.include(name, "1", "all", &deb);
    }

    /// Takes a version of a package away.
    pub fn remove(&mut self, name: &str, version: &str) {
        let start = format!("Package: {name}\nVersion: {version}\n");
        let before = self.entries.len();
        self.entries.retain(|entry| !entry.starts_with(&start));
        assert_eq!(self.entries.len(), before - 1, "{name} {version}");
        let gone = format!("{name}_{version}_");
        for entry in fs::read_dir(self.path().join("pool")).expect("the pool") {
            let path = entry.expect("an entry").path();
            let is_it = path
                .file_name()
                .is_some_and(|file| file.to_string_lossy().starts_with(&gone));
            if is_it {
                fs::remove_file(path).expect("a package");
            }
        }
    }

    /// Publishes what there is now, signed by its key, dated now.
    pub fn publish(&self) {
        self.publish_with("Date: now\n");
    }

    /// Publishes with these fields, in which times are as date(1) reads them.
    pub fn publish_with(&self, fields: &str) {
        self.write_release(fields);
        self.sign_with(&self.key);
    }

    /// Writes the lists, unsigned.
    pub fn write_release(&self, fields: &str) {
        let packages = self.entries.concat();
        let index = "main/binary-amd64/Packages";
        let mut release = format!(
            "Origin: tests\nSuite: {RELEASE}\nCodename: {RELEASE}\nArchitectures: amd64\n\
             Components: main\n"
        );
        for line in fields.lines() {
            let (name, time) = line.split_once(": ").expect("a field");
            let words = ["--utc", "--date", time, "+%a, %d %b %Y %H:%M:%S UTC"];
            release.push_str(&format!("{name}: {}", tool("date", &words)));
        }
        release.push_str(&format!(
            "SHA256:\n {:x} {} {index}\n",
            Sha256::digest(&packages),
            packages.len()
        ));
        write(&self.dists().join(index), packages.as_bytes(), 0o644);
        write(&self.dists().join("Release"), release.as_bytes(), 0o644);
        self.modified
            .set(self.modified.get() + Duration::from_secs(1));
        self.date(&[index, "Release"]);
    }

    /// Signs the lists with a key.
    pub fn sign_with(&self, key: &Key) {
        let path = |name: &str| self.dists().join(name).to_string_lossy().into_owned();
        let (signed, release) = (path("InRelease"), path("Release"));
        key.gpg(&["--output", &signed, "--clear-sign", &release]);
        self.date(&["InRelease"]);
    }

    fn date(&self, lists: &[&str]) {
        for list in lists {
            let file = fs::File::open(self.dists().join(list)).expect("a list");
            file.set_modified(self.modified.get()).expect("a time");
        }
    }

    /// Takes the signature away.
    pub fn unsign(&self) {
        fs::remove_file(self.dists().join("InRelease")).expect("a signature");
    }

    /// Where the lists are.
    pub fn dists(&self) -> PathBuf {
        self.path().join("dists").join(RELEASE)
    }

    /// A project that builds `packages` from `mirror` alone, with a package cache, trusting the
    /// repository's key.
    pub fn project(&self, mirror: &str, cache: &Path, packages: &str) -> Project {
        let project = self.project_without_key(mirror, cache, packages);
        let keys = project.path().join("mkosi.skeleton/etc/apt/trusted.gpg.d");
        self.key.export(&keys.join("tests.gpg"));
        project
    }

    /// The same, without the key.
    pub fn project_without_key(&self, mirror: &str, cache: &Path, packages: &str) -> Project {
        let project = Project::new();
        project.file(
            "mkosi.default",
            format!(
                "[Distribution]\nDistribution=debian\nRelease={RELEASE}\nLocalMirror={mirror}\n\n\
                 [Output]\nFormat=directory\nOutput=image\n\n\
                 [Packages]\nBasePackages=no\nPackages={packages}\nCache={}\n",
                cache.display()
            ),
        );
        project
    }
}

fn write(path: &Path, content: &[u8], mode: u32) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
    fs::write(path, content).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}

/// A package of a directory's files, not compressed.
fn build(stage: &Path, name: &str, version: &str, architecture: &str, fields: &str) -> Vec<u8> {
    let control = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\n{fields}\
         Maintainer: nobody <nobody@example.com>\nDescription: a test's\n"
    );
    write(&stage.join("DEBIAN/control"), control.as_bytes(), 0o644);
    write(&stage.join("DEBIAN/md5sums"), b"", 0o644);
    let deb = stage.with_extension("deb");
    let (from, to) = (stage.to_string_lossy(), deb.to_string_lossy());
    tool(
        "dpkg-deb",
        &["--root-owner-group", "-Znone", "--build", &from, &to],
    );
    let content = fs::read(&deb).expect("a package");
    fs::remove_file(deb).expect("a package");
    content
}

/// The base system's package, made once: dpkg of this host and what it calls.
fn base() -> PathBuf {
    let path = package_cache().with_file_name("apt").join("base.deb");
    if path.exists() {
        return path;
    }
    let stage = tempfile::tempdir().expect("a directory");
    let inside = |path: &str| stage.path().join(path);
    let copy = |from: &str, to: &str| {
        let content = fs::read(from).unwrap_or_else(|e| panic!("{from}: {e}"));
        write(&inside(to), &content, 0o755);
    };
    for (program, name) in [
        ("dash", "sh"),
        ("dpkg", "dpkg"),
        ("dpkg-deb", "dpkg-deb"),
        ("dpkg-query", "dpkg-query"),
        ("dpkg-split", "dpkg-split"),
        ("tar", "tar"),
    ] {
        let host = format!("/usr/bin/{program}");
        copy(&host, &format!("usr/bin/{name}"));
        for word in tool("ldd", &[&host]).split_whitespace() {
            if word.starts_with('/') && !word.ends_with(':') {
                copy(word, &format!("usr{word}"));
            }
        }
    }
    copy("/usr/bin/busybox", "usr/bin/busybox");
    for applet in APPLETS {
        symlink("busybox", inside("usr/bin").join(applet)).expect("a link");
    }
    for program in ["ldconfig", "start-stop-daemon"] {
        let path = inside("usr/sbin").join(program);
        write(&path, b"#!/bin/sh\nexit 0\n", 0o755);
    }
    write(
        &inside("etc/passwd"),
        b"root:x:0:0:root:/root:/bin/sh\n",
        0o644,
    );
    write(&inside("etc/group"), b"root:x:0:\n", 0o644);
    for directory in ["dev", "proc", "root", "run", "sys", "tmp", "var/tmp"] {
        fs::create_dir_all(inside(directory)).expect("a directory");
    }
    let deb = build(stage.path(), "base", "1", "amd64", "Essential: yes\n");
    // Other tests may do the same at this moment.
    let new = path.with_extension(format!("new-{}", std::process::id()));
    write(&new, &deb, 0o644);
    fs::rename(new, &path).expect("the base system");
    path
}

/// Bytes that look like nothing, always the same.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .collect()
}
