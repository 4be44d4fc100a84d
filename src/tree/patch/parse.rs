//! Reads a unified diff of one file.

use super::{Hunk, Patch, PatchError};

/// What stands where a file does not exist.
const NOTHING: &[u8] = b"/dev/null";

/// Reads a unified diff. Which file it is for does not matter: names in it are not looked at, except
/// that it must not make or remove one.
///
/// # Errors
/// The line that is not in the language of unified diffs of one file.
pub fn parse(text: &[u8]) -> Result<Patch, PatchError> {
    let lines: Vec<&[u8]> = text.split_inclusive(|b| *b == b'\n').collect();
    let mut hunks = Vec::new();
    let mut header = false;
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        let number = at + 1;
        let wrong = |what| PatchError::Syntax { line: number, what };
        let next = lines.get(at + 1).copied().unwrap_or_default();
        if line.starts_with(b"--- ") && next.starts_with(b"+++ ") {
            if header || !hunks.is_empty() {
                return Err(wrong(
                    "a second file is changed here, and a patch changes the one file that it is named for",
                ));
            }
            if names_nothing(next) {
                return Err(wrong(
                    "it removes the file; RemoveFiles, or a script, can do that",
                ));
            }
            header = true;
            at += 2;
        } else if line.starts_with(b"@@ ") {
            let hunk = hunk(&lines, &mut at)?;
            hunks.push(hunk);
        } else if line.starts_with(b"GIT binary patch") {
            return Err(wrong("a binary file cannot be patched; copy it whole"));
        } else if line.starts_with(b"*** ") && next.starts_with(b"--- ") {
            return Err(wrong(
                "this is a context diff; diff -u makes unified ones, which are understood",
            ));
        } else {
            // What versioning systems and people write around a diff.
            at += 1;
        }
    }
    if hunks.is_empty() {
        return Err(PatchError::Syntax {
            line: lines.len().max(1),
            what: "there is no change in it; it should be what diff -u prints",
        });
    }
    Ok(Patch { hunks })
}

fn names_nothing(line: &[u8]) -> bool {
    let name = line.get(4..).unwrap_or_default();
    let end = name.iter().position(u8::is_ascii_whitespace);
    &name[..end.unwrap_or(name.len())] == NOTHING
}

/// Reads the hunk whose header is at line `at`, which moves behind it.
fn hunk(lines: &[&[u8]], at: &mut usize) -> Result<Hunk, PatchError> {
    let line = *at + 1;
    let (start, mut old_left, mut new_left) =
        lines
            .get(*at)
            .and_then(|text| ranges(text))
            .ok_or(PatchError::Syntax {
                line,
                what: "expected a header such as @@ -3,7 +3,8 @@",
            })?;
    // `-5,0` stands behind line 5, `-5,2` begins with it.
    let before = if old_left == 0 {
        start
    } else {
        start.saturating_sub(1)
    };
    let (mut old, mut new): (Vec<Vec<u8>>, Vec<Vec<u8>>) = (Vec::new(), Vec::new());
    *at += 1;
    while old_left > 0 || new_left > 0 {
        let number = *at + 1;
        let wrong = |what| PatchError::Syntax { line: number, what };
        let text = lines
            .get(*at)
            .ok_or_else(|| wrong("the patch ends within a change"))?;
        let (sign, content) = match text.split_first() {
            // Editors drop the blank that an empty line of context consists of.
            Some((b'\n', _)) | None => (b' ', *text),
            Some((b'\r', b"\n")) => (b' ', *text),
            Some((sign, content)) => (*sign, content),
        };
        let (in_old, in_new) = match sign {
            b' ' => (true, true),
            b'-' => (true, false),
            b'+' => (false, true),
            _ => {
                return Err(wrong(
                    "expected a line that begins with a blank, - or +: fewer lines follow than the header says",
                ));
            }
        };
        let end = lines
            .get(*at + 1)
            .is_some_and(|next| next.starts_with(b"\\"));
        let mut content = content.to_vec();
        if end && content.ends_with(b"\n") {
            content.pop();
        } else if !end && !content.ends_with(b"\n") {
            // The last line of a patch whose own end is missing.
            content.push(b'\n');
        }
        for (counts, left, side) in [
            (in_old, &mut old_left, &mut old),
            (in_new, &mut new_left, &mut new),
        ] {
            if counts {
                *left = left
                    .checked_sub(1)
                    .ok_or_else(|| wrong("more lines follow than the header says"))?;
                side.push(content.clone());
            }
        }
        *at += if end { 2 } else { 1 };
    }
    let more = lines.get(*at).copied().unwrap_or_default();
    let header = more.starts_with(b"--- ")
        && lines
            .get(*at + 1)
            .is_some_and(|next| next.starts_with(b"+++ "));
    if matches!(more.first(), Some(b'+' | b' '))
        || (more.starts_with(b"-") && !header && more != b"-- \n")
    {
        return Err(PatchError::Syntax {
            line: *at + 1,
            what: "more lines follow than the header says",
        });
    }
    Ok(Hunk {
        line,
        before,
        old,
        new,
    })
}

/// `@@ -START[,COUNT] +START[,COUNT] @@`: the old start and both counts.
fn ranges(line: &[u8]) -> Option<(usize, usize, usize)> {
    let text = std::str::from_utf8(line.get(3..)?)
        .or_else(|e| std::str::from_utf8(line.get(3..3 + e.valid_up_to()).unwrap_or_default()))
        .ok()?;
    let mut words = text.split(' ');
    let (start, old) = range(words.next()?.strip_prefix('-')?)?;
    let (_, new) = range(words.next()?.strip_prefix('+')?)?;
    words.next()?.starts_with("@@").then_some((start, old, new))
}

fn range(text: &str) -> Option<(usize, usize)> {
    match text.split_once(',') {
        Some((start, count)) => Some((start.parse().ok()?, count.parse().ok()?)),
        None => Some((text.parse().ok()?, 1)),
    }
}
