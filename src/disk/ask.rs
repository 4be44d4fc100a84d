//! What a program says of itself: which options this release of it knows.

use std::sync::{Arc, Mutex, PoisonError};

use crate::host::{Command, CommandError, Host, Lines, Report};

/// Everything that `command` prints on either stream, whatever its exit status.
pub(super) fn ask(command: Command, host: &Host) -> Result<String, CommandError> {
    let heard = Arc::new(Mutex::new(String::new()));
    let listening = Arc::clone(&heard);
    let listener = Lines::new(
        Arc::clone(&host.report),
        move |_: &dyn Report, line: &str| {
            let mut heard = listening.lock().unwrap_or_else(PoisonError::into_inner);
            heard.push_str(line);
            heard.push('\n');
        },
    );
    match host.clone().with_report(Arc::new(listener)).run(command) {
        Ok(_) | Err(CommandError::Failed { .. }) => {
            let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(std::mem::take(&mut *heard))
        }
        Err(error) => Err(error),
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
