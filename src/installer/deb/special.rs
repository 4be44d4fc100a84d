//! Paths that dpkg treats in a special way: diverted ones, and those with an owner and mode that the
//! administrator has set. Whoever has such a path is left to dpkg.

use std::collections::HashSet;

use crate::tree::{Root, TreeError};

/// Three lines each: from, to, by whom (`dpkg-divert --list`).
const DIVERSIONS: &str = "var/lib/dpkg/diversions";
/// Owner, group, mode and path (`dpkg-statoverride --list`).
const OVERRIDES: &str = "var/lib/dpkg/statoverride";

/// The paths, as `/bin/sh`.
#[derive(Debug, Default)]
pub(super) struct Special(HashSet<Vec<u8>>);

impl Special {
    /// Those that the tree has by now.
    pub fn of(root: &Root) -> Result<Self, TreeError> {
        let read = |path| root.read_if_present(path).map(Option::unwrap_or_default);
        Ok(Self(parse(&read(DIVERSIONS)?, &read(OVERRIDES)?)))
    }

    /// Whether dpkg has to decide about a path.
    pub fn contains(&self, path: &[u8]) -> bool {
        self.0.contains(path)
    }
}

fn parse(diversions: &[u8], overrides: &[u8]) -> HashSet<Vec<u8>> {
    let lines = |text: &[u8]| -> Vec<Vec<u8>> {
        text.split(|byte| *byte == b'\n')
            .map(<[u8]>::to_vec)
            .collect()
    };
    let diverted = lines(diversions);
    let diverted = diverted.chunks(3).flat_map(|three| three.iter().take(2));
    let set = lines(overrides);
    let set = set.iter().filter_map(|line| {
        let at = line.windows(2).position(|two| two == b" /")?;
        Some(line[at + 1..].to_vec())
    });
    diverted
        .cloned()
        .chain(set)
        .filter(|path| path.starts_with(b"/"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_lists() {
        let found = parse(
            b"/bin/sh\n/bin/sh.distrib\ndash\n/a\n/b\n:\n",
            b"root crontab 2755 /usr/bin/crontab\n#0 #8 755 /x y\n",
        );
        let mut found: Vec<_> = found.iter().map(|p| String::from_utf8_lossy(p)).collect();
        found.sort();
        let expected = [
            "/a",
            "/b",
            "/bin/sh",
            "/bin/sh.distrib",
            "/usr/bin/crontab",
            "/x y",
        ];
        assert_eq!(found, expected);
    }
}
