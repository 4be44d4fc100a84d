//! Text of unknown origin made safe: quoted for a shell, or printable on a terminal.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Quotes one word so that bash, zsh and busybox read it back as the same bytes, and so that printing
/// it sends no control character to a terminal.
#[must_use]
pub fn shell_quote(word: &OsStr) -> String {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(b);
    let bytes = word.as_bytes();
    match word.to_str() {
        Some(text) if !bytes.is_empty() && bytes.iter().all(plain) => text.to_owned(),
        Some(text) if !text.chars().any(is_hidden) => format!("'{}'", text.replace('\'', r"'\''")),
        _ => ansi_quote(bytes),
    }
}

/// The `$'…'` form: everything that cannot be shown as itself becomes an escape.
fn ansi_quote(bytes: &[u8]) -> String {
    let mut out = String::from("$'");
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\'' => out.push_str(r"\'"),
                '\\' => out.push_str(r"\\"),
                c => push_visible(&mut out, c, '\\'),
            }
        }
        for b in chunk.invalid() {
            out.push_str(&format!("\\x{b:02x}"));
        }
    }
    out.push('\'');
    out
}

/// Characters that act on a terminal instead of showing: control characters, and the ones that
/// break its line or change the direction of the text around them.
pub(crate) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
}

fn push_visible(out: &mut String, c: char, escape: char) {
    match c {
        '\n' => out.extend([escape, 'n']),
        '\r' => out.extend([escape, 'r']),
        '\t' => out.extend([escape, 't']),
        c if is_hidden(c) && c.is_ascii() => {
            out.push_str(&format!("{escape}x{:02x}", u32::from(c)));
        }
        c if is_hidden(c) => out.push_str(&format!("{escape}u{:04x}", u32::from(c))),
        c => out.push(c),
    }
}

/// `text` as a terminal may see it: colour and cursor sequences dropped, other control characters
/// written as escapes (`\x07`), tabs as spaces. Doing it twice changes nothing.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\x1b' => match skip_sequence(&mut rest) {
                Some(()) => {}
                None => out.push_str("\\x1b"),
            },
            '\t' => {
                let column = out.chars().count();
                out.extend(std::iter::repeat_n(' ', 8 - column % 8));
            }
            c => push_visible(&mut out, c, '\\'),
        }
    }
    out
}

/// [`printable`] for a file name or other bytes; what is not UTF-8 becomes `\xNN`.
#[must_use]
pub fn printable_bytes(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        for b in chunk.invalid() {
            out.push_str(&format!("\\x{b:02x}"));
        }
    }
    printable(&out)
}

/// [`printable`] for a path.
#[must_use]
pub fn printable_path(path: impl AsRef<Path>) -> String {
    printable_bytes(path.as_ref().as_os_str().as_bytes())
}

/// The longest path that [`abridged`] leaves alone, and what it shows of both ends of others, in characters.
const LONGEST: usize = 160;
const SHOWN: usize = 70;

/// A path that was made printable, without its middle if it is very long: a message about it shall be seen whole.
#[must_use]
pub fn abridged(path: &str) -> String {
    let count = path.chars().count();
    if count <= LONGEST {
        return path.to_owned();
    }
    let start: String = path.chars().take(SHOWN).collect();
    let end: String = path.chars().skip(count - SHOWN).collect();
    format!("{start}[…]{end}")
}

/// Steps over the rest of an escape sequence; `None` (and nothing stepped over) when it is none
/// that ECMA-48 knows or has no end.
fn skip_sequence(rest: &mut std::str::Chars<'_>) -> Option<()> {
    let mut ahead = rest.clone();
    match ahead.next()? {
        // Control sequence: parameters, then one final character.
        '[' => loop {
            match ahead.next()? {
                '@'..='~' => break,
                ' '..='?' => {}
                _ => return None,
            }
        },
        // Operating system command and its kin: up to BEL or ESC \.
        ']' | 'P' | '^' | '_' | 'X' => loop {
            match ahead.next()? {
                '\x07' => break,
                '\x1b' => {
                    if ahead.next()? == '\\' {
                        break;
                    }
                    return None;
                }
                _ => {}
            }
        },
        // Character sets: one more character.
        '(' | ')' | '*' | '+' => {
            ahead.next()?;
        }
        '=' | '>' | '7' | '8' | 'c' | 'D' | 'E' | 'H' | 'M' => {}
        _ => return None,
    }
    *rest = ahead;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_very_long_paths_are_abridged() {
        let long = "ä/".repeat(LONGEST / 2);
        assert_eq!(abridged(&long), long);
        let longer = format!("{long}end");
        let shown = abridged(&longer);
        assert!(shown.starts_with("ä/ä/") && shown.ends_with("/ä/end"));
        assert_eq!(shown.chars().count(), 2 * SHOWN + 3);
    }

    #[test]
    fn quoting() {
        let cases: &[(&[u8], &str)] = &[
            (b"plain/path-1.0_x", "plain/path-1.0_x"),
            (b"", "''"),
            (b"a b", "'a b'"),
            (b"$HOME", "'$HOME'"),
            (b"~", "'~'"),
            (b"it's", r"'it'\''s'"),
            ("größe".as_bytes(), "'größe'"),
            (b"\xff'\\", r"$'\xff\'\\'"),
            (b"a\tb\x07", r"$'a\tb\x07'"),
            ("\u{202e}x".as_bytes(), r"$'\u202ex'"),
            ("\u{85}".as_bytes(), r"$'\u0085'"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(&shell_quote(OsStr::from_bytes(bytes)), expected);
        }
    }

    #[test]
    fn nothing_printable_reaches_into_the_terminal() {
        let cases = [
            ("\x1b[1;31mred\x1b[0m", "red"),
            ("\x1b]0;title\x07text", "text"),
            ("\x1b]8;;http://x\x1b\\link", "link"),
            ("\x1b(Bascii", "ascii"),
            ("\x1b[unfinished\u{7f}", "nfinished\\x7f"),
            ("\x1b", "\\x1b"),
            ("\x1b]never ends", "\\x1b]never ends"),
            ("a\tb", "a       b"),
            ("bell\x07", "bell\\x07"),
            ("\u{9b}31m", "\\u009b31m"),
            ("\u{202e}evil", "\\u202eevil"),
        ];
        for (text, expected) in cases {
            let shown = printable(text);
            assert_eq!(shown, expected);
            assert_eq!(printable(&shown), expected);
        }
    }

    #[test]
    fn names_that_are_no_text() {
        assert_eq!(printable_bytes(b"a\xffb\n"), "a\\xffb\\n");
    }
}
