//! How source trees reach an image: what git says and what is really there. Needs root, git and
//! setpriv.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use mkosi::config::values::SourceTransfer;
use mkosi::host::{Cancel, Host, HostRunner, Report};
use mkosi::scripts::sources::{Sources, SourcesError, place, show};
use mkosi::tree::{Copied, Root};
use tempfile::TempDir;

/// Keeps what is said.
#[derive(Default)]
struct Said(Mutex<Vec<String>>);

impl Report for Said {
    fn line(&self, _: &str) {}
    fn warn(&self, message: &str) {
        self.0.lock().unwrap().push(message.to_owned());
    }
    fn progress(&self, _: u64, _: u64) {}
    fn command(&self, _: &str) {}
}

/// A source tree, an image, and what is left out.
struct Case {
    directory: TempDir,
    left_out: Vec<PathBuf>,
    said: Arc<Said>,
}

impl Case {
    fn new() -> Self {
        assert!(nix::unistd::geteuid().is_root(), "this test needs root");
        let directory = tempfile::tempdir().unwrap();
        // Others than root look in here, too.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(directory.path().join("src")).unwrap();
        fs::create_dir(directory.path().join("image")).unwrap();
        Self {
            directory,
            left_out: Vec::new(),
            said: Arc::default(),
        }
    }

    /// A git working tree.
    fn git() -> Self {
        let case = Self::new();
        git(&case.source(), &["init", "--quiet"]);
        case
    }

    fn source(&self) -> PathBuf {
        self.directory.path().join("src")
    }

    fn placed(&self) -> PathBuf {
        self.directory.path().join("image/root/src")
    }

    fn file(&self, name: impl AsRef<Path>, content: &str) -> PathBuf {
        let path = self.source().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    fn add(&self) {
        git(&self.source(), &["add", "--all"]);
    }

    fn host(&self) -> Host {
        Host::new(Arc::new(HostRunner), self.said.clone(), Cancel::default())
    }

    fn try_place(&self, transfer: SourceTransfer) -> Result<Copied, SourcesError> {
        let sources = Sources {
            path: self.source(),
            transfer,
            left_out: self.left_out.clone(),
        };
        let root = Root::open(self.directory.path().join("image")).unwrap();
        place(&sources, &root, &self.host())
    }

    /// The names in the image, each with its kind: `d`, `l` or `f`.
    fn place(&self, transfer: SourceTransfer) -> BTreeMap<PathBuf, char> {
        self.try_place(transfer).unwrap();
        let mut found = BTreeMap::new();
        for entry in walkdir::WalkDir::new(self.placed()).min_depth(1) {
            let entry = entry.unwrap();
            let kind = entry.file_type();
            let path = entry.path().strip_prefix(self.placed()).unwrap();
            let letter = match () {
                () if kind.is_dir() => 'd',
                () if kind.is_symlink() => 'l',
                () => 'f',
            };
            found.insert(path.to_owned(), letter);
        }
        found
    }

    fn names(&self, transfer: SourceTransfer) -> Vec<String> {
        let names = self.place(transfer).into_keys();
        names.map(|p| p.to_string_lossy().into_owned()).collect()
    }

    fn said(&self) -> String {
        self.said.0.lock().unwrap().join("\n")
    }
}

fn git(directory: &Path, arguments: &[&str]) {
    let mut command = Command::new("git");
    command
        .args(["-c", "protocol.file.allow=always"])
        .args(["-c", "user.name=A", "-c", "user.email=a@example.org"])
        .args(["-c", "init.defaultBranch=main"])
        .args(arguments)
        .current_dir(directory);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "git {arguments:?}: {text}");
}

use SourceTransfer::{CopyAll, CopyGitCached, CopyGitOthers, Mount};

#[test]
fn root_git_knows_what_is_tracked_and_what_is_not() {
    let case = Case::git();
    case.file(".gitignore", "*.o\n/build/\n");
    case.file("src/main.c", "");
    case.file("gone/away.c", "");
    case.file("tracked.o", "");
    git(&case.source(), &["add", "--all", "--force"]);
    case.file("src/main.o", "");
    case.file("build/out", "");
    case.file("src/new.c", "");
    fs::remove_dir_all(case.source().join("gone")).unwrap();
    let tracked = [".gitignore", "src", "src/main.c", "tracked.o"];
    assert_eq!(case.names(CopyGitCached), tracked);
    let others = [".gitignore", "src", "src/main.c", "src/new.c", "tracked.o"];
    assert_eq!(case.names(CopyGitOthers), others);
    assert_eq!(case.said(), "");
    let all = case.names(CopyAll);
    for name in [".git/index", "build/out", "src/main.o", "src/new.c"] {
        assert!(all.contains(&name.to_owned()), "{name}: {all:?}");
    }
}

#[test]
fn root_names_are_bytes() {
    let odd: Vec<&OsStr> = [
        &b"with space"[..],
        b"new\nline",
        b"tab\there",
        b"\"quoted\"",
        b"back\\slash",
        b" leading",
        b"-option",
        b"\xff\xfe not UTF-8",
        "ü".as_bytes(),
        b"dir \n\xff/file",
    ]
    .into_iter()
    .map(OsStr::from_bytes)
    .collect();
    for tracked in [true, false] {
        let case = Case::git();
        for name in &odd {
            case.file(name, "content");
        }
        if tracked {
            case.add();
        }
        let mode = if tracked {
            CopyGitCached
        } else {
            CopyGitOthers
        };
        let placed = case.place(mode);
        for name in &odd {
            assert_eq!(placed.get(Path::new(name)), Some(&'f'), "{name:?}");
        }
        assert_eq!(placed.len(), odd.len() + 1);
    }
}

#[test]
fn root_everything_belongs_to_root_and_keeps_mode_and_time() {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    for mode in [CopyAll, CopyGitCached, CopyGitOthers] {
        let case = Case::git();
        let script = case.file("bin/run", "#!/bin/sh\n");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o775)).unwrap();
        let plain = case.file("plain", "text");
        fs::set_permissions(&plain, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("bin/run", case.source().join("link")).unwrap();
        symlink("/nowhere", case.source().join("dangling")).unwrap();
        symlink("/etc", case.source().join("etc")).unwrap();
        symlink("bin", case.source().join("dir")).unwrap();
        case.add();
        for path in ["bin/run", "plain"] {
            let file = File::options()
                .write(true)
                .open(case.source().join(path))
                .unwrap();
            file.set_modified(time).unwrap();
        }
        for entry in walkdir::WalkDir::new(case.source()) {
            let path = entry.unwrap().into_path();
            std::os::unix::fs::lchown(&path, Some(4711), Some(4712)).unwrap();
        }
        let placed = case.place(mode);
        for name in ["link", "dangling", "etc", "dir"] {
            assert_eq!(placed[Path::new(name)], 'l', "{mode} {name}");
        }
        let target = fs::read_link(case.placed().join("dangling")).unwrap();
        assert_eq!(target, Path::new("/nowhere"));
        for name in placed.keys() {
            let found = fs::symlink_metadata(case.placed().join(name)).unwrap();
            assert_eq!((found.uid(), found.gid()), (0, 0), "{mode} {name:?}");
        }
        for (name, bits) in [("bin/run", 0o775), ("plain", 0o640)] {
            let found = fs::metadata(case.placed().join(name)).unwrap();
            assert_eq!(found.mode() & 0o7777, bits, "{mode} {name}");
            assert_eq!(found.modified().unwrap(), time, "{mode} {name}");
        }
    }
}

#[test]
fn root_submodules_come_along_however_deep() {
    let case = Case::git();
    let directory = case.directory.path();
    for (name, within) in [("inner", None), ("outer", Some("inner"))] {
        let repository = directory.join(name);
        fs::create_dir(&repository).unwrap();
        git(&repository, &["init", "--quiet"]);
        fs::write(repository.join(format!("{name}.c")), "").unwrap();
        fs::write(repository.join(".gitignore"), "*.o\n").unwrap();
        if let Some(within) = within {
            let path = directory.join(within);
            git(
                &repository,
                &[
                    "submodule",
                    "--quiet",
                    "add",
                    path.to_str().unwrap(),
                    "libs/in ner",
                ],
            );
        }
        git(&repository, &["add", "--all"]);
        git(&repository, &["commit", "--quiet", "--message=x"]);
    }
    case.file("top.c", "");
    let outer = directory.join("outer");
    for name in ["sub", "empty"] {
        let add = ["submodule", "--quiet", "add", outer.to_str().unwrap(), name];
        git(&case.source(), &add);
    }
    let update = [
        "submodule",
        "--quiet",
        "update",
        "--init",
        "--recursive",
        "sub",
    ];
    git(&case.source(), &update);
    git(
        &case.source(),
        &["submodule", "--quiet", "deinit", "--force", "empty"],
    );
    case.add();
    case.file("sub/untracked.c", "");
    case.file("sub/ignored.o", "");
    case.file("sub/libs/in ner/deep.c", "");
    // A clone that is no submodule, and one that is ignored.
    for name in ["clone", "ignored.d"] {
        git(
            &case.source(),
            &[
                "clone",
                "--quiet",
                directory.join("inner").to_str().unwrap(),
                name,
            ],
        );
    }
    fs::write(case.source().join(".git/info/exclude"), "ignored.d\n").unwrap();

    let cached = [
        ".gitmodules",
        "empty",
        "sub",
        "sub/.gitignore",
        "sub/.gitmodules",
        "sub/libs",
        "sub/libs/in ner",
        "sub/libs/in ner/.gitignore",
        "sub/libs/in ner/inner.c",
        "sub/outer.c",
        "top.c",
    ];
    assert_eq!(case.names(CopyGitCached), cached);
    assert!(
        case.said()
            .contains("the submodule empty is not checked out"),
        "{}",
        case.said()
    );
    let names = case.names(CopyGitOthers);
    for name in [
        "sub/untracked.c",
        "sub/libs/in ner/deep.c",
        "clone/inner.c",
        "clone/.gitignore",
    ] {
        assert!(names.contains(&name.to_owned()), "{name}: {names:?}");
    }
    for name in names {
        assert!(
            !name.contains("ignored.") && !name.contains(".git/"),
            "{name}"
        );
    }
}

#[test]
fn root_a_submodule_that_became_a_link_is_not_followed() {
    let case = Case::git();
    let other = case.directory.path().join("other");
    fs::create_dir(&other).unwrap();
    git(&other, &["init", "--quiet"]);
    fs::write(other.join("secret"), "x").unwrap();
    git(&other, &["add", "--all"]);
    git(&other, &["commit", "--quiet", "--message=x"]);
    case.file("kept", "");
    let add = [
        "submodule",
        "--quiet",
        "add",
        other.to_str().unwrap(),
        "sub",
    ];
    git(&case.source(), &add);
    case.file("dir/file", "");
    case.add();
    for name in ["sub", "dir"] {
        fs::remove_dir_all(case.source().join(name)).unwrap();
        symlink(&other, case.source().join(name)).unwrap();
    }
    fs::write(other.join("file"), "x").unwrap();
    assert_eq!(case.names(CopyGitCached), [".gitmodules", "kept"]);
}

#[test]
fn root_worktrees_and_parts_of_a_repository() {
    let case = Case::git();
    case.file("part/deep/file", "");
    case.file("part/file", "");
    case.file("beside", "");
    case.add();
    git(&case.source(), &["commit", "--quiet", "--message=x"]);
    let tree = case.directory.path().join("tree");
    git(
        &case.source(),
        &[
            "worktree",
            "add",
            "--quiet",
            tree.to_str().unwrap(),
            "-b",
            "other",
        ],
    );
    assert!(tree.join(".git").is_file());
    for (path, expected) in [
        (
            tree.clone(),
            vec!["beside", "part", "part/deep", "part/deep/file", "part/file"],
        ),
        (tree.join("part"), vec!["deep", "deep/file", "file"]),
    ] {
        let image = case.directory.path().join("image");
        fs::remove_dir_all(&image).unwrap();
        fs::create_dir(&image).unwrap();
        let sources = Sources {
            path,
            transfer: CopyGitCached,
            left_out: Vec::new(),
        };
        place(&sources, &Root::open(&image).unwrap(), &case.host()).unwrap();
        let mut names: Vec<String> = walkdir::WalkDir::new(case.placed())
            .min_depth(1)
            .into_iter()
            .map(|e| {
                let path = e.unwrap().into_path();
                let path = path.strip_prefix(case.placed()).unwrap();
                path.to_str().unwrap().to_owned()
            })
            .collect();
        names.sort();
        assert_eq!(names, expected);
    }
}

/// Whatever a repository wants git to start is not started; git runs with its owner's rights.
#[test]
fn root_repositories_start_nothing() {
    let case = Case::git();
    let proof = case.directory.path().join("proof");
    fs::create_dir(&proof).unwrap();
    fs::set_permissions(&proof, fs::Permissions::from_mode(0o777)).unwrap();
    let trap = case.file("trap", "");
    fs::write(
        &trap,
        format!("#!/bin/sh\necho \"$0 $*\" >> {}/started\n", proof.display()),
    )
    .unwrap();
    fs::set_permissions(&trap, fs::Permissions::from_mode(0o755)).unwrap();
    let text = trap.to_str().unwrap();
    case.file(".gitattributes", "* filter=trap diff=trap\n");
    case.add();
    let command = format!("{text} setting");
    for (name, value) in [
        ("core.fsmonitor", text),
        ("core.hooksPath", case.source().to_str().unwrap()),
        ("core.pager", &command),
        ("core.sshCommand", &command),
        ("core.untrackedCache", "true"),
        ("filter.trap.clean", &command),
        ("filter.trap.process", &command),
        ("diff.trap.textconv", &command),
        ("alias.ls-files", &format!("!{command}")),
        ("credential.helper", &format!("!{command}")),
    ] {
        git(&case.source(), &["config", name, value]);
    }
    // The trap works: git starts it when nobody keeps it from doing so.
    let _ = Command::new("git")
        .args(["ls-files", "--others"])
        .current_dir(case.source())
        .output()
        .unwrap();
    assert!(proof.join("started").exists(), "the trap is not set");
    fs::remove_file(proof.join("started")).unwrap();
    let owned = |uid: u32| {
        for entry in walkdir::WalkDir::new(case.source()) {
            let path = entry.unwrap().into_path();
            std::os::unix::fs::lchown(&path, Some(uid), Some(uid)).unwrap();
        }
    };
    for uid in [0, 4711] {
        owned(uid);
        for transfer in [CopyGitCached, CopyGitOthers] {
            assert!(case.names(transfer).contains(&"trap".to_owned()));
        }
        assert!(!proof.join("started").exists(), "as {uid}");
    }
    // A wrapper in the place of git shows who runs it: whoever owns either the tree or its .git.
    let wrapper = case.directory.path().join("bin");
    fs::create_dir(&wrapper).unwrap();
    let found = Command::new("sh")
        .args(["-c", "command -v git"])
        .output()
        .unwrap();
    let real = String::from_utf8(found.stdout).unwrap();
    let script = format!(
        "#!/bin/sh\nid -u >> {0}/who\nenv | grep -E '^(HOME|GIT_)' | sort > {0}/env\n\
         exec {1} \"$@\"\n",
        proof.display(),
        real.trim()
    );
    fs::write(wrapper.join("git"), script).unwrap();
    fs::set_permissions(wrapper.join("git"), fs::Permissions::from_mode(0o755)).unwrap();
    let sources = Sources {
        path: case.source(),
        transfer: CopyGitCached,
        left_out: Vec::new(),
    };
    let host = case.host().with_extra_search_paths(vec![wrapper]);
    let root = Root::open(case.directory.path().join("image")).unwrap();
    place(&sources, &root, &host).unwrap();
    chown(case.source(), Some(0), Some(0)).unwrap();
    let mixed = place(&sources, &root, &host).unwrap_err();
    assert!(matches!(mixed, SourcesError::Untrusted { .. }), "{mixed}");
    let who = fs::read_to_string(proof.join("who")).unwrap();
    assert_eq!(who, "4711\n4711\n");
    let seen = fs::read_to_string(proof.join("env")).unwrap();
    assert!(seen.contains("HOME=/nonexistent\n"), "{seen}");
}

/// The caller's own git variables speak of another repository.
#[test]
fn root_variables_of_the_caller_do_not_matter() {
    let case = Case::git();
    case.file("here", "");
    case.add();
    let other = Case::git();
    other.file("there", "");
    other.add();
    let program = std::env::current_exe().unwrap();
    let run = Command::new(program)
        .args([
            "--exact",
            "root_helper_places_the_sources",
            "--ignored",
            "--nocapture",
        ])
        .env("PLACE_SOURCES", case.directory.path())
        .env("GIT_DIR", other.source().join(".git"))
        .env("GIT_WORK_TREE", other.source())
        .env("GIT_INDEX_FILE", other.source().join(".git/index"))
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "core.bare")
        .env("GIT_CONFIG_VALUE_0", "true")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(run.status.success(), "{text}");
    assert!(case.placed().join("here").exists(), "{text}");
    assert!(!case.placed().join("there").exists(), "{text}");
}

/// Not a test of its own: what the test above runs with other variables.
#[test]
#[ignore = "run by root_variables_of_the_caller_do_not_matter"]
fn root_helper_places_the_sources() {
    // Whoever runs all ignored tests runs this one, too.
    let Some(directory) = std::env::var_os("PLACE_SOURCES").map(PathBuf::from) else {
        return;
    };
    let sources = Sources {
        path: directory.join("src"),
        transfer: CopyGitCached,
        left_out: Vec::new(),
    };
    let host = Host::new(
        Arc::new(HostRunner),
        Arc::new(Said::default()),
        Cancel::default(),
    );
    place(
        &sources,
        &Root::open(directory.join("image")).unwrap(),
        &host,
    )
    .unwrap();
}

#[test]
fn root_what_builds_write_is_never_copied() {
    for mode in [CopyAll, CopyGitCached, CopyGitOthers] {
        let mut case = Case::git();
        for name in [
            "mkosi.builddir/object",
            "mkosi.cache/debian/package.deb",
            "image.raw",
            "image.manifest",
            ".mkosi-work-Abc123/tree/etc/passwd",
            ".mkosi-out-Abc123/image",
            ".mkosi-layers/layer/etc/passwd",
            ".mkosi-lock-image.raw",
            "sub/.mkosi-work-Abc123/x",
            "mkosi.rootpw",
            "src/image.raw",
            "src/main.c",
        ] {
            case.file(name, "");
        }
        case.add();
        case.left_out = [
            "mkosi.builddir",
            "mkosi.cache",
            "image.raw",
            "image.manifest",
            "mkosi.rootpw",
        ]
        .map(|name| case.source().join(name))
        .to_vec();
        case.left_out.push(case.source());
        let mut names = case.names(mode);
        names.retain(|name| !name.starts_with(".git"));
        let expected = ["src", "src/image.raw", "src/main.c"];
        if mode == CopyAll {
            assert_eq!(names, ["src", "src/image.raw", "src/main.c", "sub"]);
        } else {
            names.retain(|name| name != "sub");
            assert_eq!(names, expected);
        }
    }
}

#[test]
fn root_sockets_and_devices_are_left_out() {
    let case = Case::new();
    let _listener = UnixListener::bind(case.source().join("socket")).unwrap();
    let device = case.source().join("device");
    let status = Command::new("mknod")
        .arg(&device)
        .args(["c", "1", "3"])
        .status()
        .unwrap();
    assert!(status.success());
    case.file("file", "");
    assert_eq!(case.names(CopyAll), ["file"]);
    for what in ["socket: it is a socket", "device: it is a device"] {
        assert!(case.said().contains(what), "{}", case.said());
    }
}

#[test]
fn root_an_image_cannot_lead_the_sources_out() {
    let case = Case::new();
    let outside = case.directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    case.file("dir/file", "");
    let image = case.directory.path().join("image");
    fs::create_dir_all(image.join("root/src")).unwrap();
    symlink(&outside, image.join("root/src/dir")).unwrap();
    case.try_place(CopyAll).unwrap();
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    fs::remove_dir_all(image.join("root")).unwrap();
    symlink(&outside, image.join("root")).unwrap();
    case.try_place(CopyAll).unwrap();
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    let beneath = image.join(outside.strip_prefix("/").unwrap());
    assert!(beneath.join("src/dir/file").exists());
}

#[test]
fn root_problems_are_explained() {
    let case = Case::new();
    case.file("file", "");
    // Not even with a repository above it: that is another file system's, or nobody's.
    let error = case.try_place(CopyGitCached).unwrap_err().to_string();
    assert!(error.contains("is not in a git working tree"), "{error}");
    assert!(error.contains("SourceFileTransfer=copy-all"), "{error}");

    let case = Case::git();
    case.file("file", "");
    assert_eq!(case.names(CopyGitCached), [""; 0]);
    assert!(case.said().contains("`git add`"), "{}", case.said());

    let case = Case::new();
    fs::remove_dir(case.source()).unwrap();
    for transfer in [CopyAll, CopyGitCached, Mount] {
        let error = case.try_place(transfer).unwrap_err().to_string();
        assert!(error.starts_with("cannot read the sources in /"), "{error}");
    }

    let case = Case::git();
    fs::write(case.source().join(".git/index"), "broken").unwrap();
    let error = case.try_place(CopyGitCached).unwrap_err().to_string();
    assert!(
        error.starts_with("git cannot list the sources in"),
        "{error}"
    );
}

/// A tree that is shown can be written to, and is as it was afterwards.
#[test]
fn root_a_shown_tree_does_not_change() {
    let none = None::<&str>;
    let case = Case::new();
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
    let private = nix::mount::MsFlags::MS_REC | nix::mount::MsFlags::MS_PRIVATE;
    nix::mount::mount(none, "/", none, private, none).unwrap();
    case.file("file", "before");
    case.file("dir/gone", "");
    // Once beside the sources, and once within them, where no overlay may keep its changes.
    for scratch in [
        case.directory.path().join("scratch"),
        case.source().join("scratch"),
    ] {
        fs::create_dir(&scratch).unwrap();
        let shown = show(&case.source(), &scratch, &case.host()).unwrap();
        assert!(!shown.is_read_only(), "{}", case.said());
        let seen = shown.path().to_owned();
        assert_eq!(fs::read_to_string(seen.join("file")).unwrap(), "before");
        fs::write(seen.join("file"), "after").unwrap();
        fs::write(seen.join("new"), "").unwrap();
        fs::remove_dir_all(seen.join("dir")).unwrap();
        drop(shown);
        assert_eq!(fs::read_dir(&seen).unwrap().count(), 0, "still mounted");
        fs::remove_dir_all(&scratch).unwrap();
        let text = fs::read_to_string(case.source().join("file")).unwrap();
        assert_eq!(text, "before");
        assert!(case.source().join("dir/gone").exists());
        assert!(!case.source().join("new").exists());
    }
}
