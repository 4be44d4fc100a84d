//! Finds where hunks belong, and replaces lines.

use super::{Hunk, Misfit, Patch, PatchError};
use crate::tree::shown::shown_bytes;

/// How much of a line a message repeats, in characters.
const SHOWN: usize = 60;

/// The file after the change.
///
/// # Errors
/// The first hunk that has no place in the file.
pub fn apply(patch: &Patch, old: &[u8]) -> Result<Vec<u8>, PatchError> {
    let lines: Vec<&[u8]> = old.split_inclusive(|b| *b == b'\n').collect();
    let mut new = Vec::with_capacity(old.len());
    let mut done = 0;
    // By how much the file is ahead of what the patch thinks.
    let mut offset = 0_isize;
    for hunk in &patch.hunks {
        let expected = hunk.before.saturating_add_signed(offset);
        let Some(at) = place(&hunk.old, &lines, done, expected) else {
            return Err(PatchError::Misfit {
                line: hunk.line,
                why: misfit(hunk, &lines, done, expected),
            });
        };
        offset = offset.saturating_add(signed(at).saturating_sub(signed(expected)));
        new.extend(lines.get(done..at).unwrap_or_default().concat());
        new.extend(hunk.new.concat());
        done = at + hunk.old.len();
    }
    new.extend(lines.get(done..).unwrap_or_default().concat());
    Ok(new)
}

fn signed(lines: usize) -> isize {
    isize::try_from(lines).unwrap_or(isize::MAX)
}

/// Where `wanted` stands in `lines`, from line `first` on: as near to `expected` as possible.
fn place(wanted: &[Vec<u8>], lines: &[&[u8]], first: usize, expected: usize) -> Option<usize> {
    let last = lines.len().checked_sub(wanted.len())?;
    if first > last {
        return None;
    }
    if wanted.is_empty() {
        // Without context there is nothing to look for.
        return (first..=last).contains(&expected).then_some(expected);
    }
    let is_here = |at: &usize| {
        let there = lines.get(*at..*at + wanted.len()).unwrap_or_default();
        there.iter().zip(wanted).all(|(a, b)| *a == b.as_slice())
    };
    let start = expected.clamp(first, last);
    let below = (start..=last).find(is_here);
    let above = (first..start).rev().find(is_here);
    match (above, below) {
        (Some(above), Some(below)) => Some(if below - start <= start - above {
            below
        } else {
            above
        }),
        (above, below) => below.or(above),
    }
}

fn misfit(hunk: &Hunk, lines: &[&[u8]], first: usize, expected: usize) -> Misfit {
    if !hunk.new.is_empty()
        && hunk.new != hunk.old
        && place(&hunk.new, lines, first, expected).is_some()
    {
        return Misfit::Applied;
    }
    let differs = |(nth, wanted): (usize, &Vec<u8>)| {
        let number = expected.saturating_add(nth);
        let found = lines.get(number);
        (found.copied() != Some(wanted.as_slice())).then(|| Misfit::Line {
            number: number.saturating_add(1),
            expected: shown(wanted),
            found: found.map(|line| shown(line)),
        })
    };
    let line = hunk.old.iter().enumerate().find_map(differs);
    // Lines that only were used up by the hunk before.
    line.unwrap_or(Misfit::Line {
        number: expected.saturating_add(1),
        expected: hunk.old.first().map(|l| shown(l)).unwrap_or_default(),
        found: None,
    })
}

/// A line as a message shows it: without its end, and without what a terminal would act on.
fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(line)).into_owned();
    let start: String = text.chars().take(SHOWN).collect();
    let more = if start.len() < text.len() { "…" } else { "" };
    format!("{}{more}", shown_bytes(start.as_bytes()))
}
