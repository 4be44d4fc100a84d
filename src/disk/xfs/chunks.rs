//! Where inodes are.

use super::format::{BLOCK, Bytes, CHUNK, INODE};
use super::geometry::Geometry;
use super::inode::{SUM, free};
use super::output::Output;
use super::space::Space;
use crate::disk::filling::Failed;

/// Inodes in a block.
const IN_BLOCK: u64 = (BLOCK / INODE) as u64;
/// Blocks of a chunk.
const CHUNK_BLOCKS: u32 = (CHUNK * INODE / BLOCK) as u32;
/// Blocks that are taken at once, at most.
const MOST: u32 = 1 << 15;

/// Chunks that follow each other.
#[derive(Debug)]
struct Region {
    first: u64,
    /// The inodes in use.
    inodes: Vec<Bytes>,
    /// How many there can be.
    room: usize,
    /// The block of the first chunk.
    block: u64,
}

/// All inodes.
#[derive(Debug)]
pub(super) struct Chunks {
    regions: Vec<Region>,
    /// Inodes that are still to come, as far as that is known.
    expected: u64,
}

/// A chunk as trees of inodes have it: its first inode, and which are free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    pub first: u64,
    pub free: u64,
}

impl Chunks {
    /// The chunk that mkfs.xfs made, with the inodes that it used.
    pub fn new(first: u64, used: Vec<Bytes>, expected: u64) -> Self {
        Self {
            regions: vec![Region {
                first,
                inodes: used,
                room: CHUNK,
                block: first / IN_BLOCK,
            }],
            expected,
        }
    }

    /// Takes an inode; returns its number.
    pub fn take(&mut self, space: &mut Space) -> Result<u64, Failed> {
        self.expected = self.expected.saturating_sub(1);
        let is_full = |region: &Region| region.inodes.len() == region.room;
        if self.regions.last().is_none_or(is_full) {
            let chunks = self.expected / CHUNK as u64 + 1;
            let most = u32::try_from(chunks * u64::from(CHUNK_BLOCKS)).unwrap_or(MOST);
            let taken = space.take_aligned(CHUNK_BLOCKS, most.min(MOST), CHUNK_BLOCKS);
            let (block, blocks) = taken.ok_or(Failed::NoRoom)?;
            self.regions.push(Region {
                first: block * IN_BLOCK,
                inodes: Vec::new(),
                room: blocks as usize * IN_BLOCK as usize,
                block,
            });
        }
        let region = self.regions.last_mut().ok_or(Failed::NoRoom)?;
        region.inodes.push(Bytes(Vec::new()));
        Ok(region.first + region.inodes.len() as u64 - 1)
    }

    /// The bytes of an inode that was taken.
    pub fn get(&mut self, number: u64) -> Option<&mut Bytes> {
        let at = self.regions.iter().rposition(|region| {
            let end = region.first + region.inodes.len() as u64;
            (region.first..end).contains(&number)
        })?;
        let region = self.regions.get_mut(at)?;
        region.inodes.get_mut((number - region.first) as usize)
    }

    /// Gives back what was taken in vain, and writes all inodes; returns the chunks.
    pub fn write(
        mut self,
        geometry: &Geometry,
        space: &mut Space,
        output: &mut Output<'_>,
    ) -> Result<Vec<Chunk>, Failed> {
        let mut chunks = Vec::new();
        for region in &mut self.regions {
            let used = region.inodes.len().div_ceil(CHUNK);
            let rest = region.room / CHUNK - used;
            let blocks = used as u32 * CHUNK_BLOCKS;
            let end = region.block + u64::from(blocks);
            space.give_back(end, rest as u32 * CHUNK_BLOCKS);
            let start = geometry.place(region.block) * BLOCK as u64;
            for number in 0..used * CHUNK {
                let mut unused;
                let inode = match region.inodes.get_mut(number) {
                    Some(inode) => inode,
                    None => {
                        unused = free(region.first + number as u64, geometry);
                        &mut unused
                    }
                };
                inode.seal(SUM);
                output.write(start + (number * INODE) as u64, &inode.0)?;
            }
            for chunk in 0..used {
                let in_use = (region.inodes.len() - chunk * CHUNK).min(CHUNK);
                let free = u64::MAX.checked_shl(in_use as u32).unwrap_or(0);
                chunks.push(Chunk {
                    first: region.first + (chunk * CHUNK) as u64,
                    free,
                });
            }
        }
        Ok(chunks)
    }
}
