//! One image's events on a terminal: finished steps as aligned lines, running ones live below them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::display::{Headings, Shown, numbered, summary};
use super::paint::Paint;
use super::row::Row;
use super::screen::{Live, Screen, width};
use super::wrap::wrapped;
use super::{Event, Sink};

/// How often the spinner turns.
pub(super) const TURN: Duration = Duration::from_millis(100);

/// A live display.
pub struct Terminal {
    multi: MultiProgress,
    paint: Paint,
    shown: Shown,
    live: Live,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: HashMap<usize, Running>,
    headings: Headings,
}

struct Running {
    bar: ProgressBar,
    row: Arc<Mutex<Row>>,
}

impl Running {
    fn says(&self, line: &str) {
        if let Ok(mut row) = self.row.lock() {
            line.clone_into(&mut row.note);
        }
        self.bar.tick();
    }
}

impl Terminal {
    /// On standard error, in its width.
    #[must_use]
    pub fn on_stderr(shown: Shown) -> Self {
        let live = Live::default();
        let screen = Box::new(Screen::new(live.clone()));
        let target = ProgressDrawTarget::term_like(screen);
        Self {
            live,
            ..Self::new(target, Paint::from_environment(), shown)
        }
    }

    fn new(target: ProgressDrawTarget, paint: Paint, shown: Shown) -> Self {
        Self {
            multi: MultiProgress::with_draw_target(target),
            paint,
            shown,
            live: Live::default(),
            state: Mutex::default(),
        }
    }

    fn print(&self, line: &str) {
        // A terminal that went away does not stop the build.
        let _ = self.multi.println(line);
    }

    fn begin(&self, state: &mut State, numbers: (usize, usize), title: &str) {
        let (step, steps) = numbers;
        let row = Arc::new(Mutex::new(Row {
            number: numbered(step, steps),
            title: title.to_owned(),
            note: String::new(),
        }));
        self.live.set(true);
        let bar = self.multi.add(ProgressBar::new_spinner());
        bar.set_style(style(self.paint, row.clone()));
        bar.tick();
        bar.enable_steady_tick(TURN);
        state.running.insert(step, Running { bar, row });
    }

    /// The line a step leaves behind.
    fn end(&self, state: &mut State, step: usize, sign: &str, seconds: f64, note: Option<&str>) {
        let Some(running) = state.running.remove(&step) else {
            return;
        };
        running.bar.finish_and_clear();
        self.multi.remove(&running.bar);
        self.live.set(!state.running.is_empty());
        let row = running.row.lock().map(|row| row.clone());
        let row = Row {
            note: note.unwrap_or_default().to_owned(),
            ..row.unwrap_or_default()
        };
        let took = Duration::from_secs_f64(seconds);
        let text = row.text(self.paint, width(), took, None);
        self.print(&format!("{sign} {text}"));
    }
}

/// Draws a running step, which has a bar once it is known how much there is to do.
fn style(paint: Paint, row: Arc<Mutex<Row>>) -> ProgressStyle {
    let draw = move |state: &ProgressState, to: &mut dyn std::fmt::Write| {
        let share = state.len().map(|total| (state.pos(), total));
        if let Ok(row) = row.lock() {
            let _ = to.write_str(&row.text(paint, width(), state.elapsed(), share));
        }
    };
    ProgressStyle::with_template("{spinner} {row}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
        .tick_chars(paint.spinner())
        .with_key("row", draw)
}

impl Sink for Terminal {
    fn event(&self, image: &str, _: Duration, event: &Event) {
        let Ok(mut state) = self.state.lock() else {
            return;
        };
        match event {
            Event::BuildBegun { .. } => self.print(&format!("Building {}", self.paint.bold(image))),
            Event::StepBegun { step, steps, title } => {
                self.begin(&mut state, (*step, *steps), title);
            }
            Event::Progress { step, done, total } => {
                if let Some(running) = state.running.get(step).filter(|_| *total > 0) {
                    running.bar.set_length(*total);
                    running.bar.set_position(*done);
                }
            }
            Event::Line { step, line } => {
                if self.shown.lines {
                    self.print(&self.paint.dim(&format!("    {line}")));
                }
                if let Some(running) = state.running.get(step) {
                    running.says(line);
                }
            }
            Event::Command { line, .. } if self.shown.commands => {
                self.print(&self.paint.dim(&format!("+ {line}")));
            }
            Event::Command { .. } => {}
            Event::Warning { message, .. } => {
                let text = wrapped(&format!("Warning: {message}"), width(), 2);
                let rest = text.strip_prefix("Warning:").unwrap_or(&text);
                self.print(&format!("{}{rest}", self.paint.warning("Warning:")));
            }
            Event::StepFinished {
                step,
                seconds,
                note,
                ..
            } => self.end(
                &mut state,
                *step,
                &self.paint.done(),
                *seconds,
                note.as_deref(),
            ),
            Event::StepFailed { step, seconds, .. } => {
                self.end(&mut state, *step, &self.paint.failed(), *seconds, None);
            }
            Event::BuildFinished { seconds, artifacts } => {
                self.print("");
                for line in summary(self.paint, image, *seconds, artifacts) {
                    self.print(&line);
                }
            }
            // Whoever ends the program prints the error.
            Event::Failed { .. } | Event::Waiting { .. } | Event::LayerReady { .. } => {}
            Event::PhaseBegun { phase } => {
                if let Some(heading) = state.headings.of(phase) {
                    self.print(&self.paint.bold(heading));
                }
            }
        }
    }

    fn transient(&self, _: &str, step: usize, line: &str) {
        if let Ok(state) = self.state.lock() {
            if let Some(running) = state.running.get(&step) {
                running.says(line);
            }
        }
    }

    fn suspend(&self, work: &mut dyn FnMut()) {
        self.multi.suspend(work);
    }
}

#[cfg(test)]
#[path = "terminal_tests.rs"]
pub(super) mod tests;
