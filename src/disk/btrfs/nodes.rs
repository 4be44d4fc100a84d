//! Trees: how many nodes items take, and what is in each.

use std::io;

use uuid::Uuid;

use super::format::{GENERATION, HEADER, ITEM, Key, LEAF, NODE, POINTERS, Record, seal};
use super::items::Items;

/// That a node was written, and how it says who uses it.
const FLAGS: u64 = 1 | 1 << 56;

/// How a tree is divided into nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Nodes of each level, the leaves first; the last one is the root.
    levels: Vec<usize>,
}

impl Shape {
    /// Of sorted items.
    pub fn of(items: &Items) -> Self {
        let mut leaves = 1;
        let mut used = 0;
        for length in items.lengths() {
            if used + ITEM + length > LEAF {
                leaves += 1;
                used = 0;
            }
            used += ITEM + length;
        }
        let mut levels = vec![leaves];
        let mut below: usize = leaves;
        while below > 1 {
            below = below.div_ceil(POINTERS);
            levels.push(below);
        }
        Self { levels }
    }

    /// How many nodes it has.
    pub fn nodes(&self) -> usize {
        self.levels.iter().sum()
    }

    /// The level of the root; 0 where that is a leaf.
    pub fn level(&self) -> u8 {
        (self.levels.len() - 1) as u8
    }

    /// The level of each node, in the order in which they are written.
    pub fn each_level(&self) -> impl Iterator<Item = u8> {
        let levels = self.levels.iter().enumerate();
        levels.flat_map(|(level, nodes)| std::iter::repeat_n(level as u8, *nodes))
    }
}

/// What all nodes have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Family {
    pub file_system: Uuid,
    pub chunks: Uuid,
}

/// Makes the nodes of a tree of sorted items and hands each to `write`, with its address. There is an
/// address for each; the last one is the root's.
pub(super) fn write(
    items: &Items,
    owner: u64,
    addresses: &[u64],
    family: Family,
    write: &mut impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut addresses = addresses.iter().copied();
    let mut put = |level: u8, count: usize, body: &dyn Fn(&mut [u8])| -> io::Result<u64> {
        let address = addresses.next().ok_or(io::ErrorKind::InvalidInput)?;
        let mut node = Record::new()
            .up_to(32)
            .uuid(family.file_system)
            .u64(address)
            .u64(FLAGS)
            .uuid(family.chunks)
            .u64(GENERATION)
            .u64(owner)
            .u32(count as u32)
            .u8(level)
            .up_to(NODE)
            .0;
        body(&mut node[HEADER..]);
        seal(&mut node);
        write(address, &node)?;
        Ok(address)
    };
    let mut below: Vec<(Key, u64)> = Vec::new();
    let mut leaf = Leaf::default();
    for (key, parts) in items.sorted() {
        let length = parts.clone().map(<[u8]>::len).sum::<usize>();
        if leaf.used + ITEM + length > LEAF {
            let first = leaf.keys[0].0;
            below.push((first, put(0, leaf.keys.len(), &|body| leaf.fill(body))?));
            leaf = Leaf::default();
        }
        leaf.used += ITEM + length;
        leaf.keys.push((key, length));
        parts.for_each(|part| leaf.bytes.extend_from_slice(part));
    }
    // There is a leaf even for nothing.
    let first = leaf.keys.first().map_or(Key::new(0, 0, 0), |(key, _)| *key);
    below.push((first, put(0, leaf.keys.len(), &|body| leaf.fill(body))?));
    let mut level = 0;
    while below.len() > 1 {
        level += 1;
        let mut above = Vec::with_capacity(below.len().div_ceil(POINTERS));
        for part in below.chunks(POINTERS) {
            let fill = |body: &mut [u8]| {
                let pointers = part.iter().fold(Record::new(), |record, (key, address)| {
                    record.key(*key).u64(*address).u64(GENERATION)
                });
                body[..pointers.0.len()].copy_from_slice(&pointers.0);
            };
            above.push((part[0].0, put(level, part.len(), &fill)?));
        }
        below = above;
    }
    Ok(())
}

/// A leaf that is put together.
#[derive(Default)]
struct Leaf {
    keys: Vec<(Key, usize)>,
    bytes: Vec<u8>,
    used: usize,
}

impl Leaf {
    /// Keys from the beginning on, and what belongs to them from the end on.
    fn fill(&self, body: &mut [u8]) {
        let (mut at, mut end) = (0, LEAF);
        let mut heads = Record::new();
        for (key, length) in &self.keys {
            end -= length;
            body[end..end + length].copy_from_slice(&self.bytes[at..at + length]);
            at += length;
            heads = heads.key(*key).u32(end as u32).u32(*length as u32);
        }
        body[..heads.0.len()].copy_from_slice(&heads.0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read<const N: usize>(node: &[u8], at: usize) -> [u8; N] {
        node[at..at + N].try_into().unwrap()
    }

    fn key(node: &[u8], at: usize) -> Key {
        Key::new(
            u64::from_le_bytes(read(node, at)),
            node[at + 8],
            u64::from_le_bytes(read(node, at + 9)),
        )
    }

    /// All items that are found from a node downwards, checking what each node has to keep to.
    fn walk(nodes: &[Vec<u8>], number: usize, level: u8, found: &mut Vec<(Key, Vec<u8>)>) {
        let node = &nodes[number];
        assert_eq!(node[100], level);
        let count = u32::from_le_bytes(read(node, 96)) as usize;
        for n in 0..count {
            if level > 0 {
                let at = HEADER + n * 33;
                let before = found.len();
                walk(
                    nodes,
                    u64::from_le_bytes(read(node, at + 17)) as usize,
                    level - 1,
                    found,
                );
                assert_eq!(found[before].0, key(node, at));
            } else {
                let at = HEADER + n * ITEM;
                let offset = HEADER + u32::from_le_bytes(read(node, at + 17)) as usize;
                let length = u32::from_le_bytes(read(node, at + 21)) as usize;
                assert!(offset >= HEADER + count * ITEM);
                found.push((key(node, at), node[offset..offset + length].to_vec()));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn every_item_is_found_again(
            sizes in prop::collection::vec((any::<u64>(), 0_usize..6000), 0..400),
            small in 0..12_000_u64,
        ) {
            let mut items = Items::new();
            for (number, size) in &sizes {
                items.add_bytes(Key::new(*number % 900, 1, *number), &vec![*number as u8; *size]);
            }
            for number in 0..small {
                items.add_bytes(Key::new(1000 + number * 7919 % 20_011, 2, number), b"x");
            }
            items.sort();
            let shape = Shape::of(&items);
            let addresses: Vec<u64> = (0..shape.nodes() as u64).collect();
            let family = Family { file_system: Uuid::nil(), chunks: Uuid::nil() };
            let mut nodes = Vec::new();
            write(&items, 5, &addresses, family, &mut |address, node| {
                assert_eq!(address, nodes.len() as u64);
                assert_eq!(node.len(), NODE);
                nodes.push(node.to_vec());
                Ok(())
            })
            .unwrap();
            prop_assert_eq!(nodes.len(), shape.nodes());
            let levels: Vec<u8> = nodes.iter().map(|node| node[100]).collect();
            prop_assert_eq!(levels, shape.each_level().collect::<Vec<_>>());
            let mut found = Vec::new();
            walk(&nodes, nodes.len() - 1, shape.level(), &mut found);
            prop_assert!(found.is_sorted_by(|(one, _), (other, _)| one < other));
            let expected: Vec<_> = items
                .sorted()
                .map(|(key, parts)| (key, parts.collect::<Vec<_>>().concat()))
                .collect();
            prop_assert!(found == expected);
        }
    }
}
