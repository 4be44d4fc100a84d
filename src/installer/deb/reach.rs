//! The part of the lists of available packages that apt's choice can depend on: whatever can be reached
//! from what is asked for, by all alternatives, all that provide a name, and in all versions.
//!
//! What cannot be reached cannot be chosen, and what is not chosen breaks nothing. There is one thing more
//! that apt goes by: where all else is equal, it takes first what it got to know first, and it gets to know
//! a package by the first stanza that names it, in whatever relation. So these stanzas belong to the part,
//! too, and the few that name something of an architecture: that makes apt look at all that is of that name.

use std::collections::{HashMap, HashSet};

use rayon::iter::{IndexedParallelIterator as _, ParallelIterator as _};
use rayon::slice::ParallelSlice as _;

use super::stanzas::{Followed, Mention, Stanza};

/// So many stanzas are looked through at once.
const PIECE: usize = 4096;

/// Which stanzas of each list these names reach, and those that every system has, in order; nothing if no
/// list has one of the names, of its own or provided.
pub(super) fn reach(
    lists: &[Vec<Stanza<'_>>],
    asked: &[&str],
    there: &[&str],
    followed: Followed,
) -> Option<Vec<Vec<usize>>> {
    let mut by_name: HashMap<&[u8], Vec<&Stanza>> = HashMap::new();
    let mut todo: Vec<&[u8]> = Vec::new();
    for stanza in lists.iter().flatten() {
        by_name.entry(stanza.name).or_default().push(stanza);
        stanza.provides(|name| by_name.entry(name).or_default().push(stanza));
        if stanza.is_base {
            todo.push(stanza.name);
        }
    }
    for name in asked {
        if !by_name.contains_key(name.as_bytes()) {
            return None;
        }
    }
    todo.extend(asked.iter().chain(there).map(|name| name.as_bytes()));
    let mut names: HashSet<&[u8]> = HashSet::new();
    let mut reached: HashSet<&[u8]> = HashSet::new();
    let mut mentioned: HashSet<Mention> = HashSet::new();
    while let Some(name) = todo.pop() {
        if !names.insert(name) {
            continue;
        }
        for stanza in by_name.get(name).into_iter().flatten() {
            if stanza.name != name {
                todo.push(stanza.name);
            } else {
                stanza.needs(followed, |name| todo.push(name));
                stanza.mentions(|mention| {
                    mentioned.insert(mention);
                });
                reached.insert(name);
            }
        }
    }
    let part = |list: &Vec<Stanza>| {
        let mut part: Vec<usize> = (0..list.len())
            .filter(|number| {
                let stanza = &list[*number];
                stanza.names_architecture || reached.contains(stanza.name)
            })
            .chain(first_mentions(list, &mentioned))
            .collect();
        part.sort_unstable();
        part.dedup();
        part
    };
    Some(lists.iter().map(part).collect())
}

/// The stanzas of a list that are the first in it to name something. Which list apt reads first, it knows
/// alone.
fn first_mentions(list: &[Stanza<'_>], mentioned: &HashSet<Mention<'_>>) -> Vec<usize> {
    let of_pieces: Vec<Vec<(usize, Mention)>> = list
        .par_chunks(PIECE)
        .enumerate()
        .map(|(piece, stanzas)| {
            let mut seen = HashSet::new();
            let mut found = Vec::new();
            for (number, stanza) in stanzas.iter().enumerate() {
                stanza.mentions(|mention| {
                    if mentioned.contains(&mention) && seen.insert(mention) {
                        found.push((piece * PIECE + number, mention));
                    }
                });
            }
            found
        })
        .collect();
    let mut seen = HashSet::new();
    let first = |(number, mention)| seen.insert(mention).then_some(number);
    of_pieces.into_iter().flatten().filter_map(first).collect()
}

#[cfg(test)]
#[path = "reach_tests.rs"]
mod tests;
