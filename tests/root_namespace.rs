//! A build's own namespaces, and signals: needs root. Its own harness, because making a namespace
//! forks, which takes a process without threads.

// A test says what went wrong by panicking, in its helpers, too.
#![allow(clippy::unwrap_used, clippy::panic)]

mod forking;

use std::fs;
use std::io::Write as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mkosi::host::namespace::{isolate, outer_pid};
use mkosi::host::signals::{self, INTERRUPTED};
use mkosi::host::{
    Cancel, Command, CommandError, Host, HostError, HostRunner, Lock, Mount, Quiet, Stdout,
};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, chdir, chroot};

type Test = (&'static str, fn());

const TESTS: &[Test] = &[
    ("root_the_status_comes_back", the_status_comes_back),
    (
        "root_a_killed_worker_is_an_error",
        a_killed_worker_is_an_error,
    ),
    (
        "root_a_signal_before_anybody_listens_interrupts",
        a_signal_before_anybody_listens_interrupts,
    ),
    (
        "root_the_worker_sees_its_own_processes_only",
        the_worker_sees_its_own_processes_only,
    ),
    (
        "root_orphans_are_reaped_and_no_status_is_lost",
        orphans_are_reaped_and_no_status_is_lost,
    ),
    ("root_mounts_stay_inside", mounts_stay_inside),
    ("root_sigkill_leaves_nothing", sigkill_leaves_nothing),
    ("root_signals_reach_the_worker", signals_reach_the_worker),
    ("root_a_second_signal_is_urgent", a_second_signal_is_urgent),
    ("root_ctrl_c_counts_once", ctrl_c_counts_once),
    (
        "root_ctrl_c_belongs_to_an_interactive_command",
        ctrl_c_belongs_to_an_interactive_command,
    ),
    (
        "root_a_lock_names_the_outer_process",
        a_lock_names_the_outer_process,
    ),
    ("root_containers_run_inside", containers_run_inside),
    (
        "root_a_changed_root_is_that_of_the_mounts",
        a_changed_root_is_that_of_the_mounts,
    ),
    ("root_threads_are_refused", threads_are_refused),
];

/// What `cargo test` and `cargo nextest` ask of a test program.
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|a| a == "helper") {
        return helper(&arguments[1..]);
    }
    forking::run(TESTS, &arguments)
}

fn host(cancel: &Cancel) -> Host {
    Host::new(Arc::new(HostRunner), Arc::new(Quiet), cancel.clone())
}

fn quiet() -> Host {
    host(&Cancel::default())
}

fn sh(script: &str) -> Command {
    Command::new("sh").args(["-c", script])
}

/// Programs that the tests start in their own process, by name.
fn helper(arguments: &[String]) -> ExitCode {
    let [name, directory] = arguments else {
        panic!("helper {arguments:?}");
    };
    let directory = Path::new(directory);
    let work = match name.as_str() {
        "hold" => hold,
        "cancel" => cancellable,
        "stubborn" => stubborn,
        "interactive" => interactive,
        other => panic!("no helper {other}"),
    };
    match isolate(|| work(directory)) {
        Ok(status) => ExitCode::from(status),
        Err(HostError::Killed { number, .. }) => ExitCode::from(100 + number as u8),
        Err(error) => panic!("{error}"),
    }
}

fn start_helper(name: &str, directory: &Path) -> Child {
    std::process::Command::new(std::env::current_exe().unwrap())
        .arg("helper")
        .arg(name)
        .arg(directory)
        .spawn()
        .unwrap()
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "waited for {what}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The processes of the whole machine with `word` as an argument.
fn processes_with(word: &str) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let numbers = entries.filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    numbers
        .filter(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|b| *b == 0).any(|w| w == word.as_bytes())
        })
        .map(Pid::from_raw)
        .collect()
}

/// Whether any process of the machine has something mounted at `path`.
fn mounted_anywhere(path: &Path) -> bool {
    let needle = format!(" {} ", path.display());
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|e| fs::read_to_string(e.path().join("mountinfo")).ok())
        .any(|mounts| mounts.contains(&needle))
}

fn ready(directory: &Path) {
    fs::write(directory.join("ready"), "").unwrap();
}

/// The status of a command that exits by itself.
fn status(mut child: Child) -> i32 {
    let status = child.wait().unwrap();
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap())
}

fn the_status_comes_back() {
    // Again and again in one process.
    for expected in [0, 7, 255] {
        assert_eq!(isolate(|| expected).unwrap(), expected);
    }
    assert_eq!(isolate(|| panic!("on purpose")).unwrap(), 101);
    assert!(
        std::process::Command::new("true")
            .status()
            .unwrap()
            .success()
    );
}

fn a_killed_worker_is_an_error() {
    let error = isolate(|| {
        kill(nix::unistd::getpid(), Signal::SIGKILL).unwrap();
        0
    });
    let text = error.unwrap_err().to_string();
    assert_eq!(
        text,
        "the build process was killed by SIGKILL; if nobody did that, the system ran out of memory"
    );
}

fn a_signal_before_anybody_listens_interrupts() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let status = isolate(|| {
            kill(nix::unistd::getpid(), signal).unwrap();
            0
        });
        assert_eq!(status.unwrap(), INTERRUPTED);
    }
}

fn the_worker_sees_its_own_processes_only() {
    let outside = std::process::id();
    let status = isolate(|| {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
        assert_eq!(pids.collect::<Vec<_>>(), [1, 2]);
        assert_eq!(std::process::id(), 2);
        assert_eq!(outer_pid(), outside);
        0
    });
    assert_eq!(status.unwrap(), 0);
}

fn orphans_are_reaped_and_no_status_is_lost() {
    let status = isolate(|| {
        std::thread::scope(|scope| {
            for expected in 1..=4 {
                scope.spawn(move || {
                    for _ in 0..25 {
                        let orphan =
                            "setsid sh -c 'setsid sleep 0.02 & exit' </dev/null >/dev/null 2>&1";
                        match quiet().run(sh(&format!("{orphan}; exit {expected}"))) {
                            Err(CommandError::Failed { code, .. }) => {
                                assert_eq!(code, Some(expected))
                            }
                            other => panic!("{other:?}"),
                        }
                    }
                });
            }
        });
        wait_for("no process but init and this one", || {
            let entries = fs::read_dir("/proc").unwrap().flatten();
            let pids = entries.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
            pids.count() == 2
        });
        0
    });
    assert_eq!(status.unwrap(), 0);
}

fn mounts_stay_inside() {
    let dir = tempfile::tempdir().unwrap();
    let status = isolate(|| {
        let mount = Mount::tmpfs(dir.path(), "").unwrap();
        fs::write(dir.path().join("inside"), "").unwrap();
        // Not unmounted: the namespace ends with it.
        std::mem::forget(mount);
        assert!(
            fs::read_dir("/run/systemd/nspawn")
                .unwrap()
                .next()
                .is_none()
        );
        fs::write("/run/systemd/nspawn/trace", "").unwrap();
        0
    });
    assert_eq!(status.unwrap(), 0);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    assert!(!mounted_anywhere(dir.path()));
    assert!(!Path::new("/run/systemd/nspawn/trace").exists());
}

const SLEEP: &str = "86399.125";

/// Mounts something, leaves processes of three kinds behind, and waits to be killed.
fn hold(directory: &Path) -> u8 {
    let word = format!(
        "{SLEEP}{}",
        fs::read_to_string(directory.join("number")).unwrap()
    );
    let target = directory.join("mnt");
    let _mount = Mount::tmpfs(&target, "").unwrap();
    #[allow(clippy::zombie_processes)] // Left behind on purpose.
    std::process::Command::new("setsid")
        .args(["sleep", &word])
        .spawn()
        .unwrap();
    std::process::Command::new("sh")
        .args(["-c", &format!("sleep {word} & exit")])
        .status()
        .unwrap();
    ready(directory);
    let _ = quiet().run(Command::new("sleep").arg(word));
    0
}

fn sigkill_leaves_nothing() {
    // The outer process, process 1 inside, and the worker.
    for victim in 0..3 {
        let dir = tempfile::tempdir().unwrap();
        let word = format!("{SLEEP}{}{victim}", std::process::id());
        fs::write(
            dir.path().join("number"),
            format!("{}{victim}", std::process::id()),
        )
        .unwrap();
        let target = dir.path().join("mnt");
        fs::create_dir(&target).unwrap();
        let mut outer = start_helper("hold", dir.path());
        wait_for("the worker", || {
            dir.path().join("ready").exists() && processes_with(&word).len() >= 3
        });
        assert!(mounted_anywhere(&target));
        let mut chain = processes_with(dir.path().to_str().unwrap());
        chain.sort();
        assert_eq!(chain.len(), 3, "outer, init, worker");
        kill(chain[victim], Signal::SIGKILL).unwrap();
        let status = outer.wait().unwrap();
        match victim {
            0 => assert_eq!(status.signal(), Some(9)),
            _ => assert_eq!(status.code(), Some(109)),
        }
        if victim == 0 {
            wait_for("all processes to end", || processes_with(&word).is_empty());
        }
        assert!(processes_with(&word).is_empty(), "killed {victim}");
        wait_for("the mount to go", || !mounted_anywhere(&target));
        fs::remove_dir(&target).unwrap();
    }
}

/// Runs a command until cancelled.
fn cancellable(directory: &Path) -> u8 {
    let cancel = Cancel::default();
    signals::install(&cancel).unwrap();
    let caught = directory.join("caught");
    let script = format!(
        "trap 'echo x >> {0}; exit' TERM; : > {1}; while :; do sleep 0.05; done",
        caught.display(),
        directory.join("ready").display()
    );
    match host(&cancel).run(sh(&script)) {
        Err(CommandError::Cancelled) if !cancel.is_urgent() => INTERRUPTED,
        Err(CommandError::Cancelled) => 3,
        other => panic!("{other:?}"),
    }
}

fn signals_reach_the_worker() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let dir = tempfile::tempdir().unwrap();
        let outer = start_helper("cancel", dir.path());
        wait_for("the worker", || dir.path().join("ready").exists());
        kill(Pid::from_raw(outer.id() as i32), signal).unwrap();
        assert_eq!(status(outer), i32::from(INTERRUPTED), "{signal}");
        assert_eq!(
            fs::read_to_string(dir.path().join("caught")).unwrap(),
            "x\n"
        );
    }
}

/// Runs a command that does not end when asked to.
fn stubborn(directory: &Path) -> u8 {
    let cancel = Cancel::default();
    signals::install(&cancel).unwrap();
    let ready = directory.join("ready");
    let script = format!(
        "trap '' TERM; : > {}; while :; do sleep 0.05; done",
        ready.display()
    );
    match host(&cancel).run(sh(&script)) {
        Err(CommandError::Cancelled) if cancel.is_urgent() => INTERRUPTED,
        other => panic!("{other:?}"),
    }
}

fn a_second_signal_is_urgent() {
    let dir = tempfile::tempdir().unwrap();
    let outer = start_helper("stubborn", dir.path());
    wait_for("the worker", || dir.path().join("ready").exists());
    let begun = Instant::now();
    let pid = Pid::from_raw(outer.id() as i32);
    kill(pid, Signal::SIGINT).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    kill(pid, Signal::SIGINT).unwrap();
    assert_eq!(status(outer), i32::from(INTERRUPTED));
    assert!(begun.elapsed() < Duration::from_secs(4));
}

/// Starts a helper on a terminal of its own and returns it with the terminal's other end.
// No crate makes a terminal the controlling one of a child.
#[allow(unsafe_code)]
fn start_on_terminal(name: &str, directory: &Path) -> (Child, fs::File) {
    let pty = nix::pty::openpty(None, None).unwrap();
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.arg("helper").arg(name).arg(directory);
    command.stdin(pty.slave.try_clone().unwrap());
    command.stdout(pty.slave.try_clone().unwrap());
    command.stderr(pty.slave);
    // SAFETY: system calls only, between fork and exec.
    unsafe {
        command.pre_exec(|| {
            nix::unistd::setsid()?;
            match nix::libc::ioctl(0, nix::libc::TIOCSCTTY, 0) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    (command.spawn().unwrap(), fs::File::from(pty.master))
}

fn ctrl_c_counts_once() {
    let dir = tempfile::tempdir().unwrap();
    let (outer, mut terminal) = start_on_terminal("cancel", dir.path());
    wait_for("the worker", || dir.path().join("ready").exists());
    terminal.write_all(b"\x03").unwrap();
    assert_eq!(status(outer), i32::from(INTERRUPTED));
    assert_eq!(
        fs::read_to_string(dir.path().join("caught")).unwrap(),
        "x\n"
    );
}

/// A command that has the terminal and makes use of Ctrl-C itself.
fn interactive(directory: &Path) -> u8 {
    let cancel = Cancel::default();
    signals::install(&cancel).unwrap();
    let ready = directory.join("ready");
    let script = format!(
        "trap 'exit 42' INT; : > {}; while :; do sleep 0.05; done",
        ready.display()
    );
    let status = host(&cancel).interactive(sh(&script)).unwrap();
    assert!(!cancel.is_cancelled());
    u8::try_from(status).unwrap()
}

fn ctrl_c_belongs_to_an_interactive_command() {
    let dir = tempfile::tempdir().unwrap();
    let (outer, mut terminal) = start_on_terminal("interactive", dir.path());
    wait_for("the command", || dir.path().join("ready").exists());
    terminal.write_all(b"\x03").unwrap();
    assert_eq!(status(outer), 42);
}

fn a_lock_names_the_outer_process() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("image");
    let expected = format!("(process {}, mkosi build, for ", std::process::id());
    let status = isolate(|| {
        let _lock = Lock::acquire(&target, "mkosi build").unwrap();
        let error = Lock::acquire(&target, "other").unwrap_err().to_string();
        assert!(error.contains(&expected), "{error}");
        0
    });
    assert_eq!(status.unwrap(), 0);
    Lock::acquire(&target, "next").unwrap();
}

/// A tree that shows the host's programs.
fn host_tree(directory: &Path) -> PathBuf {
    let tree = directory.join("tree");
    for name in [
        "usr", "etc", "proc", "sys", "dev", "run", "tmp", "var", "root",
    ] {
        fs::create_dir_all(tree.join(name)).unwrap();
    }
    for name in ["bin", "sbin", "lib", "lib64"] {
        std::os::unix::fs::symlink(format!("usr/{name}"), tree.join(name)).unwrap();
    }
    fs::write(tree.join("etc/os-release"), "ID=test\n").unwrap();
    tree
}

fn containers_run_inside() {
    let dir = tempfile::tempdir().unwrap();
    let tree = host_tree(dir.path());
    let status = isolate(|| {
        let nspawn = Command::new("systemd-nspawn")
            .args([
                "--quiet",
                "--register=no",
                "--keep-unit",
                "--bind-ro=/usr",
                "-D",
            ])
            .arg(&tree)
            .args(["--", "sh", "-c", "echo $$ in the container; exit 0"])
            .stdout(Stdout::Capture);
        let output = quiet().run(nspawn).unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains("in the container"));
        0
    });
    assert_eq!(status.unwrap(), 0);
}

/// A process that changes its root once more without moving there can walk up to the root of its mounts: whether
/// that is outside of where it began.
fn walks_out(marker: &Path) -> bool {
    chdir("/place").unwrap();
    chroot("inside").unwrap();
    for _ in 0..64 {
        chdir("..").unwrap();
    }
    marker.strip_prefix("/").unwrap().exists()
}

/// Whether what enters the namespace of its own mounts anew is outside of where it began.
fn enters_outside(marker: &Path) -> bool {
    let namespace = fs::File::open("/proc/self/ns/mnt").unwrap();
    setns(&namespace, CloneFlags::CLONE_NEWNS).unwrap();
    marker.exists()
}

fn a_changed_root_is_that_of_the_mounts() {
    let dir = tempfile::tempdir().unwrap();
    let (tree, marker) = (dir.path().join("tree"), dir.path().join("marker"));
    for name in ["dev/null", "proc", "run", "sys/fs", "tmp", "place/inside"] {
        fs::create_dir_all(tree.join(name)).unwrap();
    }
    fs::write(&marker, "").unwrap();
    let status = isolate(|| {
        let none = None::<&str>;
        let proc = Some("proc");
        mount(proc, &tree.join("proc"), proc, MsFlags::empty(), none).unwrap();
        chroot(&tree).unwrap();
        chdir("/place").unwrap();
        fs::write("relative", "").unwrap();
        let inner = isolate(|| {
            assert_eq!(std::env::current_dir().unwrap(), Path::new("/place"));
            assert!(Path::new("/place/relative").exists() && Path::new("relative").exists());
            assert!(!enters_outside(&marker) && Path::new("/place/relative").exists());
            unshare(CloneFlags::CLONE_NEWUSER).unwrap();
            assert!(!walks_out(&marker));
            7
        });
        fs::remove_dir("/dev/null").unwrap();
        let error = isolate(|| 0).unwrap_err().to_string();
        assert!(error.contains("/dev is not mounted"), "{error}");
        // There is something to be kept from.
        assert!(walks_out(&marker));
        inner.unwrap()
    });
    assert_eq!(status.unwrap(), 7);
    assert_eq!(fs::read_dir(tree.join("proc")).unwrap().count(), 0);
}

fn threads_are_refused() {
    std::thread::scope(|scope| {
        let (done, wait) = std::sync::mpsc::channel::<()>();
        scope.spawn(move || wait.recv());
        let error = isolate(|| 0).unwrap_err();
        assert!(matches!(error, HostError::Namespace { .. }));
        drop(done);
    });
}
