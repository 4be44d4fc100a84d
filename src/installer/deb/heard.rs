//! What apt says while it chooses, and what of it the user hears.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::host::Report;

/// Keeps from the user that apt is surprised by a dpkg that did nothing: that is how it is made to tell
/// what it would do.
pub(super) struct WithoutSurprise(pub Arc<dyn Report>);

impl Report for WithoutSurprise {
    fn line(&self, line: &str) {
        let surprise = line.contains("APT had planned for dpkg to do more")
            || line.trim_start().starts_with("Affected packages: ");
        if !surprise {
            self.0.line(line);
        }
    }

    fn transient(&self, line: &str) {
        self.0.transient(line);
    }

    fn warn(&self, message: &str) {
        self.0.warn(message);
    }

    fn progress(&self, done: u64, total: u64) {
        self.0.progress(done, total);
    }

    fn command(&self, line: &str) {
        self.0.command(line);
    }

    fn task(&self, name: &str, begun: Instant) {
        self.0.task(name, begun);
    }
}

/// Listens, with apt's setting `Debug::pkgProblemResolver`, whether all relations held as soon as it had
/// marked what was asked for and what that needs. Until then nothing is passed on: where they did not hold,
/// apt is asked again.
pub(super) struct Heard {
    report: Arc<dyn Report>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    held_back: Vec<String>,
    /// Whether relations held, once that is known.
    held: Option<bool>,
}

/// How the lines with the number of broken relations begin, in the order in which they come.
const COUNTS: [&str; 2] = [
    "Starting pkgProblemResolver with broken count: ",
    "Starting 2 pkgProblemResolver with broken count: ",
];
/// The last line of that kind.
const LAST: &str = "Done";

impl Heard {
    pub fn new(report: Arc<dyn Report>) -> Self {
        Self {
            report,
            state: Mutex::default(),
        }
    }

    /// Whether apt said that all relations held, and never anything else.
    pub fn is_whole(&self) -> bool {
        self.state().held == Some(true)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn passes(&self) -> bool {
        self.state().held == Some(true)
    }
}

impl Report for Heard {
    fn line(&self, line: &str) {
        let mut state = self.state();
        if let Some(count) = COUNTS.iter().find_map(|start| line.strip_prefix(start)) {
            let holds = count.trim() == "0";
            state.held = Some(holds && state.held != Some(false));
            if state.held == Some(true) {
                for line in state.held_back.drain(..) {
                    self.report.line(&line);
                }
            }
        } else if state.held == Some(true) {
            if line != LAST {
                self.report.line(line);
            }
        } else {
            state.held_back.push(line.to_owned());
        }
    }

    fn transient(&self, line: &str) {
        if self.passes() {
            self.report.transient(line);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Lines(Mutex<Vec<String>>);

    impl Report for Lines {
        fn line(&self, line: &str) {
            self.0.lock().unwrap().push(line.to_owned());
        }

        fn warn(&self, _: &str) {}
        fn progress(&self, _: u64, _: u64) {}
        fn command(&self, _: &str) {}
    }

    fn heard(lines: &[&str]) -> (bool, Vec<String>) {
        let report = Arc::new(Lines::default());
        let heard = Heard::new(Arc::clone(&report) as Arc<dyn Report>);
        for line in lines {
            heard.line(line);
        }
        let told = report.0.lock().unwrap().clone();
        (heard.is_whole(), told)
    }

    #[test]
    fn a_choice_that_holds_at_once_is_told_of() {
        let (first, second) = (format!("{}0", COUNTS[0]), format!("{}0", COUNTS[1]));
        let (is_whole, told) = heard(&["Reading", &first, &second, "Done", "Get:1"]);
        assert!(is_whole);
        assert_eq!(told, ["Reading", "Get:1"]);
    }

    #[test]
    fn nothing_is_told_of_any_other() {
        let counts = |first: &str, second: &str| {
            let lines = [
                format!("{}{first}", COUNTS[0]),
                format!("{}{second}", COUNTS[1]),
            ];
            heard(&["Reading", &lines[0], &lines[1], "Removing x"])
        };
        assert_eq!(counts("1", "1"), (false, Vec::new()));
        assert_eq!(counts("2", "0"), (false, Vec::new()));
        assert_eq!(heard(&["E: Unable to locate"]), (false, Vec::new()));
        let (is_whole, told) = counts("0", "1");
        assert!(!is_whole);
        assert_eq!(told, ["Reading"]);
    }
}
