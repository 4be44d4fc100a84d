//! The command line: flags from the settings table, verbs, and the options that are no settings.

mod command;
pub mod completion;
mod error;
mod help;
mod invocation;
mod makeimg;
pub mod man;
mod options;
mod parse;

pub use error::CliError;
pub use help::help;
pub use invocation::{Globals, Invocation, Makeimg, Progress, Timings, Verb};
pub use makeimg::{help as makeimg_help, is_makeimg, parse_makeimg};
pub use parse::parse;
