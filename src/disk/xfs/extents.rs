//! Which blocks belong to which part of a file.

use super::format::{BLOCK, Bytes, NO_BLOCK};
use super::geometry::Geometry;
use super::output::Output;
use super::space::{Run, Space};
use crate::disk::filling::Failed;

/// Bytes of an extent's record.
const RECORD: usize = 16;
/// Bytes of the header of a tree's block.
const HEADER: usize = 72;
/// Records, or keys with pointers, of a tree's block.
const IN_BLOCK: usize = (BLOCK - HEADER) / RECORD;

/// Blocks of a file that follow each other both there and on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// Where in the file, in blocks.
    pub at: u64,
    pub run: Run,
}

/// The extents of a file, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Extents(pub Vec<Extent>);

/// How a fork of an inode holds extents.
pub(super) struct Fork {
    /// Whether the records are in a tree.
    pub is_tree: bool,
    /// What is in the inode.
    pub content: Vec<u8>,
    /// Blocks that the tree takes.
    pub blocks: u64,
}

impl Extents {
    /// Adds blocks; those that continue the last extent become a part of it.
    pub fn add(&mut self, at: u64, run: Run) {
        if let Some(last) = self.0.last_mut() {
            let (first, length) = last.run;
            let together = u64::from(length) + u64::from(run.1);
            let follows = last.at + u64::from(length) == at && first + u64::from(length) == run.0;
            if follows && together < 1 << 21 {
                last.run.1 += run.1;
                return;
            }
        }
        self.0.push(Extent { at, run });
    }

    /// The same in order of their places in the file.
    pub fn in_order(mut self) -> Self {
        self.0.sort_by_key(|extent| extent.at);
        let mut ordered = Self::default();
        for extent in self.0 {
            ordered.add(extent.at, extent.run);
        }
        ordered
    }

    pub fn blocks(&self) -> u64 {
        self.0.iter().map(|extent| u64::from(extent.run.1)).sum()
    }

    /// Writes the tree, if it takes one for a fork of `room` bytes.
    pub fn fork(
        &self,
        room: usize,
        owner: u64,
        geometry: &Geometry,
        space: &mut Space,
        output: &mut Output<'_>,
    ) -> Result<Fork, Failed> {
        if self.0.len() * RECORD <= room {
            let content = self.0.iter().flat_map(Extent::record).collect();
            return Ok(Fork {
                is_tree: false,
                content,
                blocks: 0,
            });
        }
        // A root has a header of 4 bytes.
        let in_root = (room - 4) / RECORD;
        let mut blocks = 0;
        let mut level = 0;
        let mut items: Vec<(u64, [u8; RECORD])> = self
            .0
            .iter()
            .map(|extent| (extent.at, extent.record()))
            .collect();
        while level == 0 || items.len() > in_root {
            let count = items.len().div_ceil(IN_BLOCK);
            let places = (0..count)
                .map(|_| space.take(1).map(|run| run.0).ok_or(Failed::NoRoom))
                .collect::<Result<Vec<_>, _>>()?;
            // No block but a root may be less than half full.
            let share = items.len().div_ceil(count);
            let mut above = Vec::with_capacity(count);
            for (number, part) in items.chunks(share).enumerate() {
                let place = places[number];
                let neighbour = |number: Option<usize>| {
                    let place = number.and_then(|number| places.get(number));
                    place.copied().unwrap_or(NO_BLOCK)
                };
                let mut block = Bytes::block();
                block.put(0, b"BMA3");
                block.u16(4, level);
                block.u16(6, part.len() as u16);
                block.u64(8, neighbour(number.checked_sub(1)));
                block.u64(16, neighbour(Some(number + 1)));
                block.u64(24, geometry.address(place));
                block.uuid(40, geometry.uuid);
                block.u64(56, owner);
                write_items(&mut block, HEADER, IN_BLOCK, level, part);
                block.seal(64);
                output.block(geometry.place(place), &block)?;
                let mut pointer = [0; RECORD];
                pointer[..8].copy_from_slice(&place.to_be_bytes());
                above.push((part[0].0, pointer));
            }
            blocks += count as u64;
            items = above;
            level += 1;
        }
        let mut root = Bytes(vec![0; room]);
        root.u16(0, level);
        root.u16(2, items.len() as u16);
        write_items(&mut root, 4, in_root, level, &items);
        Ok(Fork {
            is_tree: true,
            content: root.0,
            blocks,
        })
    }
}

/// Records; above the lowest level, keys first and pointers behind the room for all keys.
fn write_items(
    block: &mut Bytes,
    start: usize,
    most: usize,
    level: u16,
    items: &[(u64, [u8; RECORD])],
) {
    for (number, (key, item)) in items.iter().enumerate() {
        if level == 0 {
            block.put(start + number * RECORD, item);
        } else {
            block.u64(start + number * 8, *key);
            block.put(start + most * 8 + number * 8, &item[..8]);
        }
    }
}

impl Extent {
    /// Packed: 1 bit whether it was never written, 54 bits place in the file, 52 bits first block, 21
    /// bits length.
    fn record(&self) -> [u8; RECORD] {
        let (first, length) = self.run;
        let packed = u128::from(self.at) << 73 | u128::from(first) << 21 | u128::from(length);
        packed.to_be_bytes()
    }
}
