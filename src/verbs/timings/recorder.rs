//! Notes what happens in a run while another sink shows it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::data::{Command, Image, Outcome, Step, Task, into_lanes};
use crate::engine::events::Observation;
use crate::engine::{Event, Sink};

/// The most commands that are noted of a step, and the most warnings of an image.
const MOST: usize = 500;

/// A sink that keeps notes.
pub struct Recorder {
    shown: Arc<dyn Sink>,
    begun: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    images: Vec<Image>,
    /// Of each image, what the steps that begin work on.
    phases: BTreeMap<String, String>,
}

impl Recorder {
    /// Begins now, and passes everything on.
    pub fn new(shown: Arc<dyn Sink>) -> Self {
        Self {
            shown,
            begun: Instant::now(),
            state: Mutex::default(),
        }
    }

    /// How long it has been at work, in seconds, and the images so far.
    pub fn notes(&self) -> (f64, Vec<Image>) {
        let now = self.begun.elapsed();
        let state = self.state.lock();
        let mut images = state.map_or_else(|_| Vec::new(), |mut s| std::mem::take(&mut s.images));
        for image in &mut images {
            if image.outcome == Outcome::Unfinished {
                image.seconds = rounded(now) - image.begun;
            }
            for step in &mut image.steps {
                if step.outcome == Outcome::Unfinished {
                    step.seconds = image.begun + image.seconds - step.begun;
                }
                into_lanes(&mut step.tasks);
            }
        }
        (rounded(now), images)
    }
}

impl State {
    /// The notes on an image, whose build began `at` before now.
    fn image(&mut self, name: &str, now: Duration, at: Duration) -> &mut Image {
        let known = self.images.iter().position(|image| image.name == name);
        let index = known.unwrap_or_else(|| {
            self.images.push(Image {
                name: name.to_owned(),
                begun: rounded(now.saturating_sub(at)),
                ..Image::default()
            });
            self.images.len() - 1
        });
        &mut self.images[index]
    }

    fn note(&mut self, name: &str, now: Duration, at: Duration, event: &Event) {
        let phase = self.phases.get(name).cloned().unwrap_or_default();
        if let Event::PhaseBegun { phase } = event {
            self.phases.insert(name.to_owned(), phase.clone());
        }
        let image = self.image(name, now, at);
        let begun = image.begun + rounded(at);
        match event {
            Event::StepBegun { step, title, .. } => image.steps.push(Step {
                number: *step,
                title: title.clone(),
                phase,
                begun,
                ..Step::default()
            }),
            Event::Command { step, line } => {
                let line = line.clone();
                let noted = image.steps.iter_mut().find(|s| s.number == *step);
                if let Some(noted) = noted.filter(|noted| noted.commands.len() < MOST) {
                    noted.commands.push(Command { begun, line });
                }
            }
            Event::Warning { message, .. } if image.warnings.len() < MOST => {
                image.warnings.push(message.clone());
            }
            Event::StepFinished {
                step,
                seconds,
                note,
                ..
            } => image.end(*step, *seconds, Outcome::Done, note.clone()),
            Event::StepFailed { step, seconds, .. } => {
                image.end(*step, *seconds, Outcome::Failed, None);
            }
            Event::BuildFinished { seconds, artifacts } => {
                image.outcome = Outcome::Done;
                image.seconds = *seconds;
                image.artifacts.clone_from(artifacts);
            }
            Event::Failed { errors } => {
                image.outcome = Outcome::Failed;
                image.seconds = rounded(at);
                image.errors.clone_from(errors);
            }
            _ => {}
        }
    }
}

impl Image {
    fn end(&mut self, number: usize, seconds: f64, outcome: Outcome, note: Option<String>) {
        if let Some(step) = self.steps.iter_mut().find(|step| step.number == number) {
            step.seconds = seconds;
            step.outcome = outcome;
            step.note = note;
        }
    }
}

impl Sink for Recorder {
    fn event(&self, image: &str, at: Duration, event: &Event) {
        self.shown.event(image, at, event);
        if let Ok(mut state) = self.state.lock() {
            state.note(image, self.begun.elapsed(), at, event);
        }
    }

    fn transient(&self, image: &str, step: usize, line: &str) {
        self.shown.transient(image, step, line);
    }

    fn observed(&self, name: &str, observation: &Observation) {
        let Ok(mut state) = self.state.lock() else {
            return;
        };
        let Some(image) = state.images.iter_mut().find(|image| image.name == name) else {
            return;
        };
        match observation {
            Observation::Layers(verdicts) => image.layers = Some(verdicts.clone()),
            Observation::Contents(contents) => image.contents = Some(contents.clone()),
            Observation::Task {
                step,
                name,
                begun,
                ended,
            } => {
                let task = Task {
                    name: name.clone(),
                    begun: image.begun + rounded(*begun),
                    seconds: rounded(*ended) - rounded(*begun),
                    lane: 0,
                };
                if let Some(step) = image.steps.iter_mut().find(|s| s.number == *step) {
                    step.tasks.push(task);
                }
            }
        }
    }

    fn suspend(&self, work: &mut dyn FnMut()) {
        self.shown.suspend(work);
    }
}

/// In seconds, to the millisecond.
fn rounded(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::engine::Progress;
    use crate::host::Report as _;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Sink for Count {
        fn event(&self, _: &str, _: Duration, _: &Event) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn everything_is_passed_on_and_noted() {
        let shown = Arc::new(Count::default());
        let recorder = Arc::new(Recorder::new(shown.clone()));
        let progress = Progress::new(recorder.clone(), "web");
        progress.build_begun(3);
        progress.phase("base");
        let step = progress.begin("Installing");
        progress.command("apt-get install");
        step.report().task("bash", Instant::now());
        step.finish("with apt");
        progress.phase("final");
        progress.warn("careful");
        drop(progress.begin("Failing"));
        let running = progress.begin("Running");
        let (_, images) = recorder.notes();
        std::mem::forget(running);
        assert_eq!(shown.0.load(Ordering::Relaxed), 10);
        let image = &images[0];
        let steps: Vec<_> = image
            .steps
            .iter()
            .map(|s| (s.title.as_str(), s.phase.as_str(), s.outcome))
            .collect();
        assert_eq!(
            steps,
            [
                ("Installing", "base", Outcome::Done),
                ("Failing", "final", Outcome::Failed),
                ("Running", "final", Outcome::Unfinished),
            ]
        );
        assert_eq!(image.steps[0].commands[0].line, "apt-get install");
        assert_eq!(image.steps[0].tasks[0].name, "bash");
        assert_eq!(image.steps[0].note.as_deref(), Some("with apt"));
        assert_eq!(image.warnings, ["careful"]);
        assert_eq!(image.outcome, Outcome::Unfinished);
    }
}
