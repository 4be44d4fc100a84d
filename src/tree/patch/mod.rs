//! Unified diffs, applied strictly: every line that a hunk names must be there, byte for byte.
//!
//! A hunk may be found at another line than its header says, since what comes before it in the file may
//! have grown. Its context is never guessed at (`patch` calls that fuzz): a change that no longer fits
//! has to be looked at by somebody.

mod apply;
mod parse;

use std::fmt;

pub use apply::apply;
pub use parse::parse;

/// What is wrong with a patch, or between it and the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The patch is none.
    #[error("line {line}: {what}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// What was expected.
        what: &'static str,
    },
    /// The file is not as the patch expects it.
    #[error("the change at line {line} of the patch does not fit: {why}")]
    Misfit {
        /// Where the hunk begins, counted from 1.
        line: usize,
        /// What is different.
        why: Misfit,
    },
}

/// Why a hunk does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// What it makes is there already.
    Applied,
    /// A line is another one.
    Line {
        /// The file's line, counted from 1.
        number: usize,
        /// What the patch expects there.
        expected: String,
        /// What is there; none past the end of the file.
        found: Option<String>,
    },
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Applied => f.write_str("the file has been changed like this already"),
            Self::Line {
                number,
                expected,
                found: Some(found),
            } => write!(
                f,
                "it expects \"{expected}\" around line {number}, which is \"{found}\""
            ),
            Self::Line {
                number,
                expected,
                found: None,
            } => write!(
                f,
                "it expects \"{expected}\" around line {number}, where the file has ended"
            ),
        }
    }
}

/// A change of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    hunks: Vec<Hunk>,
}

/// Lines of the file, with their ends, and what they become.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hunk {
    /// Where it begins in the patch, counted from 1.
    line: usize,
    /// How many lines of the file come before it, as far as the patch knows.
    before: usize,
    old: Vec<Vec<u8>>,
    new: Vec<Vec<u8>>,
}

#[cfg(test)]
mod tests;
