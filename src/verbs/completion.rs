//! `mkosi completion SHELL`.

use std::ffi::OsString;

use super::{exit, terminal};
use crate::cli::completion::{CompletionShell, completion};
use crate::host::printable;

/// Prints what makes a shell complete command lines.
pub fn run(arguments: &[OsString]) -> u8 {
    let shell = match arguments {
        [shell] => {
            let shell = shell.to_string_lossy();
            CompletionShell::from_word(&shell)
                .map_err(|why| format!("{}: {why}", printable(&shell)))
        }
        [] => Err(format!(
            "which shell? {}",
            CompletionShell::NAMES.join(", ")
        )),
        [_, extra, ..] => Err(format!(
            "completion takes one shell, but {} follows it",
            printable(&extra.to_string_lossy())
        )),
    };
    match shell {
        Ok(shell) => terminal::answer(&completion(shell)),
        Err(why) => {
            terminal::complain(format_args!("error: {why}"));
            exit::USAGE
        }
    }
}
