//! Completion of the command line for shells.

use clap::builder::{PossibleValuesParser, ValueHint};
use clap::{Arg, ArgAction, Command};
use clap_complete::Shell;

use super::command::{ARGUMENTS, VERB, command};
use super::invocation::Verb;
use super::options::OPTIONS;
use crate::config::values::keyword::keywords;
use crate::config::{Auto, Row, SETTINGS};
use crate::distro;

keywords! {
    /// A shell that completes command lines.
    CompletionShell {
        /// The GNU shell.
        Bash = "bash",
        /// The Z shell.
        Zsh = "zsh",
        /// The friendly interactive shell.
        Fish = "fish",
        /// Elvish.
        Elvish = "elvish",
    }
}

/// The script that makes a shell complete this program's verbs, flags and values.
#[must_use]
pub fn completion(shell: CompletionShell) -> String {
    let generator = match shell {
        CompletionShell::Bash => Shell::Bash,
        CompletionShell::Zsh => Shell::Zsh,
        CompletionShell::Fish => Shell::Fish,
        CompletionShell::Elvish => Shell::Elvish,
    };
    let mut script = Vec::new();
    clap_complete::generate(generator, &mut explained(), "mkosi", &mut script);
    let mut script = String::from_utf8_lossy(&script).into_owned();
    if shell == CompletionShell::Fish {
        script.push_str(&fish_verbs());
    }
    script
}

/// The generator for fish leaves out what stands alone on the command line.
fn fish_verbs() -> String {
    let verbs: Vec<&str> = Verb::WORDS_AND_HELP
        .iter()
        .map(|(verb, _)| verb.as_str())
        .collect();
    let none_yet = format!("not __fish_seen_subcommand_from {}", verbs.join(" "));
    let line = |(verb, help): &(Verb, &str)| {
        let help = help.replace('\\', "\\\\").replace('\'', "\\'");
        format!("complete -c mkosi -n '{none_yet}' -f -a {verb} -d '{help}'\n")
    };
    Verb::WORDS_AND_HELP.iter().map(line).collect()
}

/// The description of the command line with everything that helps to write one.
fn explained() -> Command {
    let mut command = command()
        .no_binary_name(false)
        .about("Build operating-system images");
    for row in SETTINGS {
        command = command.mut_arg(row.spec.flag, |arg| {
            with_values(arg, row).help(first(row.help))
        });
    }
    for option in OPTIONS {
        command = command.mut_arg(option.flag, |arg| {
            let arg = arg.help(option.help);
            match option.metavar {
                "PATH" => arg.value_hint(ValueHint::AnyPath),
                "HOW" => arg.value_parser(PossibleValuesParser::new(super::Progress::NAMES)),
                "run" => arg.value_parser(PossibleValuesParser::new(["run"])),
                "BOOL" => alone(arg),
                _ => arg,
            }
        });
    }
    let verbs = Verb::WORDS_AND_HELP
        .iter()
        .map(|(verb, help)| clap::builder::PossibleValue::new(verb.as_str()).help(*help));
    command
        .mut_arg(VERB, |arg| {
            arg.value_parser(PossibleValuesParser::new(verbs))
                .help("What to do")
        })
        .mut_arg(ARGUMENTS, |arg| {
            arg.value_hint(ValueHint::CommandWithArguments)
                .help("What to pass on")
        })
}

/// What completes the value of a setting's flag.
fn with_values(arg: Arg, row: &Row) -> Arg {
    let metavar = (row.metavar)();
    if row.spec.name == "Release" {
        let mut releases = distro::releases();
        releases.sort_unstable();
        releases.dedup();
        return arg.value_parser(PossibleValuesParser::new(releases));
    }
    if metavar == "BOOL" {
        return alone(arg);
    }
    if metavar.contains('|') {
        let words: Vec<String> = metavar
            .split('|')
            .flat_map(|word| match word {
                "BOOL" => vec!["yes".to_owned(), "no".to_owned()],
                word => vec![word.to_owned()],
            })
            .collect();
        return arg.value_parser(PossibleValuesParser::new(words));
    }
    match row.spec.auto {
        Auto::Directory(_) => arg.value_hint(ValueHint::DirPath),
        Auto::Nothing if !metavar.contains("PATH") => arg,
        _ if row.secret => arg,
        _ => arg.value_hint(ValueHint::AnyPath),
    }
}

/// A flag that says yes by itself: a value is rarely wanted.
fn alone(arg: Arg) -> Arg {
    arg.action(ArgAction::SetTrue)
        .num_args(0)
        .require_equals(false)
}

/// The first sentence of an explanation.
fn first(help: &'static str) -> &'static str {
    help.trim().split(';').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_and_flag_is_offered() {
        for shell in CompletionShell::ALL {
            let script = completion(*shell);
            for (verb, _) in Verb::WORDS_AND_HELP {
                // Elvish completes flags alone.
                assert!(
                    *shell == CompletionShell::Elvish || script.contains(verb.as_str()),
                    "{shell}: {verb}"
                );
            }
            for row in SETTINGS {
                assert!(script.contains(row.spec.flag), "{shell}: {}", row.spec.flag);
            }
        }
        let bash = completion(CompletionShell::Bash);
        for word in ["gpt_squashfs", "bookworm", "debian"] {
            assert!(bash.contains(word), "{word}");
        }
    }
}
