//! File systems that are really full: of the working directory, the output and the cache, at many sizes.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod faults;
mod support;

use std::path::{Path, PathBuf};

use faults::scenario::Scenario;
use faults::state;
use support::{Project, root, tool};

/// A file system in memory, until dropped.
struct Small(PathBuf);

impl Small {
    fn new(path: &Path, kilobytes: u32) -> Self {
        std::fs::create_dir_all(path).unwrap();
        let size = format!("size={kilobytes}k");
        let path_text = path.display().to_string();
        tool("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", &path_text]);
        Self(path.to_owned())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.0).status();
    }
}

/// Builds with a file system of each size in the place of `place`; it must either work or say that it is
/// full, and leave nothing. Returns how many failed and how many did not.
fn sizes(scenario: &Scenario, place: &str, words: &[&str], sizes: &[u32]) -> (usize, usize) {
    let mut counts = (0, 0);
    let mut wrong = Vec::new();
    for size in sizes {
        let project: Project = scenario.prepare();
        let small = Small::new(&project.path().join(place), *size);
        let run = scenario.run(project.path(), words, None);
        // The image has room: its settings are not to blame.
        let blames = run.stderr.contains("Size=");
        match run.code {
            _ if blames => wrong.push(format!("{place} of {size}k: {}", run.stderr)),
            Some(0) => counts.1 += 1,
            Some(1) if run.stderr.to_lowercase().contains("space") => counts.0 += 1,
            _ => wrong.push(format!(
                "{place} of {size}k: {:?}\n{}",
                run.code, run.stderr
            )),
        }
        let left = state::leavings(project.path());
        if !left.is_empty() {
            wrong.push(format!("{place} of {size}k: {left:?}\n{}", run.stderr));
        }
        if run.code != Some(0) && place == "output" {
            let names = state::names(&project.path().join("output"));
            if names.iter().any(|name| name != ".mkosi-layers") {
                wrong.push(format!("{place} of {size}k: half an output, {names:?}"));
            }
        }
        drop(small);
        let again = scenario.run(project.path(), words, None);
        let done = run.code == Some(0) && place != "output";
        if again.code != Some(if done { 2 } else { 0 }) {
            wrong.push(format!("{place} of {size}k, then enough: {}", again.stderr));
        }
        let found = state::on_host(project.path());
        if !found.is_empty() {
            wrong.push(format!("{place} of {size}k: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    counts
}

/// A place that can be full.
struct Place {
    scenario: &'static str,
    name: &'static str,
    words: &'static [&'static str],
}

const OUTPUT: Place = Place {
    scenario: "disk",
    name: "output",
    words: &["build"],
};
const TREES: Place = Place {
    scenario: "anew",
    name: "output",
    words: &["-i"],
};
const WORKSPACE: Place = Place {
    scenario: "xfs",
    name: "workspace",
    words: &[
        "--workspace-dir=workspace",
        "--format=tar",
        "--compress-output=no",
    ],
};
const CACHE: Place = Place {
    scenario: "xfs",
    name: "cache",
    words: &["--format=tar", "--compress-output=no", "--package=large"],
};

/// At least one size has to be too little, and the last one enough.
fn at(place: &Place, kilobytes: &[u32]) {
    root();
    let (full, enough) = sizes(
        &Scenario::fresh(place.scenario),
        place.name,
        place.words,
        kilobytes,
    );
    assert!(
        full >= kilobytes.len() / 2 && enough >= 1,
        "{full} {enough}"
    );
}

#[test]
fn root_full_disk_of_the_output() {
    at(&OUTPUT, &[64, 1600, 3600, 100_000]);
}

#[test]
fn root_full_disk_of_the_cached_trees() {
    at(&TREES, &[16, 2100, 100_000]);
}

#[test]
fn root_full_disk_of_the_workspace() {
    at(&WORKSPACE, &[16, 2100, 100_000]);
}

#[test]
fn root_full_disk_of_the_package_cache() {
    at(&CACHE, &[64, 100_000]);
}

/// Of these sizes of the output or the workspace, some are too little while the disk image is made, whose
/// error has to name the directory and to say how much is free; the last one is enough.
fn while_filling(
    of: &'static str,
    name: &'static str,
    words: &'static [&'static str],
    sizes: &[u32],
) {
    root();
    let scenario = Scenario::fresh(of);
    let (mut explained, mut wrong) = (0, Vec::new());
    for size in sizes {
        let project = scenario.prepare();
        let directory = project.path().join(name);
        let small = Small::new(&directory, *size);
        let run = scenario.run(project.path(), words, None);
        let enough = size == sizes.last().unwrap();
        if enough != (run.code == Some(0)) || run.stderr.contains("Size=") {
            wrong.push(format!(
                "{of}, {name} of {size}k: {:?}\n{}",
                run.code, run.stderr
            ));
        }
        let is_step = [
            "Writing the disk image failed",
            "Writing the root partition failed",
        ];
        if is_step.iter().any(|title| run.stderr.contains(title)) {
            let named = format!("no space is left on the disk in {}", directory.display());
            if run.stderr.contains(&named) && run.stderr.contains(" are free") {
                explained += 1;
            } else {
                wrong.push(format!("{of}, {name} of {size}k: {}", run.stderr));
            }
        }
        drop(small);
        let found = state::on_host(project.path());
        if !found.is_empty() {
            wrong.push(format!("{of}, {name} of {size}k: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(explained > 0, "no size of these is full while {of} is made");
}

const IN_WORKSPACE: &[&str] = &["--workspace-dir=workspace"];

#[test]
fn root_full_disk_below_an_xfs() {
    while_filling("xfs", "output", &["build"], &[900, 2500, 8000, 100_000]);
}

#[test]
fn root_full_disk_below_a_btrfs() {
    while_filling("btrfs", "output", &["build"], &[900, 2500, 100_000]);
}

#[test]
fn root_full_disk_below_a_squashfs() {
    while_filling("squashfs", "output", &["build"], &[2700, 3200, 100_000]);
}

#[test]
fn root_full_disk_below_an_ext4() {
    while_filling("luks", "output", &["build"], &[500, 2500, 100_000]);
}

#[test]
fn root_full_disk_below_what_will_be_encrypted() {
    let words = &["--encrypt=all", "--workspace-dir=workspace"];
    while_filling("luks", "workspace", words, &[4500, 300_000]);
}

#[test]
fn root_full_disk_below_what_starts_the_machine() {
    while_filling("boot", "workspace", IN_WORKSPACE, &[2600, 300_000]);
}

#[test]
#[ignore = "many sizes take minutes"]
fn root_full_disk_of_many_sizes() {
    let sizes = [
        4, 16, 64, 512, 700, 1600, 2100, 2500, 2600, 3000, 3600, 4500, 100_000,
    ];
    for place in [&OUTPUT, &TREES, &WORKSPACE] {
        at(place, &sizes);
    }
    at(&CACHE, &[4, 64, 128, 100_000]);
}
