//! The manual pages: prose from `*.in` beside this file, lists from the tables.

mod roff;
mod settings;

use std::fmt::Write as _;

use super::invocation::Verb;
use super::options::OPTIONS;
use roff::{escape, flag};

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// When this version is from, as the first entry of packaging/debian/changelog has it.
const DATE: &str = "2026-11-21";

/// `mkosi(1)`: the program.
#[must_use]
pub fn program() -> String {
    include_str!("mkosi.1.in")
        .replace("@VERSION@", VERSION)
        .replace("@DATE@", DATE)
        .replace("@VERBS@", &verbs())
        .replace("@OPTIONS@", &options())
}

/// `mkosi.default(5)`: settings files, and every setting.
#[must_use]
pub fn settings_file() -> String {
    include_str!("mkosi.default.5.in")
        .replace("@VERSION@", VERSION)
        .replace("@DATE@", DATE)
        .replace("@SETTINGS@", &settings::all())
}

fn verbs() -> String {
    let mut text = String::new();
    for (verb, what) in Verb::WORDS_AND_HELP {
        let word = escape(verb.as_str());
        let arguments = match verb.arguments() {
            "" => String::new(),
            words => format!(" \\fI{}\\fR", escape(words)),
        };
        let _ = writeln!(text, ".TP\n\\fB{word}\\fR{arguments}\n{}.", escape(what));
    }
    text.trim_end().to_owned()
}

fn options() -> String {
    let mut text = String::new();
    for option in OPTIONS {
        let flag = flag(option.short, option.flag, option.shape, option.metavar);
        let _ = writeln!(text, ".TP\n{flag}\n{}.", escape(option.help));
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SETTINGS;

    #[test]
    fn nothing_is_left_out() {
        let (program, file) = (program(), settings_file());
        for (verb, _) in Verb::WORDS_AND_HELP {
            assert!(program.contains(&format!("\\fB{verb}\\fR")), "{verb}");
        }
        for option in OPTIONS {
            let name = option.flag.replace('-', "\\-");
            assert!(program.contains(&name), "{name}");
        }
        for row in SETTINGS {
            assert!(file.contains(row.spec.name), "{}", row.spec.name);
            let name = row.spec.flag.replace('-', "\\-");
            assert!(file.contains(&name), "{name}");
        }
        for text in [program, file] {
            for placeholder in ["@VERSION@", "@DATE@", "@VERBS@", "@OPTIONS@", "@SETTINGS@"] {
                assert!(!text.contains(placeholder), "{placeholder}");
            }
            let wrong: Vec<&str> = text.lines().filter(|line| line.ends_with(' ')).collect();
            assert_eq!(wrong, [""; 0]);
        }
    }
}
