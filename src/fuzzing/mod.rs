//! What hostile input is tried on: one function for each kind of input, which panics when the program
//! does what it promises not to. The fuzz targets in `fuzz/` call them with whatever libFuzzer thinks
//! of, and a test with the inputs that it kept: see docs/decisions/0033-hostile-input-and-scale.md.
//! Not a part of the program.

// To panic is how a harness says that something is wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod apart;
mod disks;
mod packages;
mod readers;
#[cfg(test)]
mod replay;
mod settings;
mod take;

pub use disks::disks;
pub use packages::packages;
pub use readers::readers;
pub use settings::settings;

use crate::host::is_hidden;

/// Panics when a message would do something to the terminal that shows it. Line breaks are the
/// message's own.
fn check_message(message: &str) {
    let found = message.chars().find(|c| is_hidden(*c) && *c != '\n');
    assert!(found.is_none(), "{found:?} in {message:?}");
}

/// Checks several.
fn check_messages(messages: impl IntoIterator<Item = impl ToString>) {
    for message in messages {
        check_message(&message.to_string());
    }
}

/// Checks an error and everything that led to it.
fn check_error(error: &dyn std::error::Error) {
    let mut next = Some(error);
    while let Some(error) = next {
        check_message(&error.to_string());
        next = error.source();
    }
}

/// Checks several of them.
fn check_errors(errors: &[impl std::error::Error]) {
    for error in errors {
        check_error(error);
    }
}

/// Makes the checksums of the headers of a tar archive right again, so that damage is seen by what is
/// behind them.
pub(crate) fn mend(archive: &mut [u8]) {
    for block in archive.chunks_exact_mut(512) {
        if &block[257..262] == b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
}
