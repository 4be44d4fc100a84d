//! Names from images, archives and source trees as text that is safe to print.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::host::is_hidden;

/// A path for a message: control characters and bytes that are no text are escaped, so that a name
/// can neither steer a terminal nor break a line.
pub fn shown(path: impl AsRef<Path>) -> String {
    shown_bytes(path.as_ref().as_os_str().as_bytes())
}

/// As [`shown`], for the last part of a path alone.
pub(crate) fn shown_name(path: &Path) -> String {
    shown(path.file_name().unwrap_or(path.as_os_str()))
}

/// As [`shown`], for bytes that are not a path yet.
pub(crate) fn shown_bytes(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if is_hidden(c) {
                text.extend(c.escape_default());
            } else {
                text.push(c);
            }
        }
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::shown_bytes;

    #[test]
    fn escapes_what_a_terminal_would_obey() {
        for (raw, text) in [
            (&b"usr/bin/x"[..], "usr/bin/x"),
            (b"a\nb", "a\\nb"),
            (b"\x1b[31mred", "\\u{1b}[31mred"),
            (b"\xff\xfe", "\\xff\\xfe"),
            ("gr\u{fc}n".as_bytes(), "gr\u{fc}n"),
            ("a\u{202e}b".as_bytes(), "a\\u{202e}b"),
            ("a\u{2028}b".as_bytes(), "a\\u{2028}b"),
        ] {
            assert_eq!(shown_bytes(raw), text);
        }
    }
}
