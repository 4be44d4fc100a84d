//! The command line: flags from the settings table, verbs, and the options that are no settings.

mod command;
mod error;
mod help;
mod invocation;
mod options;
mod parse;

pub use error::CliError;
pub use help::help;
pub use invocation::{Globals, Invocation, Progress, Verb};
pub use parse::parse;
