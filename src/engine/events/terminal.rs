//! One image's events on a terminal: finished steps as aligned lines, running ones live below them.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::display::{Headings, Shown, numbered, summary};
use super::paint::Paint;
use super::screen::{Live, Screen, columns};
use super::wrap::wrapped;
use super::{Event, Sink};
use crate::host::human_duration;

/// Columns of a title and of a duration (`59 min 59 s`), so that lines up to 80 columns stay aligned.
const TITLE: usize = 36;
pub(super) const TOOK: usize = 11;
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
    /// `[3/9]`
    number: String,
    counted: bool,
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

    /// Columns of the terminal, or of one that is not asked.
    fn width(&self) -> usize {
        columns().unwrap_or(80)
    }

    fn style(&self, counted: bool) -> ProgressStyle {
        let bar = if counted {
            " {bar:10} {percent:>3}%"
        } else {
            ""
        };
        let template = format!("{{spinner}} {{prefix}} {{took}}{bar}  {{wide_msg}}");
        ProgressStyle::with_template(&template)
            .unwrap_or_else(|_| ProgressStyle::default_spinner())
            .tick_chars(self.paint.spinner())
            .progress_chars(self.paint.bar())
            .with_key(
                "took",
                |state: &ProgressState, to: &mut dyn std::fmt::Write| {
                    let took = human_duration(state.elapsed());
                    let _ = write!(to, "{took:>TOOK$}");
                },
            )
    }

    fn begin(&self, state: &mut State, numbers: (usize, usize), title: &str) {
        let (step, steps) = numbers;
        let number = numbered(step, steps);
        self.live.set(true);
        let bar = self.multi.add(ProgressBar::new_spinner());
        bar.set_style(self.style(false));
        bar.set_prefix(format!("{} {title:TITLE$}", self.paint.dim(&number)));
        bar.enable_steady_tick(TURN);
        let running = Running {
            bar,
            number,
            counted: false,
        };
        state.running.insert(step, running);
    }

    /// The line a step leaves behind.
    fn end(&self, state: &mut State, step: usize, line: EndLine<'_>) {
        let Some(running) = state.running.remove(&step) else {
            return;
        };
        running.bar.finish_and_clear();
        self.multi.remove(&running.bar);
        self.live.set(!state.running.is_empty());
        let title = line.title;
        let took = human_duration(Duration::from_secs_f64(line.seconds));
        let mut text = format!(
            "{} {} {title:TITLE$} {took:>TOOK$}",
            line.sign,
            self.paint.dim(&running.number)
        );
        if let Some(note) = line.note {
            let _ = write!(text, "  {}", self.paint.dim(note));
        }
        self.print(&text);
    }
}

struct EndLine<'a> {
    sign: String,
    title: &'a str,
    seconds: f64,
    note: Option<&'a str>,
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
                if let Some(running) = state.running.get_mut(step) {
                    if !running.counted && *total > 0 {
                        running.counted = true;
                        running.bar.set_style(self.style(true));
                    }
                    running.bar.set_length(*total);
                    running.bar.set_position(*done);
                }
            }
            Event::Line { step, line } => {
                if self.shown.lines {
                    self.print(&self.paint.dim(&format!("    {line}")));
                }
                if let Some(running) = state.running.get(step) {
                    running.bar.set_message(self.paint.dim(line));
                }
            }
            Event::Command { line, .. } if self.shown.commands => {
                self.print(&self.paint.dim(&format!("+ {line}")));
            }
            Event::Command { .. } => {}
            Event::Warning { message, .. } => {
                let text = wrapped(&format!("Warning: {message}"), self.width(), 2);
                let rest = text.strip_prefix("Warning:").unwrap_or(&text);
                self.print(&format!("{}{rest}", self.paint.warning("Warning:")));
            }
            Event::StepFinished {
                step,
                title,
                seconds,
                note,
            } => {
                let line = EndLine {
                    sign: self.paint.done(),
                    title,
                    seconds: *seconds,
                    note: note.as_deref(),
                };
                self.end(&mut state, *step, line);
            }
            Event::StepFailed {
                step,
                title,
                seconds,
            } => {
                let line = EndLine {
                    sign: self.paint.failed(),
                    title,
                    seconds: *seconds,
                    note: None,
                };
                self.end(&mut state, *step, line);
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
                running.bar.set_message(self.paint.dim(line));
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
