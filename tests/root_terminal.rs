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

/// The rows of a terminal that shows this: what is longer goes on in the next row.
fn rows(shown: &str, columns: usize) -> Vec<String> {
    let mut rows = vec![String::new()];
    let mut column = 0;
    let mut characters = shown.chars();
    while let Some(character) = characters.next() {
        match character {
            '\n' | '\r' => column = columns,
            '\x1b' => {
                let _ = characters.by_ref().find(char::is_ascii_alphabetic);
            }
            // What a terminal shows nothing of, such as the key itself.
            other if other.is_control() => {}
            other => {
                if column >= columns {
                    rows.push(String::new());
                    column = 0;
                }
                rows.last_mut().expect("a row").push(other);
                column += 1;
            }
        }
    }
    rows
}

/// Every row is the beginning of a line: none was too long.
fn assert_fits(shown: &str, columns: usize) {
    let begins = |row: &str| {
        let step = row.chars().skip(1).take(2).eq(" [".chars());
        let said = ["Building", "mkosi: ", "  "];
        step || row.trim().is_empty() || said.iter().any(|start| row.starts_with(start))
    };
    let rows = rows(shown, columns);
    let steps = rows.iter().filter(|row| row.contains("] ")).count();
    assert!(steps > 0, "{rows:?}");
    let wrong: Vec<_> = rows.iter().filter(|row| !begins(row)).collect();
    assert_eq!(wrong, [""; 0], "not in {columns} columns");
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
    run.waits_for("Installin…").waits_for("Installin…");
    let narrow = run.shown().len();
    run.waits_for("Installin…").waits_for("Installin…");
    assert!(narrow > so_far);
    run.types("\x03\x03\x03").waits_for("interrupted");
    let status = run.child.wait().expect("an end");
    let later = &run.shown()[narrow..];
    let (_, later) = later.split_once('\r').expect("another line");
    assert_fits(later, 30);
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
