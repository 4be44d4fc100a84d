//! How the program ends.

use std::process::ExitCode;

/// Everything was done.
pub const DONE: u8 = 0;
/// A step failed.
pub const FAILED: u8 = 1;
/// The command line or the configuration is wrong.
pub const USAGE: u8 = 2;
/// Somebody pressed Ctrl-C: 128 and the number of SIGINT, as shells report it.
pub const INTERRUPTED: u8 = 130;

/// The status as the system wants it.
#[must_use]
pub fn code(status: u8) -> ExitCode {
    ExitCode::from(status)
}
