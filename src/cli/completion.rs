//! Completion of the command line for shells.

use std::fmt::Write as _;

use clap::builder::{PossibleValue, PossibleValuesParser, ValueHint};
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

/// What may follow a verb.
const AFTER: &[(Verb, &[&str])] = &[
    (Verb::Completion, CompletionShell::NAMES),
    (Verb::Modes, &["record", "apply"]),
    (Verb::Secrets, &["reveal"]),
];

/// The script that makes a shell complete this program's verbs, flags and values.
#[must_use]
pub fn completion(shell: CompletionShell) -> String {
    let (generator, more) = match shell {
        CompletionShell::Bash => (Shell::Bash, bash()),
        CompletionShell::Zsh => (Shell::Zsh, String::new()),
        CompletionShell::Fish => (Shell::Fish, fish()),
        CompletionShell::Elvish => (Shell::Elvish, elvish()),
    };
    let mut script = Vec::new();
    clap_complete::generate(generator, &mut explained(), "mkosi", &mut script);
    let mut script = String::from_utf8_lossy(&script).into_owned();
    script.push_str(&more);
    if shell == CompletionShell::Zsh {
        script = script.replacen("_cmdambivalent", "_mkosi_arguments", 1);
        script = script.replacen("\nif [ \"$funcstack[1]\"", &zsh(), 1);
    }
    script
}

/// To bash, `--flag=value` is three words, of which the generated function knows nothing; nor does it know
/// what follows a verb.
fn bash() -> String {
    let mut cases = String::new();
    for (verb, words) in AFTER {
        let words = words.join(" ");
        let _ = writeln!(
            cases,
            "        {verb}) COMPREPLY=($(compgen -W \"{words}\" -- \"$cur\")); return 0 ;;"
        );
    }
    format!(
        r#"
_mkosi_words() {{
    local cur="${{COMP_WORDS[COMP_CWORD]}}" prev="${{COMP_WORDS[COMP_CWORD-1]}}"
    if [[ "$cur" == "=" ]]; then
        cur=""
    elif [[ "$prev" == "=" && COMP_CWORD -gt 2 ]]; then
        prev="${{COMP_WORDS[COMP_CWORD-2]}}"
    fi
    case "$prev" in
{cases}    esac
    _mkosi "$1" "$cur" "$prev"
}}
complete -F _mkosi_words -o bashdefault -o default mkosi
"#
    )
}

/// What completes the words after a verb, and how the generated script goes on.
fn zsh() -> String {
    let mut cases = String::new();
    for (verb, words) in AFTER {
        let _ = writeln!(
            cases,
            "        ({verb}) (( CURRENT == 2 )) && compadd {} || _files ;;",
            words.join(" ")
        );
    }
    format!(
        r#"
(( $+functions[_mkosi_arguments] )) ||
_mkosi_arguments() {{
    case $words[1] in
{cases}        (diff|shell|boot|qemu|ssh) _files ;;
        (*) return 1 ;;
    esac
}}

if [ "$funcstack[1]""#
    )
}

/// The generator for fish leaves out what stands alone on the command line.
fn fish() -> String {
    let verbs: Vec<&str> = Verb::WORDS_AND_HELP
        .iter()
        .map(|(verb, _)| verb.as_str())
        .collect();
    let none_yet = format!("not __fish_seen_subcommand_from {}", verbs.join(" "));
    let mut script = String::new();
    for (verb, help) in Verb::WORDS_AND_HELP {
        let help = help.replace('\\', "\\\\").replace('\'', "\\'");
        let _ = writeln!(
            script,
            "complete -c mkosi -n '{none_yet}' -f -a {verb} -d '{help}'"
        );
    }
    for (verb, words) in AFTER {
        let _ = writeln!(
            script,
            "complete -c mkosi -n '__fish_seen_subcommand_from {verb}' -f -a '{}'",
            words.join(" ")
        );
    }
    script
}

/// The generator for Elvish knows flags alone: this adds verbs, and what follows them and flags.
fn elvish() -> String {
    let mut known = String::new();
    for (verb, words) in AFTER {
        let _ = writeln!(known, "    &{verb}=[{}]", words.join(" "));
    }
    for arg in explained().get_arguments() {
        let values = arg.get_possible_values();
        let values: Vec<&str> = values.iter().map(PossibleValue::get_name).collect();
        if let (false, Some(flag)) = (values.is_empty(), arg.get_long()) {
            let letter = arg.get_short().map(|letter| format!("-{letter}"));
            for flag in letter.into_iter().chain([format!("--{flag}")]) {
                let _ = writeln!(known, "    &{flag}=[{}]", values.join(" "));
            }
        }
    }
    let verbs: Vec<&str> = Verb::WORDS_AND_HELP
        .iter()
        .map(|(verb, _)| verb.as_str())
        .collect();
    format!(
        r#"
var flags~ = $edit:completion:arg-completer[mkosi]
var verbs = [{}]
var known = [
{known}]
set edit:completion:arg-completer[mkosi] = {{|@words|
    var last = $words[-1]
    var before = $words[-2]
    if (has-key $known $before) {{
        all $known[$before]
    }} elif (str:has-prefix $last '-') {{
        var flag = (str:split &max=2 '=' $last | take 1)
        if (and (str:contains $last '=') (has-key $known $flag)) {{
            each {{|value| put $flag'='$value }} $known[$flag]
        }} else {{
            flags $@words
        }}
    }} else {{
        all $verbs
        edit:complete-filename $last
    }}
}}
"#,
        verbs.join(" ")
    )
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
                _ => arg.value_hint(ValueHint::Other),
            }
        });
    }
    let verbs = Verb::WORDS_AND_HELP
        .iter()
        .map(|(verb, help)| PossibleValue::new(verb.as_str()).help(*help));
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
            // Only a project of another kind has this format.
            .filter(|word| row.spec.name != "Format" || *word != "custom")
            .flat_map(|word| match word {
                "BOOL" => vec!["yes".to_owned(), "no".to_owned()],
                word => vec![word.to_owned()],
            })
            .collect();
        return arg.value_parser(PossibleValuesParser::new(words));
    }
    match row.spec.auto {
        Auto::Directory(_) => arg.value_hint(ValueHint::DirPath),
        Auto::Nothing if !metavar.contains("PATH") => arg.value_hint(ValueHint::Other),
        _ if row.secret => arg.value_hint(ValueHint::Other),
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
                assert!(script.contains(verb.as_str()), "{shell}: {verb}");
            }
            for row in SETTINGS {
                assert!(script.contains(row.spec.flag), "{shell}: {}", row.spec.flag);
            }
            for word in ["gpt_squashfs", "bookworm", "debian", "apply", "reveal"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
            assert!(!script.contains("custom"), "{shell}");
        }
    }
}
