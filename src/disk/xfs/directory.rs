//! Directories: in the inode, in one block, in several with one block of hashes, or with a tree of them.

use super::blocks::{IN_TREE_BLOCK, INFO, Owned, TREE_HEADER};
use super::format::{BLOCK, Bytes, hash};
use crate::disk::filling::Failed;

/// Bytes of the header of a block with entries.
const HEADER: usize = 64;
/// What an entry has beside its name: inode, length, kind, and where it begins.
const BESIDE: usize = 8 + 1 + 1 + 2;
/// Where in the file the hashes are, and where the list of room in blocks: in blocks.
const HASHES: u64 = (32 << 30) / BLOCK as u64;
const ROOM: u64 = (64 << 30) / BLOCK as u64;
/// Blocks whose room one block of that list tells.
const IN_ROOM_BLOCK: usize = (BLOCK - HEADER) / 2;
/// The mark of the only leaf (`XFS_DIR3_LEAF1_MAGIC`), and of one of several (`XFS_DIR3_LEAFN_MAGIC`).
const ONLY_LEAF: u16 = 0x3df1;
const LEAF: u16 = 0x3dff;

/// One name.
#[derive(Clone, Debug)]
pub(super) struct Name {
    pub name: Vec<u8>,
    pub inode: u64,
    /// What it is, by the numbers of directories.
    pub kind: u8,
}

/// What it takes in a block.
fn length(name: &[u8]) -> usize {
    (BESIDE + name.len()).next_multiple_of(8)
}

/// The directory as it is in the inode, if `room` bytes are enough.
pub(super) fn short(parent: u64, names: &[Name], room: usize) -> Option<Vec<u8>> {
    let is_long = |inode: u64| inode > u64::from(u32::MAX);
    let long = names.iter().filter(|name| is_long(name.inode)).count();
    let long = long + usize::from(is_long(parent));
    let put = |content: &mut Vec<u8>, inode: u64| {
        if long > 0 {
            content.extend(inode.to_be_bytes());
        } else {
            content.extend((inode as u32).to_be_bytes());
        }
    };
    let count = u8::try_from(names.len()).ok()?;
    let mut content = vec![count, u8::try_from(long).ok()?];
    put(&mut content, parent);
    // Where each would be in a block: behind the directory itself and the one above.
    let mut offset = HEADER + length(b".") + length(b"..");
    for name in names {
        content.push(name.name.len() as u8);
        content.extend(u16::try_from(offset).ok()?.to_be_bytes());
        content.extend(&name.name);
        content.push(name.kind);
        put(&mut content, name.inode);
        offset += length(&name.name);
        if content.len() > room {
            return None;
        }
    }
    // It must fit into one block, too.
    (offset + (names.len() + 2) * 8 + 8 <= BLOCK).then_some(content)
}

/// Writes a directory's blocks; returns how many bytes it has.
pub(super) fn write(
    directory: &mut Owned<'_, '_>,
    parent: u64,
    names: &[Name],
) -> Result<u64, Failed> {
    let own = |name: &[u8], inode| Name {
        name: name.to_vec(),
        inode,
        kind: 2,
    };
    let mut all = vec![own(b".", directory.inode), own(b"..", parent)];
    all.extend(names.iter().cloned());
    let used: usize = all.iter().map(|name| length(&name.name)).sum();
    if HEADER + used + all.len() * 8 + 8 <= BLOCK {
        return one_block(directory, &all).map(|()| BLOCK as u64);
    }
    let (mut hashes, room) = data(directory, &all)?;
    hashes.sort_unstable();
    if TREE_HEADER + hashes.len() * 8 + room.len() * 2 + 4 <= BLOCK {
        only_leaf(directory, &hashes, &room)?;
    } else {
        leaves(directory, &hashes)?;
        list_room(directory, &room)?;
    }
    Ok(room.len() as u64 * BLOCK as u64)
}

fn begin(directory: &Owned<'_, '_>, number: u64, magic: [u8; 4]) -> Bytes {
    let mut block = Bytes::block();
    block.put(0, &magic);
    block.u64(8, directory.geometry.address(number));
    block.uuid(24, directory.geometry.uuid);
    block.u64(40, directory.inode);
    block
}

fn entry(block: &mut Bytes, at: usize, name: &Name) {
    let end = at + length(&name.name);
    block.u64(at, name.inode);
    block.u8(at + 8, name.name.len() as u8);
    block.put(at + 9, &name.name);
    block.u8(at + 9 + name.name.len(), name.kind);
    block.u16(end - 2, at as u16);
}

/// Marks what is left between `at` and `end`.
fn unused(block: &mut Bytes, at: usize, end: usize) {
    if at < end {
        block.u16(at, 0xffff);
        block.u16(at + 2, (end - at) as u16);
        block.u16(end - 2, at as u16);
        // The largest, of which there is one.
        block.u16(48, at as u16);
        block.u16(50, (end - at) as u16);
    }
}

fn one_block(directory: &mut Owned<'_, '_>, names: &[Name]) -> Result<(), Failed> {
    let number = directory.take(0)?;
    let mut block = begin(directory, number, *b"XDB3");
    let mut at = HEADER;
    let mut hashes = Vec::with_capacity(names.len());
    for name in names {
        entry(&mut block, at, name);
        hashes.push((hash(&name.name), (at / 8) as u32));
        at += length(&name.name);
    }
    hashes.sort_unstable();
    let tail = BLOCK - 8;
    let start = tail - hashes.len() * 8;
    unused(&mut block, at, start);
    put_hashes(&mut block, start, &hashes);
    block.u32(tail, hashes.len() as u32);
    block.seal(4);
    directory.write(number, &block)
}

fn put_hashes(block: &mut Bytes, start: usize, hashes: &[(u32, u32)]) {
    for (number, (hash, place)) in hashes.iter().enumerate() {
        block.u32(start + number * 8, *hash);
        block.u32(start + number * 8 + 4, *place);
    }
}

/// Writes the blocks with entries; returns hashes with places, and the room left in each block.
#[expect(clippy::type_complexity)]
fn data(
    directory: &mut Owned<'_, '_>,
    names: &[Name],
) -> Result<(Vec<(u32, u32)>, Vec<u16>), Failed> {
    let (mut hashes, mut room) = (Vec::with_capacity(names.len()), Vec::new());
    let mut rest = names;
    while !rest.is_empty() {
        let start = room.len() * BLOCK;
        let number = directory.take(room.len() as u64)?;
        let mut block = begin(directory, number, *b"XDD3");
        let mut at = HEADER;
        while let [name, others @ ..] = rest {
            if at + length(&name.name) > BLOCK {
                break;
            }
            entry(&mut block, at, name);
            hashes.push((hash(&name.name), ((start + at) / 8) as u32));
            at += length(&name.name);
            rest = others;
        }
        unused(&mut block, at, BLOCK);
        room.push((BLOCK - at) as u16);
        block.seal(4);
        directory.write(number, &block)?;
    }
    Ok((hashes, room))
}

fn only_leaf(
    directory: &mut Owned<'_, '_>,
    hashes: &[(u32, u32)],
    room: &[u16],
) -> Result<(), Failed> {
    let number = directory.take(HASHES)?;
    let mut block = directory.tree_block(number, ONLY_LEAF, 0, 0);
    block.u16(INFO, hashes.len() as u16);
    put_hashes(&mut block, TREE_HEADER, hashes);
    let tail = BLOCK - 4;
    let start = tail - room.len() * 2;
    for (at, room) in room.iter().enumerate() {
        block.u16(start + at * 2, *room);
    }
    block.u32(tail, room.len() as u32);
    block.seal(Owned::TREE_SUM);
    directory.write(number, &block)
}

/// Writes the leaves of a tree of hashes, and the tree.
fn leaves(directory: &mut Owned<'_, '_>, hashes: &[(u32, u32)]) -> Result<(), Failed> {
    let root = HASHES as u32;
    let count = hashes.len().div_ceil(IN_TREE_BLOCK).max(1);
    let share = hashes.len().div_ceil(count);
    let mut ends = Vec::with_capacity(count);
    for (index, part) in hashes.chunks(share).enumerate() {
        let at = root + 1 + index as u32;
        let back = if index == 0 { 0 } else { at - 1 };
        let forward = if index + 1 == count { 0 } else { at + 1 };
        let number = directory.take(at.into())?;
        let mut block = directory.tree_block(number, LEAF, back, forward);
        block.u16(INFO, part.len() as u16);
        put_hashes(&mut block, TREE_HEADER, part);
        block.seal(Owned::TREE_SUM);
        directory.write(number, &block)?;
        ends.push((part.last().map_or(0, |last| last.0), at));
    }
    let next = root + 1 + count as u32;
    directory.nodes(ends, root, next)
}

/// Writes the list of room in blocks.
fn list_room(directory: &mut Owned<'_, '_>, room: &[u16]) -> Result<(), Failed> {
    for (index, part) in room.chunks(IN_ROOM_BLOCK).enumerate() {
        let number = directory.take(ROOM + index as u64)?;
        let mut block = begin(directory, number, *b"XDF3");
        block.u32(48, (index * IN_ROOM_BLOCK) as u32);
        block.u32(52, part.len() as u32);
        block.u32(56, part.len() as u32);
        for (at, room) in part.iter().enumerate() {
            block.u16(HEADER + at * 2, *room);
        }
        block.seal(4);
        directory.write(number, &block)?;
    }
    Ok(())
}
