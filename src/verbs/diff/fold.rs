//! Differences as lines for people: a directory that is all new is one line, and so is one with more
//! differences than anybody reads.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::text::{Sign, described};
use crate::engine::events::Paint;
use crate::host::human_size;
use crate::tree::compare::Difference;
use crate::tree::{Kind, shown_path};

/// A directory with more lines than this is one line.
const MOST: usize = 20;
/// Directories above this depth are never folded: `/usr` as one line would say nothing.
const FOLDED_FROM: usize = 2;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) sign: Sign,
    pub(super) path: String,
    pub(super) what: String,
}

/// The differences as lines; every single one where nothing is to be folded.
pub(super) fn lines(differences: &[Difference], all: bool, paint: Paint) -> Vec<Line> {
    if all {
        return differences
            .iter()
            .map(|difference| line(difference, paint))
            .collect();
    }
    let mut top = Branch::default();
    for difference in differences {
        let mut branch = &mut top;
        for part in &difference.path {
            branch = branch.below.entry(part.to_owned()).or_default();
        }
        branch.own = Some(difference);
    }
    top.lines(Path::new(""), 0, paint)
}

/// A name, and what differs below it.
#[derive(Default)]
struct Branch<'a> {
    own: Option<&'a Difference>,
    below: BTreeMap<OsString, Branch<'a>>,
}

/// How many names were added, removed and changed.
#[derive(Clone, Copy, Default)]
struct Counts {
    added: usize,
    removed: usize,
    changed: usize,
    /// Bytes of what was added or removed.
    bytes: u64,
}

impl Branch<'_> {
    fn lines(&self, path: &Path, depth: usize, paint: Paint) -> Vec<Line> {
        let mut lines = Vec::new();
        if let Some(own) = self.own {
            let mut line = line(own, paint);
            if own.before.is_none() || own.after.is_none() {
                if !self.below.is_empty() {
                    let mut counts = Counts::default();
                    self.count_below(&mut counts);
                    let names = counts.added + counts.removed;
                    let what = if names == 1 { "entry" } else { "entries" };
                    line.what = format!("{names} {what}, {}", human_size(counts.bytes));
                }
                return vec![line];
            }
            lines.push(line);
        }
        let mut below = Vec::new();
        for (name, branch) in &self.below {
            below.extend(branch.lines(&path.join(name), depth + 1, paint));
        }
        if depth >= FOLDED_FROM && below.len() > MOST {
            let mut counts = Counts::default();
            self.count_below(&mut counts);
            below = vec![folded(path, counts)];
        }
        lines.extend(below);
        lines
    }

    fn count_below(&self, counts: &mut Counts) {
        for branch in self.below.values() {
            if let Some(own) = branch.own {
                let one = match (&own.before, &own.after) {
                    (Some(_), Some(_)) => {
                        counts.changed += 1;
                        None
                    }
                    (Some(node), None) => {
                        counts.removed += 1;
                        Some(node)
                    }
                    (None, node) => {
                        counts.added += 1;
                        node.as_ref()
                    }
                };
                counts.bytes += one.and_then(|node| node.size).unwrap_or(0);
            }
            branch.count_below(counts);
        }
    }
}

fn folded(path: &Path, counts: Counts) -> Line {
    let parts = [
        (counts.added, "added"),
        (counts.removed, "removed"),
        (counts.changed, "changed"),
    ];
    let said: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let sign = match (counts.added, counts.removed, counts.changed) {
        (_, 0, 0) => Sign::Added,
        (0, _, 0) => Sign::Removed,
        _ => Sign::Changed,
    };
    Line {
        sign,
        path: format!("{}/*", shown_path(path)),
        what: said.join(", "),
    }
}

fn line(difference: &Difference, paint: Paint) -> Line {
    let (sign, node) = match (&difference.before, &difference.after) {
        (Some(_), Some(node)) => (Sign::Changed, Some(node)),
        (Some(node), None) => (Sign::Removed, Some(node)),
        (None, node) => (Sign::Added, node.as_ref()),
    };
    let path = if difference.path == PathBuf::new() {
        "/".to_owned()
    } else {
        let is_directory = node.is_some_and(|node| node.kind == Kind::Directory);
        let slash = if is_directory { "/" } else { "" };
        shown_path(&difference.path) + slash
    };
    Line {
        sign,
        path,
        what: described(difference, paint),
    }
}
