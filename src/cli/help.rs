//! The text of `--help`, from the tables.

use std::fmt::Write as _;

use super::invocation::Verb;
use super::options::OPTIONS;
use crate::config::values::Shape;
use crate::config::{Config, Row, SETTINGS, Section, defaults};

/// Where the explanations begin.
const COLUMN: usize = 34;
/// Longer lists of words are explained in the text instead of beside the flag.
const LONGEST_METAVAR: usize = 14;

/// Explains verbs, options and settings, in lines of at most `width` characters.
#[must_use]
pub fn help(width: usize) -> String {
    let width = width.max(COLUMN + 20);
    let mut text = String::from(
        "Usage: mkosi [OPTION…] [VERB] [ARGUMENT…]\n\n\
         Builds an operating-system image from the settings in mkosi.default, mkosi.default.d/ and\n\
         on the command line.\n\nVerbs:\n",
    );
    for (verb, what) in Verb::WORDS_AND_HELP {
        let left = format!("  {verb} {}", verb.arguments());
        entry(&mut text, left.trim_end(), what, width);
    }
    text.push_str("\nOptions:\n");
    for option in OPTIONS {
        let left = left(option.short, option.flag, option.shape, option.metavar);
        entry(&mut text, &left, option.help, width);
    }
    let defaults = defaults();
    for section in Section::ALL {
        let _ = writeln!(text, "\n[{}]", section.name());
        for row in SETTINGS.iter().filter(|row| row.spec.section == section) {
            setting(&mut text, row, &defaults, width);
        }
    }
    text.push_str(
        "\nA setting and its flag mean the same. Switches take an optional value (--bootable=no).\n\
         Lists are separated by commas or white space and may be given several times.\n",
    );
    text
}

fn setting(text: &mut String, row: &Row, defaults: &Config, width: usize) {
    let metavar = (row.metavar)();
    let (metavar, words) = if metavar.contains('|') && metavar.len() > LONGEST_METAVAR {
        (
            "VALUE",
            format!(
                "; {}",
                metavar.replace("BOOL", "yes, no").replace('|', ", ")
            ),
        )
    } else {
        (metavar.as_str(), String::new())
    };
    let mut what = row.help.trim().to_owned();
    if row.spec.negated {
        what = format!("Not: {what}");
    }
    let (alias, default) = (row.spec.name, default_of(row, defaults));
    what.push_str(&format!("{words} [{alias}{default}]"));
    let left = left(row.spec.short, row.spec.flag, row.shape, metavar);
    entry(text, &left, &what, width);
}

/// `, default: X`, unless nothing is set by default.
fn default_of(row: &Row, defaults: &Config) -> String {
    if !row.spec.default_text.is_empty() {
        return format!(", default: {}", row.spec.default_text);
    }
    let value = (row.lines)(defaults).join(" ");
    if row.spec.negated || matches!(value.as_str(), "none" | "no" | "0") {
        String::new()
    } else {
        format!(", default: {value}")
    }
}

fn left(short: Option<char>, flag: &str, shape: Shape, metavar: &str) -> String {
    let letter = short.map_or_else(|| "    ".into(), |letter| format!("-{letter}, "));
    match shape {
        Shape::Switch if metavar == "BOOL" => format!("  {letter}--{flag}"),
        Shape::Switch => format!("  {letter}--{flag}[={metavar}]"),
        Shape::Word | Shape::List => format!("  {letter}--{flag}={metavar}"),
    }
}

/// Writes `left`, and `what` beside or beneath it.
fn entry(text: &mut String, left: &str, what: &str, width: usize) {
    let mut line = left.to_owned();
    if left.chars().count() + 2 > COLUMN {
        let _ = writeln!(text, "{line}");
        line.clear();
    }
    for word in what.split_whitespace() {
        let length = line.chars().count();
        if length < COLUMN {
            line.extend(std::iter::repeat_n(' ', COLUMN - length));
        } else if length + 1 + word.chars().count() > width {
            let _ = writeln!(text, "{line}");
            line = " ".repeat(COLUMN);
        } else {
            line.push(' ');
        }
        line.push_str(word);
    }
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_is_explained_within_the_width() {
        let text = help(80);
        for row in SETTINGS {
            assert!(
                text.contains(&format!("--{}", row.spec.flag)),
                "{}",
                row.spec.flag
            );
        }
        for option in OPTIONS {
            assert!(
                text.contains(&format!("--{}", option.flag)),
                "{}",
                option.flag
            );
        }
        let long: Vec<_> = text
            .lines()
            .skip(5)
            .filter(|line| line.chars().count() > 100)
            .collect();
        assert_eq!(long, [""; 0]);
    }
}
