//! The handle through which a build says what it is doing.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{Artifact, Event, Observation, Sink};
use crate::host::{Report, printable};

/// The least time between two reports of how far a step is.
const OFTEN: Duration = Duration::from_millis(100);

/// Says what the build of one image is doing. Cheap to clone, usable from any thread.
///
/// As a [`Report`], what it is told belongs to the step begun last that has not ended yet; steps
/// that run side by side use [`Step::report`] instead.
#[derive(Clone)]
pub struct Progress(Arc<Build>);

struct Build {
    sink: Arc<dyn Sink>,
    image: String,
    begun: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    steps: usize,
    last: usize,
    running: Vec<usize>,
    phase: String,
    /// Of each running step, when it was last told how far it is.
    told: Vec<(usize, Instant)>,
}

impl Progress {
    /// For the build of `image` (its name, as people know it), shown by `sink`.
    #[must_use]
    pub fn new(sink: Arc<dyn Sink>, image: &str) -> Self {
        Self(Arc::new(Build {
            sink,
            image: printable(image),
            begun: Instant::now(),
            state: Mutex::default(),
        }))
    }

    /// The build will take so many steps more than was thought.
    pub fn more_steps(&self, count: usize) {
        self.with(|state| state.steps += count);
    }

    /// The build begins and will take this many steps.
    pub fn build_begun(&self, steps: usize) {
        self.with(|state| state.steps = steps);
        self.send(&Event::BuildBegun { steps });
    }

    /// Begins the next step. It fails when the returned value goes without [`Step::finish`].
    #[must_use]
    pub fn begin(&self, title: &str) -> Step {
        let numbers = self.with(|state| {
            state.last += 1;
            state.running.push(state.last);
            (state.last, state.steps)
        });
        let (number, steps) = numbers.unwrap_or_default();
        let title = printable(title);
        self.send(&Event::StepBegun {
            step: number,
            steps,
            title: title.clone(),
        });
        Step {
            progress: self.clone(),
            number,
            title,
            begun: Instant::now(),
            ended: false,
        }
    }

    /// The steps that follow are those of this phase: `base`, `development` or `final`.
    pub fn phase(&self, name: &str) {
        let changed = self.with(|state| {
            let changed = state.phase != name;
            name.clone_into(&mut state.phase);
            changed
        });
        if changed == Some(true) {
            let phase = name.to_owned();
            self.send(&Event::PhaseBegun { phase });
        }
    }

    /// Something to look at afterwards.
    pub fn observed(&self, observation: &Observation) {
        self.0.sink.observed(&self.0.image, observation);
    }

    /// A tree of packages that others may use is there; `reused`: it was there before.
    pub fn layer_ready(&self, layer: &str, reused: bool) {
        let layer = layer.to_owned();
        self.send(&Event::LayerReady { layer, reused });
    }

    /// The image is complete, and these are its artifacts.
    pub fn build_finished(&self, artifacts: Vec<Artifact>) {
        let seconds = seconds(self.0.begun);
        self.send(&Event::BuildFinished { seconds, artifacts });
    }

    /// The build ended without an image.
    pub fn failed(&self, error: &dyn std::error::Error) {
        let mut errors = vec![error.to_string()];
        let mut next = error.source();
        while let Some(cause) = next {
            errors.push(cause.to_string());
            next = cause.source();
        }
        self.send(&Event::Failed { errors });
    }

    /// Does `work`, which uses the terminal itself, while nothing is drawn.
    pub fn suspend<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        let mut work = Some(work);
        let mut result = None;
        self.0.sink.suspend(&mut || {
            result = work.take().map(|work| work());
        });
        result
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> Option<T> {
        self.0.state.lock().ok().map(|mut state| change(&mut state))
    }

    fn send(&self, event: &Event) {
        self.0
            .sink
            .event(&self.0.image, self.0.begun.elapsed(), event);
    }

    /// The step begun last that has not ended; 0 when there is none.
    fn current(&self) -> usize {
        self.with(|state| state.running.last().copied())
            .flatten()
            .unwrap_or(0)
    }

    fn tell(&self, step: usize, done: u64, total: u64) {
        let due = self.with(|state| {
            let now = Instant::now();
            match state.told.iter_mut().find(|(told, _)| *told == step) {
                Some((_, at)) if done < total && now.duration_since(*at) < OFTEN => return false,
                Some((_, at)) => *at = now,
                None => state.told.push((step, now)),
            }
            true
        });
        if due == Some(true) {
            self.send(&Event::Progress { step, done, total });
        }
    }

    fn task(&self, step: usize, name: &str, begun: Instant) {
        let since = |at: Instant| at.saturating_duration_since(self.0.begun);
        self.observed(&Observation::Task {
            step,
            name: printable(name),
            begun: since(begun),
            ended: since(Instant::now()),
        });
    }

    fn told(&self, step: usize, kind: Told, text: &str) {
        let text = printable(text);
        self.send(&match kind {
            Told::Line => Event::Line { step, line: text },
            Told::Command => Event::Command { step, line: text },
            Told::Warning => Event::Warning {
                step,
                message: text,
            },
        });
    }
}

#[derive(Clone, Copy)]
enum Told {
    Line,
    Command,
    Warning,
}

impl Report for Progress {
    fn line(&self, line: &str) {
        self.told(self.current(), Told::Line, line);
    }

    fn transient(&self, line: &str) {
        self.0
            .sink
            .transient(&self.0.image, self.current(), &printable(line));
    }

    fn warn(&self, message: &str) {
        self.told(self.current(), Told::Warning, message);
    }

    fn progress(&self, done: u64, total: u64) {
        self.tell(self.current(), done, total);
    }

    fn command(&self, line: &str) {
        self.told(self.current(), Told::Command, line);
    }

    fn task(&self, name: &str, begun: Instant) {
        Self::task(self, self.current(), name, begun);
    }
}

/// A running step. Dropped without [`Step::finish`], it has failed.
pub struct Step {
    progress: Progress,
    number: usize,
    title: String,
    begun: Instant,
    ended: bool,
}

impl Step {
    /// The step has done its work. `note` says more about it (`cache hit`, `212 packages`), or is
    /// empty.
    pub fn finish(mut self, note: &str) {
        self.end();
        let note = Some(printable(note)).filter(|note| !note.is_empty());
        self.progress.send(&Event::StepFinished {
            step: self.number,
            title: self.title.clone(),
            seconds: seconds(self.begun),
            note,
        });
    }

    /// A report whose words belong to this step, whichever others run meanwhile.
    #[must_use]
    pub fn report(&self) -> Arc<dyn Report> {
        Arc::new(StepReport {
            progress: self.progress.clone(),
            number: self.number,
        })
    }

    fn end(&mut self) {
        self.ended = true;
        let number = self.number;
        self.progress.with(|state| {
            state.running.retain(|step| *step != number);
            state.told.retain(|(step, _)| *step != number);
        });
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if !self.ended {
            self.end();
            self.progress.send(&Event::StepFailed {
                step: self.number,
                title: self.title.clone(),
                seconds: seconds(self.begun),
            });
        }
    }
}

struct StepReport {
    progress: Progress,
    number: usize,
}

impl Report for StepReport {
    fn line(&self, line: &str) {
        self.progress.told(self.number, Told::Line, line);
    }

    fn transient(&self, line: &str) {
        let build = &self.progress.0;
        build
            .sink
            .transient(&build.image, self.number, &printable(line));
    }

    fn warn(&self, message: &str) {
        self.progress.told(self.number, Told::Warning, message);
    }

    fn progress(&self, done: u64, total: u64) {
        self.progress.tell(self.number, done, total);
    }

    fn command(&self, line: &str) {
        self.progress.told(self.number, Told::Command, line);
    }

    fn task(&self, name: &str, begun: Instant) {
        self.progress.task(self.number, name, begun);
    }
}

/// Since `begun`, to the millisecond.
fn seconds(begun: Instant) -> f64 {
    (begun.elapsed().as_secs_f64() * 1000.0).round() / 1000.0
}

#[cfg(test)]
#[path = "progress_tests.rs"]
mod tests;
