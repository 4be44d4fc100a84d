//! How a run went: what the page shows, and what is in it for programs.

use serde::Serialize;

use crate::engine::Artifact;
use crate::engine::layers::why::Verdict;
use crate::output::Contents;

/// A run of the program. All times are seconds since it began to build.
#[derive(Debug, Default, Serialize)]
pub struct Timings {
    /// Raised when a field changes its meaning or goes away.
    pub timings_version: u32,
    /// The program's version.
    pub mkosi: &'static str,
    /// The processors that it could use.
    pub processors: usize,
    /// How long it took.
    pub seconds: f64,
    /// The directories with downloaded packages.
    pub package_caches: Vec<PackageCache>,
    /// The images, in the order in which they were begun.
    pub images: Vec<Image>,
}

/// A directory with downloaded packages.
#[derive(Debug, Default, Serialize)]
pub struct PackageCache {
    /// Where it is.
    pub directory: String,
    /// Bytes in it before the run.
    pub before: u64,
    /// Bytes in it after the run.
    pub after: u64,
}

/// The build of one image.
#[derive(Debug, Default, Serialize)]
pub struct Image {
    /// Its name.
    pub name: String,
    /// When it began.
    pub begun: f64,
    /// How long it took, or was seen at work.
    pub seconds: f64,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it failed: each is the cause of the one before.
    pub errors: Vec<String>,
    /// What the user was warned of.
    pub warnings: Vec<String>,
    /// What was made.
    pub artifacts: Vec<Artifact>,
    /// What was done.
    pub steps: Vec<Step>,
    /// What was decided about each cached tree; none where nothing was to be cached.
    pub layers: Option<Vec<Verdict>>,
    /// What takes how much of it; none where it did not come so far.
    pub contents: Option<Contents>,
}

/// How something ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It did not end.
    #[default]
    Unfinished,
    /// It is done.
    Done,
    /// It failed.
    Failed,
}

/// One step.
#[derive(Debug, Default, Serialize)]
pub struct Step {
    /// Its number.
    pub number: usize,
    /// What it does.
    pub title: String,
    /// What it worked on: `base`, `development`, `final`, or nothing.
    pub phase: String,
    /// When it began.
    pub begun: f64,
    /// How long it took.
    pub seconds: f64,
    /// How it ended.
    pub outcome: Outcome,
    /// What it said of itself.
    pub note: Option<String>,
    /// The commands that it ran, in order.
    pub commands: Vec<Command>,
    /// Its parts that ran side by side, in the order in which they began.
    pub tasks: Vec<Task>,
}

/// A command that was run.
#[derive(Debug, Serialize)]
pub struct Command {
    /// When it began.
    pub begun: f64,
    /// The command line.
    pub line: String,
}

/// A part of a step.
#[derive(Debug, Serialize)]
pub struct Task {
    /// What it was about.
    pub name: String,
    /// When it began.
    pub begun: f64,
    /// How long it took.
    pub seconds: f64,
    /// The lane in which nothing else ran meanwhile, from 0.
    pub lane: usize,
}

/// Times are in whole milliseconds, which floating point does not quite add up to.
const ROUNDING: f64 = 0.0005;

/// Puts tasks into as few lanes as they need, in the order in which they began.
pub fn into_lanes(tasks: &mut [Task]) {
    tasks.sort_by(|a, b| a.begun.total_cmp(&b.begun).then(a.name.cmp(&b.name)));
    let mut free_at: Vec<f64> = Vec::new();
    for task in tasks {
        let free = free_at.iter().position(|end| *end <= task.begun + ROUNDING);
        task.lane = free.unwrap_or(free_at.len());
        let end = task.begun + task.seconds;
        match free_at.get_mut(task.lane) {
            Some(lane) => *lane = end,
            None => free_at.push(end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_that_overlap_are_in_different_lanes() {
        let task = |begun: f64, seconds: f64| Task {
            name: format!("{begun}"),
            begun,
            seconds,
            lane: 9,
        };
        let mut tasks = vec![
            task(3.0, 1.0),
            task(0.0, 2.0),
            task(1.0, 2.0),
            task(2.0, 5.0),
        ];
        into_lanes(&mut tasks);
        let lanes: Vec<_> = tasks.iter().map(|t| (t.name.as_str(), t.lane)).collect();
        assert_eq!(lanes, [("0", 0), ("1", 1), ("2", 0), ("3", 1)]);
    }
}
