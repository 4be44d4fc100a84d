//! Asks on the user's terminal for what must not be seen there.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// The terminal of this process, whatever its standard files are.
const TERMINAL: &str = "/dev/tty";
/// The longest line that a terminal hands over, in bytes.
const LONGEST_LINE: usize = 4096;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is nobody to ask.
    #[error("there is no terminal to ask on")]
    NoTerminal,
    /// A signal came, or the end of the input was typed.
    #[error("interrupted")]
    Interrupted,
    /// The terminal does not work.
    #[error("cannot use the terminal")]
    Io(#[from] io::Error),
}

impl From<nix::Error> for AskError {
    fn from(error: nix::Error) -> Self {
        Self::Io(error.into())
    }
}

/// The terminal while it shows nothing of what is typed. It does again when this value goes, which
/// signals cannot prevent: they wait until then, and count as an answer.
pub struct HiddenInput {
    terminal: File,
    before: Termios,
    signals: SignalFd,
    mask: SigSet,
}

impl HiddenInput {
    /// Stops the terminal from showing what is typed.
    ///
    /// # Errors
    /// When this process has no terminal.
    pub fn begin() -> Result<Self, AskError> {
        let mut options = File::options();
        let terminal = options.read(true).write(true).open(TERMINAL);
        let terminal = terminal.map_err(|_| AskError::NoTerminal)?;
        let before = tcgetattr(&terminal)?;
        let waiting: SigSet = [
            Signal::SIGINT,
            Signal::SIGQUIT,
            Signal::SIGTERM,
            Signal::SIGHUP,
            Signal::SIGTSTP,
        ]
        .into_iter()
        .collect();
        let signals = SignalFd::with_flags(&waiting, SfdFlags::SFD_CLOEXEC)?;
        let mut mask = SigSet::empty();
        pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&waiting), Some(&mut mask))?;
        let input = Self {
            terminal,
            before,
            signals,
            mask,
        };
        let mut hidden = input.before.clone();
        hidden.local_flags.remove(LocalFlags::ECHO);
        // The end of the line is seen, so that the next words are not printed behind the question.
        hidden.local_flags.insert(LocalFlags::ECHONL);
        // What was typed before the question is no answer to it.
        tcsetattr(&input.terminal, SetArg::TCSAFLUSH, &hidden)?;
        Ok(input)
    }

    /// Shows `question` and returns the line that is typed then, without its end.
    ///
    /// # Errors
    /// When a signal asks to stop, or the input ends.
    pub fn ask(&mut self, question: &str) -> Result<Zeroizing<Vec<u8>>, AskError> {
        self.terminal.write_all(question.as_bytes())?;
        // Large enough from the start: a vector that grows leaves copies behind.
        let mut line = Zeroizing::new(Vec::with_capacity(LONGEST_LINE));
        loop {
            self.wait()?;
            let mut byte = Zeroizing::new([0]);
            match self.terminal.read(&mut *byte) {
                Ok(0) => return Err(AskError::Interrupted),
                Ok(_) if byte[0] == b'\n' => return Ok(line),
                Ok(_) if line.len() < LONGEST_LINE => line.push(byte[0]),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Shows a line.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn say(&mut self, text: &str) -> Result<(), AskError> {
        Ok(writeln!(self.terminal, "{text}")?)
    }

    /// Waits until something was typed.
    fn wait(&self) -> Result<(), AskError> {
        let mut waiting = [
            PollFd::new(self.terminal.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
        ];
        loop {
            match poll(&mut waiting, PollTimeout::NONE) {
                Err(nix::errno::Errno::EINTR) => continue,
                result => result?,
            };
            let [typed, signal] = &waiting;
            if signal.any() == Some(true) {
                let signal = self.signals.read_signal()?.map(|info| info.ssi_signo);
                // Stopping would leave the terminal as it is now.
                if signal != Some(Signal::SIGTSTP as u32) {
                    return Err(AskError::Interrupted);
                }
            } else if typed.any() == Some(true) {
                return Ok(());
            }
        }
    }
}

impl Drop for HiddenInput {
    fn drop(&mut self) {
        // There is nobody left to tell when the terminal is gone.
        let _ = tcsetattr(&self.terminal, SetArg::TCSAFLUSH, &self.before);
        let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&self.mask), None);
    }
}
