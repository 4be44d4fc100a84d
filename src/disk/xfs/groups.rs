//! The headers and trees of allocation groups, and the superblock.

use std::io;

use super::chunks::Chunk;
use super::format::{BLOCK, Bytes, CHUNK, INODE, NO_AG_BLOCK, SECTOR};
use super::geometry::Geometry;
use super::output::Output;
use super::space::Space;
use crate::disk::filling::Failed;

/// Bytes of the header of a tree's block.
const HEADER: usize = 56;
/// Records of free space in a block, keys and pointers, and records of inodes.
const FREE_IN_BLOCK: usize = (BLOCK - HEADER) / 8;
const CHUNKS_IN_BLOCK: usize = (BLOCK - HEADER) / 16;

/// The beginning of a tree's block.
fn tree_block(magic: [u8; 4], level: u16, block: u64, group: u32, geometry: &Geometry) -> Bytes {
    let mut bytes = Bytes::block();
    bytes.put(0, &magic);
    bytes.u16(4, level);
    bytes.u32(8, NO_AG_BLOCK);
    bytes.u32(12, NO_AG_BLOCK);
    bytes.u64(16, geometry.address(block));
    bytes.uuid(32, geometry.uuid);
    bytes.u32(48, group);
    bytes
}

/// Where a tree's block has its checksum.
const TREE_SUM: usize = 52;

/// Writes everything that says what is free and what is not.
pub(super) fn write(
    geometry: &Geometry,
    chunks: &[Chunk],
    space: &mut Space,
    output: &mut Output<'_>,
) -> Result<(), Failed> {
    let mut totals = (0_u64, 0_u64, 0_u64);
    for number in 0..geometry.groups.len() as u32 {
        // Trees of inodes take blocks, so that they come first.
        let (count, free) = inodes(geometry, number, chunks, space, output)?;
        let blocks = free_space(geometry, number, space, output)?;
        totals = (totals.0 + count, totals.1 + free, totals.2 + blocks);
        let start = geometry.place(geometry.block(number, 0)) * BLOCK as u64;
        let [superblock, _, _, list] = &geometry.groups[number as usize].headers;
        output.write(start, &superblock.0)?;
        output.write(start + 3 * SECTOR as u64, &list.0)?;
    }
    let mut superblock = geometry.groups[0].headers[0].clone();
    superblock.u64(128, totals.0);
    superblock.u64(136, totals.1);
    superblock.u64(144, totals.2);
    superblock.seal(224);
    Ok(output.write(0, &superblock.0)?)
}

/// Writes a group's trees of inodes; returns how many there are, and how many of them are free.
fn inodes(
    geometry: &Geometry,
    number: u32,
    all: &[Chunk],
    space: &mut Space,
    output: &mut Output<'_>,
) -> Result<(u64, u64), Failed> {
    let group = &geometry.groups[number as usize];
    let bits = geometry.group_bits + (BLOCK / INODE).trailing_zeros();
    let mut chunks: Vec<Chunk> = all
        .iter()
        .filter(|chunk| chunk.first >> bits == u64::from(number))
        .copied()
        .collect();
    chunks.sort_by_key(|chunk| chunk.first);
    let count = (chunks.len() * CHUNK) as u64;
    let free: u64 = chunks.iter().map(|c| u64::from(c.free.count_ones())).sum();
    let with_free: Vec<Chunk> = chunks.iter().filter(|c| c.free != 0).copied().collect();
    let mut tree = ChunkTree {
        geometry,
        group: number,
        bits,
        space,
        output,
    };
    let (levels, blocks) = tree.write(*b"IAB3", group.inodes, &chunks)?;
    let (free_levels, free_blocks) = tree.write(*b"FIB3", group.free_inodes, &with_free)?;
    let mut header = group.headers[2].clone();
    header.u32(16, count as u32);
    header.u32(24, levels);
    header.u32(28, free as u32);
    let mask = (1_u64 << bits) - 1;
    let newest = chunks.last().map(|chunk| (chunk.first & mask) as u32);
    header.u32(32, newest.unwrap_or(NO_AG_BLOCK));
    header.u32(332, free_levels);
    if geometry.counts_inode_trees {
        header.u32(336, blocks);
        header.u32(340, free_blocks);
    }
    header.seal(312);
    let start = geometry.place(geometry.block(number, 0)) * BLOCK as u64;
    output.write(start + 2 * SECTOR as u64, &header.0)?;
    Ok((count, free))
}

/// A tree of chunks that is written.
struct ChunkTree<'a, 'o> {
    geometry: &'a Geometry,
    group: u32,
    /// How many bits of an inode's number say where in its group it is.
    bits: u32,
    space: &'a mut Space,
    output: &'a mut Output<'o>,
}

impl ChunkTree<'_, '_> {
    /// Writes the tree with its root at `root`; returns how many levels and blocks it has.
    fn write(&mut self, magic: [u8; 4], root: u32, chunks: &[Chunk]) -> Result<(u32, u32), Failed> {
        let mask = (1_u64 << self.bits) - 1;
        let mut items: Vec<(u32, Vec<u8>)> = chunks
            .iter()
            .map(|chunk| {
                let first = (chunk.first & mask) as u32;
                let mut record = first.to_be_bytes().to_vec();
                // No part of it is missing.
                record.extend([0, 0, CHUNK as u8, chunk.free.count_ones() as u8]);
                record.extend(chunk.free.to_be_bytes());
                (first, record)
            })
            .collect();
        let (mut level, mut blocks) = (0_u16, 1);
        let most = |level: u16| match level {
            0 => CHUNKS_IN_BLOCK,
            _ => FREE_IN_BLOCK,
        };
        while items.len() > most(level) {
            let count = items.len().div_ceil(most(level));
            let share = items.len().div_ceil(count);
            let places = (0..count)
                .map(|_| self.space.take_reserved(self.group).ok_or(Failed::NoRoom))
                .collect::<Result<Vec<_>, _>>()?;
            let mut above = Vec::with_capacity(count);
            for (number, part) in items.chunks(share).enumerate() {
                let neighbour = |number: Option<usize>| {
                    let place = number.and_then(|number| places.get(number));
                    place.copied().unwrap_or(NO_AG_BLOCK)
                };
                let sides = (
                    neighbour(number.checked_sub(1)),
                    neighbour(Some(number + 1)),
                );
                self.block(magic, level, places[number], sides, part)?;
                above.push((part[0].0, places[number].to_be_bytes().to_vec()));
            }
            blocks += count as u32;
            items = above;
            level += 1;
        }
        self.block(magic, level, root, (NO_AG_BLOCK, NO_AG_BLOCK), &items)?;
        Ok((u32::from(level) + 1, blocks))
    }

    fn block(
        &mut self,
        magic: [u8; 4],
        level: u16,
        place: u32,
        (left, right): (u32, u32),
        items: &[(u32, Vec<u8>)],
    ) -> io::Result<()> {
        let number = self.geometry.block(self.group, place);
        let mut block = tree_block(magic, level, number, self.group, self.geometry);
        block.u16(6, items.len() as u16);
        block.u32(8, left);
        block.u32(12, right);
        for (at, (key, item)) in items.iter().enumerate() {
            if level == 0 {
                block.put(HEADER + at * 16, item);
            } else {
                block.u32(HEADER + at * 4, *key);
                block.put(HEADER + FREE_IN_BLOCK * 4 + at * 4, item);
            }
        }
        block.seal(TREE_SUM);
        self.output.block(self.geometry.place(number), &block)
    }
}

/// Writes a group's trees of free space; returns how many blocks are free.
fn free_space(
    geometry: &Geometry,
    number: u32,
    space: &Space,
    output: &mut Output<'_>,
) -> Result<u64, Failed> {
    let group = &geometry.groups[number as usize];
    let free = space.group(number as usize);
    let by_place = free.parts.clone();
    if by_place.len() > FREE_IN_BLOCK {
        // Chunks of inodes leave gaps, of which each is closed by the next single block.
        return Err(Failed::Io(io::Error::other(
            "free space is in too many parts",
        )));
    }
    let mut by_length = by_place.clone();
    by_length.sort_by_key(|(start, length)| (*length, *start));
    for (magic, place, parts) in [
        (*b"AB3B", group.by_place, &by_place),
        (*b"AB3C", group.by_length, &by_length),
    ] {
        let block = geometry.block(number, place);
        let mut bytes = tree_block(magic, 0, block, number, geometry);
        bytes.u16(6, parts.len() as u16);
        for (at, (start, length)) in parts.iter().enumerate() {
            bytes.u32(HEADER + at * 8, *start);
            bytes.u32(HEADER + at * 8 + 4, *length);
        }
        bytes.seal(TREE_SUM);
        output.block(geometry.place(block), &bytes)?;
    }
    let mut header = group.headers[1].clone();
    header.u32(52, free.blocks());
    header.u32(56, by_length.last().map_or(0, |(_, length)| *length));
    header.seal(216);
    let start = geometry.place(geometry.block(number, 0)) * BLOCK as u64;
    output.write(start + SECTOR as u64, &header.0)?;
    // Blocks of the list of free blocks, and of the trees, count as free, too.
    Ok(u64::from(free.blocks()) + u64::from(header.read_u32(48)) + u64::from(header.read_u32(60)))
}
