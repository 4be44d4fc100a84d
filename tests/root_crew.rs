//! Worker processes side by side: needs root, for the namespaces that they work in. Its own harness,
//! because making workers forks, which takes a process without threads.

// A test says what went wrong by panicking, in its helpers, too.
#![allow(clippy::unwrap_used, clippy::panic)]

mod forking;

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use mkosi::host::namespace::{isolate, outer_pid};
use mkosi::host::signals::INTERRUPTED;
use mkosi::host::{Cancel, Crew, HostError, signals};

type Test = (&'static str, fn());

const TESTS: &[Test] = &[
    (
        "root_workers_begin_when_they_are_told_to",
        workers_begin_when_they_are_told_to,
    ),
    ("root_a_dismissed_worker_does_nothing", a_dismissed_worker),
    ("root_workers_are_asked_to_stop", workers_are_asked_to_stop),
    ("root_a_killed_worker_is_an_error", a_killed_worker),
    ("root_dropping_the_crew_ends_it", dropping_the_crew_ends_it),
    ("root_sigkill_ends_the_crew", sigkill_ends_the_crew),
];

/// What `cargo test` and `cargo nextest` ask of a test program.
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [helper, directory] = arguments.as_slice() {
        if helper == "helper" {
            hold(Path::new(directory));
            return ExitCode::SUCCESS;
        }
    }
    forking::run(TESTS, &arguments)
}

fn text(mut says: fs::File) -> String {
    let mut text = String::new();
    says.read_to_string(&mut text).unwrap();
    text
}

fn workers_begin_when_they_are_told_to() {
    let mut crew = Crew::default();
    let dir = tempfile::tempdir().unwrap();
    let here = std::process::id();
    let says: Vec<fs::File> = (0..3)
        .map(|number: u8| {
            let file = dir.path().join(number.to_string());
            let work = |mut there: fs::File| {
                assert_eq!(outer_pid(), here);
                fs::write(&file, "").unwrap();
                // Another process inside another namespace still is known by this test's number.
                let status = isolate(|| {
                    assert_eq!(outer_pid(), here);
                    write!(there, "I am {number}").unwrap();
                    number
                });
                status.unwrap()
            };
            crew.hire(work).unwrap()
        })
        .collect();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    for number in [2, 0, 1] {
        crew.begin(number);
    }
    for (number, says) in says.into_iter().enumerate() {
        assert_eq!(text(says), format!("I am {number}"));
        assert_eq!(usize::from(crew.wait(number).unwrap()), number);
    }
}

fn a_dismissed_worker() {
    let mut crew = Crew::default();
    let says = crew.hire(|_| panic!("it was told to begin")).unwrap();
    let other = crew.hire(|_| panic!("it was told to begin")).unwrap();
    crew.dismiss(1);
    assert_eq!(text(other), "");
    assert_eq!(crew.wait(1).unwrap(), 0);
    crew.ask_to_stop(false);
    assert_eq!(text(says), "");
    assert_eq!(crew.wait(0).unwrap(), 0);
    assert!(crew.wait(0).is_err(), "it has ended already");
}

/// Works until it is asked to stop; tells how.
fn patient(mut there: fs::File) -> u8 {
    let status = isolate(|| {
        let cancel = Cancel::default();
        signals::install(&cancel).unwrap();
        there.write_all(b"+").unwrap();
        let begun = Instant::now();
        while !cancel.is_urgent() && begun.elapsed() < Duration::from_secs(20) {
            if cancel.is_cancelled() {
                there.write_all(b"c").unwrap();
                std::thread::sleep(Duration::from_millis(100));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        there.write_all(b"u").unwrap();
        INTERRUPTED
    });
    status.unwrap()
}

fn workers_are_asked_to_stop() {
    let mut crew = Crew::default();
    let mut says: Vec<fs::File> = (0..2).map(|_| crew.hire(patient).unwrap()).collect();
    for (number, says) in says.iter_mut().enumerate() {
        crew.begin(number);
        says.read_exact(&mut [0]).unwrap();
    }
    crew.ask_to_stop(false);
    for says in &mut says {
        says.read_exact(&mut [0]).unwrap();
    }
    crew.ask_to_stop(true);
    for (number, says) in says.into_iter().enumerate() {
        assert!(text(says).ends_with('u'));
        assert_eq!(crew.wait(number).unwrap(), INTERRUPTED);
    }
}

fn a_killed_worker() {
    let mut crew = Crew::default();
    let mut says = crew
        .hire(|mut there| {
            writeln!(there, "{}", std::process::id()).unwrap();
            std::thread::sleep(Duration::from_secs(60));
            0
        })
        .unwrap();
    crew.begin(0);
    let mut pid = String::new();
    loop {
        let mut byte = [0];
        says.read_exact(&mut byte).unwrap();
        match byte {
            [b'\n'] => break,
            [digit] => pid.push(char::from(digit)),
        }
    }
    let pid = nix::unistd::Pid::from_raw(pid.parse().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    assert_eq!(text(says), "");
    let ended = crew.wait(0);
    assert!(
        matches!(ended, Err(HostError::Killed { number: 9, .. })),
        "{ended:?}"
    );
}

fn dropping_the_crew_ends_it() {
    let mut crew = Crew::default();
    let mut says = crew.hire(patient).unwrap();
    let waiting = crew.hire(|_| panic!("it was told to begin")).unwrap();
    crew.begin(0);
    says.read_exact(&mut [0]).unwrap();
    drop(crew);
    assert_eq!(text(says), "", "it was not asked");
    assert_eq!(text(waiting), "");
}

/// Three workers: one mounts something and waits, one is about to work, one was not told to.
fn hold(directory: &Path) {
    let mut crew = Crew::default();
    let mut says: Vec<fs::File> = (0..3).map(|_| crew.hire(patient).unwrap()).collect();
    for number in [0, 1] {
        crew.begin(number);
        says[number].read_exact(&mut [0]).unwrap();
    }
    fs::write(directory.join("ready"), "").unwrap();
    std::thread::sleep(Duration::from_secs(60));
}

fn processes_with(word: &str) -> usize {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter(|entry| {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            line.split(|b| *b == 0).any(|w| w == word.as_bytes())
        })
        .count()
}

fn sigkill_ends_the_crew() {
    let dir = tempfile::tempdir().unwrap();
    let mut parent = std::process::Command::new(std::env::current_exe().unwrap())
        .arg("helper")
        .arg(dir.path())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let word = dir.path().to_str().unwrap();
    let within = |what: &str, condition: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !condition() {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "waited for {what}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    within("the workers", &|| dir.path().join("ready").exists());
    // The parent; two workers of three processes each; one that waits.
    assert_eq!(processes_with(word), 8);
    parent.kill().unwrap();
    parent.wait().unwrap();
    within("the end of all", &|| processes_with(word) == 0);
}
