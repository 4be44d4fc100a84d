//! Finds the name that was probably meant.

use std::cmp::Reverse;

/// Longer words are not compared: nobody misspells them, and comparing costs the square.
const LONGEST: usize = 64;

/// The candidate closest to `word`: the same in another case or with other dashes, or a few slips
/// of the keyboard away; of several that are as close, one with the same letters in another order, or else the
/// one that begins like it for longest. None when nothing is near.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = plain(word);
    if plain.is_empty() || plain.len() > LONGEST {
        return None;
    }
    // A third of the letters may differ, but never so many that short words all look alike.
    let limit = (plain.len() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let other = self::plain(candidate);
            let distance = distance(&plain, &other, limit)?;
            let swapped = sorted(&plain) == sorted(&other);
            let alike = plain.iter().zip(&other).take_while(|(a, b)| a == b);
            let nearness = (distance, Reverse(swapped), Reverse(alike.count()));
            Some((nearness, candidate))
        })
        .min_by_key(|(nearness, _)| *nearness)
        .map(|(_, candidate)| candidate)
}

/// The word without what people vary: case, dashes, underscores.
fn plain(word: &str) -> Vec<char> {
    word.chars()
        .filter(|c| *c != '-' && *c != '_')
        .take(LONGEST + 1)
        .flat_map(char::to_lowercase)
        .collect()
}

fn sorted(word: &[char]) -> Vec<char> {
    let mut letters = word.to_vec();
    letters.sort_unstable();
    letters
}

/// Number of letters to insert, remove, replace or swap with the next; none above `limit`.
fn distance(a: &[char], b: &[char], limit: usize) -> Option<usize> {
    if a.len().abs_diff(b.len()) > limit {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut cost = (above[j] + usize::from(x != y))
                .min(above[j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                cost = cost.min(before[j - 1] + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().filter(|distance| *distance <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let names = ["Packages", "WithNetwork", "Format", "RootSize", "Key", "XZ"];
        for (word, expected) in [
            ("packages", Some("Packages")),
            ("Pakcages", Some("Packages")),
            ("with-network", Some("WithNetwork")),
            ("RootSzie", Some("RootSize")),
            ("Fromat", Some("Format")),
            ("xz", Some("XZ")),
            ("Kye", Some("Key")),
            ("Bananas", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, names), expected, "{word}");
        }
        assert_eq!(nearest(&"a".repeat(10_000_000), names), None);
        assert_eq!(nearest("vimm", ["vifm", "vim", "wimm"]), Some("vim"));
        assert_eq!(nearest("vmi", ["vm", "vmix", "vim"]), Some("vim"));
    }
}
