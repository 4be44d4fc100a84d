//! Numbers of the owners that packages name: the tree's own where it has them, as dpkg inside it does.

use std::collections::HashMap;

use crate::tree::archive::members::Member;
use crate::tree::{Root, TreeError};

/// Users and groups of a tree, by name.
#[derive(Debug, Default)]
pub(super) struct Owners {
    users: HashMap<Vec<u8>, u32>,
    groups: HashMap<Vec<u8>, u32>,
}

impl Owners {
    /// Those that the tree has by now.
    pub fn of(root: &Root) -> Result<Self, TreeError> {
        let read = |path| root.read_if_present(path).map(Option::unwrap_or_default);
        Ok(Self {
            users: parse(&read("etc/passwd")?),
            groups: parse(&read("etc/group")?),
        })
    }

    /// The user and group of a member.
    pub fn resolve(&self, member: &Member) -> (u32, u32) {
        let user = self.users.get(&member.user).copied();
        let group = self.groups.get(&member.group).copied();
        (user.unwrap_or(member.uid), group.unwrap_or(member.gid))
    }
}

/// Name and number, the first and third field of each line (passwd(5), group(5)).
fn parse(text: &[u8]) -> HashMap<Vec<u8>, u32> {
    let entry = |line: &[u8]| {
        let mut fields = line.split(|byte| *byte == b':');
        let name = fields.next().filter(|name| !name.is_empty())?.to_vec();
        let number = std::str::from_utf8(fields.nth(1)?).ok()?.parse().ok()?;
        Some((name, number))
    };
    let mut found = HashMap::new();
    for (name, number) in text.split(|byte| *byte == b'\n').filter_map(entry) {
        found.entry(name).or_insert(number);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_and_numbers() {
        let found = parse(b"root:x:0:0::/root:/bin/sh\nmail:x:8:\n:x:9:\nbad:x:y:\nroot:x:7:\n");
        assert_eq!(found.len(), 2);
        assert_eq!(found[&b"root"[..]], 0);
        assert_eq!(found[&b"mail"[..]], 8);
    }
}
