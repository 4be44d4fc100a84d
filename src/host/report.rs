//! What running work tells the person watching, without knowing how it is shown.

use std::sync::Arc;
use std::time::Instant;

/// Receives what steps and commands have to say. The engine's implementations turn it into events.
pub trait Report: Send + Sync {
    /// One line that a command printed.
    fn line(&self, line: &str);
    /// What stands on a line that the command is still rewriting, such as its own progress display.
    /// May be dropped.
    fn transient(&self, _line: &str) {}
    /// Something the user should know although the work goes on.
    fn warn(&self, message: &str);
    /// `done` of `total` units of the current step (bytes, files or packages).
    fn progress(&self, done: u64, total: u64);
    /// A command line about to be run, quoted so that it can be pasted into a shell.
    fn command(&self, line: &str);
    /// A part of the current step that ran beside others is done: what it was about, and when it began.
    fn task(&self, _name: &str, _begun: Instant) {}
}

/// Says nothing: for tests and for work whose output nobody reads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet;

impl Report for Quiet {
    fn line(&self, _: &str) {}
    fn warn(&self, _: &str) {}
    fn progress(&self, _: u64, _: u64) {}
    fn command(&self, _: &str) {}
}

/// Passes on everything but the lines that commands print: those a function gets.
pub struct Lines<F> {
    report: Arc<dyn Report>,
    line: F,
}

impl<F: Fn(&dyn Report, &str) + Send + Sync> Lines<F> {
    /// The function also gets what is told of everything else.
    pub fn new(report: Arc<dyn Report>, line: F) -> Self {
        Self { report, line }
    }
}

impl<F: Fn(&dyn Report, &str) + Send + Sync> Report for Lines<F> {
    fn line(&self, line: &str) {
        (self.line)(&*self.report, line);
    }

    fn transient(&self, line: &str) {
        self.report.transient(line);
    }

    fn warn(&self, message: &str) {
        self.report.warn(message);
    }

    fn progress(&self, done: u64, total: u64) {
        self.report.progress(done, total);
    }

    fn command(&self, line: &str) {
        self.report.command(line);
    }

    fn task(&self, name: &str, begun: Instant) {
        self.report.task(name, begun);
    }
}
