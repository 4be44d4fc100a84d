//! A list of available packages (`Packages`), read as strictly as can be: whatever apt might read in
//! another way makes it a list that this program does not read.

use std::io::BufRead as _;

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

/// What one package needs and offers, in the order of [`RELATIONS`].
const RELATIONS: [&[u8]; 9] = [
    b"Pre-Depends",
    b"Depends",
    b"Recommends",
    b"Suggests",
    b"Enhances",
    b"Conflicts",
    b"Breaks",
    b"Replaces",
    b"Provides",
];
const RECOMMENDS: usize = 2;
const PROVIDES: usize = RELATIONS.len() - 1;

/// Other fields that count; the first three are in every stanza.
const OTHERS: [&[u8]; 8] = [
    b"Package",
    b"Version",
    b"Architecture",
    b"Multi-Arch",
    b"Priority",
    b"Essential",
    b"Important",
    b"Protected",
];

/// apt refuses what is larger than its buffer, of 1 MiB.
const LARGEST: usize = 512 * 1024;

/// So much of a relation's version, its operator and closing parenthesis is too little for apt.
const SHORTEST: usize = 3;

/// Lists are read in pieces of this size, on all processors.
const PIECE: usize = 4 * 1024 * 1024;

/// What is said of one version of a package.
#[derive(Debug)]
pub(super) struct Stanza<'a> {
    /// All of it, as it is in the list, with the end of its last line.
    pub text: &'a [u8],
    pub name: &'a [u8],
    /// Whether every system has it: it is essential, protected, or of the priority "required".
    pub is_base: bool,
    /// Whether it answers for its name with any architecture (`Multi-Arch: allowed`).
    answers_for_any: bool,
    /// Whether it needs something of an architecture that it names, which apt sees to in ways of its own.
    pub names_architecture: bool,
    relations: [&'a [u8]; RELATIONS.len()],
}

/// Something that a package needs, offers or forbids.
struct Relation<'a> {
    name: &'a [u8],
    architecture: Qualifier,
    operator: &'a [u8],
}

/// What stands behind a colon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Qualifier {
    Nothing,
    Any,
    Architecture,
}

/// A name as relations have it, and whether `:any` follows it. apt keeps the two apart.
pub(super) type Mention<'a> = (&'a [u8], bool);

/// Which relations beside those that must hold bring packages in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Followed {
    pub recommends: bool,
}

impl<'a> Stanza<'a> {
    /// The names of what it may bring in.
    pub fn needs(&self, followed: Followed, mut take: impl FnMut(&'a [u8])) {
        for (number, value) in self.relations[..=RECOMMENDS].iter().enumerate() {
            if number < RECOMMENDS || followed.recommends {
                let _ = each_relation(value, |one| take(one.name));
            }
        }
    }

    /// The other names that it has.
    pub fn provides(&self, mut take: impl FnMut(&'a [u8])) {
        let _ = each_relation(self.relations[PROVIDES], |one| take(one.name));
    }

    /// Every name that apt gets to know by this stanza, its own and those in relations of all kinds, but
    /// not those with an architecture.
    pub fn mentions(&self, mut take: impl FnMut(Mention<'a>)) {
        take((self.name, false));
        if self.answers_for_any {
            take((self.name, true));
        }
        for value in &self.relations[..PROVIDES] {
            let _ = each_relation(value, |one| match one.architecture {
                Qualifier::Nothing => take((one.name, false)),
                Qualifier::Any => take((one.name, true)),
                Qualifier::Architecture => {}
            });
        }
        self.provides(|name| {
            take((name, false));
            if self.answers_for_any {
                take((name, true));
            }
        });
    }

    /// The stanza that is all of `text`, unless there is a doubt about it.
    fn of(text: &'a [u8], architecture: &str) -> Option<Self> {
        let mut relations: [Option<&[u8]>; RELATIONS.len()] = [None; RELATIONS.len()];
        let mut others: [Option<&[u8]>; OTHERS.len()] = [None; OTHERS.len()];
        let mut rest = text;
        while !rest.is_empty() {
            let field = rest;
            skip_line(&mut rest);
            while rest.first() == Some(&b' ') {
                skip_line(&mut rest);
            }
            let field = &field[..field.len() - rest.len()];
            let colon = field.iter().position(|byte| *byte == b':')?;
            let (name, value) = (&field[..colon], &field[colon + 1..]);
            let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
            if name.is_empty() || !name.iter().all(is_name) {
                return None;
            }
            let is_this = |known: &&[u8]| known.eq_ignore_ascii_case(name);
            let place = match RELATIONS.iter().position(is_this) {
                Some(number) => Some(&mut relations[number]),
                None => OTHERS
                    .iter()
                    .position(is_this)
                    .map(|number| &mut others[number]),
            };
            if let Some(place) = place {
                // Which of two counts is apt's to know.
                if place.replace(value.trim_ascii()).is_some() {
                    return None;
                }
            }
        }
        let [name, version, of, multi_arch, priority, flags @ ..] = others;
        let (name, version, of) = (name?, version?, of?);
        let is_plain = |byte: &u8| byte.is_ascii_graphic();
        // apt reads capital letters in this field alone as small ones.
        if !is_name_of_package(name)
            || name.iter().any(u8::is_ascii_uppercase)
            || version.is_empty()
            || !version.iter().all(is_plain)
            || (of != b"all" && of != architecture.as_bytes())
        {
            return None;
        }
        let relations = relations.map(Option::unwrap_or_default);
        let mut names_architecture = false;
        for value in &relations[..PROVIDES] {
            each_relation(value, |one| {
                names_architecture |= one.architecture == Qualifier::Architecture;
            })?;
        }
        let mut is_plain = true;
        each_relation(relations[PROVIDES], |one| {
            is_plain &= one.architecture == Qualifier::Nothing;
            is_plain &= matches!(one.operator, b"" | b"=");
        })?;
        if !is_plain {
            return None;
        }
        let is_set = |flag: &Option<&[u8]>| flag.is_some_and(|v| !v.eq_ignore_ascii_case(b"no"));
        Some(Self {
            text,
            name,
            is_base: flags.iter().any(is_set)
                || priority.is_some_and(|value| value.eq_ignore_ascii_case(b"required")),
            answers_for_any: multi_arch.is_some_and(|value| value.eq_ignore_ascii_case(b"allowed")),
            names_architecture,
            relations,
        })
    }
}

/// The stanzas of a list for machines of this architecture, in order; nothing if there is a doubt about
/// any of them.
pub(super) fn read<'a>(list: &'a [u8], architecture: &str) -> Option<Vec<Stanza<'a>>> {
    if list.last().is_some_and(|byte| *byte != b'\n') {
        return None;
    }
    let pieces: Option<Vec<_>> = pieces(list)
        .into_par_iter()
        .map(|piece| read_piece(piece, architecture))
        .collect();
    Some(pieces?.into_iter().flatten().collect())
}

fn read_piece<'a>(piece: &'a [u8], architecture: &str) -> Option<Vec<Stanza<'a>>> {
    if piece.contains(&b'\r') || piece.contains(&b'\0') {
        return None;
    }
    let mut stanzas = Vec::new();
    let mut rest = piece;
    while let Some(first) = rest.first() {
        if *first == b'\n' {
            rest = &rest[1..];
            continue;
        }
        let text = rest;
        while rest.first().is_some_and(|byte| *byte != b'\n') {
            skip_line(&mut rest);
        }
        let text = &text[..text.len() - rest.len()];
        if text.len() > LARGEST {
            return None;
        }
        stanzas.push(Stanza::of(text, architecture)?);
    }
    Some(stanzas)
}

/// Cuts a list where stanzas end.
fn pieces(list: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let mut rest = list;
    while rest.len() > PIECE {
        let mut after = &rest[PIECE..];
        skip_line(&mut after);
        while after.first().is_some_and(|byte| *byte != b'\n') {
            skip_line(&mut after);
        }
        let (piece, others) = rest.split_at(rest.len() - after.len());
        pieces.push(piece);
        rest = others;
    }
    pieces.push(rest);
    pieces
}

/// Leaves a line out. Reading memory does not fail.
fn skip_line(rest: &mut &[u8]) {
    let _ = rest.skip_until(b'\n');
}

/// Hands over each relation in a field, of all alternatives; nothing if apt might read the field in another
/// way.
fn each_relation<'a>(value: &'a [u8], mut take: impl FnMut(Relation<'a>)) -> Option<()> {
    let mut rest = value;
    while !rest.is_empty() {
        let ends = |byte: &u8| byte.is_ascii_whitespace() || b"(),|[]<>".contains(byte);
        let (name, after) = rest.split_at(rest.iter().position(ends).unwrap_or(rest.len()));
        let mut parts = name.splitn(2, |byte| *byte == b':');
        let name = parts.next().filter(|name| is_name_of_package(name))?;
        let architecture = match parts.next() {
            None => Qualifier::Nothing,
            Some(b"any") => Qualifier::Any,
            Some(other) if is_name_of_package(other) => Qualifier::Architecture,
            Some(_) => return None,
        };
        rest = after.trim_ascii_start();
        let mut operator: &[u8] = b"";
        if let Some(inside) = rest.strip_prefix(b"(") {
            // Of what is shorter apt says that it is no relation.
            if inside.trim_ascii_start().len() <= SHORTEST {
                return None;
            }
            let end = inside.iter().position(|byte| *byte == b')')?;
            let version = inside[..end].trim_ascii();
            let signs = |byte: &u8| !b"<=>".contains(byte);
            let length = version.iter().position(signs)?;
            operator = &version[..length];
            if !matches!(operator, b"<<" | b"<=" | b"=" | b">=" | b">>" | b"<" | b">")
                || version[length..].trim_ascii_start().is_empty()
            {
                return None;
            }
            rest = inside[end + 1..].trim_ascii_start();
        }
        take(Relation {
            name,
            architecture,
            operator,
        });
        rest = match rest.split_first() {
            None => rest,
            Some((b',' | b'|', others)) => others.trim_ascii_start(),
            Some(_) => return None,
        };
    }
    Some(())
}

/// Whether this is a name that Debian allows (deb-control(5)), or one with what some others have.
pub(super) fn is_name_of_package(name: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-._".contains(byte);
    name.first().is_some_and(u8::is_ascii_alphanumeric) && name.iter().all(is_part)
}

#[cfg(test)]
#[path = "stanzas_tests.rs"]
mod tests;
