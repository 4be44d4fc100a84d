//! The program on a terminal of its own, as somebody sees it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::Child;
use std::time::{Duration, Instant};

use nix::libc;
use nix::pty::{Winsize, openpty};
use nix::sys::termios::{LocalFlags, tcgetattr};

use crate::support::Project;

nix::ioctl_write_ptr_bad!(set_size, libc::TIOCSWINSZ, Winsize);

/// A running program, and what it shows.
pub struct OnTerminal {
    pub child: Child,
    terminal: fs::File,
    seen: String,
    /// How much of that was waited for.
    known: usize,
}

fn size(columns: u16) -> Winsize {
    Winsize {
        ws_row: 24,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

#[allow(dead_code)] // no test needs all of it
impl OnTerminal {
    // No crate makes a terminal the controlling one of a child.
    #[allow(unsafe_code)]
    pub fn start(project: &Project, columns: u16, arguments: &[&str]) -> Self {
        let pty = openpty(&size(columns), None).unwrap();
        let mut command = project.command(arguments);
        command.env("TERM", "xterm").env("NO_COLOR", "1");
        command.stdin(pty.slave.try_clone().unwrap());
        command.stdout(pty.slave.try_clone().unwrap());
        command.stderr(pty.slave);
        // SAFETY: system calls only, between fork and exec.
        unsafe {
            command.pre_exec(|| {
                nix::unistd::setsid()?;
                match libc::ioctl(0, libc::TIOCSCTTY, 0) {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            });
        }
        Self {
            child: command.spawn().unwrap(),
            terminal: fs::File::from(pty.master),
            seen: String::new(),
            known: 0,
        }
    }

    /// Reads until `text` was shown after what was waited for before.
    pub fn waits_for(&mut self, text: &str) -> &mut Self {
        let begun = Instant::now();
        loop {
            if let Some(at) = self.seen[self.known..].find(text) {
                self.known += at + text.len();
                return self;
            }
            let unknown = &self.seen[self.known..];
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "{text} did not come after {unknown}"
            );
            let mut bytes = [0; 4096];
            let count = self.terminal.read(&mut bytes).unwrap_or(0);
            assert!(count > 0, "{text} did not come before {unknown}");
            self.seen
                .push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    }

    pub fn types(&mut self, text: &str) -> &mut Self {
        self.terminal.write_all(text.as_bytes()).unwrap();
        self
    }

    /// Somebody makes the window narrower or wider.
    #[allow(unsafe_code)] // the terminal is open, and the size is one
    pub fn resize(&mut self, columns: u16) -> &mut Self {
        use std::os::fd::AsRawFd as _;
        // SAFETY: the descriptor is open, and the kernel reads the size while this call lasts.
        unsafe { set_size(self.terminal.as_raw_fd(), &size(columns)) }.unwrap();
        self
    }

    /// Whether the terminal shows keys that send signals.
    pub fn shows_signals(&self) -> bool {
        let mode = tcgetattr(&self.terminal).unwrap();
        mode.local_flags.contains(LocalFlags::ECHOCTL)
    }

    /// Everything that was shown so far.
    pub fn shown(&self) -> &str {
        &self.seen
    }
}
