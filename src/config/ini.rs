//! Reads the text of a settings file: sections, keys, values, and the line that each stands on.
//!
//! `Key=Value` beneath `[Section]`; a line that is indented deeper than the key above continues its
//! value, across blank lines and comments; `#` and `;` begin a comment line. Nothing here knows
//! which keys exist. The text may be anything at all: whatever is not understood becomes a problem
//! with its line, and reading goes on.

use super::message::Excerpt;

/// After so many problems the rest of a file says nothing new.
const MOST_PROBLEMS: usize = 20;

/// What a settings file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// The names between brackets, with their lines, in order.
    pub sections: Vec<(String, u32)>,
    /// The keys, in order.
    pub entries: Vec<Entry>,
    /// What could not be understood, with its line.
    pub problems: Vec<(u32, String)>,
}

/// One `Key=Value`, with the lines that continue it.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which of the sections it stands in; none before the first.
    pub section: Option<usize>,
    /// The name before the `=`.
    pub key: String,
    /// Its line, counted from 1.
    pub line: u32,
    /// What follows the `=`, and each line that continues it, as written.
    value: Vec<String>,
}

impl Entry {
    /// The value as one line, without a pair of quotes around all of it.
    #[must_use]
    pub fn scalar(&self) -> String {
        let lines: Vec<&str> = self
            .value
            .iter()
            .map(|line| line.trim())
            .filter(|line| !line.is_empty())
            .collect();
        let text = lines.join(" ");
        unquote(&text).replace("%%", "%")
    }

    /// The value with its lines, without comments at their ends.
    #[must_use]
    pub fn list(&self) -> String {
        let lines: Vec<&str> = self
            .value
            .iter()
            .map(|line| without_comment(line).trim())
            .collect();
        lines.join("\n").trim().replace("%%", "%")
    }
}

/// Drops the quotes of `"all of this"`; `"a" "b"` keeps its four.
fn unquote(text: &str) -> &str {
    for quote in ['"', '\''] {
        let inner = text
            .strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote));
        if let Some(inner) = inner.filter(|inner| !inner.contains(quote)) {
            return inner;
        }
    }
    text
}

/// Cuts a line before a `#` that follows white space.
fn without_comment(line: &str) -> &str {
    let mut after_space = false;
    for (at, c) in line.char_indices() {
        if c == '#' && after_space {
            return &line[..at];
        }
        after_space = c.is_whitespace();
    }
    line
}

/// What an indented line belongs to.
enum Above {
    /// Nothing: it is a key like any other.
    Nothing,
    /// The last entry, whose key is indented so far.
    Entry(usize),
    /// A line that was not understood, indented so far.
    Problem(usize),
}

/// Reads a whole file.
#[must_use]
pub fn parse(bytes: &[u8]) -> Document {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut document = Document::default();
    let mut above = Above::Nothing;
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let number = u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let content = line.trim_ascii_start();
        if content.is_empty() || matches!(content[0], b'#' | b';') {
            continue;
        }
        if document.problems.len() == MOST_PROBLEMS {
            document
                .problems
                .push((number, "too many errors, the rest is not read".into()));
            break;
        }
        match readable(line) {
            Ok(line) => document.line(number, line, &mut above),
            Err(problem) => {
                document.problems.push((number, problem));
                above = Above::Problem(0);
            }
        }
    }
    document
}

fn readable(line: &[u8]) -> Result<&str, String> {
    let line = std::str::from_utf8(line).map_err(|_| "not UTF-8 text".to_owned())?;
    match line.chars().find(|c| c.is_control() && *c != '\t') {
        Some(c) => Err(format!(
            "a control character (U+{:04X}) is not allowed here",
            u32::from(c)
        )),
        None => Ok(line),
    }
}

impl Document {
    fn line(&mut self, number: u32, line: &str, above: &mut Above) {
        let text = line.trim();
        // White space beyond ASCII hides these from the caller.
        if text.is_empty() || text.starts_with(['#', ';']) {
            return;
        }
        let indent = line.chars().take_while(|c| c.is_whitespace()).count();
        match above {
            Above::Entry(column) if indent > *column => {
                if let Some(entry) = self.entries.last_mut() {
                    entry.value.push(line.to_owned());
                }
                return;
            }
            Above::Problem(column) if indent > *column => return,
            _ => {}
        }
        let result = if text.starts_with('[') {
            section(text).map(|name| {
                self.sections.push((name.to_owned(), number));
                Above::Nothing
            })
        } else {
            key_and_value(text).map(|(key, value)| {
                self.entries.push(Entry {
                    section: self.sections.len().checked_sub(1),
                    key: key.to_owned(),
                    line: number,
                    value: vec![value.to_owned()],
                });
                Above::Entry(indent)
            })
        };
        *above = result.unwrap_or_else(|problem| {
            self.problems.push((number, problem));
            Above::Problem(indent)
        });
    }
}

fn section(text: &str) -> Result<&str, String> {
    let wrong = || format!("expected [Section], found {}", Excerpt(text));
    let (name, rest) = text
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
        .ok_or_else(wrong)?;
    let rest = rest.trim_start();
    let name = name.trim();
    if name.is_empty() || !(rest.is_empty() || rest.starts_with(['#', ';'])) {
        return Err(wrong());
    }
    Ok(name)
}

fn key_and_value(text: &str) -> Result<(&str, &str), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim(), value)),
        Some(_) => Err(format!("expected a name before the = in {}", Excerpt(text))),
        None if text.contains(':') => Err(format!(
            "expected Key=Value, found {} (with : in place of =)",
            Excerpt(text)
        )),
        None => Err(format!("expected Key=Value, found {}", Excerpt(text))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scalars(text: &str) -> Vec<(String, String, String)> {
        let document = parse(text.as_bytes());
        assert_eq!(document.problems, [], "{text:?}");
        let name = |entry: &Entry| {
            entry
                .section
                .map_or("", |at| document.sections[at].0.as_str())
                .to_owned()
        };
        document
            .entries
            .iter()
            .map(|entry| (name(entry), entry.key.clone(), entry.scalar()))
            .collect()
    }

    #[test]
    fn scalar_values() {
        for (text, value) in [
            ("[A]\nk=v", "v"),
            ("\u{feff}[A]\r\nk = v \r\n", "v"),
            ("[A] # note\nk\t=\tv=w", "v=w"),
            ("[A]\nk=a\n  b\n\n# note\n\tc\n", "a b c"),
            ("[A]\nk=a # b", "a # b"),
            ("[A]\nk=a;b", "a;b"),
            ("[A]\nk=\"a b\"", "a b"),
            ("[A]\nk='  a b '", "  a b "),
            ("[A]\nk=\"a\" \"b\"", "\"a\" \"b\""),
            ("[A]\nk=\"a", "\"a"),
            ("[A]\nk=100%", "100%"),
            ("[A]\nk=100%%s", "100%s"),
            ("[A]\nk=a\n  [b]\n  c=d", "a [b] c=d"),
            ("[A]\nk=", ""),
            ("[A]\nk=\"\"", ""),
            ("[A]\nk=a\n  ; note\n  b", "a b"),
        ] {
            assert_eq!(
                scalars(text),
                [("A".into(), "k".into(), value.into())],
                "{text:?}"
            );
        }
    }

    #[test]
    fn list_values() {
        for (text, value) in [
            ("k=a b", "a b"),
            ("k= # none\n a # the first\n b#c\n  d;e", "a\nb#c\nd;e"),
            ("k=#a", "#a"),
        ] {
            assert_eq!(parse(text.as_bytes()).entries[0].list(), value, "{text:?}");
        }
    }

    #[test]
    fn an_indented_section_is_read_as_it_looks() {
        assert_eq!(
            scalars("[A]\n  k=a\n    b\n  l=c\n"),
            [
                ("A".into(), "k".into(), "a b".into()),
                ("A".into(), "l".into(), "c".into())
            ]
        );
    }

    #[test]
    fn problems_name_their_line_and_reading_goes_on() {
        let text = b"x\n[A\n[]\n[A]b\n=v\n  continued\nk: v\n\xff\n# \xff\nk=\x1b[0m\nk=\0\nl=w";
        let document = parse(text);
        let lines: Vec<u32> = document.problems.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 2, 3, 4, 5, 7, 8, 10, 11]);
        assert_eq!(document.entries.len(), 1);
        assert_eq!(
            (document.entries[0].key.as_str(), document.entries[0].line),
            ("l", 12)
        );
    }

    #[test]
    fn garbage_is_given_up_on_and_long_lines_are_cut_in_messages() {
        let document = parse(&b"\xfe\n".repeat(100_000));
        assert_eq!(document.problems.len(), MOST_PROBLEMS + 1);
        let document = parse(&vec![b'a'; 10_000_000]);
        assert!(document.problems[0].1.len() < 300);
    }

    /// Files in the part of the language that both readers know. The other reader keeps the last
    /// of repeated keys, needs values, and takes an indented `[x]` for a section.
    fn common_file() -> impl Strategy<Value = String> {
        let word = "[a-zA-Z0-9/.,:!%_-]{1,8}( [a-z#;=\"]{1,5})?";
        let entry = (
            "[A-Z][a-z]{0,5}",
            " {0,2}",
            word,
            prop::collection::vec(word, 0..3),
            "(|\n|# note\n|; note\n)",
        );
        let section = ("[A-Z][a-z]{1,5}", prop::collection::vec(entry, 0..5));
        prop::collection::vec(section, 0..4).prop_map(|sections| {
            let mut text = String::new();
            for (name, entries) in sections {
                text += &format!("[{name}]\n");
                for (key, space, value, more, end) in entries {
                    text += &format!("{key}{space}={space}{value}\n");
                    for line in more {
                        text += &format!("  {line}\n");
                    }
                    text += &end;
                }
            }
            text
        })
    }

    fn by_the_other_reader(
        text: &str,
    ) -> Option<std::collections::BTreeMap<(String, String), String>> {
        let mut ini = configparser::ini::Ini::new_cs();
        ini.set_multiline(true);
        ini.set_inline_comment_symbols(Some(&[]));
        let map = ini.read(text.to_owned()).ok()?;
        let mut all = std::collections::BTreeMap::new();
        for (section, keys) in map {
            for (key, value) in keys {
                let lines = value?;
                let lines: Vec<_> = lines
                    .lines()
                    .map(str::trim)
                    .filter(|l| !l.is_empty())
                    .collect();
                all.insert(
                    (section.clone(), key),
                    unquote(&lines.join(" ")).replace("%%", "%"),
                );
            }
        }
        Some(all)
    }

    proptest! {
        #[test]
        fn agrees_with_another_reader(text in common_file()) {
            let ours: std::collections::BTreeMap<_, _> =
                scalars(&text).into_iter().map(|(s, k, v)| ((s, k), v)).collect();
            let theirs = by_the_other_reader(&text);
            prop_assert_eq!(Some(ours), theirs, "{}", text);
        }

        #[test]
        fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let document = parse(&bytes);
            for entry in &document.entries {
                let _ = (entry.scalar(), entry.list());
            }
        }

        #[test]
        fn any_text_like_a_file_can_be_read(text in "([\\[\\]=#;\"' \t\r\n%a-c\u{a0}\u{2028}é]){0,80}") {
            let document = parse(text.as_bytes());
            prop_assert!(document.entries.iter().all(|entry| !entry.key.is_empty()));
        }
    }
}
