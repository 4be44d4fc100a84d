//! Events as plain lines: for logs, and for terminals that can do no more.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::display::{Headings, Shown, numbered, summary};
use super::paint::Paint;
use super::{Event, Sink};
use crate::host::{human_duration, printable};

/// How long a step goes on in silence before a line tells how far it is.
const PATIENCE: Duration = Duration::from_secs(15);
/// A step that takes less has one line, at its end.
const SHORT: Duration = Duration::from_secs(1);
/// How often steps are looked at that may not be short.
const TICK: Duration = Duration::from_millis(250);

/// Writes a line when a step ends, and one before that when it takes longer or something is said
/// meanwhile. Meant for standard error.
pub struct Plain {
    shown: Shown,
    state: Arc<Mutex<State>>,
}

struct State {
    to: Box<dyn Write + Send>,
    /// By image and step.
    running: HashMap<(String, usize), Running>,
    /// Each line says whose it is.
    several: bool,
    /// Of the image, where there is one.
    headings: Headings,
}

struct Running {
    /// `[3/9] ` and the title.
    label: String,
    begun: Instant,
    /// When it was last spoken of, since the build began.
    spoken: Duration,
    /// Whether there is a line that says it began.
    announced: bool,
}

impl Plain {
    /// Writes to `to`. Starts a thread.
    #[must_use]
    pub fn new(to: Box<dyn Write + Send>, shown: Shown) -> Self {
        Self::start(to, shown, false)
    }

    /// For several images at once: each line begins with the image's name in brackets.
    #[must_use]
    pub fn of_several(to: Box<dyn Write + Send>, shown: Shown) -> Self {
        Self::start(to, shown, true)
    }

    fn start(to: Box<dyn Write + Send>, shown: Shown, several: bool) -> Self {
        let state = Arc::new(Mutex::new(State {
            to,
            running: HashMap::new(),
            several,
            headings: Headings::default(),
        }));
        let watched = Arc::downgrade(&state);
        thread::spawn(move || watch(&watched));
        Self { shown, state }
    }
}

/// Announces steps that turn out not to be short, as long as somebody has the sink.
fn watch(state: &Weak<Mutex<State>>) {
    loop {
        thread::sleep(TICK);
        let Some(state) = state.upgrade() else { return };
        let Ok(mut state) = state.lock() else { return };
        state.announce(|_, running| running.begun.elapsed() >= SHORT);
    }
}

impl State {
    /// Says of the running steps that `which` picks that they have begun, in the order in which they
    /// have.
    fn announce(&mut self, which: impl Fn(&str, &Running) -> bool) {
        let mut due: Vec<(Instant, String, String)> = Vec::new();
        for ((image, _), running) in &mut self.running {
            if !running.announced && which(image, running) {
                running.announced = true;
                due.push((running.begun, image.clone(), running.label.clone()));
            }
        }
        due.sort();
        for (_, image, label) in due {
            self.write(&image, &label);
        }
    }

    /// A line that belongs to what the image's steps are doing.
    fn line(&mut self, image: &str, text: &str) {
        self.announce(|of, _| of == image);
        self.write(image, text);
    }

    fn write(&mut self, image: &str, text: &str) {
        let prefix = if self.several {
            format!("[{}] ", printable(image))
        } else {
            String::new()
        };
        let _ = writeln!(self.to, "{prefix}{text}").and_then(|()| self.to.flush());
    }

    fn end(&mut self, image: &str, step: usize, text: &str) {
        if let Some(running) = self.running.remove(&(image.to_owned(), step)) {
            self.write(image, &format!("{}: {text}", running.label));
        }
    }
}

impl Sink for Plain {
    fn event(&self, image: &str, at: Duration, event: &Event) {
        let Ok(mut state) = self.state.lock() else {
            return;
        };
        let key = |step: usize| (image.to_owned(), step);
        match event {
            Event::BuildBegun { .. } => state.write(image, &format!("Building {image}")),
            Event::StepBegun { step, steps, title } => {
                let running = Running {
                    label: format!("{} {title}", numbered(*step, *steps)),
                    begun: Instant::now(),
                    spoken: at,
                    announced: false,
                };
                state.running.insert(key(*step), running);
            }
            Event::Progress { step, done, total } => {
                let Some(running) = state.running.get_mut(&key(*step)) else {
                    return;
                };
                if at.saturating_sub(running.spoken) >= PATIENCE && *total > 0 {
                    running.spoken = at;
                    let percent = u128::from(*done) * 100 / u128::from(*total);
                    let line = format!("{}: {} %", running.label, percent.min(100));
                    state.line(image, &line);
                }
            }
            Event::Line { line, .. } if self.shown.lines => {
                state.line(image, &format!("    {line}"));
            }
            Event::Command { line, .. } if self.shown.commands => {
                state.line(image, &format!("+ {line}"));
            }
            Event::Line { .. } | Event::Command { .. } => {}
            Event::Warning { message, .. } => state.line(image, &format!("Warning: {message}")),
            Event::StepFinished {
                step,
                seconds,
                note,
                ..
            } => {
                let took = human_duration(Duration::from_secs_f64(*seconds));
                let note = note
                    .as_ref()
                    .map(|note| format!(", {note}"))
                    .unwrap_or_default();
                state.end(image, *step, &format!("done in {took}{note}"));
            }
            Event::StepFailed { step, seconds, .. } => {
                let took = human_duration(Duration::from_secs_f64(*seconds));
                state.end(image, *step, &format!("failed after {took}"));
            }
            Event::BuildFinished { seconds, artifacts } => {
                let plain = Paint {
                    colour: false,
                    unicode: false,
                };
                for line in summary(plain, image, *seconds, artifacts) {
                    state.write(image, &line);
                }
            }
            Event::Waiting { builder } => {
                let builder = printable(builder);
                state.write(
                    image,
                    &format!("waiting for the base that {builder} builds"),
                );
            }
            // The whole error follows when all images are done.
            Event::Failed { errors } if state.several => {
                let first = errors.first().map_or("failed", String::as_str);
                state.write(image, &format!("Error: {}", printable(first)));
            }
            // Whoever ends the program prints the error.
            Event::Failed { .. } => {}
            // Its steps were told.
            Event::LayerReady { .. } => {}
            // Steps of several images stand in any order.
            Event::PhaseBegun { .. } if state.several => {}
            Event::PhaseBegun { phase } => {
                if let Some(heading) = state.headings.of(phase) {
                    state.write(image, heading);
                }
            }
        }
    }
}
