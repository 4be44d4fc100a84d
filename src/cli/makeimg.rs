//! The command line of a program that was called as `makeimg`.
//!
//! Two tools had that name, and both are understood: the options of the one, and the directory that was
//! all the other took. Whatever else begins with two dashes is an option of this program's own.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::error::CliError;
use super::invocation::{Invocation, Makeimg};
use super::parse::parse;
use crate::config::message::Excerpt;
use crate::tree::adapt::Role;

/// The name that the program is called by.
pub const NAME: &str = "makeimg";

/// An option: its letter, its name, what stands for its value, and what it does.
type Row = (char, &'static str, Option<&'static str>, &'static str);

const OPTIONS: [Row; 14] = [
    ('l', "list", None, "List all input files"),
    ('f', "files", None, "List the input files that are copied"),
    ('p', "patches", None, "List the patches"),
    ('t', "templates", None, "List the templates"),
    (
        's',
        "secrets",
        Some("DIR"),
        "Where secrets are defined (default: secrets)",
    ),
    (
        'r',
        "revealed",
        Some("DIR"),
        "Use the secrets that -R wrote to this directory",
    ),
    ('S', "secret", Some("NAME"), "Print a secret"),
    (
        'R',
        "reveal-all",
        Some("DIR"),
        "Write all secrets to files in this directory",
    ),
    (
        'm',
        "apply-modes",
        None,
        "Give files and templates the modes that were recorded",
    ),
    (
        'M',
        "record-modes",
        None,
        "Record the modes of files and templates",
    ),
    (
        'W',
        "warn-only",
        None,
        "Use templates also when they print errors",
    ),
    (
        'k',
        "keep",
        None,
        "Keep the working directory of a build that fails",
    ),
    (
        'F',
        "format",
        Some("FORMAT"),
        "The format, in place of the IMGBUILD's",
    ),
    ('h', "help", None, "Print this text"),
];

/// What `makeimg --help` prints.
#[must_use]
pub fn help() -> String {
    let mut text = String::from(
        "Usage: makeimg [OPTION…] [DIR…]\n\n\
         Builds what the IMGBUILD in this directory describes, with input files from the directories\n\
         DIR (default: files); or what its image.sh describes, into the directory DIR (default:\n\
         img_dir_base of ~/.config/makeimg.conf, or img).\n\n",
    );
    for (letter, name, value, what) in OPTIONS {
        let value = value.map(|value| format!(" {value}")).unwrap_or_default();
        let left = format!("  -{letter}, --{name}{value}");
        text.push_str(&format!("{left:26}{what}\n"));
    }
    text.push_str("\nThis is mkosi: other options that begin with -- are those of mkosi --help.\n");
    text
}

/// What is to be done.
#[derive(Default)]
struct Call {
    /// Options of this program.
    options: Vec<OsString>,
    /// The verb and its words, unless an image is to be built.
    verb: Vec<OsString>,
    makeimg: Makeimg,
}

/// Reads a command line, without the program's own name.
///
/// # Errors
/// The first thing in it that is not understood.
pub fn parse_makeimg(args: impl IntoIterator<Item = OsString>) -> Result<Invocation, CliError> {
    let mut call = Call::default();
    let mut args = args.into_iter();
    let mut only_words = false;
    while let Some(arg) = args.next() {
        let bytes = arg.as_bytes();
        if only_words || bytes == b"-" || !bytes.starts_with(b"-") {
            call.makeimg.directories.push(arg.into());
        } else if bytes == b"--" {
            only_words = true;
        } else if let Some(long) = bytes.strip_prefix(b"--") {
            let (name, value) = match long.iter().position(|b| *b == b'=') {
                Some(at) => (
                    &long[..at],
                    Some(OsStr::from_bytes(&long[at + 1..]).to_owned()),
                ),
                None => (long, None),
            };
            let row = OPTIONS.iter().find(|row| row.1.as_bytes() == name);
            match row {
                Some(row) if row.2.is_some() || value.is_none() => {
                    let value = value.or_else(|| row.2.and_then(|_| args.next()));
                    call.take(row, value)?;
                }
                _ => call.options.push(arg),
            }
        } else {
            call.letters(&arg, &mut args)?;
        }
    }
    call.invocation()
}

impl Call {
    /// Reads bundled letters; the rest of the word, or the next one, is a letter's value.
    fn letters(
        &mut self,
        word: &OsStr,
        more: &mut impl Iterator<Item = OsString>,
    ) -> Result<(), CliError> {
        let mut rest = word.as_bytes().get(1..).unwrap_or_default();
        while let Some((letter, after)) = rest.split_first() {
            let row = OPTIONS.iter().find(|row| row.0 == char::from(*letter));
            let Some(row) = row else {
                return Err(CliError::UnknownOption {
                    option: Excerpt(&format!("-{}", char::from(*letter))).to_string(),
                    hint: "; makeimg --help lists them".to_owned(),
                });
            };
            rest = after;
            let mut value = None;
            if row.2.is_some() {
                value = match rest {
                    [] => more.next(),
                    rest => Some(OsStr::from_bytes(rest).to_owned()),
                };
                rest = &[];
            }
            self.take(row, value)?;
        }
        Ok(())
    }

    fn take(&mut self, row: &Row, value: Option<OsString>) -> Result<(), CliError> {
        let (letter, name, ..) = row;
        let value = match (row.2, value) {
            (Some(_), None) => {
                return Err(CliError::MissingValue {
                    option: format!("--{name}"),
                });
            }
            (_, value) => value.unwrap_or_default(),
        };
        let option = |name: &str| {
            let mut option = OsString::from(format!("--{name}="));
            option.push(&value);
            option
        };
        let list = &mut self.makeimg.list;
        match letter {
            'l' => list.extend([Role::File, Role::Patch, Role::Template]),
            'f' => list.push(Role::File),
            'p' => list.push(Role::Patch),
            't' => list.push(Role::Template),
            's' => self.options.push(option("secrets")),
            'r' => self.options.push(option("revealed")),
            'S' => self.verb = vec!["secret".into(), value],
            'R' => self.verb = vec!["secrets".into(), "reveal".into(), value],
            'm' => self.verb = vec!["modes".into(), "apply".into()],
            'M' => self.verb = vec!["modes".into(), "record".into()],
            'W' => self.options.push("--warn-only".into()),
            'k' => self.options.push("--keep".into()),
            'F' => {
                let text = value.into_string().map_err(|_| CliError::NotText)?;
                self.makeimg.format = Some(text);
            }
            _ => self.options.push("--help".into()),
        }
        Ok(())
    }

    fn invocation(self) -> Result<Invocation, CliError> {
        let words = self.options.into_iter().chain(self.verb);
        let mut invocation = parse(words)?;
        invocation.makeimg = Some(self.makeimg);
        Ok(invocation)
    }
}

/// Whether a program of this name is to behave like `makeimg`.
#[must_use]
pub fn is_makeimg(program: &OsStr) -> bool {
    Path::new(program).file_name() == Some(OsStr::new(NAME))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Verb;
    use crate::config::SETTINGS;

    fn parsed(args: &str) -> Result<Invocation, CliError> {
        parse_makeimg(args.split_whitespace().map(Into::into))
    }

    fn shown(args: &str) -> String {
        let invocation = parsed(args).unwrap();
        let flags = invocation.request.flags.iter().map(|flag| {
            let name = SETTINGS[flag.setting].spec.name;
            format!("{name}={}", flag.value.as_deref().unwrap_or("yes"))
        });
        let words = invocation
            .arguments
            .iter()
            .map(|w| w.to_string_lossy().into_owned());
        let makeimg = invocation.makeimg.clone().unwrap();
        let directories = makeimg.directories.iter().map(|d| d.display().to_string());
        let list = makeimg.list.iter().map(|role| format!("{role:?}"));
        let mut all = vec![invocation.verb.to_string()];
        all.extend(
            words
                .chain(flags)
                .chain(list)
                .chain(makeimg.format)
                .chain(directories),
        );
        if invocation.globals.keep {
            all.push("keep".into());
        }
        all.join(" ")
    }

    #[test]
    fn every_option_means_what_it_meant() {
        for (args, expected) in [
            ("", "build"),
            ("a b", "build a b"),
            ("-l", "build File Patch Template"),
            ("-fp --templates files", "build File Patch Template files"),
            ("-S +key", "secret +key"),
            ("--secret key -r x", "secret key Revealed=x"),
            ("-rx -s y", "build Secrets=y Revealed=x"),
            ("--secrets=y --revealed x", "build Secrets=y Revealed=x"),
            ("-R xsecrets", "secrets reveal xsecrets"),
            ("-m", "modes apply"),
            ("-M other", "modes record other"),
            ("-WkF dir d", "build WarnOnly=yes dir d keep"),
            ("--keep --format=tar", "build tar keep"),
            ("-F raw", "build raw"),
            ("--force --cache=c -- -x", "build Force=yes Cache=c -x"),
        ] {
            assert_eq!(shown(args), expected, "{args}");
        }
        assert_eq!(parsed("-h").unwrap().verb, Verb::Help);
        assert_eq!(parsed("--help").unwrap().verb, Verb::Help);
    }

    #[test]
    fn mistakes_are_named() {
        for (args, message) in [
            ("-x", "unknown option -x; makeimg --help lists them"),
            ("-S", "--secret needs a value, as in --secret=…"),
            ("--reveal-all", "--reveal-all needs a value"),
            (
                "--formta=x",
                "unknown option --formta; did you mean --format?",
            ),
        ] {
            let error = parsed(args).unwrap_err().to_string();
            assert!(error.starts_with(message), "{args}: {error}");
        }
    }

    #[test]
    fn help_explains_every_option() {
        let text = help();
        for (letter, name, ..) in OPTIONS {
            assert!(text.contains(&format!("-{letter}, --{name}")), "{name}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 100));
        assert!(is_makeimg(OsStr::new("/usr/bin/makeimg")) && !is_makeimg(OsStr::new("mkosi")));
    }
}
