//! Events as plain lines: for logs, and for terminals that can do no more.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Mutex;
use std::time::Duration;

use super::display::{Shown, summary};
use super::paint::Paint;
use super::{Event, Sink};
use crate::host::{human_duration, printable};

/// How long a step goes on in silence before a line tells how far it is.
const PATIENCE: Duration = Duration::from_secs(15);

/// Writes a line when a step begins and another when it ends. Meant for standard error.
pub struct Plain {
    shown: Shown,
    state: Mutex<State>,
}

struct State {
    to: Box<dyn Write + Send>,
    /// Of each image: `[3/9] ` and the title of each running step, and when it was last spoken of.
    running: HashMap<(String, usize), (String, Duration)>,
    /// Each line says whose it is.
    several: bool,
}

impl Plain {
    /// Writes to `to`.
    #[must_use]
    pub fn new(to: Box<dyn Write + Send>, shown: Shown) -> Self {
        Self {
            shown,
            state: Mutex::new(State {
                to,
                running: HashMap::new(),
                several: false,
            }),
        }
    }

    /// For several images at once: each line begins with the image's name in brackets.
    #[must_use]
    pub fn of_several(to: Box<dyn Write + Send>, shown: Shown) -> Self {
        let mut plain = Self::new(to, shown);
        if let Ok(state) = plain.state.get_mut() {
            state.several = true;
        }
        plain
    }
}

impl State {
    fn line(&mut self, image: &str, text: &str) {
        let prefix = if self.several {
            format!("[{}] ", printable(image))
        } else {
            String::new()
        };
        let _ = writeln!(self.to, "{prefix}{text}").and_then(|()| self.to.flush());
    }

    fn step_line(&mut self, image: &str, at: Duration, step: usize, text: &str) {
        if let Some((label, spoken)) = self.running.get_mut(&(image.to_owned(), step)) {
            *spoken = at;
            let line = format!("{label}: {text}");
            self.line(image, &line);
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
            Event::BuildBegun { .. } => state.line(image, &format!("Building {image}")),
            Event::StepBegun { step, steps, title } => {
                let label = match steps {
                    0 => format!("[{step}] {title}"),
                    steps => format!("[{step}/{steps}] {title}"),
                };
                state.line(image, &label);
                state.running.insert(key(*step), (label, at));
            }
            Event::Progress { step, done, total } => {
                let spoken = state.running.get(&key(*step)).map(|(_, spoken)| *spoken);
                let due = spoken.is_some_and(|spoken| at.saturating_sub(spoken) >= PATIENCE);
                if due && *total > 0 {
                    let percent = u128::from(*done) * 100 / u128::from(*total);
                    state.step_line(image, at, *step, &format!("{} %", percent.min(100)));
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
                state.step_line(image, at, *step, &format!("done in {took}{note}"));
                state.running.remove(&key(*step));
            }
            Event::StepFailed { step, seconds, .. } => {
                let took = human_duration(Duration::from_secs_f64(*seconds));
                state.step_line(image, at, *step, &format!("failed after {took}"));
                state.running.remove(&key(*step));
            }
            Event::BuildFinished { seconds, artifacts } => {
                let plain = Paint {
                    colour: false,
                    unicode: false,
                };
                for line in summary(plain, image, *seconds, artifacts) {
                    state.line(image, &line);
                }
            }
            Event::Waiting { builder } => {
                let builder = printable(builder);
                state.line(
                    image,
                    &format!("waiting for the base that {builder} builds"),
                );
            }
            // The whole error follows when all images are done.
            Event::Failed { errors } if state.several => {
                let first = errors.first().map_or("failed", String::as_str);
                state.line(image, &format!("Error: {}", printable(first)));
            }
            // Whoever ends the program prints the error.
            Event::Failed { .. } => {}
            // Its steps were told.
            Event::LayerReady { .. } => {}
        }
    }
}
