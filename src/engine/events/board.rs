//! Several images' events on a terminal: a live line for each image that is being built.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::display::{Shown, numbered, shortened};
use super::paint::Paint;
use super::row::TOOK;
use super::screen::{Live, Screen, width};
use super::terminal::TURN;
use super::{Event, Sink, wrapped};
use crate::host::human_size;
use crate::host::{human_duration, printable};

/// The most columns that names take, and which part of the terminal's at most.
const LONGEST_NAME: usize = 20;
const SHARE_OF_NAMES: usize = 4;
/// How many of the images that wait for the same thing are named.
const NAMED: usize = 3;

/// A live display of builds that go on side by side. An image leaves one line behind when it is
/// done.
pub struct Board {
    multi: MultiProgress,
    paint: Paint,
    shown: Shown,
    live: Live,
    /// Columns of the names.
    width: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: BTreeMap<String, Running>,
    /// By the image that is waited for: who waits, and the line that says so.
    waiting: BTreeMap<String, (Vec<String>, ProgressBar)>,
}

struct Running {
    bar: ProgressBar,
    step: usize,
    /// `[3/9] Installing Debian bookworm`
    title: String,
    percent: Option<u64>,
    /// What a command said last.
    line: String,
}

impl Board {
    /// For these images, on standard error, in its width.
    #[must_use]
    pub fn on_stderr(images: &[String], shown: Shown) -> Self {
        let live = Live::default();
        let screen = Box::new(Screen::new(live.clone()));
        let target = ProgressDrawTarget::term_like(screen);
        Self {
            live,
            ..Self::new(target, Paint::from_environment(), images, shown)
        }
    }

    fn new(target: ProgressDrawTarget, paint: Paint, images: &[String], shown: Shown) -> Self {
        let lengths = images.iter().map(|name| printable(name).chars().count());
        Self {
            multi: MultiProgress::with_draw_target(target),
            paint,
            shown,
            live: Live::default(),
            width: lengths
                .max()
                .unwrap_or(0)
                .min(LONGEST_NAME)
                .min(width() / SHARE_OF_NAMES),
            state: Mutex::default(),
        }
    }

    fn print(&self, line: &str) {
        // A terminal that went away does not stop the builds.
        let _ = self.multi.println(line);
    }

    /// The image's name, as wide as every other.
    fn name(&self, image: &str) -> String {
        let name = shortened(&printable(image), self.width);
        let missing = self.width.saturating_sub(name.chars().count());
        format!("{}{:missing$}", self.paint.bold(&name), "")
    }

    fn style(&self) -> ProgressStyle {
        ProgressStyle::with_template("{spinner} {prefix} {took}  {wide_msg}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner())
            .tick_chars(self.paint.spinner())
            .with_key(
                "took",
                |state: &ProgressState, to: &mut dyn std::fmt::Write| {
                    let took = human_duration(state.elapsed());
                    let _ = write!(to, "{took:>TOOK$}");
                },
            )
    }

    fn begin(&self, state: &mut State, image: &str) {
        self.no_longer_waits(state, image);
        self.live.set(true);
        let bar = self.multi.add(ProgressBar::new_spinner());
        bar.set_style(self.style());
        bar.set_prefix(self.name(image));
        bar.enable_steady_tick(TURN);
        let running = Running {
            bar,
            step: 0,
            title: String::new(),
            percent: None,
            line: String::new(),
        };
        state.running.insert(image.to_owned(), running);
    }

    fn waits(&self, state: &mut State, image: &str, builder: &str) {
        self.no_longer_waits(state, image);
        self.live.set(true);
        let (images, bar) = state.waiting.entry(builder.to_owned()).or_insert_with(|| {
            let bar = self.multi.add(ProgressBar::new_spinner());
            let style = ProgressStyle::with_template("  {wide_msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            (Vec::new(), bar)
        });
        images.push(image.to_owned());
        bar.set_message(self.paint.dim(&waiting(images, builder)));
        bar.tick();
    }

    fn no_longer_waits(&self, state: &mut State, image: &str) {
        state.waiting.retain(|builder, (images, bar)| {
            let before = images.len();
            images.retain(|waiting| waiting != image);
            if images.is_empty() {
                bar.finish_and_clear();
                self.multi.remove(bar);
            } else if images.len() < before {
                bar.set_message(self.paint.dim(&waiting(images, builder)));
            }
            !images.is_empty()
        });
    }

    /// The line that an image leaves behind.
    fn end(&self, state: &mut State, image: &str, sign: &str, at: Duration, what: &str) {
        self.no_longer_waits(state, image);
        if let Some(running) = state.running.remove(image) {
            running.bar.finish_and_clear();
            self.multi.remove(&running.bar);
        }
        let live = !(state.running.is_empty() && state.waiting.is_empty());
        self.live.set(live);
        let took = human_duration(at);
        // The sign, and blanks between the parts.
        let before = 1 + 1 + self.width + 1 + TOOK + 2;
        let what = shortened(&printable(what), width().saturating_sub(before));
        let name = self.name(image);
        self.print(&format!("{sign} {name} {took:>TOOK$}  {what}"));
    }

    fn change(&self, state: &mut State, image: &str, change: impl FnOnce(&mut Running)) {
        if let Some(running) = state.running.get_mut(image) {
            change(running);
            let mut text = running.title.clone();
            if let Some(percent) = running.percent {
                let _ = write!(text, " {percent} %");
            }
            if !running.line.is_empty() {
                let _ = write!(text, "  {}", self.paint.dim(&running.line));
            }
            running.bar.set_message(text);
        }
    }

    fn said(&self, image: &str, text: &str) {
        let name = printable(image);
        self.print(&self.paint.dim(&format!("{name}: {text}")));
    }
}

/// `mail, web and 2 more wait for the base that api builds`
fn waiting(images: &[String], builder: &str) -> String {
    let mut text = images
        .iter()
        .take(NAMED)
        .map(|name| printable(name))
        .collect::<Vec<_>>()
        .join(", ");
    if images.len() > NAMED {
        let _ = write!(text, " and {} more", images.len() - NAMED);
    }
    let _ = write!(
        text,
        ": waiting for the base that {} builds",
        printable(builder)
    );
    text
}

impl Sink for Board {
    fn event(&self, image: &str, at: Duration, event: &Event) {
        let Ok(mut state) = self.state.lock() else {
            return;
        };
        let state = &mut *state;
        match event {
            Event::Waiting { builder } => self.waits(state, image, builder),
            Event::BuildBegun { .. } => self.begin(state, image),
            Event::StepBegun { step, steps, title } => self.change(state, image, |running| {
                running.step = *step;
                running.title = format!("{} {title}", numbered(*step, *steps));
                running.percent = None;
                running.line.clear();
            }),
            Event::Progress { step, done, total } => self.change(state, image, |running| {
                if running.step == *step && *total > 0 {
                    let percent = u128::from(*done) * 100 / u128::from(*total);
                    running.percent = u64::try_from(percent.min(100)).ok();
                }
            }),
            Event::Line { line, .. } => {
                if self.shown.lines {
                    self.said(image, &format!("    {line}"));
                }
                self.change(state, image, |running| running.line.clone_from(line));
            }
            Event::Command { line, .. } if self.shown.commands => {
                self.said(image, &format!("+ {line}"));
            }
            Event::Warning { message, .. } => {
                let text = format!("{}: Warning: {message}", printable(image));
                let warning = self.paint.warning("Warning:");
                self.print(&wrapped(&text, width(), 2).replacen("Warning:", &warning, 1));
            }
            Event::BuildFinished { artifacts, .. } => {
                // Everything beside the image is small.
                let largest = artifacts.iter().map(|artifact| artifact.size).max();
                let size = largest.map_or_else(
                    || "built".to_owned(),
                    |size| format!("built, {}", human_size(size)),
                );
                self.end(state, image, &self.paint.done(), at, &size);
            }
            Event::Failed { errors } => {
                let first = errors.first().map_or("failed", String::as_str);
                self.end(state, image, &self.paint.failed(), at, first);
            }
            Event::Command { .. }
            | Event::LayerReady { .. }
            | Event::PhaseBegun { .. }
            | Event::StepFinished { .. }
            | Event::StepFailed { .. } => {}
        }
    }

    fn transient(&self, image: &str, _: usize, line: &str) {
        if let Ok(mut state) = self.state.lock() {
            self.change(&mut state, image, |running| {
                line.clone_into(&mut running.line);
            });
        }
    }

    fn suspend(&self, work: &mut dyn FnMut()) {
        self.multi.suspend(work);
    }
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
