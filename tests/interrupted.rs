//! Builds that end early: by a signal, with or without a chance to clean up.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod support;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use support::{Project, assert_no_leaks, assert_nothing_runs, root};

const DIRECTORY: &str = "[Output]\nFormat=directory\n";

/// Starts a build and returns when its packages are being installed.
#[expect(
    clippy::zombie_processes,
    reason = "the caller waits; a panic ends the test"
)]
fn installing(project: &Project) -> Child {
    let mut child = project
        .command(&["--verbose", "build"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let lines = BufReader::new(child.stderr.take().expect("standard error")).lines();
    for line in lines {
        // What dpkg says of each package.
        if line.expect("a line").contains("Setting up ") {
            return child;
        }
    }
    panic!("the build ended before anything was installed");
}

fn signal(child: &Child, signal: &str) {
    support::tool("kill", &[signal, &child.id().to_string()]);
}

#[test]
fn root_interrupted_build_cleans_up() {
    root();
    for name in ["-INT", "-TERM"] {
        let project = Project::debian(DIRECTORY);
        let before = project.untouched();
        let mut child = installing(&project);
        signal(&child, name);
        let status = child.wait().expect("an end");
        assert_eq!(status.code(), Some(130), "{name}");
        before.check();
        assert_nothing_runs(&project);
    }
}

#[test]
fn root_killed_build_leaves_only_what_the_next_one_removes() {
    root();
    let project = Project::debian(DIRECTORY);
    let before = project.untouched();
    let mut child = installing(&project);
    signal(&child, "-KILL");
    child.wait().expect("an end");
    assert_nothing_runs(&project);
    assert_no_leaks(project.path());
    // This one ends at once, for another reason, but after it has cleared the way.
    project
        .run(&["--mirror=http://127.0.0.1:9/debian", "build"])
        .exits(1);
    before.check();
}

#[test]
fn root_second_build_of_one_output_is_told_who_is_first() {
    root();
    let project = Project::debian(DIRECTORY);
    let mut child = installing(&project);
    project
        .run(&["build"])
        .exits(1)
        .says("in use by another run")
        .says(&child.id().to_string());
    signal(&child, "-INT");
    child.wait().expect("an end");
}
