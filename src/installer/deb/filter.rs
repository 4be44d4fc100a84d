//! What is left out while unpacking: the `path-exclude` and `path-include` of dpkg's configuration in
//! the tree (dpkg(1)).

use std::path::Path;

use crate::tree::{Root, TreeError};

const DIRECTORY: &str = "etc/dpkg/dpkg.cfg.d";
const FILE: &str = "etc/dpkg/dpkg.cfg";

/// The filters, in order: of those that fit a path, the last one counts.
#[derive(Debug, Default)]
pub(super) struct Filter(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    pattern: Vec<u8>,
    include: bool,
}

impl Filter {
    /// The filters that dpkg would find in the tree.
    pub fn of(root: &Root) -> Result<Self, TreeError> {
        let mut filter = Self::default();
        if root.is_dir(DIRECTORY)? {
            for entry in root.list(DIRECTORY)? {
                let name = entry.name.as_encoded_bytes();
                let counts = name
                    .iter()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
                let path = Path::new(DIRECTORY).join(&entry.name);
                if counts && root.is_file(&path)? {
                    filter.add(&root.read(&path)?);
                }
            }
        }
        if let Some(text) = root.read_if_present(FILE)? {
            filter.add(&text);
        }
        Ok(filter)
    }

    fn add(&mut self, text: &[u8]) {
        for line in text.split(|byte| *byte == b'\n') {
            let line = line.trim_ascii();
            let line = line.strip_prefix(b"--").unwrap_or(line);
            let (include, rest) = if let Some(rest) = line.strip_prefix(b"path-exclude") {
                (false, rest)
            } else if let Some(rest) = line.strip_prefix(b"path-include") {
                (true, rest)
            } else {
                continue;
            };
            let Some(b'=' | b' ' | b'\t') = rest.first() else {
                continue;
            };
            let value = rest[1..].trim_ascii();
            let pattern = match value {
                [b'"', inner @ .., b'"'] | [b'\'', inner @ .., b'\''] => inner,
                value => value,
            };
            self.0.push(Rule {
                pattern: pattern.to_vec(),
                include,
            });
        }
    }

    /// Whether `path`, as `/usr/share/x`, is left out. Directories and links stay where a rule could
    /// bring back what is in them.
    pub fn excludes(&self, path: &[u8], may_hold_others: bool) -> bool {
        let last = self.0.iter().rev().find(|rule| fits(&rule.pattern, path));
        if last.is_none_or(|rule| rule.include) {
            return false;
        }
        let brought_back = |rule: &Rule| {
            let special = |byte: &u8| matches!(byte, b'*' | b'?' | b'[' | b'\\');
            let length = rule.pattern.iter().position(special);
            let plain = &rule.pattern[..length.unwrap_or(rule.pattern.len())];
            rule.include && path.starts_with(plain)
        };
        !(may_hold_others && self.0.iter().any(brought_back))
    }
}

/// Whether a shell pattern fits the whole of a path; `*` and `?` stand for slashes too.
fn fits(pattern: &[u8], path: &[u8]) -> bool {
    let (mut p, mut s) = (0, 0);
    // Where the last star was, and how much it stood for.
    let mut star: Option<(usize, usize)> = None;
    loop {
        let step = match (pattern.get(p), path.get(s)) {
            (None, None) => return true,
            (Some(b'*'), _) => {
                star = Some((p, s));
                p += 1;
                continue;
            }
            (Some(_), Some(byte)) => one(&pattern[p..], *byte),
            _ => None,
        };
        match (step, star) {
            (Some(length), _) => {
                p += length;
                s += 1;
            }
            (None, Some((at, stood_for))) if stood_for < path.len() => {
                p = at + 1;
                s = stood_for + 1;
                star = Some((at, s));
            }
            _ => return false,
        }
    }
}

/// How long the beginning of a pattern is that fits one byte.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'\\', escaped, ..] => (*escaped == byte).then_some(2),
        [b'[', set @ ..] => {
            let (negated, skipped) = match set {
                [b'!' | b'^', ..] => (true, 1),
                _ => (false, 0),
            };
            let set = &set[skipped..];
            // A bracket that comes first is a member.
            let Some(length) = set.iter().skip(1).position(|b| *b == b']') else {
                return (byte == b'[').then_some(1);
            };
            let mut members = &set[..=length];
            let mut found = false;
            while let [first, rest @ ..] = members {
                if let [b'-', last, after @ ..] = rest {
                    found |= (*first..=*last).contains(&byte);
                    members = after;
                } else {
                    found |= *first == byte;
                    members = rest;
                }
            }
            (found != negated).then_some(skipped + length + 3)
        }
        [first, ..] => (*first == byte).then_some(1),
        [] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, path, expected) in [
            ("/usr/share/doc/*", "/usr/share/doc/x/y", true),
            ("/usr/share/doc/*", "/usr/share/doc", false),
            (
                "/usr/share/doc/*/copyright",
                "/usr/share/doc/a/b/copyright",
                true,
            ),
            (
                "/usr/share/doc/*/copyright",
                "/usr/share/doc/a/copyrights",
                false,
            ),
            ("*.p[ly]", "/x.py", true),
            ("*.p[!ly]", "/x.py", false),
            ("/[a-c]x", "/bx", true),
            ("/[]x]", "/]", true),
            ("/?", "//", true),
            (r"/\*", "/*", true),
            (r"/\*", "/x", false),
            ("/[x", "/[x", true),
        ] {
            let (pattern, path) = (pattern.as_bytes(), path.as_bytes());
            assert_eq!(fits(pattern, path), expected, "{pattern:?} {path:?}");
        }
    }

    #[test]
    fn the_last_rule_that_fits_counts() {
        let mut filter = Filter::default();
        filter.add(
            b"# nothing\nlog /var/log/dpkg.log\npath-exclude=/usr/share/doc/*\n\
              path-exclude \"/usr/share/man/*\"\npath-include=/usr/share/doc/*/copyright\n",
        );
        for (path, directory, expected) in [
            ("/usr/share/doc/x/README", false, true),
            ("/usr/share/doc/x/copyright", false, false),
            ("/usr/share/doc/x", true, false),
            ("/usr/share/doc/x/examples", true, false),
            ("/usr/share/man/man1", true, true),
            ("/usr/share/doc", true, false),
            ("/usr/bin/x", false, false),
        ] {
            assert_eq!(
                filter.excludes(path.as_bytes(), directory),
                expected,
                "{path}"
            );
        }
    }
}
