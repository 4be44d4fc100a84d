//! What the program says to its user.

use std::fmt::Display;
use std::io::{self, Write as _};

use super::exit;
use crate::config::{Errors, Warning};
use crate::engine::events::{Paint, wrapped};
use crate::host::{Report, printable};

pub use crate::engine::events::columns;

/// Writes an answer to standard output; returns the exit status. A reader that has seen enough
/// (`mkosi summary | head`) is no failure.
pub fn answer(text: &str) -> u8 {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => exit::DONE,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => exit::DONE,
        Err(error) => {
            complain(format_args!("cannot write the answer: {error}"));
            exit::FAILED
        }
    }
}

/// Says on standard error what is wrong; on a terminal, lines end where a word does, and what stands at the
/// beginning has a colour.
pub fn complain(what: impl Display) {
    let text = shown(&format!("mkosi: {what}"), columns());
    let text = coloured(&text, Paint::on_stderr());
    // Nobody is left to be told when this fails.
    let _ = writeln!(io::stderr(), "{text}");
}

/// A message as a terminal may see it. Whoever makes one escapes the names in it; whatever was forgotten,
/// or comes from a library, ends here.
fn shown(text: &str, columns: Option<usize>) -> String {
    let lines = text.split('\n').map(printable);
    let fitting = lines.map(|line| match columns {
        Some(width) => fitted(&line, width),
        None => line,
    });
    fitting.collect::<Vec<_>>().join("\n")
}

fn coloured(text: &str, paint: Paint) -> String {
    for (word, painted) in [
        ("error:", paint.bad("error:")),
        ("warning:", paint.warning("warning:")),
    ] {
        if let Some(rest) = text.strip_prefix(&format!("mkosi: {word}")) {
            return format!("mkosi: {painted}{rest}");
        }
    }
    text.to_owned()
}

/// What commands said, which is indented further than what this program says, stays as it is.
fn fitted(line: &str, width: usize) -> String {
    if line.starts_with("    ") {
        line.to_owned()
    } else {
        wrapped(line, width, 2)
    }
}

/// Says on standard error what went wrong, and below it why, cause by cause.
pub fn complain_about(error: &dyn std::error::Error) {
    complain(format_args!("error: {}", chain(error)));
}

/// What went wrong, and on indented lines below it why, cause by cause.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push('\n');
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text.replace('\n', "\n  ")
}

/// Tells people, on standard error, how things went.
pub fn tell(text: &str) {
    let text = columns().map_or_else(|| text.to_owned(), |width| wrapped(text, width, 2));
    // Nobody is left to be told when this fails.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Says on standard error what the user should know.
pub fn warn(warnings: &[Warning]) {
    for warning in warnings {
        complain(format_args!("warning: {warning}"));
    }
}

/// Says, before any work begins, what the user should know; and nothing else.
#[derive(Clone, Copy, Debug)]
pub struct Warnings;

impl Report for Warnings {
    fn line(&self, _: &str) {}
    fn warn(&self, message: &str) {
        complain(format_args!("warning: {message}"));
    }
    fn progress(&self, _: u64, _: u64) {}
    fn command(&self, _: &str) {}
}

/// Says everything that is wrong with a configuration; returns the exit status.
pub fn refuse(errors: &Errors) -> u8 {
    warn(&errors.warnings);
    for error in &errors.errors {
        complain(format_args!("error: {error}"));
    }
    exit::USAGE
}

/// How many characters fit on a line.
pub fn width() -> usize {
    const USUAL: usize = 100;
    std::env::var("COLUMNS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(USUAL)
        .min(USUAL)
}

/// Whether the locale's characters are Unicode's.
pub fn shows_unicode() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_text() {
        let message = "mkosi: error: \u{1b}]0;title\u{7}\u{1b}[31mred\r\u{9b}1m\0\n  cause\u{202e}";
        for columns in [None, Some(20)] {
            let text = shown(message, columns);
            let raw = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!text.contains(raw), "{text:?}");
            assert!(text.contains("red") && text.contains("cause"), "{text:?}");
        }
        assert_eq!(shown("a\n    b c", Some(3)), "a\n    b c");
    }
}
