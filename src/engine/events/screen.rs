//! The terminal at standard error, as the live display draws on it.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use indicatif::TermLike;

/// Columns from the right edge where the cursor waits below live lines: what a terminal shows of a key
/// such as Ctrl-C (`^C`) then stands on the last of them, and goes with it. At the edge, where indicatif
/// leaves the cursor, it would begin another line, and the last one would stay for good.
const BACK: usize = 4;
/// What a terminal has that does not say.
const USUAL: u16 = 80;
const USUAL_ROWS: u16 = 24;

/// How many columns the terminal at standard error has, if it is one: as it says itself, or else as
/// `COLUMNS` does.
#[must_use]
pub fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stderr()).ok()?;
    let said = || std::env::var("COLUMNS").ok()?.parse().ok();
    let columns = match size.ws_col {
        0 => said().unwrap_or(USUAL),
        columns => columns,
    };
    Some(usize::from(columns)).filter(|columns| *columns > 0)
}

/// As [`columns`]; what is no terminal has as many as most.
pub(super) fn width() -> usize {
    columns().unwrap_or(usize::from(USUAL))
}

/// Standard error, written to as a whole so that nothing flickers.
#[derive(Debug, Default)]
pub(super) struct Screen {
    pending: Mutex<String>,
    live: Live,
}

/// Whether there are lines that will be drawn over. What is printed while there are none ends at the
/// right edge, so that whatever comes next begins a line.
#[derive(Clone, Debug, Default)]
pub(super) struct Live(Arc<AtomicBool>);

impl Live {
    /// To be called before the first live line is added, and when the last one is gone.
    pub(super) fn set(&self, live: bool) {
        self.0.store(live, Ordering::Relaxed);
    }
}

impl Screen {
    pub(super) fn new(live: Live) -> Self {
        Self {
            pending: Mutex::default(),
            live,
        }
    }

    fn add(&self, text: &str) {
        if let Ok(mut pending) = self.pending.lock() {
            pending.push_str(text);
        }
    }

    fn go(&self, count: usize, direction: char) {
        if count > 0 {
            self.add(&moved(count, direction));
        }
    }
}

/// Moves the cursor by `count` in the direction of this letter (ECMA-48: CUU, CUD, CUF, CUB).
fn moved(count: usize, direction: char) -> String {
    format!("\x1b[{count}{direction}")
}

impl TermLike for Screen {
    /// Asked for each time something is drawn: the window may have changed.
    fn width(&self) -> u16 {
        let columns = columns().and_then(|columns| u16::try_from(columns).ok());
        columns.unwrap_or(USUAL)
    }

    fn height(&self) -> u16 {
        let size = rustix::termios::tcgetwinsize(io::stderr());
        let rows = size.map_or(0, |size| size.ws_row);
        if rows == 0 { USUAL_ROWS } else { rows }
    }

    fn move_cursor_up(&self, lines: usize) -> io::Result<()> {
        self.go(lines, 'A');
        Ok(())
    }

    fn move_cursor_down(&self, lines: usize) -> io::Result<()> {
        self.go(lines, 'B');
        Ok(())
    }

    fn move_cursor_right(&self, columns: usize) -> io::Result<()> {
        self.go(columns, 'C');
        Ok(())
    }

    fn move_cursor_left(&self, columns: usize) -> io::Result<()> {
        self.go(columns, 'D');
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.add(text);
        self.add("\n");
        Ok(())
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.add(text);
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.add("\r\x1b[2K");
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let text = self.pending.lock().map(|mut p| std::mem::take(&mut *p));
        let mut text = text.unwrap_or_default();
        // Where nothing is drawn, the cursor still is behind something else, at the edge or on its way back.
        if text.is_empty() {
            return Ok(());
        }
        if self.live.0.load(Ordering::Relaxed) {
            text.push_str(&moved(BACK, 'D'));
        }
        let mut to = io::stderr().lock();
        to.write_all(text.as_bytes())?;
        to.flush()
    }
}
