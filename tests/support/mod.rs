//! A small builder for tests of the whole program: a temporary project, its files, a command, and
//! what must hold afterwards.
#![allow(dead_code, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

/// A project in a directory of its own, removed with everything in it at the end.
pub struct Project {
    directory: tempfile::TempDir,
}

/// What a run of the program left behind.
pub struct Run {
    /// The exit status; none when a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Project {
    /// An empty project on a file system that is not memory: images are large.
    pub fn new() -> Self {
        let base = scratch();
        let directory = tempfile::Builder::new()
            .prefix("project-")
            .tempdir_in(base)
            .expect("a temporary directory");
        Self { directory }
    }

    /// A project that builds the smallest Debian there is, from the shared package cache.
    pub fn debian(settings: &str) -> Self {
        let project = Self::new();
        project.file(
            "mkosi.default",
            format!(
                "[Distribution]\nDistribution=debian\nRelease=bookworm\n\n\
                 [Packages]\nCache={}\n\n{settings}",
                package_cache().display()
            ),
        );
        project
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a file, with the directories above it.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        fs::write(&path, content).expect("a file");
        self
    }

    /// Writes an executable file.
    pub fn script(&self, name: &str, content: &str) -> &Self {
        self.file(name, content).mode(name, 0o755)
    }

    /// Changes a file's mode.
    pub fn mode(&self, name: &str, mode: u32) -> &Self {
        fs::set_permissions(self.path().join(name), fs::Permissions::from_mode(mode))
            .expect("a mode");
        self
    }

    /// A command that runs the program here.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mkosi"));
        command
            .args(arguments)
            .current_dir(self.path())
            .env_remove("SUDO_UID")
            .env_remove("SUDO_GID")
            .env_remove("SUDO_USER")
            .env_remove("SOURCE_DATE_EPOCH")
            .stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, arguments: &[&str]) -> Run {
        finish(self.command(arguments))
    }

    /// Names in the project's directory, sorted.
    pub fn entries(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.path())
            .expect("the project")
            .map(|e| {
                e.expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    }

    /// Everything a failed build must leave as it was: the project's own files, mounts, loop
    /// devices.
    pub fn untouched(&self) -> Untouched<'_> {
        Untouched {
            project: self,
            entries: self.entries(),
        }
    }
}

/// What was there before a build.
pub struct Untouched<'a> {
    project: &'a Project,
    entries: Vec<String>,
}

impl Untouched<'_> {
    /// Asserts that nothing of a build is left.
    pub fn check(&self) {
        assert_eq!(
            self.project.entries(),
            self.entries,
            "files were left behind"
        );
        assert_no_leaks(self.project.path());
    }
}

/// Asserts that no mount and no loop device of a build under `directory` is left.
pub fn assert_no_leaks(directory: &Path) {
    let name = directory.to_string_lossy().into_owned();
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    assert!(!mounts.contains(&name), "a mount is left: {mounts}");
    for entry in fs::read_dir("/sys/block").expect("sysfs") {
        let backing = entry.expect("an entry").path().join("loop/backing_file");
        let file = fs::read_to_string(&backing).unwrap_or_default();
        assert!(!file.contains(&name), "a loop device is left: {file}");
    }
}

/// Runs any command to its end.
pub fn finish(mut command: Command) -> Run {
    let output = command.output().expect("the command starts");
    Run {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs a tool that checks something; its failure fails the test with what it said.
pub fn tool(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    let run = finish(command);
    assert_eq!(
        run.code,
        Some(0),
        "{program} {arguments:?}\n{}{}",
        run.stdout,
        run.stderr
    );
    run.stdout
}

/// Runs a command in a container of a built tree, with the host's network.
pub fn inside(tree: &Path, words: &[&str]) -> String {
    let tree = format!("--directory={}", tree.display());
    let mut all = vec![
        "--quiet",
        "--register=no",
        "--keep-unit",
        "--as-pid2",
        "--console=pipe",
        "--resolv-conf=copy-host",
        "--setenv=DEBIAN_FRONTEND=noninteractive",
        tree.as_str(),
    ];
    all.extend(words);
    tool("systemd-nspawn", &all)
}

impl Run {
    #[track_caller]
    pub fn succeeds(&self) -> &Self {
        self.exits(0)
    }

    #[track_caller]
    pub fn exits(&self, code: i32) -> &Self {
        assert_eq!(
            self.code,
            Some(code),
            "stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    #[track_caller]
    pub fn says(&self, text: &str) -> &Self {
        assert!(
            self.stderr.contains(text),
            "expected \"{text}\" in:\n{}",
            self.stderr
        );
        self
    }

    #[track_caller]
    pub fn prints(&self, text: &str) -> &Self {
        assert!(
            self.stdout.contains(text),
            "expected \"{text}\" in:\n{}",
            self.stdout
        );
        self
    }
}

/// Fails when the test does not run as root: such a test shall never pass unseen.
pub fn root() {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test builds images and must run as root"
    );
}

/// Packages that all tests share, so that each is downloaded once.
pub fn package_cache() -> PathBuf {
    let path = scratch().join("packages");
    fs::create_dir_all(&path).expect("the package cache");
    path
}

/// What takes long to make, made once for all tests: a directory below `name`, which `make` is told a
/// path for and whose own name comes from the texts of what makes it.
pub fn made_once(name: &str, from: &[&Path], make: impl FnOnce(&Path)) -> PathBuf {
    let mut sum = 0xcbf2_9ce4_8422_2325_u64;
    for file in from {
        for byte in fs::read(file).expect("what makes it") {
            sum = (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
    let above = scratch().join(name);
    fs::create_dir_all(&above).expect("a directory");
    let lock = fs::File::create(above.join("lock")).expect("a lock");
    flock(&lock, FlockOperation::LockExclusive).expect("the lock");
    let path = above.join(format!("{sum:016x}"));
    if !path.exists() {
        let new = above.join("new");
        if new.exists() {
            fs::remove_dir_all(&new).expect("what a killed test left");
        }
        make(&new);
        fs::rename(&new, &path).expect("what was made");
    }
    path
}

/// Where tests work: under `target/`, which is on a disk.
fn scratch() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tests");
    fs::create_dir_all(&path).expect("the tests' directory");
    path
}

/// No process works below the project any more, within a few seconds.
pub fn assert_nothing_runs(project: &Project) {
    let name = project.path().to_string_lossy().into_owned();
    let begun = Instant::now();
    loop {
        let mut running = Command::new("pgrep");
        running.args(["-f", &name]);
        if finish(running).code == Some(1) {
            return;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "processes are left"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}
