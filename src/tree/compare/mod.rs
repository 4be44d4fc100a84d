//! What differs between two trees, file by file: neither is changed, and nothing is followed out of them.
//!
//! Contents are compared by reading both files; equal lengths and times say nothing. Times themselves do
//! not count: every build writes files anew. Neither does which names are hard links of one file.

mod node;
mod walk;

use std::path::{Path, PathBuf};

use rustix::fs::{Mode, open};
use serde::Serialize;

pub use node::{Aspect, Node};

use self::walk::Walk;
use super::error::TreeError;
use super::listing::DIRECTORY;
use super::shown::shown;
use crate::host::Cancel;

/// What of two trees is not to be compared, because it is a matter of where they are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Whether SELinux labels count: a host with a policy of its own labels what is unpacked on it.
    pub labels: bool,
    /// Whether the top directories' own mode and owner count.
    pub top: bool,
}

/// One name that is not the same in both trees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// From the top of the trees; empty for the top itself.
    pub path: PathBuf,
    /// What it is in the first tree; nothing where it was added.
    pub before: Option<Node>,
    /// What it is in the second tree; nothing where it was removed.
    pub after: Option<Node>,
    /// What differs, where both have it.
    pub aspects: Vec<Aspect>,
}

/// What is in one tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Names, without the top.
    pub entries: u64,
    /// Bytes of content of all regular files; those of a file with several names once.
    pub bytes: u64,
}

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Every name that differs, each directory before what is in it.
    pub differences: Vec<Difference>,
    /// What the first tree holds.
    pub before: Totals,
    /// What the second tree holds.
    pub after: Totals,
}

/// Compares the directories `before` and `after` with everything in them. What the kernel shows of a
/// running system (`/proc`, `/sys`) is not looked into, and neither is `lost+found`, which file systems
/// make.
///
/// # Errors
/// When something cannot be read.
pub fn compare(
    before: &Path,
    after: &Path,
    scope: Scope,
    cancel: &Cancel,
) -> Result<Comparison, TreeError> {
    let top = |path: &Path| {
        open(path, DIRECTORY, Mode::empty())
            .map_err(|e| TreeError::io("read the directory", shown(path), e))
    };
    let tops = (&top(before)?, &top(after)?);
    let walk = Walk::new(scope, cancel);
    let found = walk.tops(tops).map_err(|(side, path, e)| {
        let tree = if side == 0 { before } else { after };
        TreeError::io("compare", shown(tree.join(path)), e)
    })?;
    if cancel.is_cancelled() {
        return Err(TreeError::Cancelled);
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
