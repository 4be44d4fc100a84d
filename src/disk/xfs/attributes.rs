//! Extended attributes: in the inode, or in blocks of their own with a tree of hashes.

use super::blocks::{INFO, Owned};
use super::format::{BLOCK, Bytes, hash};
use crate::disk::filling::Failed;

/// Which names an attribute's is among.
const ROOT: u8 = 2;
const SECURE: u8 = 4;
/// Its value is beside its name.
const LOCAL: u8 = 1;
/// The mark of a leaf (`XFS_ATTR3_LEAF_MAGIC`).
const LEAF: u16 = 0x3bee;
/// Bytes of a leaf's header.
const HEADER: usize = 80;
/// Values that are longer have blocks of their own.
const LONGEST_LOCAL: usize = 1024;
/// Bytes of the header of such a block.
const REMOTE_HEADER: usize = 56;
const IN_REMOTE: usize = BLOCK - REMOTE_HEADER;

/// An attribute as XFS names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attribute {
    among: u8,
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Attribute {
    /// From the name and the value that programs see; nothing for those that no XFS has.
    pub fn new(name: &[u8], value: Vec<u8>) -> Option<Self> {
        let (among, name, value) = match name {
            b"system.posix_acl_access" => (ROOT, b"SGI_ACL_FILE".to_vec(), acl(&value)?),
            b"system.posix_acl_default" => (ROOT, b"SGI_ACL_DEFAULT".to_vec(), acl(&value)?),
            _ => {
                let dot = name.iter().position(|byte| *byte == b'.')?;
                let among = match &name[..dot] {
                    b"user" => 0,
                    b"trusted" => ROOT,
                    b"security" => SECURE,
                    _ => return None,
                };
                (among, name[dot + 1..].to_vec(), value)
            }
        };
        Some(Self { among, name, value })
    }

    /// Bytes in a leaf, and whether its value is there.
    fn in_leaf(&self) -> (usize, bool) {
        let local = 3 + self.name.len() + self.value.len();
        if self.value.len() <= LONGEST_LOCAL {
            (local.next_multiple_of(4), true)
        } else {
            // The kernel counts two bytes that nothing is in.
            ((11 + self.name.len()).next_multiple_of(4), false)
        }
    }
}

/// An access control list: programs see numbers of the processor's order, XFS has them the other way.
fn acl(value: &[u8]) -> Option<Vec<u8>> {
    let entries = value.strip_prefix(&2_u32.to_le_bytes())?;
    let mut list = u32::try_from(entries.len() / 8)
        .ok()?
        .to_be_bytes()
        .to_vec();
    for entry in entries.chunks_exact(8) {
        let [tag0, tag1, mode0, mode1, id @ ..] = entry else {
            return None;
        };
        list.extend(u32::from(u16::from_le_bytes([*tag0, *tag1])).to_be_bytes());
        list.extend(id.iter().rev());
        list.extend([*mode1, *mode0, 0, 0]);
    }
    Some(list)
}

/// The attributes as they are in the inode, if `room` bytes are enough.
pub(super) fn short(all: &[Attribute], room: usize) -> Option<Vec<u8>> {
    let mut content = vec![0, 0, u8::try_from(all.len()).ok()?, 0];
    for one in all {
        content.push(u8::try_from(one.name.len()).ok()?);
        content.push(u8::try_from(one.value.len()).ok()?);
        content.push(one.among);
        content.extend(&one.name);
        content.extend(&one.value);
    }
    if content.len() > room {
        return None;
    }
    let length = u16::try_from(content.len()).ok()?;
    content[..2].copy_from_slice(&length.to_be_bytes());
    Some(content)
}

/// Writes the blocks of attributes.
pub(super) fn write(fork: &mut Owned<'_, '_>, all: &[Attribute]) -> Result<(), Failed> {
    let mut all: Vec<(u32, &Attribute)> = all.iter().map(|one| (hash(&one.name), one)).collect();
    all.sort_by(|(a, one), (b, other)| a.cmp(b).then_with(|| one.name.cmp(&other.name)));
    let mut leaves: Vec<Vec<(u32, &Attribute)>> = vec![Vec::new()];
    let mut used = HEADER;
    for (hash, one) in all {
        let length = 8 + one.in_leaf().0;
        if used + length > BLOCK {
            leaves.push(Vec::new());
            used = HEADER;
        }
        used += length;
        if let Some(leaf) = leaves.last_mut() {
            leaf.push((hash, one));
        }
    }
    // The root is the first block; values come behind all others.
    let first = u32::from(leaves.len() > 1);
    let count = leaves.len() as u32;
    let mut next = first + count;
    let mut ends = Vec::new();
    for (index, leaf) in leaves.iter().enumerate() {
        let at = first + index as u32;
        let back = if index == 0 { 0 } else { at - 1 };
        let forward = if index as u32 + 1 == count { 0 } else { at + 1 };
        write_leaf(fork, at, back, forward, leaf, &mut next)?;
        ends.push((leaf.last().map_or(0, |last| last.0), at));
    }
    if first > 0 {
        fork.nodes(ends, 0, next)?;
    }
    Ok(())
}

fn write_leaf(
    fork: &mut Owned<'_, '_>,
    at: u32,
    back: u32,
    forward: u32,
    all: &[(u32, &Attribute)],
    next: &mut u32,
) -> Result<(), Failed> {
    let number = fork.take(at.into())?;
    let mut block = fork.tree_block(number, LEAF, back, forward);
    let mut end = BLOCK;
    for (index, (hash, one)) in all.iter().enumerate() {
        let (length, is_local) = one.in_leaf();
        end -= length;
        let entry = HEADER + index * 8;
        block.u32(entry, *hash);
        block.u16(entry + 4, end as u16);
        block.u8(entry + 6, one.among | if is_local { LOCAL } else { 0 });
        if is_local {
            block.u16(end, one.value.len() as u16);
            block.u8(end + 2, one.name.len() as u8);
            block.put(end + 3, &one.name);
            block.put(end + 3 + one.name.len(), &one.value);
        } else {
            block.u32(end, *next);
            block.u32(end + 4, one.value.len() as u32);
            block.u8(end + 8, one.name.len() as u8);
            block.put(end + 9, &one.name);
            write_value(fork, &one.value, next)?;
        }
    }
    block.u16(INFO, all.len() as u16);
    block.u16(INFO + 2, (BLOCK - end) as u16);
    block.u16(INFO + 4, end as u16);
    let start = HEADER + all.len() * 8;
    // What is free lies between the entries and the names.
    if start < end {
        block.u16(INFO + 8, start as u16);
        block.u16(INFO + 10, (end - start) as u16);
    }
    block.seal(Owned::TREE_SUM);
    fork.write(number, &block)
}

/// Writes a value into blocks of its own, which follow each other in the fork.
fn write_value(fork: &mut Owned<'_, '_>, value: &[u8], next: &mut u32) -> Result<(), Failed> {
    for (index, part) in value.chunks(IN_REMOTE).enumerate() {
        let number = fork.take((*next).into())?;
        *next += 1;
        let mut block = Bytes::block();
        block.put(0, b"XARM");
        block.u32(4, (index * IN_REMOTE) as u32);
        block.u32(8, part.len() as u32);
        block.uuid(16, fork.geometry.uuid);
        block.u64(32, fork.inode);
        block.u64(40, fork.geometry.address(number));
        // Values are never in the journal.
        block.u64(48, u64::MAX);
        block.put(REMOTE_HEADER, part);
        block.seal(12);
        fork.write(number, &block)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_lists_as_xfs_has_them() {
        let of = |name: &str, value: &[u8]| Attribute::new(name.as_bytes(), value.to_vec());
        let plain = of("user.a.b", b"v").unwrap();
        assert_eq!((plain.among, &*plain.name), (0, &b"a.b"[..]));
        assert_eq!(of("security.capability", b"").unwrap().among, SECURE);
        assert_eq!(of("system.nfs4_acl", b""), None);
        let value = [
            2, 0, 0, 0, 1, 0, 7, 0, 0xff, 0xff, 0xff, 0xff, 2, 0, 5, 0, 1, 2, 0, 0,
        ];
        let list = of("system.posix_acl_access", &value).unwrap();
        assert_eq!((list.among, &*list.name), (ROOT, &b"SGI_ACL_FILE"[..]));
        let expected = [
            0, 0, 0, 2, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0, 7, 0, 0, 0, 0, 0, 2, 0, 0, 2, 1, 0,
            5, 0, 0,
        ];
        assert_eq!(list.value, expected);
        assert_eq!(
            short(&[plain], 100).unwrap(),
            [0, 11, 1, 0, 3, 1, 0, b'a', b'.', b'b', b'v']
        );
    }
}
