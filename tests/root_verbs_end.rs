//! Verbs that are no builds, ended by signals wherever they do something to the host: none leaves a mount, a
//! loop device, a process or a file.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod faults;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use faults::boot;
use faults::cell::{Fault, Place, go_wrong};
use faults::scenario::{Scenario, copy};
use faults::state::{self, Look, Parts, difference};
use support::{Project, root};

/// What goes wrong, in turns: at each place one of them.
const FAULTS: [Fault; 5] = [
    Fault::Interrupt,
    Fault::Kill,
    Fault::Full,
    Fault::Terminate,
    Fault::KillWorker,
];

/// A project with an image.
fn built(of: &'static str) -> (Scenario, Project) {
    root();
    let scenario = Scenario::fresh(of);
    let project = scenario.prepare();
    project.script("mkosi.extra/sbin/init", "#!/bin/sh\nsleep 1\n");
    project.script("bin/qemu-system-x86_64", "#!/bin/sh\nsleep 1\n");
    scenario.run(project.path(), &["build"], None).succeeds();
    boot::end_agent(project.path());
    (scenario, project)
}

/// Lets the words go wrong at every place that they come by, with so many faults, and asserts that nothing of
/// it is left, and that they work afterwards as before.
fn everywhere(
    of: &'static str,
    words: &'static [&'static str],
    status: i32,
    least: usize,
    at_each: usize,
) {
    let (mut scenario, project) = built(of);
    scenario.words = words;
    let record = copy(&project);
    let places = scenario.record_status(record.path(), status);
    assert!(places.len() >= least, "{places:?}");
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong = String::new();
    let mut turn = 0;
    for (name, about) in &places {
        let count = counts.entry(name).or_default();
        *count += 1;
        for fault in FAULTS.into_iter().cycle().skip(turn).take(at_each) {
            let place = Place {
                name,
                count: *count,
            };
            turn += 1;
            if let Err(why) = one(&scenario, &project, &place, fault, status) {
                wrong.push_str(&format!(
                    "== {name}#{count} {about}, {}: {why}\n",
                    fault.name()
                ));
            }
        }
    }
    println!("{words:?}: {turn} faults at {places:?}");
    assert!(wrong.is_empty(), "{wrong}");
}

fn one(
    scenario: &Scenario,
    project: &Project,
    place: &Place<'_>,
    fault: Fault,
    status: i32,
) -> Result<(), String> {
    let project = copy(project);
    let result = one_in(scenario, project.path(), place, fault, status);
    boot::end_agent(project.path());
    result
}

fn one_in(
    scenario: &Scenario,
    directory: &Path,
    place: &Place<'_>,
    fault: Fault,
    status: i32,
) -> Result<(), String> {
    let before = Parts::of(directory, Look::Identity);
    let run = go_wrong(scenario, directory, place, fault);
    let left = clean(
        directory,
        &before,
        fault == Fault::KillWorker || fault == Fault::Kill,
    );
    left.map_err(|why| format!("{why}\nstatus {:?}\n{}", run.code, run.stderr))?;
    let interrupted = matches!(fault, Fault::Interrupt | Fault::Terminate);
    if interrupted && !matches!(run.code, None | Some(130)) {
        return Err(format!("status {:?}\n{}", run.code, run.stderr));
    }
    let again = scenario.run(directory, scenario.words, None);
    if again.code != Some(status) {
        return Err(format!("afterwards {:?}\n{}", again.code, again.stderr));
    }
    clean(directory, &before, false).map_err(|why| format!("afterwards: {why}"))
}

/// That nothing is left, or, of what was killed, nothing but files that the next run removes.
fn clean(directory: &Path, before: &Parts, killed: bool) -> Result<(), String> {
    let found = state::on_host(directory);
    if !found.is_empty() {
        return Err(format!("left on the host: {found:?}"));
    }
    state::wait_for_locks(directory);
    let after = Parts::of(directory, Look::Identity);
    if let Some(why) = difference(&before.sources, &after.sources) {
        return Err(format!("the sources changed:\n{why}"));
    }
    let left = state::leavings(directory);
    if killed {
        return Ok(());
    }
    if !left.is_empty() {
        return Err(format!("left behind: {left:?}"));
    }
    // What ran in the image may have written to it.
    let names = |parts: &Parts| -> BTreeSet<PathBuf> {
        let first = |path: &PathBuf| path.iter().take(1).collect();
        parts.output.keys().map(first).collect()
    };
    match (names(before), names(&after)) {
        (a, b) if a != b => Err(format!("the output is {b:?}, not {a:?}")),
        _ => Ok(()),
    }
}

const SHELL: &[&str] = &["shell", "/bin/sh", "-c", "exit 7"];
const DIFF: &[&str] = &["diff", "output/image", "mkosi.extra"];

#[test]
fn root_shell_ends_without_a_trace() {
    everywhere("squashfs", SHELL, 7, 3, 1);
}

#[test]
fn root_boot_ends_without_a_trace() {
    everywhere("again", &["boot"], 0, 1, 2);
}

#[test]
fn root_qemu_ends_without_a_trace() {
    everywhere("boot", &["qemu"], 0, 1, 2);
}

#[test]
fn root_diff_ends_without_a_trace() {
    everywhere("disk", DIFF, 1, 4, 1);
}

#[test]
#[ignore = "every fault at every place takes minutes"]
fn root_verbs_end_without_a_trace_of_any_fault() {
    everywhere("squashfs", SHELL, 7, 3, FAULTS.len());
    everywhere("again", &["boot"], 0, 1, FAULTS.len());
    everywhere("boot", &["qemu"], 0, 1, FAULTS.len());
    everywhere("disk", DIFF, 1, 4, FAULTS.len());
}
