//! A small signed repository of packages for pacman, made once for a test run.
#![allow(dead_code, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::signing::Key;
use crate::support::{Project, finish, tool};

/// One package.
pub struct Package<'a> {
    pub name: &'a str,
    pub version: &'a str,
    /// Further lines of .PKGINFO.
    pub info: &'a [&'a str],
    /// Paths and contents.
    pub files: &'a [(&'a str, &'a str)],
    /// Paths and targets.
    pub links: &'a [(&'a str, &'a str)],
    /// The functions of the install scriptlet.
    pub script: &'a str,
    /// A tree, and a list of those of its paths that the package has besides.
    pub listed: Option<(&'a Path, &'a Path)>,
}

impl<'a> Package<'a> {
    pub const fn new(name: &'a str) -> Self {
        Self {
            name,
            version: "1.0-1",
            info: &[],
            files: &[],
            links: &[],
            script: "",
            listed: None,
        }
    }
}

/// A repository with the keys that sign it.
pub struct Repository {
    pub directory: tempfile::TempDir,
}

impl Repository {
    /// An empty one.
    pub fn new() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("pacman-")
            .tempdir()
            .expect("a directory");
        let repository = Self { directory };
        fs::create_dir_all(repository.packages()).expect("directories");
        repository
    }

    /// What `Mirror=` names.
    pub fn mirror(&self) -> PathBuf {
        self.directory.path().join("mirror")
    }

    /// Where the packages of `core` are.
    pub fn packages(&self) -> PathBuf {
        self.mirror().join("core/os/x86_64")
    }

    /// Where a package is.
    pub fn file(&self, name: &str) -> PathBuf {
        self.file_of(name, "1.0-1")
    }

    /// Where a version of a package is.
    pub fn file_of(&self, name: &str, version: &str) -> PathBuf {
        self.packages()
            .join(format!("{name}-{version}-x86_64.pkg.tar.zst"))
    }

    /// Makes a package, and its signature by a key, if one is named.
    pub fn add(&self, package: &Package<'_>, key: Option<&Key>) {
        let work = tempfile::tempdir().expect("a directory");
        let at = |path: &str| {
            let path = work.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
            path
        };
        let mut info = format!(
            "pkgname = {0}\npkgbase = {0}\npkgver = {1}\npkgdesc = A package for tests\n\
             url = https://example.com\nbuilddate = 1700000000\npackager = Tester <tester@example.com>\n\
             size = 4096\narch = x86_64\nlicense = MIT\n",
            package.name, package.version
        );
        for line in package.info {
            info.push_str(line);
            info.push('\n');
        }
        let mut members = vec![".PKGINFO".to_owned()];
        fs::write(at(".PKGINFO"), info).expect("a file");
        if !package.script.is_empty() {
            fs::write(at(".INSTALL"), package.script).expect("a file");
            members.push(".INSTALL".to_owned());
        }
        for (path, content) in package.files {
            let path = at(path);
            if content.starts_with("#!") || content.starts_with("host:") {
                match content.strip_prefix("host:") {
                    Some(file) => drop(fs::copy(file, &path).expect("a copy")),
                    None => fs::write(&path, content).expect("a file"),
                }
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
            } else {
                fs::write(&path, content).expect("a file");
            }
        }
        for (path, target) in package.links {
            std::os::unix::fs::symlink(target, at(path)).expect("a link");
        }
        if let Some((tree, list)) = package.listed {
            let words = [work.path(), tree, list].map(|path| path.to_string_lossy());
            let copy = "sed 's,^/*,./,' \"$2\" | tar -cf - -C \"$1\" --no-recursion -T - | tar -xpf - -C \"$0\"";
            tool("sh", &["-ec", copy, &words[0], &words[1], &words[2]]);
        }
        let mut tops: Vec<String> = fs::read_dir(work.path())
            .expect("a directory")
            .map(|e| {
                e.expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .filter(|name| !name.starts_with('.'))
            .collect();
        tops.sort();
        members.extend(tops);
        let file = self.file_of(package.name, package.version);
        let (file, work) = (file.to_string_lossy(), work.path().to_string_lossy());
        let mut words = vec![
            "--zstd",
            "--owner=0",
            "--group=0",
            "--sort=name",
            "-cf",
            &file,
            "-C",
            &work,
        ];
        words.extend(members.iter().map(String::as_str));
        tool("tar", &words);
        if let Some(key) = key {
            key.sign(Path::new(&*file));
        }
    }

    /// Writes the database anew; signed when a key is named.
    pub fn index(&self, key: Option<&Key>) {
        let directory = self.packages();
        for name in ["core.db", "core.files"] {
            for suffix in [
                "",
                ".sig",
                ".tar.gz",
                ".tar.gz.sig",
                ".tar.gz.old",
                ".tar.gz.old.sig",
            ] {
                let _ = fs::remove_file(directory.join(format!("{name}{suffix}")));
            }
        }
        let mut packages: Vec<PathBuf> = fs::read_dir(&directory)
            .expect("a directory")
            .map(|e| e.expect("an entry").path())
            .filter(|path| path.to_string_lossy().ends_with(".pkg.tar.zst"))
            .collect();
        packages.sort();
        let mut command = Command::new("repo-add");
        command.arg("--quiet");
        if let Some(key) = key {
            command.env("GNUPGHOME", key.home.path());
            command.args(["--sign", "--key", &key.fingerprint]);
        }
        command.arg(directory.join("core.db.tar.gz")).args(packages);
        finish(command).succeeds();
    }
}

/// Writes a key's keyring as pacman-key wants it, below a project's skeleton tree.
pub fn keyring(key: &Key, project: &Project) {
    let directory = project
        .path()
        .join("mkosi.skeleton/usr/share/pacman/keyrings");
    key.export(&directory.join("tests.gpg"));
    let trusted = format!("{}:4:\n", key.fingerprint);
    fs::write(directory.join("tests-trusted"), trusted).expect("a file");
}

/// Makes a project's own directory of pacman's keys, `gnupg`, which trusts one or none.
pub fn trust(project: &Project, key: Option<&Key>) {
    let gpgdir = project.path().join("gnupg");
    let gpgdir = gpgdir.to_string_lossy();
    let pacman_key = |words: &[&str]| {
        let all = ["--config", "/dev/null", "--gpgdir", &gpgdir];
        tool("pacman-key", &[&all[..], words].concat());
    };
    pacman_key(&["--init"]);
    if let Some(key) = key {
        let file = project.path().join("key.gpg");
        key.export(&file);
        pacman_key(&["--add", &file.to_string_lossy()]);
        pacman_key(&["--lsign-key", &key.fingerprint]);
    }
    tool("gpgconf", &["--homedir", &gpgdir, "--kill", "all"]);
}

const BASH: &str = "#!/bin/sh\nexec /bin/sh \"$@\"\n";

/// The smallest system with the distribution's names: a shell, packages with scripts, documentation,
/// dependencies and optional dependencies.
pub fn add_base(repository: &Repository, key: Option<&Key>) {
    let busybox = ("usr/bin/busybox", "host:/bin/busybox");
    for package in [
        Package {
            files: &[
                ("etc/passwd", "root:x:0:0::/root:/bin/sh\n"),
                ("etc/group", "root:x:0:\n"),
            ],
            links: &[("bin", "usr/bin"), ("lib", "usr/lib"), ("sbin", "usr/bin")],
            ..Package::new("filesystem")
        },
        Package {
            info: &["depend = filesystem"],
            files: &[busybox, ("usr/lib/keep", "")],
            links: &[
                ("usr/bin/sh", "busybox"),
                ("usr/bin/cat", "busybox"),
                ("usr/bin/ls", "busybox"),
            ],
            ..Package::new("busybox")
        },
        Package {
            // Scriptlets are run by bash.
            info: &[
                "depend = busybox",
                "optdepend = bloat: for more of everything",
            ],
            files: &[("usr/bin/bash", BASH)],
            ..Package::new("bash")
        },
        Package {
            info: &["depend = bash"],
            ..Package::new("base")
        },
        Package {
            info: &["depend = bash", "group = tools"],
            files: &[
                ("usr/bin/hello", "#!/bin/sh\necho hello\n"),
                ("usr/share/doc/hello/manual", "words\n"),
                ("usr/share/man/man1/hello.1", "words\n"),
                ("usr/share/licenses/hello/LICENSE", "terms\n"),
            ],
            script: "post_install() {\n\
                     echo \"installed $1 in $(ls /proc/1 >/dev/null && echo a system)\" >/etc/hello.installed\n\
                     ls /dev/null >>/etc/hello.installed\n}\n",
            ..Package::new("hello")
        },
        Package {
            info: &["group = tools"],
            files: &[("usr/share/bloat/bloat", "bloat\n")],
            ..Package::new("bloat")
        },
        Package {
            info: &["depend = bloat"],
            ..Package::new("needs-bloat")
        },
        Package {
            files: &[("usr/bin/compiler", "#!/bin/sh\necho compiled\n")],
            ..Package::new("compiler")
        },
    ] {
        repository.add(&package, key);
    }
}
