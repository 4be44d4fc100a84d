//! From words to an [`Invocation`].

use std::ffi::OsString;
use std::path::PathBuf;

use clap::ArgMatches;

use super::command::{ARGUMENTS, BARE, VERB, command};
use super::error::CliError;
use super::invocation::{Globals, Invocation, Progress, Timings, Verb};
use super::options::{Id, OPTIONS};
use crate::config::message::Excerpt;
use crate::config::values::{boolean, parse_boolean};
use crate::config::{FlagValue, Request, SETTINGS};

/// Reads a command line, without the program's own name.
///
/// # Errors
/// The first thing in it that is not understood. Values of settings are checked with the settings
/// files, so that everything wrong with them is reported together.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Invocation, CliError> {
    let args: Vec<OsString> = args.into_iter().collect();
    let mut matches = command().try_get_matches_from(&args)?;
    if let Some(args) = options_first(&args, &matches) {
        matches = command().try_get_matches_from(args)?;
    }
    let mut request = Request {
        settings_file: None,
        flags: flags(&matches),
    };
    let mut globals = Globals::default();
    let mut instead = None;
    for option in OPTIONS {
        for value in values(&matches, option.flag) {
            let bad = |why: String| CliError::BadValue {
                option: option.flag,
                value: Excerpt(&value).to_string(),
                why,
            };
            let yes = || {
                if value == BARE {
                    return Ok(true);
                }
                parse_boolean(&value, "").map_err(|why| bad(why.to_string()))
            };
            match option.id {
                Id::Directory => globals.directory = path(&value),
                Id::Default => request.settings_file = path(&value),
                Id::All => globals.all = yes()?,
                Id::AllDirectory => {
                    globals.all_directory =
                        path(&value).unwrap_or(Globals::default().all_directory);
                }
                Id::Jobs => {
                    let number = value.parse().map_err(|_| {
                        bad("expected how many images to build at a time, at least 1".into())
                    })?;
                    globals.jobs = Some(number);
                }
                Id::Debug => {
                    globals.debug_run = debug(&value).ok_or_else(|| bad("expected run".into()))?;
                }
                Id::Json => globals.json = yes()?,
                Id::Progress => {
                    globals.progress =
                        Progress::from_word(&value).map_err(|why| bad(why.to_string()))?;
                }
                Id::Verbose => globals.verbose = yes()?,
                Id::Keep => globals.keep = yes()?,
                Id::Timings => globals.timings = timings(&value),
                Id::Wait => globals.wait = yes()?,
                Id::UpdateLock => globals.update_lock = yes()?,
                Id::Version => instead = yes()?.then_some(Verb::Version).or(instead),
                Id::Help => instead = yes()?.then_some(Verb::Help).or(instead),
            }
        }
    }
    let (verb, arguments) = verb(&matches)?;
    let verb = instead.unwrap_or(verb);
    Ok(Invocation {
        verb,
        arguments,
        request,
        globals,
        makeimg: None,
    })
}

/// The same words with the options behind a verb's names in front of all; nothing where there are none.
fn options_first(args: &[OsString], matches: &ArgMatches) -> Option<Vec<OsString>> {
    let (verb, words) = verb(matches).ok()?;
    let (before, behind) = args.split_at_checked(args.len().checked_sub(words.len())?)?;
    if !verb.takes_only_names() || before.last().is_some_and(|word| word == "--") {
        return None;
    }
    let is_option = |word: &&OsString| word.as_encoded_bytes().starts_with(b"-") && *word != "-";
    let options: Vec<&OsString> = behind.iter().filter(is_option).collect();
    let names = behind.iter().filter(|word| !is_option(word));
    (!options.is_empty()).then(|| {
        options
            .into_iter()
            .chain(before)
            .chain(names)
            .cloned()
            .collect()
    })
}

fn values(matches: &ArgMatches, flag: &str) -> Vec<String> {
    matches
        .get_many::<String>(flag)
        .into_iter()
        .flatten()
        .cloned()
        .collect()
}

/// An empty path stands for none.
fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| text.into())
}

/// What `--timings` asks for: a word that is no yes or no is a file.
fn timings(value: &str) -> Timings {
    if value == BARE {
        return Timings::Beside;
    }
    match boolean(value) {
        Some(true) => Timings::Beside,
        Some(false) => Timings::No,
        None => path(value).map_or(Timings::No, Timings::At),
    }
}

/// What `--debug` asks for; several topics are separated by commas.
fn debug(value: &str) -> Option<bool> {
    if value == BARE {
        return Some(true);
    }
    if let Some(yes) = boolean(value) {
        return Some(yes);
    }
    value.split(',').all(|topic| topic == "run").then_some(true)
}

fn flags(matches: &ArgMatches) -> Vec<FlagValue> {
    let mut flags = Vec::new();
    for (setting, row) in SETTINGS.iter().enumerate() {
        for value in values(matches, row.spec.flag) {
            flags.push(FlagValue {
                setting,
                flag: format!("--{}", row.spec.flag),
                value: Some(value).filter(|value| value != BARE),
            });
        }
    }
    flags
}

fn verb(matches: &ArgMatches) -> Result<(Verb, Vec<OsString>), CliError> {
    let Some(word) = matches.get_one::<OsString>(VERB) else {
        return Ok((Verb::Build, Vec::new()));
    };
    let known = Verb::WORDS_AND_HELP.iter().map(|(verb, _)| *verb);
    let verb = known
        .into_iter()
        .find(|verb| word.as_os_str() == verb.as_str())
        .ok_or_else(|| CliError::verb(word))?;
    let arguments: Vec<OsString> = matches
        .get_many::<OsString>(ARGUMENTS)
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    match arguments.first() {
        Some(word) if !verb.takes_arguments() && verb != Verb::Help => {
            Err(CliError::ExtraArgument {
                verb,
                word: Excerpt(&word.to_string_lossy()).to_string(),
            })
        }
        _ => Ok((verb, arguments)),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    fn parsed(args: &str) -> Result<Invocation, CliError> {
        parse(args.split_whitespace().map(Into::into))
    }

    fn flags_of(args: &str) -> String {
        let flags = parsed(args).unwrap().request.flags;
        let shown = flags.iter().map(|flag| match &flag.value {
            Some(value) => format!("{}={value}", flag.flag),
            None => flag.flag.clone(),
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn flags_are_read() {
        for (args, flags) in [
            ("-if", "--force --incremental"),
            ("-iff", "--force --force --incremental"),
            ("-fbi", "--force --bootable --incremental"),
            ("-ttar -o x", "--format=tar --output=x"),
            ("-ft tar", "--format=tar --force"),
            ("-t=tar", "--format=tar"),
            ("--bootable=no", "--bootable=no"),
            ("-b=no", "--bootable=no"),
            ("--encrypt build", "--encrypt"),
            ("--compress --xz summary", "--compress --xz"),
            ("--forma tar", "--format=tar"),
            ("--kernel-command=x", "--kernel-command-line=x"),
            ("--kernel-commandline=x", "--kernel-command-line=x"),
            ("--build-pack=x", "--build-packages=x"),
            (
                "--build-package x --build-packages y",
                "--build-packages=x --build-packages=y",
            ),
            ("--build-dir=x", "--build-directory=x"),
            ("--output-d=x", "--output-dir=x"),
            ("--hostname=", "--hostname="),
            ("-T --no-chown", "--no-chown --without-tests"),
            ("summary -f", "--force"),
        ] {
            assert_eq!(flags_of(args), flags, "{args}");
        }
    }

    #[test]
    fn verbs_take_what_follows() {
        for (args, verb, arguments) in [
            ("", Verb::Build, vec![]),
            ("-f", Verb::Build, vec![]),
            ("-f clean -f", Verb::Clean, vec![]),
            (
                "shell -f ls -l --json",
                Verb::Shell,
                vec!["ls", "-l", "--json"],
            ),
            ("shell -- -l", Verb::Shell, vec!["-l"]),
            ("shell ls -- -l", Verb::Shell, vec!["ls", "--", "-l"]),
            (
                "boot systemd.log_level=debug",
                Verb::Boot,
                vec!["systemd.log_level=debug"],
            ),
            ("qemu -- -m 2G", Verb::Qemu, vec!["-m", "2G"]),
            ("-h", Verb::Help, vec![]),
            ("help", Verb::Help, vec![]),
            ("summary --help", Verb::Help, vec![]),
            ("--version -h", Verb::Help, vec![]),
            ("--version", Verb::Version, vec![]),
        ] {
            let invocation = parsed(args).unwrap();
            assert_eq!(
                (invocation.verb, invocation.arguments),
                (verb, arguments.into_iter().map(Into::into).collect()),
                "{args}"
            );
        }
    }

    #[test]
    fn other_options_are_read() {
        let invocation = parsed(
            "-C dir --default=file -a --all-directory=all -j3 --debug=run --json --progress=plain -v \
             --timings=page.html --update-lock",
        )
        .unwrap();
        assert_eq!(invocation.request.settings_file, Some("file".into()));
        let globals = Globals {
            directory: Some("dir".into()),
            all: true,
            all_directory: "all".into(),
            jobs: NonZeroUsize::new(3),
            debug_run: true,
            json: true,
            progress: Progress::Plain,
            verbose: true,
            keep: false,
            timings: Timings::At("page.html".into()),
            wait: false,
            update_lock: true,
        };
        assert_eq!(invocation.globals, globals);
        for (args, timings) in [
            ("--timings build", Timings::Beside),
            ("--timings=yes", Timings::Beside),
            ("--timings --timings=no", Timings::No),
            ("--timings=a.html", Timings::At("a.html".into())),
        ] {
            assert_eq!(parsed(args).unwrap().globals.timings, timings, "{args}");
        }
        assert_eq!(parsed("--json=no").unwrap().globals, Globals::default());
        assert!(parsed("--debug summary").unwrap().globals.debug_run);
    }

    #[test]
    fn options_may_follow_names() {
        for args in [
            "diff a b --json",
            "diff --json a b",
            "--json diff a b",
            "diff a --json b",
        ] {
            let invocation = parsed(args).unwrap();
            assert_eq!(invocation.verb, Verb::Diff, "{args}");
            assert_eq!(invocation.arguments, ["a", "b"], "{args}");
            assert!(invocation.globals.json, "{args}");
        }
        assert_eq!(parsed("diff -- -a b").unwrap().arguments, ["-a", "b"]);
        assert!(parsed("diff a b --jsn").is_err());
    }

    #[test]
    fn what_is_not_understood_is_explained() {
        for (args, message) in [
            (
                "--re x",
                "the option --re is not clear: it could be --release, --repositories",
            ),
            (
                "--with-dcos",
                "unknown option --with-dcos; did you mean --with-docs?",
            ),
            (
                "--no-bootable",
                "unknown option --no-bootable; did you mean --bootable=no?",
            ),
            (
                "--without-docs",
                "unknown option --without-docs; did you mean --with-docs=no?",
            ),
            (
                "--RootSize=1G",
                "unknown option --RootSize; did you mean --root-size?",
            ),
            ("--bananas", "unknown option --bananas"),
            ("-Z", "unknown option -Z"),
            ("-fZ", "unknown option -Z"),
            ("--format", "--format needs a value, as in --format=…"),
            ("-o", "--output needs a value, as in --output=…"),
            ("-o -f", "--output needs a value, as in --output=…"),
            ("sumary", "unknown verb sumary; did you mean summary?"),
            ("version", "unknown verb version; there are build, clean"),
            ("build x", "build takes no arguments, but x follows it"),
            (
                "summary clean",
                "summary takes no arguments, but clean follows it",
            ),
            (
                "--progress=loud",
                "--progress=loud: expected one of auto, terminal, plain or json",
            ),
            ("--debug=disk", "--debug=disk: expected run"),
            ("--json=perhaps", "--json=perhaps: expected yes"),
            ("-j0", "--jobs=0: expected how many images"),
            ("--jobs=many", "--jobs=many: expected how many images"),
            ("-j", "--jobs needs a value, as in --jobs=…"),
        ] {
            let error = parsed(args)
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default();
            assert!(error.starts_with(message), "{args}: {error}");
        }
    }

    #[test]
    fn messages_hold_no_control_characters() {
        for args in [
            ["--\u{1b}[2J"],
            ["\u{1b}[2J"],
            ["--json=\u{1b}[2J"],
            ["-\u{1b}"],
        ] {
            let error = parse(args.map(Into::into))
                .err()
                .map(|error| error.to_string())
                .unwrap();
            assert!(!error.contains('\u{1b}'), "{error:?}");
        }
    }

    #[test]
    fn arguments_need_not_be_text() {
        use std::os::unix::ffi::OsStringExt as _;
        let odd = OsString::from_vec(vec![0xff]);
        let invocation = parse(["shell".into(), odd.clone()]).unwrap();
        assert_eq!(invocation.arguments, std::slice::from_ref(&odd));
        assert_eq!(parse(["--output".into(), odd]), Err(CliError::NotText));
    }
}
