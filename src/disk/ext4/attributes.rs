//! Puts the extended attributes of an inode in one order.
//!
//! mke2fs keeps them as the tree's file system lists them: in the order in which they came to be, or in
//! that of hashes of their names. It also fills the inode first, so that which of them end in the block
//! besides depends on the order, too.
//! Source of the format: the kernel's `Documentation/filesystems/ext4/attributes.rst`.

use super::inodes::{CRC32C, INODE, le16, le32, put};

/// The first bytes of both places, in an inode and in a block (`EXT4_XATTR_MAGIC`).
const MAGIC: u32 = 0xea02_0000;
/// Bytes before the first entry in a block; in an inode there is only the magic.
const BLOCK_HEADER: usize = 32;
/// Bytes of an entry before its name.
const ENTRY: usize = 16;
/// Entries and values begin at multiples of this.
const PAD: usize = 4;
/// Bytes after the last entry.
const END: usize = 4;

/// An attribute. They are compared as entries in a block must be sorted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Attribute {
    index: u8,
    length: usize,
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Attribute {
    /// Bytes that it takes in either place.
    fn size(&self) -> usize {
        (ENTRY + self.length).next_multiple_of(PAD) + self.value.len().next_multiple_of(PAD)
    }

    /// What a block has beside each entry.
    fn hash(&self) -> u32 {
        let name = self
            .name
            .iter()
            .fold(0_u32, |hash, byte| hash.rotate_left(5) ^ u32::from(*byte));
        self.value.chunks(PAD).fold(name, |hash, word| {
            let mut bytes = [0; PAD];
            bytes[..word.len()].copy_from_slice(word);
            hash.rotate_left(16) ^ u32::from_le_bytes(bytes)
        })
    }
}

/// Sorts the attributes in `inode`, and in `block` where it has one; whether that changed anything. What
/// is not as mke2fs writes it stays as it is.
pub(super) fn sort(inode: &mut [u8], block: Option<&mut Vec<u8>>) -> bool {
    let start = 0x80 + usize::from(le16(inode, 0x80));
    if start + PAD + END > INODE {
        return false;
    }
    let mut attributes = Vec::new();
    if le32(inode, start) == MAGIC && !read(&inode[start + PAD..], 0, &mut attributes) {
        return false;
    }
    if let Some(block) = &block {
        let is_one = le32(block, 0) == MAGIC && le32(block, 4) == 1 && le32(block, 8) == 1;
        if !is_one || !read(block, BLOCK_HEADER, &mut attributes) {
            return false;
        }
    }
    if attributes.len() < 2 {
        return false;
    }
    attributes.sort_unstable();
    let mut room = INODE - start - PAD - END;
    let (inside, outside): (Vec<_>, Vec<_>) = attributes.into_iter().partition(|attribute| {
        let fits = attribute.size() <= room;
        room -= if fits { attribute.size() } else { 0 };
        fits
    });
    let mut new = inode[start..].to_vec();
    new.fill(0);
    if !inside.is_empty() {
        put(&mut new, 0, &MAGIC.to_le_bytes());
        write(&mut new[PAD..], 0, &inside, false);
    }
    match block {
        None if !outside.is_empty() => return false,
        None => {}
        Some(block) => {
            let needed: usize = outside.iter().map(Attribute::size).sum();
            // An inode with a block that has nothing in it is no better.
            if outside.is_empty() || needed + END > block.len() - BLOCK_HEADER {
                return false;
            }
            block[BLOCK_HEADER..].fill(0);
            write(block, BLOCK_HEADER, &outside, true);
            let hash = outside.iter().fold(0_u32, |hash, attribute| {
                hash.rotate_left(16) ^ attribute.hash()
            });
            put(block, 12, &hash.to_le_bytes());
        }
    }
    inode[start..].copy_from_slice(&new);
    true
}

/// Renews the checksum of the block with this number.
pub(super) fn seal(block: &mut [u8], number: u64, uuid: &[u8; 16]) {
    put(block, 16, &[0; 4]);
    let mut digest = CRC32C.digest();
    digest.update(uuid);
    digest.update(&number.to_le_bytes());
    digest.update(block);
    // As for inodes: the bare remainder.
    let sum = !digest.finalize();
    put(block, 16, &sum.to_le_bytes());
}

/// Reads the entries that begin at `first`; offsets of values count from the start of `place`. Whether all
/// of it is understood.
fn read(place: &[u8], first: usize, into: &mut Vec<Attribute>) -> bool {
    let mut at = first;
    while at + END <= place.len() && le32(place, at) != 0 {
        let Some(entry) = place.get(at..at + ENTRY) else {
            return false;
        };
        let length = usize::from(entry[0]);
        let offset = usize::from(le16(entry, 2));
        // A value may be in an inode of its own; mke2fs does that only where it was asked to.
        let is_here = le32(entry, 4) == 0;
        let size = usize::try_from(le32(entry, 8)).unwrap_or(usize::MAX);
        let name = place.get(at + ENTRY..at + ENTRY + length);
        let value = place.get(offset..offset.saturating_add(size));
        let (Some(name), Some(value), true) = (name, value, is_here) else {
            return false;
        };
        // Kernels disagree about the hash of others.
        if !name.is_ascii() {
            return false;
        }
        into.push(Attribute {
            index: entry[1],
            length,
            name: name.to_vec(),
            value: value.to_vec(),
        });
        at += (ENTRY + length).next_multiple_of(PAD);
    }
    at + END <= place.len()
}

/// Writes entries from `first` on, and their values from the end.
fn write(place: &mut [u8], first: usize, attributes: &[Attribute], hashed: bool) {
    let (mut at, mut end) = (first, place.len());
    for attribute in attributes {
        let size = attribute.value.len();
        end -= size.next_multiple_of(PAD);
        let offset = if size == 0 { 0 } else { end };
        place[at] = attribute.name.len() as u8;
        place[at + 1] = attribute.index;
        put(place, at + 2, &(offset as u16).to_le_bytes());
        put(place, at + 8, &(size as u32).to_le_bytes());
        if hashed {
            put(place, at + 12, &attribute.hash().to_le_bytes());
        }
        put(place, at + ENTRY, &attribute.name);
        put(place, end, &attribute.value);
        at += (ENTRY + attribute.length).next_multiple_of(PAD);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [(u8, &str); 4] = [(1, "plain"), (2, ""), (3, ""), (6, "capability")];

    /// An inode with these attributes, and a block when there are some for it.
    fn made(inside: &[Attribute], outside: &[Attribute]) -> (Vec<u8>, Option<Vec<u8>>) {
        let mut inode = vec![0; INODE];
        put(&mut inode, 0x80, &32_u16.to_le_bytes());
        put(&mut inode, 0xa0, &MAGIC.to_le_bytes());
        write(&mut inode[0xa4..], 0, inside, false);
        let block = (!outside.is_empty()).then(|| {
            let mut block = vec![0; 4096];
            for (at, number) in [(0, MAGIC), (4, 1), (8, 1)] {
                put(&mut block, at, &number.to_le_bytes());
            }
            write(&mut block, BLOCK_HEADER, outside, true);
            block
        });
        (inode, block)
    }

    fn attributes(sizes: [usize; 4]) -> Vec<Attribute> {
        let one = |((index, name), size): ((u8, &str), usize)| Attribute {
            index,
            length: name.len(),
            name: name.into(),
            value: vec![b'a' + index; size],
        };
        NAMES.into_iter().zip(sizes).map(one).collect()
    }

    fn all_in(inode: &[u8], block: Option<&Vec<u8>>) -> Vec<Attribute> {
        let mut found = Vec::new();
        assert!(read(&inode[0xa4..], 0, &mut found));
        if let Some(block) = block {
            assert!(read(block, BLOCK_HEADER, &mut found));
        }
        found.sort_unstable();
        found
    }

    #[test]
    fn every_order_becomes_the_same() {
        let all = attributes([0, 3, 8, 5]);
        let mut expected = None;
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
            let given: Vec<_> = order.map(|n| all[n].clone()).into();
            // All four are too much for an inode.
            let (mut inode, _) = made(&given[..2], &[]);
            assert!(sort(&mut inode, None));
            let (mut inode, mut block) = made(&given[..2], &given[2..]);
            assert!(sort(&mut inode, block.as_mut()));
            assert_eq!(all_in(&inode, block.as_ref()), all);
            let now = (inode, block);
            assert_eq!(expected.get_or_insert_with(|| now.clone()), &now);
        }
    }

    #[test]
    fn what_does_not_fit_the_inode_goes_into_the_block() {
        for sizes in [[60, 1, 1, 1], [1, 200, 1, 1], [1, 1, 3000, 900]] {
            let all = attributes(sizes);
            let small: Vec<_> = all.iter().filter(|a| a.size() < 40).cloned().collect();
            let large: Vec<_> = all.iter().filter(|a| a.size() >= 40).cloned().collect();
            let (mut inode, mut block) = made(&small[..1], &[&small[1..], &large[..]].concat());
            assert!(sort(&mut inode, block.as_mut()));
            assert_eq!(all_in(&inode, block.as_ref()), all);
        }
    }

    #[test]
    fn what_is_not_understood_stays_as_it_is() {
        let all = attributes([1, 2, 3, 4]);
        let (inode, block) = made(&all[..2], &all[2..]);
        let block = block.unwrap();
        for (in_block, at, byte) in [
            (false, 0x80, 0xff),
            (false, 0xa4 + 4, 1),
            (false, 0xa4 + 8, 0xff),
            (false, 0xa4 + ENTRY, 0xff),
            (true, 0, 1),
            (true, 4, 2),
            (true, BLOCK_HEADER + 3, 0xff),
        ] {
            let (mut one, mut other) = (inode.clone(), block.clone());
            *(if in_block { &mut other } else { &mut one })
                .get_mut(at)
                .unwrap() = byte;
            let before = (one.clone(), other.clone());
            assert!(!sort(&mut one, Some(&mut other)), "{in_block} {at}");
            assert!(before == (one, other), "{in_block} {at}");
        }
        // Whatever is there, nothing breaks.
        for at in 0xa0..INODE {
            for byte in [0, 1, 0x7f, 0xff] {
                let mut one = inode.clone();
                one[at] = byte;
                sort(&mut one, Some(&mut block.clone()));
            }
        }
        for at in 0..100 {
            for byte in [0, 1, 0x7f, 0xff] {
                let mut other = block.clone();
                other[at] = byte;
                sort(&mut inode.clone(), Some(&mut other));
            }
        }
        // One alone is in order.
        let (mut inode, _) = made(&all[..1], &[]);
        assert!(!sort(&mut inode, None));
    }
}
