//! Text as man(7) wants it.

use crate::config::values::Shape;

/// Escapes what has a meaning: backslashes, hyphens that must stay hyphens, and dots and apostrophes at
/// the beginning of a line.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    if text.starts_with(['.', '\'']) {
        escaped.push_str("\\&");
    }
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\e"),
            '-' => escaped.push_str("\\-"),
            '\n' => escaped.push_str("\n\\&"),
            '…' => escaped.push_str("..."),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A flag as it is written on the command line.
pub(super) fn flag(short: Option<char>, name: &str, shape: Shape, metavar: &str) -> String {
    let letter = short.map_or_else(String::new, |letter| format!("\\fB\\-{letter}\\fR, "));
    let name = escape(name);
    let metavar = escape(metavar);
    match shape {
        Shape::Switch if metavar == "BOOL" => format!("{letter}\\fB\\-\\-{name}\\fR"),
        Shape::Switch => format!("{letter}\\fB\\-\\-{name}\\fR[=\\fI{metavar}\\fR]"),
        Shape::Word | Shape::List => {
            format!("{letter}\\fB\\-\\-{name}=\\fR\\fI{metavar}\\fR")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_meaning_is_escaped() {
        for (text, expected) in [
            ("plain", "plain"),
            (".hidden", r"\&.hidden"),
            (r"a-b\c", r"a\-b\ec"),
            ("one\n.two", "one\n\\&.two"),
        ] {
            assert_eq!(escape(text), expected);
        }
        assert_eq!(
            flag(Some('o'), "output", Shape::Word, "PATH"),
            r"\fB\-o\fR, \fB\-\-output=\fR\fIPATH\fR"
        );
    }
}
