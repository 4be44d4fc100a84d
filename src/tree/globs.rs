//! File name patterns in an image, for `RemoveFiles`.
//!
//! `*` and `?` match any characters but `/`, hidden names included; `[a-z]`, `[!a-z]` one of a set;
//! `**` as a whole part any number of directories, none too; `\` takes the next character as it is.
//! Symbolic links in the middle of a pattern are followed beneath the image's root, except below
//! `**`; what a pattern matches at its end is never followed.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::error::{TreeError, check};
use super::root::Root;
use super::shown::shown_bytes;
use super::stat::Kind;
use crate::host::Cancel;

/// A pattern, taken apart.
#[derive(Clone, Debug)]
pub struct Pattern {
    parts: Vec<Part>,
    /// It ended in `/`: only directories match.
    only_directories: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// A name without wildcards.
    Name(Vec<u8>),
    /// A name with wildcards.
    Wild(Vec<Token>),
    /// `**`
    Any,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Byte(u8),
    One,
    Many,
    Set {
        negated: bool,
        ranges: Vec<(u8, u8)>,
    },
}

impl Pattern {
    /// Takes a pattern apart. It counts from the image's root, with or without a leading `/`.
    ///
    /// # Errors
    /// When it holds `..`, is empty, or a `[` is not closed.
    pub fn parse(text: impl AsRef<OsStr>) -> Result<Self, TreeError> {
        let text = text.as_ref().as_bytes();
        let bad = |why| TreeError::Pattern {
            pattern: shown_bytes(text),
            why,
        };
        let mut parts = Vec::new();
        for part in text.split(|b| *b == b'/') {
            match part {
                b"" | b"." => {}
                b".." => return Err(bad("it holds `..`")),
                b"**" if parts.last() == Some(&Part::Any) => {}
                b"**" => parts.push(Part::Any),
                part => {
                    let tokens = tokens(part).ok_or_else(|| bad("a `[` is not closed"))?;
                    parts.push(simplest(tokens));
                }
            }
        }
        if parts.is_empty() {
            return Err(bad("it names the image's root"));
        }
        Ok(Self {
            parts,
            only_directories: text.ends_with(b"/"),
        })
    }

    /// Every path in the image that matches, in byte order.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn matches(&self, root: &Root, cancel: &Cancel) -> Result<Vec<PathBuf>, TreeError> {
        let mut found = Vec::new();
        self.walk(root, cancel, Path::new(""), &self.parts, &mut found)?;
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    fn walk(
        &self,
        root: &Root,
        cancel: &Cancel,
        at: &Path,
        parts: &[Part],
        found: &mut Vec<PathBuf>,
    ) -> Result<(), TreeError> {
        check(cancel)?;
        let Some((part, rest)) = parts.split_first() else {
            return Ok(());
        };
        match part {
            Part::Name(name) => {
                let path = at.join(OsStr::from_bytes(name));
                if rest.is_empty() {
                    self.take(root, path, None, found)
                } else {
                    self.walk(root, cancel, &path, rest, found)
                }
            }
            Part::Wild(tokens) => {
                if !root.is_dir(at)? {
                    return Ok(());
                }
                for entry in root.list(at)? {
                    if !matches(tokens, entry.name.as_bytes()) {
                        continue;
                    }
                    let path = at.join(&entry.name);
                    if rest.is_empty() {
                        self.take(root, path, Some(entry.kind), found)?;
                    } else if matches!(entry.kind, Kind::Directory | Kind::Symlink) {
                        self.walk(root, cancel, &path, rest, found)?;
                    }
                }
                Ok(())
            }
            Part::Any => {
                if !root.is_dir(at)? {
                    return Ok(());
                }
                // No directory at all, then each one.
                self.walk(root, cancel, at, rest, found)?;
                for entry in root.list(at)? {
                    let path = at.join(&entry.name);
                    if rest.is_empty() {
                        self.take(root, path.clone(), Some(entry.kind), found)?;
                    }
                    if entry.kind == Kind::Directory {
                        self.walk(root, cancel, &path, parts, found)?;
                    }
                }
                Ok(())
            }
        }
    }

    fn take(
        &self,
        root: &Root,
        path: PathBuf,
        kind: Option<Kind>,
        found: &mut Vec<PathBuf>,
    ) -> Result<(), TreeError> {
        let kind = match kind {
            Some(kind) => Some(kind),
            None => root.metadata(&path)?.map(|meta| meta.kind),
        };
        match kind {
            Some(kind) if !self.only_directories || kind == Kind::Directory => found.push(path),
            _ => {}
        }
        Ok(())
    }
}

/// Removes everything that matches one of the patterns, directories with all they hold. Returns the
/// patterns' matches in order.
///
/// # Errors
/// When a pattern cannot be understood, or something cannot be removed.
pub fn remove_files<S: AsRef<OsStr>>(
    root: &Root,
    patterns: impl IntoIterator<Item = S>,
    cancel: &Cancel,
) -> Result<Vec<PathBuf>, TreeError> {
    // All are understood before the first one removes anything.
    let patterns = patterns
        .into_iter()
        .map(Pattern::parse)
        .collect::<Result<Vec<_>, _>>()?;
    let mut removed = Vec::new();
    for pattern in patterns {
        for path in pattern.matches(root, cancel)? {
            check(cancel)?;
            if root.remove_tree(&path)? {
                removed.push(path);
            }
        }
    }
    removed.sort_unstable();
    Ok(removed)
}

/// Names without wildcards are looked up instead of searched.
fn simplest(tokens: Vec<Token>) -> Part {
    let name: Option<Vec<u8>> = tokens
        .iter()
        .map(|token| match token {
            Token::Byte(byte) => Some(*byte),
            _ => None,
        })
        .collect();
    match name {
        Some(name) => Part::Name(name),
        None => Part::Wild(tokens),
    }
}

fn tokens(part: &[u8]) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = part;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        tokens.push(match byte {
            b'*' if tokens.last() == Some(&Token::Many) => continue,
            b'*' => Token::Many,
            b'?' => Token::One,
            b'[' => {
                let (set, after) = set(rest)?;
                rest = after;
                set
            }
            b'\\' => match rest.split_first() {
                Some((escaped, after)) => {
                    rest = after;
                    Token::Byte(*escaped)
                }
                None => Token::Byte(b'\\'),
            },
            byte => Token::Byte(*byte),
        });
    }
    Some(tokens)
}

/// What follows a `[`, up to its `]`. A `]` that comes first is a member.
fn set(part: &[u8]) -> Option<(Token, &[u8])> {
    let (negated, part) = match part {
        [b'!' | b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let end = 1 + part.iter().skip(1).position(|b| *b == b']')?;
    let mut ranges = Vec::new();
    let mut members = &part[..end];
    while let [first, rest @ ..] = members {
        members = rest;
        if let [b'-', last, rest @ ..] = members {
            ranges.push((*first, *last));
            members = rest;
        } else {
            ranges.push((*first, *first));
        }
    }
    Some((Token::Set { negated, ranges }, &part[end + 1..]))
}

/// Whether a name matches, in time proportional to the product of both lengths.
fn matches(tokens: &[Token], name: &[u8]) -> bool {
    let (mut token, mut at) = (0, 0);
    // The last `*`, and what it was tried to take so far.
    let mut retry: Option<(usize, usize)> = None;
    while at < name.len() {
        match tokens.get(token) {
            Some(Token::Many) => {
                token += 1;
                retry = Some((token, at));
            }
            Some(other) if fits(other, name[at]) => {
                token += 1;
                at += 1;
            }
            _ => match &mut retry {
                Some((after, taken)) => {
                    *taken += 1;
                    token = *after;
                    at = *taken;
                }
                None => return false,
            },
        }
    }
    tokens[token..].iter().all(|token| *token == Token::Many)
}

fn fits(token: &Token, byte: u8) -> bool {
    match token {
        Token::Byte(wanted) => *wanted == byte,
        Token::One => true,
        Token::Many => false,
        Token::Set { negated, ranges } => {
            let inside = ranges
                .iter()
                .any(|(first, last)| (*first..=*last).contains(&byte));
            inside != *negated
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn name_matches(pattern: &str, name: &str) -> bool {
        matches(&tokens(pattern.as_bytes()).unwrap(), name.as_bytes())
    }

    #[test]
    fn matches_names() {
        for (pattern, name, want) in [
            ("*", "a", true),
            ("*", ".hidden", true),
            ("*.log", "x.log", true),
            ("*.log", "x.log.1", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[^a-c]x", "dx", true),
            ("[]]", "]", true),
            ("[a-]", "-", true),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("*a*b*c", "xaybzc", true),
            ("*a*b*c", "xaybz", false),
            ("a**b", "ab", true),
            ("", "", true),
        ] {
            assert_eq!(name_matches(pattern, name), want, "{pattern} {name}");
        }
        assert!(tokens(b"[a").is_none());
    }

    #[test]
    fn finds_paths_beneath_the_root() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        fs::create_dir_all(at("usr/lib/a/deep")).unwrap();
        fs::create_dir_all(at("usr/share")).unwrap();
        for file in ["usr/lib/x.py", "usr/lib/a/y.py", "usr/lib/a/deep/.z.py"] {
            fs::write(at(file), "").unwrap();
        }
        symlink("usr/lib", at("lib")).unwrap();
        symlink("/etc", at("out")).unwrap();
        symlink("..", at("usr/lib/loop")).unwrap();
        let root = Root::open(dir.path()).unwrap();
        let find = |pattern: &str| -> Vec<String> {
            Pattern::parse(pattern)
                .unwrap()
                .matches(&root, &Cancel::default())
                .unwrap()
                .into_iter()
                .map(|path| path.to_string_lossy().into_owned())
                .collect()
        };
        assert_eq!(find("/usr/lib/*.py"), ["usr/lib/x.py"]);
        assert_eq!(find("lib/x.py"), ["lib/x.py"], "links are followed");
        assert_eq!(
            find("usr/**/*.py"),
            ["usr/lib/a/deep/.z.py", "usr/lib/a/y.py", "usr/lib/x.py"]
        );
        assert_eq!(
            find("usr/lib/a/**"),
            ["usr/lib/a/deep", "usr/lib/a/deep/.z.py", "usr/lib/a/y.py"]
        );
        assert_eq!(find("*"), ["lib", "out", "usr"]);
        assert_eq!(find("*/"), ["usr"]);
        assert_eq!(find("out/passwd"), Vec::<String>::new());
        assert_eq!(find("out/*"), Vec::<String>::new());
        assert_eq!(find("nothing/*/x"), Vec::<String>::new());
        let removed = remove_files(&root, ["/out", "usr/**/*.py"], &Cancel::default()).unwrap();
        assert_eq!(removed.len(), 4);
        assert!(Path::new("/etc").exists());
        assert!(!root.exists("out").unwrap());
    }

    #[test]
    fn refuses_patterns_before_removing_anything() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "").unwrap();
        let root = Root::open(dir.path()).unwrap();
        for bad in ["../x", "/", "", "a/[b"] {
            let result = remove_files(&root, ["a", bad], &Cancel::default());
            assert!(result.is_err(), "{bad}");
        }
        assert!(root.exists("a").unwrap());
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab*?]{0,8}", name in "[ab]{0,8}") {
            fn slow(pattern: &[u8], name: &[u8]) -> bool {
                match (pattern.split_first(), name.split_first()) {
                    (None, None) => true,
                    (Some((b'*', rest)), _) => {
                        (0..=name.len()).any(|taken| slow(rest, &name[taken..]))
                    }
                    (Some((b'?', p)), Some((_, n))) => slow(p, n),
                    (Some((a, p)), Some((b, n))) => a == b && slow(p, n),
                    _ => false,
                }
            }
            prop_assert_eq!(
                name_matches(&pattern, &name),
                slow(pattern.as_bytes(), name.as_bytes())
            );
        }
    }
}
