//! The items of a tree, before it is known where its nodes lie.

use rayon::slice::ParallelSliceMut as _;

use super::format::{Key, Record};

/// Items in any order; those with the same key follow each other as one.
#[derive(Clone, Debug, Default)]
pub(super) struct Items {
    all: Vec<Item>,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Item {
    key: Key,
    at: usize,
    length: u32,
}

impl Items {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn add(&mut self, key: Key, record: &Record) {
        self.add_bytes(key, &record.0);
    }

    pub fn add_bytes(&mut self, key: Key, bytes: &[u8]) {
        self.all.push(Item {
            key,
            at: self.bytes.len(),
            length: bytes.len() as u32,
        });
        self.bytes.extend_from_slice(bytes);
    }

    /// Puts them in the order of keys, those of the same key as they came.
    pub fn sort(&mut self) {
        self.all.par_sort_by_key(|item| item.key);
    }

    /// Sorted items, each with the parts that it is put together from.
    pub fn sorted(&self) -> impl Iterator<Item = (Key, impl Iterator<Item = &[u8]> + Clone)> {
        let same = self.all.chunk_by(|one, other| one.key == other.key);
        same.map(|parts| {
            let bytes = |item: &Item| &self.bytes[item.at..item.at + item.length as usize];
            (parts[0].key, parts.iter().map(bytes))
        })
    }

    /// The lengths of sorted items.
    pub fn lengths(&self) -> impl Iterator<Item = usize> {
        self.sorted()
            .map(|(_, parts)| parts.map(<[u8]>::len).sum::<usize>())
    }

    /// Sorted items of one object and kind, by their offsets.
    pub fn of(&self, object: u64, kind: u8) -> impl Iterator<Item = (u64, &[u8])> {
        let from = Key::new(object, kind, 0);
        let first = self.all.partition_point(|item| item.key < from);
        self.all[first..]
            .iter()
            .take_while(move |item| (item.key.object, item.key.kind) == (object, kind))
            .map(|item| {
                let bytes = &self.bytes[item.at..item.at + item.length as usize];
                (item.key.offset, bytes)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_sorted_and_those_alike_joined() {
        let mut items = Items::new();
        for (object, offset, bytes) in [(3, 0, "c"), (1, 5, "a"), (1, 4, "b"), (1, 5, "again")] {
            items.add_bytes(Key::new(object, 7, offset), bytes.as_bytes());
        }
        items.sort();
        let found: Vec<_> = items
            .sorted()
            .map(|(key, parts)| (key.object, key.offset, parts.collect::<Vec<_>>().concat()))
            .collect();
        let expected = [
            (1, 4, b"b".to_vec()),
            (1, 5, b"aagain".to_vec()),
            (3, 0, b"c".to_vec()),
        ];
        assert_eq!(found, expected);
        assert_eq!(items.lengths().collect::<Vec<_>>(), [1, 6, 1]);
        let of: Vec<_> = items.of(1, 7).map(|(offset, _)| offset).collect();
        assert_eq!(of, [4, 5, 5]);
        assert_eq!(items.of(2, 7).count(), 0);
    }
}
