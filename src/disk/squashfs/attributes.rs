//! Puts the extended attributes of every file in one order.
//!
//! mksquashfs keeps them as the tree's file system lists them: in the order in which they came to be, or in
//! that of hashes of their names. It writes all lists of attributes into one table at the end, which is
//! written anew here. Inodes know a list by its number, which stays.
//! Source of the format: the kernel's `fs/squashfs/squashfs_fs.h` and `Documentation/filesystems/squashfs.rst`.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::{BYTES_USED, GRAIN};

/// Where the superblock says where the table is.
const TABLE: u64 = 56;
/// What it says where there is none (`SQUASHFS_INVALID_BLK`).
const NONE: u64 = u64::MAX;

/// Bytes in a block, but for the last (`SQUASHFS_METADATA_SIZE`), and before each.
const BLOCK: usize = 8192;
const HEAD: usize = 2;
/// Set in a block's head where it is not compressed; the rest of it is the length.
const PLAIN: u16 = 0x8000;

/// Bytes before the places of the blocks with numbered lists: where the table begins, how many lists there
/// are, and four more.
const HEADER: usize = 16;
/// Bytes of a numbered list: where it is, of how many attributes, and what they take in all.
const LIST: usize = 16;
/// Set in an attribute's type where its value is elsewhere (`SQUASHFS_XATTR_VALUE_OOL`).
const ELSEWHERE: u16 = 0x100;
/// Bytes of where a value is; shorter ones are never elsewhere.
const PLACE: usize = 8;

/// The most bytes of a table that is sorted; it is in memory several times.
const MOST: u64 = 1 << 30;

/// An attribute. They are sorted by what stands for `user.`, `trusted.` or `security.`, and by the rest of their
/// names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Attribute<'a> {
    prefix: u16,
    name: &'a [u8],
    value: &'a [u8],
}

/// Attributes of a file, and of others that have the same.
#[derive(Clone, Debug, PartialEq, Eq)]
struct List<'a> {
    attributes: Vec<Attribute<'a>>,
    /// As the file system has it.
    size: u32,
}

/// Sorts the attributes in the squashfs at this offset of a file, after which nothing follows in it; whether they
/// are sorted now. What is compressed, or not as mksquashfs writes it, stays as it is.
///
/// # Errors
/// When the file cannot be read or written.
pub(super) fn sort(file: &File, offset: u64) -> io::Result<bool> {
    let used = number_at(file, offset + BYTES_USED)?;
    let header = number_at(file, offset + TABLE)?;
    if header == NONE {
        return Ok(true);
    }
    let is_short = header < used && used <= header.saturating_add(MOST);
    if !is_short {
        return Ok(false);
    }
    let start = number_at(file, offset + header)?;
    if start > header || used - start > MOST {
        return Ok(false);
    }
    let mut table = vec![0; (used - start) as usize];
    file.read_exact_at(&mut table, offset + start)?;
    let Some((table, header)) = sorted(&table, start, (header - start) as usize) else {
        return Ok(false);
    };
    file.write_all_at(&table, offset + start)?;
    let used = start + table.len() as u64;
    // What remains of the old one is no part of it.
    file.set_len(offset + used)?;
    file.set_len(offset + used.next_multiple_of(GRAIN))?;
    file.write_all_at(&(start + header).to_le_bytes(), offset + TABLE)?;
    file.write_all_at(&used.to_le_bytes(), offset + BYTES_USED)?;
    Ok(true)
}

/// The number at a place of a file.
pub(super) fn number_at(file: &File, at: u64) -> io::Result<u64> {
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, at)?;
    Ok(u64::from_le_bytes(bytes))
}

/// The sorted table in the place of the one that begins at `start` in the file system, and where in it the header
/// is; that of this one comes after `header` bytes.
fn sorted(table: &[u8], start: u64, header: usize) -> Option<(Vec<u8>, u64)> {
    let mut rest = table.get(header + 8..)?;
    let count = u32::from_le_bytes(take(&mut rest)?) as usize;
    rest = rest.get(4..)?;
    let blocks = count.checked_mul(LIST)?.div_ceil(BLOCK);
    if rest.len() != blocks.checked_mul(8)? {
        return None;
    }
    let first = u64::from_le_bytes(take(&mut rest)?).checked_sub(start)?;
    let first = usize::try_from(first).ok()?;
    let values = plain(table.get(..first)?)?;
    let numbered = plain(table.get(first..header)?)?;
    if numbered.len() != count * LIST {
        return None;
    }
    let lists = numbered.chunks_exact(LIST).map(|one| list(one, &values));
    let mut lists: Vec<List<'_>> = lists.collect::<Option<_>>()?;
    for list in &mut lists {
        list.attributes.sort_unstable();
    }
    Some(write(&lists, start))
}

/// Reads a numbered list of attributes, which are among these.
fn list<'a>(mut numbered: &[u8], values: &'a [u8]) -> Option<List<'a>> {
    let mut rest = from(values, u64::from_le_bytes(take(&mut numbered)?))?;
    let count = u32::from_le_bytes(take(&mut numbered)?);
    let size = u32::from_le_bytes(take(&mut numbered)?);
    let attributes = (0..count).map(|_| attribute(&mut rest, values));
    let attributes = attributes.collect::<Option<_>>()?;
    Some(List { attributes, size })
}

/// Reads an attribute, whose value may be anywhere among these.
fn attribute<'a>(rest: &mut &'a [u8], values: &'a [u8]) -> Option<Attribute<'a>> {
    let kind = u16::from_le_bytes(take(rest)?);
    let length = u16::from_le_bytes(take(rest)?);
    let name = cut(rest, length.into())?;
    let mut value = valued(rest)?;
    if kind & ELSEWHERE != 0 {
        let mut place = from(values, u64::from_le_bytes(value.try_into().ok()?))?;
        value = valued(&mut place)?;
    }
    Some(Attribute {
        prefix: kind & !ELSEWHERE,
        name,
        value,
    })
}

/// Reads a value, after its length.
fn valued<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u32::from_le_bytes(take(rest)?);
    cut(rest, usize::try_from(length).ok()?)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    cut(rest, N)?.try_into().ok()
}

fn cut<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (first, others) = rest.split_at_checked(length)?;
    *rest = others;
    Some(first)
}

/// What is in blocks, if they are neither compressed nor shorter than they can be.
fn plain(mut blocks: &[u8]) -> Option<Vec<u8>> {
    let mut all = Vec::with_capacity(blocks.len());
    while !blocks.is_empty() {
        let head = u16::from_le_bytes(take(&mut blocks)?);
        let block = cut(&mut blocks, (head & !PLAIN).into())?;
        if head & PLAIN == 0 || block.len() > BLOCK || all.len() % BLOCK != 0 {
            return None;
        }
        all.extend_from_slice(block);
    }
    Some(all)
}

/// What begins at a place: where its block is, and where in that.
fn from(plain: &[u8], place: u64) -> Option<&[u8]> {
    let block = usize::try_from(place >> 16).ok()?;
    let within = (place & 0xffff) as usize;
    if block % (HEAD + BLOCK) != 0 || within > BLOCK {
        return None;
    }
    plain.get(block / (HEAD + BLOCK) * BLOCK + within..)
}

/// The place of what comes after so many bytes.
const fn place(before: usize) -> u64 {
    ((before / BLOCK * (HEAD + BLOCK)) as u64) << 16 | (before % BLOCK) as u64
}

/// The table of these lists that begins at `start` in the file system, and where in it its header is.
fn write(lists: &[List<'_>], start: u64) -> (Vec<u8>, u64) {
    let (mut values, mut numbered) = (Vec::new(), Vec::new());
    let mut known: HashMap<&[u8], u64> = HashMap::new();
    for list in lists {
        numbered.extend(place(values.len()).to_le_bytes());
        numbered.extend((list.attributes.len() as u32).to_le_bytes());
        numbered.extend(list.size.to_le_bytes());
        for Attribute {
            prefix,
            name,
            value,
        } in &list.attributes
        {
            let elsewhere = known.get(value).copied();
            let kind = prefix | elsewhere.map_or(0, |_| ELSEWHERE);
            values.extend(kind.to_le_bytes());
            values.extend((name.len() as u16).to_le_bytes());
            values.extend(*name);
            if let Some(place) = elsewhere {
                values.extend((PLACE as u32).to_le_bytes());
                values.extend(place.to_le_bytes());
                continue;
            }
            if value.len() >= PLACE {
                known.insert(value, place(values.len()));
            }
            values.extend((value.len() as u32).to_le_bytes());
            values.extend(*value);
        }
    }
    let mut table = blocks(&values);
    let first = table.len();
    table.extend(blocks(&numbered));
    let header = table.len();
    table.extend(start.to_le_bytes());
    table.extend((lists.len() as u32).to_le_bytes());
    table.resize(header + HEADER, 0);
    for block in 0..numbered.len().div_ceil(BLOCK) {
        let at = start + (first + block * (HEAD + BLOCK)) as u64;
        table.extend(at.to_le_bytes());
    }
    (table, header as u64)
}

/// These bytes in blocks that are not compressed.
fn blocks(bytes: &[u8]) -> Vec<u8> {
    bytes
        .chunks(BLOCK)
        .flat_map(|block| {
            let head = PLAIN | block.len() as u16;
            head.to_le_bytes().into_iter().chain(block.iter().copied())
        })
        .collect()
}

#[cfg(test)]
#[path = "attributes_tests.rs"]
mod tests;
