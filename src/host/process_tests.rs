//! Real processes: the ones every Unix has.

use super::*;
use crate::host::{Cancel, Quiet, Report};
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Report for Heard {
    fn line(&self, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }
    fn warn(&self, _: &str) {}
    fn progress(&self, _: u64, _: u64) {}
    fn command(&self, _: &str) {}
}

fn host() -> (Host, Arc<Heard>) {
    let heard = Arc::new(Heard::default());
    let host = Host::new(Arc::new(HostRunner), heard.clone(), Cancel::default());
    (host, heard)
}

fn quiet() -> Host {
    Host::new(Arc::new(HostRunner), Arc::new(Quiet), Cancel::default())
}

fn sh(script: &str) -> Command {
    Command::new("sh").args(["-c", script])
}

#[test]
fn both_outputs_are_reported_in_order() {
    let (host, heard) = host();
    host.run(sh("echo one; echo two >&2; printf 'th\\033[1mree'"))
        .unwrap();
    assert_eq!(*heard.0.lock().unwrap(), ["one", "two", "three"]);
}

#[test]
fn a_failure_carries_status_and_tail() {
    let cases = [
        (
            "echo hello; echo bad >&2; exit 3",
            Some(3),
            "exited with status 3",
            "\n  hello\n  bad",
        ),
        ("kill -SEGV $$", None, "was killed by SIGSEGV", ""),
    ];
    for (script, expected_code, expected_status, expected_tail) in cases {
        match quiet().run(sh(script)) {
            Err(CommandError::Failed {
                status, code, tail, ..
            }) => {
                assert_eq!(status, expected_status);
                assert_eq!(code, expected_code);
                assert_eq!(tail, expected_tail);
            }
            other => panic!("{other:?}"),
        }
    }
    let captured = quiet().run(sh("echo on stdout; exit 1").stdout(Stdout::Capture));
    assert!(
        captured
            .unwrap_err()
            .to_string()
            .ends_with("exited with status 1\n  on stdout")
    );
}

#[test]
fn more_than_pipes_hold_goes_in_and_out() {
    let data = vec![b'x'; 3 << 20];
    let cat = Command::new("cat")
        .stdin(Stdin::Bytes(data.clone()))
        .stdout(Stdout::Capture);
    assert_eq!(quiet().run(cat).unwrap().stdout, data);
    // A command that reads nothing is no failure.
    quiet()
        .run(Command::new("true").stdin(Stdin::Bytes(data)))
        .unwrap();
}

#[test]
fn files_as_input_and_output() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    std::fs::write(&from, "text").unwrap();
    let command = Command::new("cat")
        .stdin(Stdin::File(File::open(from).unwrap()))
        .stdout(Stdout::File(File::create(&to).unwrap()));
    quiet().run(command).unwrap();
    assert_eq!(std::fs::read_to_string(to).unwrap(), "text");
    assert!(
        quiet().run(sh("read x").stdout(Stdout::Capture)).is_err(),
        "input is empty"
    );
}

#[test]
fn the_command_starts_from_a_known_state() {
    // A number that no program takes by itself.
    let leak = rustix::io::fcntl_dupfd_cloexec(File::open("/dev/null").unwrap(), 77).unwrap();
    rustix::io::fcntl_setfd(&leak, rustix::io::FdFlags::empty()).unwrap();
    let handed = OwnedFd::from(File::open("/dev/null").unwrap());
    let number = std::os::fd::AsRawFd::as_raw_fd(&handed);
    let script = format!(
        "umask; ls /proc/self/fd | tr '\\n' ' '; echo; \
         grep -E '^Sig(Blk|Ign):' /proc/self/status | tr '\\t' ' '; echo $LC_ALL; \
         test -e /proc/self/fd/{number} && echo handed; (: < /dev/tty) 2>/dev/null || echo no terminal"
    );
    let output = quiet()
        .run(sh(&script).inherit(handed).stdout(Stdout::Capture))
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let leaked = std::os::fd::AsRawFd::as_raw_fd(&leak);
    let fds: Vec<&str> = text.lines().nth(1).unwrap().split(' ').collect();
    assert!(!fds.contains(&leaked.to_string().as_str()), "{text}");
    assert!(text.starts_with("0022\n"), "{text}");
    assert!(
        text.contains(
            "SigBlk: 0000000000000000\nSigIgn: 0000000000000000\nC.UTF-8\nhanded\nno terminal\n"
        ),
        "{text}"
    );
}

#[test]
fn cancelling_ends_the_command_and_its_children() {
    let dir = tempfile::tempdir().unwrap();
    let pids = dir.path().join("pids");
    let host = quiet();
    let cancel = host.cancel.clone();
    let script = format!(
        "sleep 1000 & echo $! $$ > {0}.new; mv {0}.new {0}; wait",
        pids.display()
    );
    let begun = Instant::now();
    let waiting = pids.clone();
    let stopper = std::thread::spawn(move || {
        while !waiting.exists() {
            std::thread::sleep(Duration::from_millis(10));
        }
        cancel.cancel();
    });
    assert!(matches!(
        host.run(sh(&script)),
        Err(CommandError::Cancelled)
    ));
    stopper.join().unwrap();
    assert!(begun.elapsed() < GRACE, "SIGTERM was enough");
    for pid in std::fs::read_to_string(pids).unwrap().split_whitespace() {
        assert!(gone(pid), "{pid} is still there");
    }
}

#[test]
fn urgency_does_not_wait_for_a_command_that_will_not_end() {
    let host = quiet();
    let cancel = host.cancel.clone();
    let begun = Instant::now();
    let stopper = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        cancel.cancel_at_once();
    });
    let stubborn = sh("trap '' TERM; while :; do sleep 0.1; done");
    assert!(matches!(host.run(stubborn), Err(CommandError::Cancelled)));
    stopper.join().unwrap();
    assert!(begun.elapsed() < GRACE);
}

#[test]
fn what_a_command_leaves_running_is_killed() {
    let output = quiet()
        .run(sh("sleep 1000 & echo $!").stdout(Stdout::Capture))
        .unwrap();
    let pid = String::from_utf8(output.stdout).unwrap();
    assert!(gone(pid.trim()));
}

#[test]
fn a_daemon_that_holds_the_output_does_not_hold_the_build() {
    let begun = Instant::now();
    let output =
        quiet().run(sh("setsid sh -c 'sleep 4' & sleep 0.2; echo done").stdout(Stdout::Capture));
    assert_eq!(output.unwrap().stdout, b"done\n");
    assert!(begun.elapsed() < Duration::from_secs(3));
}

/// Whether a process has ended (a zombie that its adoptive parent has not looked at counts).
fn gone(pid: &str) -> bool {
    for _ in 0..100 {
        match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) if !stat.contains(") Z ") => std::thread::sleep(Duration::from_millis(20)),
            _ => return true,
        }
    }
    false
}

#[test]
fn what_cannot_start_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("script");
    std::fs::write(&script, "#!/no/such/interpreter -x\n").unwrap();
    let plain = dir.path().join("plain");
    std::fs::write(&plain, "text").unwrap();
    let chain = |error: CommandError| match error {
        CommandError::Io { source, .. } => source.to_string(),
        other => other.to_string(),
    };
    let cases = [
        (
            Command::new("no-such-program"),
            "no-such-program is not installed",
        ),
        (
            Command::new(&script),
            "its first line asks for /no/such/interpreter, which does not exist",
        ),
        (Command::new(&plain), "Permission denied (os error 13)"),
        (
            Command::new("true").current_dir("/no/such/dir"),
            "working directory /no/such/dir: No such file or directory (os error 2)",
        ),
    ];
    for (command, expected) in cases {
        assert_eq!(chain(quiet().run(command).unwrap_err()), expected);
    }
}

#[test]
fn an_interactive_command_hands_back_its_status() {
    assert_eq!(quiet().interactive(sh("exit 7")).unwrap(), 7);
    assert_eq!(quiet().interactive(sh("kill -KILL $$")).unwrap(), 137);
}

#[test]
fn extra_search_paths_come_first_and_show() {
    let dir = tempfile::tempdir().unwrap();
    let tool = dir.path().join("true");
    std::fs::write(&tool, "#!/bin/sh\necho mine; command -v true\n").unwrap();
    std::fs::set_permissions(&tool, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let host = quiet().with_extra_search_paths(vec![dir.path().into()]);
    let output = host
        .run(Command::new("true").stdout(Stdout::Capture))
        .unwrap();
    assert!(output.stdout.starts_with(b"mine\n"));
    host.require(&["true", "sh"]).unwrap();
}
