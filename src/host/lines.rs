//! A command's output as lines: cut, made printable, and the last of them kept for an error.

use std::collections::VecDeque;

use super::Report;
use super::quote::printable_bytes;

/// A line longer than this many bytes is cut into several.
const LONGEST_LINE: usize = 4096;
/// How many lines, and bytes of them, an error repeats.
const TAIL_LINES: usize = 30;
const TAIL_BYTES: usize = 4096;

/// Cuts a stream of bytes into lines.
///
/// A carriage return starts the line anew, as on a terminal: of a progress display that rewrites
/// its line, only what stood there last is a line; what it shows meanwhile is passed on as such.
#[derive(Debug, Default)]
pub(super) struct Lines {
    current: Vec<u8>,
    returned: bool,
    pub(super) tail: Tail,
}

impl Lines {
    /// Takes the next bytes, in pieces of any length.
    pub(super) fn push(&mut self, bytes: &[u8], report: &dyn Report) {
        let mut rewritten = false;
        for &byte in bytes {
            match byte {
                b'\n' => {
                    self.end_line(report);
                    rewritten = false;
                    continue;
                }
                b'\r' => {
                    self.returned = true;
                    continue;
                }
                _ => {}
            }
            if self.returned {
                self.returned = false;
                rewritten = true;
                self.current.clear();
            }
            match byte {
                // Spinners step back over their last character.
                b'\x08' => {
                    self.current.pop();
                    rewritten = true;
                }
                byte => self.current.push(byte),
            }
            if self.current.len() >= LONGEST_LINE {
                self.end_line(report);
            }
        }
        if rewritten && !self.current.is_empty() {
            report.transient(&printable_bytes(&self.current));
        }
    }

    /// The stream has ended: a line without a newline is a line, too.
    pub(super) fn finish(&mut self, report: &dyn Report) {
        if !self.current.is_empty() {
            self.end_line(report);
        }
    }

    fn end_line(&mut self, report: &dyn Report) {
        self.returned = false;
        let line = printable_bytes(&self.current);
        self.current.clear();
        let line = line.trim_end();
        report.line(line);
        self.tail.push(line);
    }
}

/// The last lines of an output.
#[derive(Debug, Default)]
pub(super) struct Tail {
    lines: VecDeque<String>,
    bytes: usize,
    /// How many lines came before these.
    dropped: usize,
}

impl Tail {
    fn push(&mut self, line: &str) {
        if line.is_empty() {
            return;
        }
        self.bytes += line.len();
        self.lines.push_back(line.to_owned());
        while self.lines.len() > TAIL_LINES || (self.bytes > TAIL_BYTES && self.lines.len() > 1) {
            if let Some(first) = self.lines.pop_front() {
                self.bytes -= first.len();
                self.dropped += 1;
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Each line after a newline and two spaces. Where some were reported and are not among them, that comes
    /// first.
    pub(super) fn to_text(&self) -> String {
        let mut text = match self.dropped {
            0 => String::new(),
            1 => "\n  (after one line that --verbose shows)".to_owned(),
            count => format!("\n  (after {count} lines that --verbose shows)"),
        };
        text.extend(self.lines.iter().map(|line| format!("\n  {line}")));
        text
    }

    /// The tail of output that was captured instead of reported.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut lines = Lines::default();
        let from = bytes.len().saturating_sub(2 * TAIL_BYTES);
        lines.push(bytes.get(from..).unwrap_or_default(), &super::Quiet);
        lines.finish(&super::Quiet);
        // Nobody could see them.
        lines.tail.dropped = 0;
        lines.tail
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Heard {
        lines: Mutex<Vec<String>>,
        transient: Mutex<Vec<String>>,
    }

    impl Report for Heard {
        fn line(&self, line: &str) {
            self.lines.lock().unwrap().push(line.to_owned());
        }
        fn transient(&self, line: &str) {
            self.transient.lock().unwrap().push(line.to_owned());
        }
        fn warn(&self, _: &str) {}
        fn progress(&self, _: u64, _: u64) {}
        fn command(&self, _: &str) {}
    }

    #[test]
    fn any_cut_of_the_stream_gives_the_same_lines() {
        let stream =
            b"one\r\ntwo\n\n10%\r20%\r30%\nspin|\x08/\x08-\nb\xffd\x1b[1mbold\x1b[0m\nlast";
        let expected = ["one", "two", "", "30%", "spin-", "b\\xffdbold", "last"];
        for size in 1..=stream.len() {
            let heard = Heard::default();
            let mut lines = Lines::default();
            for piece in stream.chunks(size) {
                lines.push(piece, &heard);
            }
            lines.finish(&heard);
            assert_eq!(*heard.lines.lock().unwrap(), expected, "pieces of {size}");
        }
    }

    #[test]
    fn a_rewritten_line_is_shown_while_it_stands() {
        let heard = Heard::default();
        let mut lines = Lines::default();
        for piece in [&b"10%\r"[..], b"20%\r", b"30%\r"] {
            lines.push(piece, &heard);
        }
        assert_eq!(*heard.transient.lock().unwrap(), ["20%", "30%"]);
        assert!(heard.lines.lock().unwrap().is_empty());
    }

    #[test]
    fn output_without_newlines_does_not_pile_up() {
        let mut lines = Lines::default();
        lines.push(&vec![b'x'; 10 * LONGEST_LINE], &super::super::Quiet);
        assert!(lines.current.len() < LONGEST_LINE);
        assert!(lines.tail.bytes <= LONGEST_LINE);
    }

    #[test]
    fn the_tail_keeps_the_end() {
        let text: String = (0..100).map(|n| format!("line {n}\n")).collect();
        let tail = Tail::of(text.as_bytes()).to_text();
        assert!(tail.starts_with("\n  line 70\n"), "{tail}");
        assert!(tail.ends_with("\n  line 99"), "{tail}");
        for (count, start) in [
            (30, "\n  line 0\n"),
            (31, "\n  (after one line that --verbose shows)\n  line 1\n"),
            (99, "\n  (after 69 lines that --verbose shows)\n  line 69\n"),
        ] {
            let text: String = (0..count).map(|n| format!("line {n}\n")).collect();
            let mut lines = Lines::default();
            lines.push(text.as_bytes(), &super::super::Quiet);
            let tail = lines.tail.to_text();
            assert!(tail.starts_with(start), "{tail}");
        }
        assert!(Tail::of(b"").is_empty());
    }
}
