//! What the terminal shows of keys that send signals.

use std::fs::File;

use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, tcgetpgrp};

/// While this value lives, the terminal does not show `^C` when Ctrl-C is pressed: it would stand among lines
/// that are drawn over, and keep one of them there.
#[derive(Debug)]
pub struct SilentSignals(Option<File>);

impl SilentSignals {
    /// Begins, where this process has a terminal and is in its foreground: elsewhere the terminal is somebody
    /// else's matter.
    #[must_use]
    pub fn begin() -> Self {
        Self(silenced())
    }
}

/// The terminal, if it was made silent.
fn silenced() -> Option<File> {
    let terminal = File::options().read(true).write(true).open("/dev/tty");
    let terminal = terminal.ok()?;
    set(&terminal, false).then_some(terminal)
}

/// Returns whether that changed anything.
fn set(terminal: &File, shown: bool) -> bool {
    // The system stops a process of the background that changes its terminal.
    if !tcgetpgrp(terminal).is_ok_and(|foreground| foreground == getpgrp()) {
        return false;
    }
    let Ok(mut mode) = tcgetattr(terminal) else {
        return false;
    };
    if mode.local_flags.contains(LocalFlags::ECHOCTL) == shown {
        return false;
    }
    mode.local_flags.set(LocalFlags::ECHOCTL, shown);
    tcsetattr(terminal, SetArg::TCSANOW, &mode).is_ok()
}

impl Drop for SilentSignals {
    fn drop(&mut self) {
        if let Some(terminal) = &self.0 {
            set(terminal, true);
        }
    }
}
