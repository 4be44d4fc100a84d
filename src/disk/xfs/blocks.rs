//! What blocks of directories and of extended attributes have in common.

use super::extents::Extents;
use super::format::{BLOCK, Bytes};
use super::geometry::Geometry;
use super::output::Output;
use super::space::Space;
use crate::disk::filling::Failed;

/// The header of blocks that refer to each other, and what comes after it.
pub(super) const INFO: usize = 56;
/// The same with counts, of the hash trees' blocks.
pub(super) const TREE_HEADER: usize = 64;
/// Entries, or children, of a block of a hash tree: 8 bytes each.
pub(super) const IN_TREE_BLOCK: usize = (BLOCK - TREE_HEADER) / 8;

/// The mark of a node of a hash tree (`XFS_DA3_NODE_MAGIC`).
const NODE: u16 = 0x3ebe;

/// An inode's own blocks of one kind: those of a directory, or of its attributes.
pub(super) struct Owned<'a, 'o> {
    pub inode: u64,
    pub geometry: &'a Geometry,
    pub space: &'a mut Space,
    pub output: &'a mut Output<'o>,
    pub extents: Extents,
}

impl Owned<'_, '_> {
    /// Takes a block for this place of the file; returns its number.
    pub fn take(&mut self, at: u64) -> Result<u64, Failed> {
        let run = self.space.take(1).ok_or(Failed::NoRoom)?;
        self.extents.add(at, run);
        Ok(run.0)
    }

    pub fn write(&mut self, number: u64, block: &Bytes) -> Result<(), Failed> {
        self.output.block(self.geometry.place(number), block)?;
        Ok(())
    }

    /// The beginning of a block of a hash tree; `seal` ends it.
    pub fn tree_block(&self, number: u64, magic: u16, back: u32, forward: u32) -> Bytes {
        let mut block = Bytes::block();
        block.u32(0, forward);
        block.u32(4, back);
        block.u16(8, magic);
        block.u64(16, self.geometry.address(number));
        block.uuid(32, self.geometry.uuid);
        block.u64(48, self.inode);
        block
    }

    /// Where a block of a hash tree has its checksum.
    pub const TREE_SUM: usize = 12;

    /// Writes the nodes above leaves, whose last hashes and places in the file these are, with the root
    /// at `root`; further nodes come from `next` on.
    pub fn nodes(
        &mut self,
        leaves: Vec<(u32, u32)>,
        root: u32,
        mut next: u32,
    ) -> Result<(), Failed> {
        let mut below = leaves;
        let mut level = 1_u16;
        while below.len() > IN_TREE_BLOCK {
            let count = below.len().div_ceil(IN_TREE_BLOCK);
            let share = below.len().div_ceil(count);
            let mut above = Vec::with_capacity(count);
            let first = next;
            for (number, part) in below.chunks(share).enumerate() {
                let at = first + number as u32;
                let back = if number == 0 { 0 } else { at - 1 };
                let forward = if number + 1 == count { 0 } else { at + 1 };
                self.node(at, level, back, forward, part)?;
                above.push((part.last().map_or(0, |last| last.0), at));
            }
            next = first + count as u32;
            below = above;
            level += 1;
        }
        self.node(root, level, 0, 0, &below)
    }

    fn node(
        &mut self,
        at: u32,
        level: u16,
        back: u32,
        forward: u32,
        children: &[(u32, u32)],
    ) -> Result<(), Failed> {
        let number = self.take(at.into())?;
        let mut block = self.tree_block(number, NODE, back, forward);
        block.u16(INFO, children.len() as u16);
        block.u16(INFO + 2, level);
        for (child, (hash, place)) in children.iter().enumerate() {
            block.u32(TREE_HEADER + child * 8, *hash);
            block.u32(TREE_HEADER + child * 8 + 4, *place);
        }
        block.seal(Self::TREE_SUM);
        self.write(number, &block)
    }
}
