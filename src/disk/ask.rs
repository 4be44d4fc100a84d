//! What a program says of itself: which options this release of it knows.

use std::sync::{Arc, Mutex, PoisonError};

use crate::host::{Command, CommandError, Host, Report};

/// Everything that `command` prints on either stream, whatever its exit status.
pub(super) fn ask(command: Command, host: &Host) -> Result<String, CommandError> {
    let listener = Arc::new(Listener {
        report: Arc::clone(&host.report),
        heard: Mutex::default(),
    });
    let asked = host.clone().with_report(listener.clone()).run(command);
    match asked {
        Ok(_) | Err(CommandError::Failed { .. }) => {
            let mut heard = listener
                .heard
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            Ok(std::mem::take(&mut *heard))
        }
        Err(error) => Err(error),
    }
}

/// Keeps the lines instead of reporting them.
struct Listener {
    report: Arc<dyn Report>,
    heard: Mutex<String>,
}

impl Report for Listener {
    fn line(&self, line: &str) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.push_str(line);
        heard.push('\n');
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Cancel, HostRunner, Quiet};

    #[test]
    fn both_streams_are_heard_and_the_status_is_not() {
        let host = Host::new(Arc::new(HostRunner), Arc::new(Quiet), Cancel::default());
        let command = Command::new("sh").args(["-c", "echo out; echo err >&2; exit 1"]);
        let heard = ask(command, &host).unwrap();
        let mut lines: Vec<_> = heard.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["err", "out"]);
        assert!(ask(Command::new("no-such-program"), &host).is_err());
    }
}
