//! What apt says while it chooses, and what of it the user hears.

use std::sync::{Arc, Mutex, PoisonError};

use crate::host::{Lines, Report};

/// Keeps from the user that apt is surprised by a dpkg that did nothing: that is how it is made to tell
/// what it would do.
pub(super) fn without_surprise(report: Arc<dyn Report>) -> Arc<dyn Report> {
    Arc::new(Lines::new(report, |report: &dyn Report, line: &str| {
        let surprise = line.contains("APT had planned for dpkg to do more")
            || line.trim_start().starts_with("Affected packages: ");
        if !surprise {
            report.line(line);
        }
    }))
}

/// Listens, with apt's setting `Debug::pkgProblemResolver`, whether all relations held as soon as it had
/// marked what was asked for and what that needs. Until then nothing is passed on: where they did not hold,
/// apt is asked again.
pub(super) struct Heard(Arc<Mutex<State>>);

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
    /// What listens, and to whom apt's lines go meanwhile.
    pub fn begin(report: Arc<dyn Report>) -> (Self, Arc<dyn Report>) {
        let state = Arc::new(Mutex::new(State::default()));
        let heard = Self(Arc::clone(&state));
        let listener = Lines::new(report, move |report: &dyn Report, line: &str| {
            state
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .hear(line, report);
        });
        (heard, Arc::new(listener))
    }

    /// Whether apt said that all relations held, and never anything else.
    pub fn is_whole(&self) -> bool {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.held == Some(true)
    }
}

impl State {
    fn hear(&mut self, line: &str, report: &dyn Report) {
        if let Some(count) = COUNTS.iter().find_map(|start| line.strip_prefix(start)) {
            let holds = count.trim() == "0";
            self.held = Some(holds && self.held != Some(false));
            if self.held == Some(true) {
                self.held_back.drain(..).for_each(|line| report.line(&line));
            }
        } else if self.held != Some(true) {
            self.held_back.push(line.to_owned());
        } else if line != LAST {
            report.line(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Quiet;

    fn heard(lines: &[&str]) -> (bool, Vec<String>) {
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = Arc::clone(&told);
        let report = Lines::new(Arc::new(Quiet), move |_: &dyn Report, line: &str| {
            tell.lock().unwrap().push(line.to_owned());
        });
        let (heard, listener) = Heard::begin(Arc::new(report));
        for line in lines {
            listener.line(line);
        }
        let told = told.lock().unwrap().clone();
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
