//! The parser's description of the command line, made from the tables.

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, Command};

use super::options::{GlobalOption, OPTIONS};
use crate::config::values::Shape;
use crate::config::{Row, SETTINGS};

/// Stands for the value of a switch that was given none. No argument can contain it.
pub(super) const BARE: &str = "\0";
/// The name under which the parser keeps the verb.
pub(super) const VERB: &str = "verb";
/// The name under which the parser keeps what follows the verb.
pub(super) const ARGUMENTS: &str = "arguments";

/// Describes every flag, the verb and its arguments. Help, version and messages are made elsewhere.
pub(super) fn command() -> Command {
    Command::new("mkosi")
        .no_binary_name(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .infer_long_args(true)
        .args(SETTINGS.iter().map(setting))
        .args(OPTIONS.iter().map(global))
        .arg(Arg::new(VERB).value_parser(ValueParser::os_string()))
        .arg(
            Arg::new(ARGUMENTS)
                .num_args(0..)
                .trailing_var_arg(true)
                .value_parser(ValueParser::os_string()),
        )
}

fn setting(row: &'static Row) -> Arg {
    let arg = Arg::new(row.spec.flag)
        .long(row.spec.flag)
        .aliases(row.spec.flag_aliases.iter().copied());
    shaped(arg, row.spec.short, row.shape)
}

fn global(option: &'static GlobalOption) -> Arg {
    shaped(
        Arg::new(option.flag).long(option.flag),
        option.short,
        option.shape,
    )
}

fn shaped(mut arg: Arg, short: Option<char>, shape: Shape) -> Arg {
    if let Some(letter) = short {
        arg = arg.short(letter);
    }
    let arg = arg
        .action(ArgAction::Append)
        .value_parser(ValueParser::string());
    match shape {
        Shape::Switch => arg
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value(BARE),
        Shape::Word | Shape::List => arg.num_args(1),
    }
}

/// Every way to write a long flag, without dashes, with the flag it stands for.
pub(super) fn long_flags() -> impl Iterator<Item = (&'static str, &'static str)> {
    let settings = SETTINGS.iter().flat_map(|row| {
        std::iter::once(row.spec.flag)
            .chain(row.spec.flag_aliases.iter().copied())
            .map(|name| (name, row.spec.flag))
    });
    settings.chain(OPTIONS.iter().map(|option| (option.flag, option.flag)))
}
