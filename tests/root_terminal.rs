//! A build on a terminal: lines that fit it, and nothing of Ctrl-C among them.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod support;
#[path = "support/terminal.rs"]
mod terminal;

use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Project, assert_nothing_runs, root};
use terminal::OnTerminal;

/// What stands between two movements of the cursor to another line, without other sequences.
fn lines(shown: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut characters = shown.chars();
    while let Some(character) = characters.next() {
        match character {
            '\n' | '\r' => lines.push(String::new()),
            '\x1b' => {
                let _ = characters.by_ref().find(char::is_ascii_alphabetic);
            }
            other => lines.last_mut().expect("a line").push(other),
        }
    }
    lines
}

fn assert_fits(shown: &str, columns: usize) {
    let wide: Vec<_> = lines(shown)
        .into_iter()
        .filter(|line| line.trim_end().chars().count() > columns)
        .collect();
    assert_eq!(wide, [""; 0], "wider than {columns}");
}

#[test]
fn root_lines_fit_the_terminal_and_ctrl_c_leaves_no_trace() {
    root();
    let project = Project::debian("[Output]\nFormat=directory\nOutput=image\n");
    let before = project.untouched();
    let mut run = OnTerminal::start(&project, 60, &[]);
    run.waits_for("Installing Debian bookworm");
    assert!(!run.shows_signals(), "Ctrl-C would be seen");
    assert_fits(run.shown(), 60);
    let so_far = run.shown().len();
    run.resize(30);
    // A few turns of the spinner later, all is drawn for the new width.
    run.waits_for("Installing").waits_for("Installing");
    let narrow = run.shown().len();
    run.waits_for("Installing").waits_for("Installing");
    assert!(narrow > so_far);
    run.types("\x03\x03\x03").waits_for("interrupted");
    let status = run.child.wait().expect("an end");
    assert_fits(&run.shown()[narrow..], 30);
    assert!(!run.shown().contains("^C"), "{}", run.shown());
    assert_eq!(status.code(), Some(130));
    assert!(run.shows_signals(), "the terminal is as it was");
    before.check();
    assert_nothing_runs(&project);
}

#[test]
fn root_the_terminal_is_as_it_was_when_the_build_is_killed() {
    root();
    let project = Project::debian("[Output]\nFormat=directory\nOutput=image\n");
    let mut run = OnTerminal::start(&project, 80, &[]);
    run.waits_for("Installing Debian bookworm");
    assert!(!run.shows_signals(), "Ctrl-C would be seen");
    let id = run.child.id();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).expect("children");
    for child in children.split_whitespace() {
        let child = Pid::from_raw(child.parse().expect("a number"));
        kill(child, Signal::SIGKILL).expect("a process");
    }
    run.waits_for("killed");
    assert_eq!(run.child.wait().expect("an end").code(), Some(1));
    assert!(run.shows_signals(), "the terminal is as it was");
    std::thread::sleep(Duration::from_millis(100));
    assert_nothing_runs(&project);
}
