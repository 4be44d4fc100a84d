//! One fault at one place of one scenario, and everything that must hold afterwards.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::boot;
use super::scenario::{self, Scenario};
use super::state::{self, Look, Parts, difference};
use crate::support::{Project, Run};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Error,
    Full,
    Interrupt,
    Terminate,
    /// The process that works is killed, as the kernel does when memory runs out.
    KillWorker,
    /// The process that the user started is killed.
    Kill,
}

pub const FAULTS: [Fault; 6] = [
    Fault::Error,
    Fault::Full,
    Fault::Interrupt,
    Fault::Terminate,
    Fault::KillWorker,
    Fault::Kill,
];

impl Fault {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Full => "ENOSPC",
            Self::Interrupt => "INT",
            Self::Terminate => "TERM",
            Self::KillWorker => "KILL",
            Self::Kill => "kill -9",
        }
    }

    const fn kills(self) -> bool {
        matches!(self, Self::KillWorker | Self::Kill)
    }
}

/// A scenario that is ready to go wrong, and what it yields when nothing does.
pub struct Ready {
    pub scenario: &'static Scenario,
    pub project: Project,
    pub reference: Parts,
    /// The places that it comes by.
    pub places: Vec<(String, String)>,
}

impl Ready {
    pub fn new(scenario: &'static Scenario) -> Self {
        let project = scenario.prepare();
        let done = scenario::copy(&project);
        let places = scenario.record(done.path());
        boot::end_agent(done.path());
        assert_eq!(state::leavings(done.path()), [""; 0]);
        Self {
            scenario,
            project,
            reference: Parts::of(done.path(), Look::Content),
            places,
        }
    }
}

/// Where it happens.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    pub name: &'a str,
    /// The how-manieth time that the build comes by.
    pub count: usize,
}

/// Tries it; what does not hold is an error.
pub fn try_out(ready: &Ready, place: &Place<'_>, fault: Fault) -> Result<&'static str, String> {
    let project = scenario::copy(&ready.project);
    let result = try_in(ready, place, fault, project.path());
    boot::end_agent(project.path());
    result
}

fn try_in(
    ready: &Ready,
    place: &Place<'_>,
    fault: Fault,
    directory: &Path,
) -> Result<&'static str, String> {
    let before = Parts::of(directory, Look::Identity);
    let run = go_wrong(ready.scenario, directory, place, fault);
    let said = || format!("\nstatus {:?}\n{}", run.code, run.stderr);
    check(ready, directory, &before, &run, fault).map_err(|why| why + &said())?;
    let outcome = match run.code {
        Some(0) => {
            is_reference(ready, directory).map_err(|why| why + &said())?;
            return Ok("done");
        }
        Some(130) => "stopped",
        Some(_) => "failed",
        None => "killed",
    };
    recover(ready, directory, &before).map_err(|why| why + &said())?;
    Ok(outcome)
}

/// Builds with the fault.
pub fn go_wrong(scenario: &Scenario, directory: &Path, place: &Place<'_>, fault: Fault) -> Run {
    let at = format!("{}#{}", place.name, place.count);
    if fault != Fault::Kill {
        return scenario.run(
            directory,
            scenario.words,
            Some(&format!("{at}:{}", fault.name())),
        );
    }
    let mark = directory.join("tmp/paused");
    let wish = format!("{at}:pause={}", mark.display());
    let mut command = Scenario::command(directory, scenario.words, Some(&wish));
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = child.expect("the program starts");
    let begun = Instant::now();
    // An end before that means that the place was not come by.
    while !mark.exists()
        && child.try_wait().expect("a status").is_none()
        && begun.elapsed() < Duration::from_secs(60)
    {
        std::thread::sleep(Duration::from_millis(2));
    }
    let paused = mark.exists();
    child.kill().expect("a kill");
    let status = child.wait().expect("an end");
    let _ = std::fs::remove_file(&mark);
    assert!(paused, "{at} was not reached");
    Run {
        code: status.code(),
        stdout: String::new(),
        stderr: String::new(),
    }
}

/// What must hold right after the fault.
fn check(
    ready: &Ready,
    directory: &Path,
    before: &Parts,
    run: &Run,
    fault: Fault,
) -> Result<(), String> {
    let found = state::on_host(directory);
    if !found.is_empty() {
        return Err(format!("left on the host: {found:?}"));
    }
    state::wait_for_locks(directory);
    let after = Parts::of(directory, Look::Identity);
    if let Some(why) = difference(&before.sources, &after.sources) {
        return Err(format!("the sources changed:\n{why}"));
    }
    for (name, tree) in &before.layers {
        let now = after
            .layers
            .get(name)
            .filter(|_| !ready.scenario.name.starts_with("anew"));
        if let Some(why) = now.and_then(|now| difference(tree, now)) {
            return Err(format!("the cached tree {name} changed:\n{why}"));
        }
    }
    if run.code == Some(0) || fault.kills() {
        return Ok(());
    }
    if let Some(why) = difference(&before.output, &after.output) {
        return Err(format!("the output changed:\n{why}"));
    }
    let left = state::leavings(directory);
    // A signal in the process that the user started, before there is anything to clean up.
    let outright = run.code.is_none();
    match fault {
        _ if !left.is_empty() => Err(format!("left behind: {left:?}")),
        Fault::Interrupt | Fault::Terminate if !(outright || run.code == Some(130)) => {
            Err("the status is not that of an interruption".to_owned())
        }
        Fault::Full if !run.stderr.to_lowercase().contains("space") => {
            Err("nothing is said of a full disk".to_owned())
        }
        // 2 is for what is found out before any work.
        Fault::Error | Fault::Full
            if run.code
                != Some(if run.stderr.contains("Building ") {
                    1
                } else {
                    2
                })
                && run.code != Some(1) =>
        {
            Err("the status is not 1".to_owned())
        }
        _ => Ok(()),
    }
}

/// What the next builds make of it.
fn recover(ready: &Ready, directory: &Path, before: &Parts) -> Result<(), String> {
    let scenario = ready.scenario;
    let mut words = scenario.words.to_vec();
    if !scenario.earlier.is_empty() {
        // Without -f it does nothing but put things right.
        let run = scenario.run(directory, &["build"], None);
        let now = Parts::of(directory, Look::Identity);
        let old = difference(&before.output, &now.output);
        if let (Some(why), Some(_)) = (old, is_output(ready, directory)) {
            return Err(format!(
                "neither the old output nor the new one:\n{why}\n{}",
                run.stderr
            ));
        }
        if run.code != Some(2) || !run.stderr.contains("already exists") {
            return Err(format!(
                "expected a refusal, not {:?}\n{}",
                run.code, run.stderr
            ));
        }
    }
    let mut run = scenario.run(directory, &words, None);
    if run.code == Some(2) && run.stderr.contains("already exists") {
        // The artifacts were in place before the end.
        if let Some(why) = is_output(ready, directory) {
            return Err(format!("half an output:\n{why}"));
        }
        words.push("-f");
        run = scenario.run(directory, &words, None);
    }
    if run.code != Some(0) {
        return Err(format!("the next build fails:\n{}", run.stderr));
    }
    is_reference(ready, directory)
}

/// How the output differs from that of a build in which nothing went wrong.
fn is_output(ready: &Ready, directory: &Path) -> Option<String> {
    let mut now = Parts::of(directory, Look::Content).output;
    let mut expected = ready.reference.output.clone();
    for name in ready.scenario.never_twice() {
        for state in [&mut now, &mut expected] {
            if let Some(text) = state.get_mut(Path::new(name)) {
                text.truncate(text.rfind(' ').unwrap_or_default());
            }
        }
    }
    if ready.scenario.name == "boot" {
        // It has the time in it, and numbers with or without leading zeros.
        for state in [&mut now, &mut expected] {
            if let Some(text) = state.get_mut(Path::new("SHA256SUMS.gpg")) {
                text.truncate(text.find(' ').unwrap_or_default());
            }
        }
    }
    difference(&expected, &now)
}

/// Whether everything is as after a build in which nothing went wrong.
fn is_reference(ready: &Ready, directory: &Path) -> Result<(), String> {
    if let Some(why) = is_output(ready, directory) {
        return Err(format!("another output:\n{why}"));
    }
    let left = state::leavings(directory);
    if !left.is_empty() {
        return Err(format!("left behind: {left:?}"));
    }
    let now = Parts::of(directory, Look::Content);
    let trees = |parts: &Parts| parts.layers.values().cloned().collect::<Vec<_>>();
    let (expected, found) = (trees(&ready.reference), trees(&now));
    if expected.len() != found.len() {
        return Err(format!(
            "{} cached trees, not {}",
            found.len(),
            expected.len()
        ));
    }
    let found = state::on_host(directory);
    if !found.is_empty() {
        return Err(format!("left on the host: {found:?}"));
    }
    Ok(())
}
