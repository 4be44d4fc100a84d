//! Contents of files: compressed, put on the disk, and remembered with their checksums.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use rayon::prelude::*;

use super::Algorithm;
use super::compress::PIECE;
use super::format::{BLOCK, GENERATION, ITEM, Key, LEAF, Record, kind, sum, tree};
use super::items::Items;
use super::space::{Chunk, DataSpace};
use crate::disk::filling::Failed;

/// Files of up to this many bytes are kept with the metadata (`max_inline`).
pub(super) const INLINE: usize = 2048;
/// The longest extent that is not compressed (`BTRFS_MAX_EXTENT_SIZE`).
const LONGEST: u64 = 128 << 20;
/// So many bytes are compressed at a time, on all processors.
const BATCH: usize = 16 << 20;
/// So many bytes are written at a time: their checksums are one item, the longest that there can be
/// (`MAX_CSUM_ITEMS`).
const GATHERED: usize = ((LEAF - 2 * ITEM) / 4 - 1) * BLOCK;
/// The object that checksums are of.
const SUMS: u64 = -10_i64 as u64;

/// Who has a part of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    /// Which of the subvolumes.
    pub subvolume: usize,
    pub inode: u64,
    /// Where in the file.
    pub offset: u64,
}

impl Owner {
    const fn key(&self) -> Key {
        Key::new(self.inode, kind::DATA, self.offset)
    }
}

/// A part of the disk with data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    pub start: u64,
    pub length: u64,
    pub owner: Owner,
}

/// A part of a file that waits to be put on the disk.
struct Piece {
    owner: Owner,
    /// Its bytes among those of the batch.
    bytes: Range<usize>,
    /// It is a whole file that could be kept with the metadata.
    is_short: bool,
}

/// Puts data on the disk.
pub(super) struct Data<'a> {
    file: &'a File,
    /// Where the file system begins in it.
    offset: u64,
    compress: Option<Algorithm>,
    space: DataSpace,
    batch: Vec<u8>,
    pieces: Vec<Piece>,
    at: u64,
    gathered: Vec<u8>,
    /// The last extent, while it may grow.
    open: Option<Extent>,
    /// In the order of their places.
    pub extents: Vec<Extent>,
    /// The items of each subvolume.
    pub files: Vec<Items>,
    /// The items of the tree of checksums.
    pub sums: Items,
}

impl<'a> Data<'a> {
    pub fn new(file: &'a File, offset: u64, compress: Option<Algorithm>, space: DataSpace) -> Self {
        Self {
            file,
            offset,
            compress,
            space,
            batch: Vec::new(),
            pieces: Vec::new(),
            at: 0,
            gathered: Vec::new(),
            open: None,
            extents: Vec::new(),
            files: Vec::new(),
            sums: Items::new(),
        }
    }

    /// Whether a file of `length` bytes may be kept with the metadata.
    pub fn may_be_short(&self, length: u64) -> bool {
        length <= INLINE as u64 || self.compress.is_some() && length < BLOCK as u64
    }

    /// Stores a part of a file: whole blocks, of no more than [`PIECE`] bytes together.
    pub fn add(&mut self, owner: Owner, bytes: &[u8]) -> Result<(), Failed> {
        self.wait(owner, bytes, false)
    }

    /// Stores a whole file that may be kept with the metadata; returns how many bytes it counts for.
    pub fn add_short(&mut self, owner: Owner, bytes: &[u8]) -> Result<u64, Failed> {
        let length = bytes.len() as u64;
        if bytes.len() <= INLINE {
            self.wait(owner, bytes, true)?;
            return Ok(length);
        }
        let piece = Piece {
            owner,
            bytes: 0..bytes.len(),
            is_short: true,
        };
        let pack = |algorithm| piece.packed(algorithm, bytes);
        if let Some(packed) = self.compress.and_then(pack) {
            self.inline(&piece, &packed, true);
            return Ok(length);
        }
        let block = Record::new().bytes(bytes).whole_blocks();
        self.wait(owner, &block, false)?;
        Ok(block.len() as u64)
    }

    fn wait(&mut self, owner: Owner, bytes: &[u8], is_short: bool) -> Result<(), Failed> {
        let start = self.batch.len();
        self.batch.extend_from_slice(bytes);
        self.pieces.push(Piece {
            owner,
            bytes: start..self.batch.len(),
            is_short,
        });
        if self.batch.len() + PIECE > BATCH {
            self.store()?;
        }
        Ok(())
    }

    /// Keeps the target of a symbolic link, which is never anywhere but with the metadata.
    pub fn add_link(&mut self, owner: Owner, target: &[u8]) {
        let record = head(target.len() as u64, None).u8(0).bytes(target);
        self.files[owner.subvolume].add(owner.key(), &record);
    }

    /// Stores what is still waiting.
    pub fn finish(&mut self) -> Result<(), Failed> {
        self.store()?;
        self.close();
        Ok(self.flush()?)
    }

    /// The chunks that data is in.
    pub fn chunks(&self) -> Vec<Chunk> {
        self.space.chunks()
    }

    fn store(&mut self) -> Result<(), Failed> {
        let pieces = std::mem::take(&mut self.pieces);
        let batch = std::mem::take(&mut self.batch);
        let compress = self.compress;
        let pack = |piece: &Piece| piece.packed(compress?, &batch[piece.bytes.clone()]);
        let packed: Vec<_> = pieces.par_iter().map(pack).collect();
        for (piece, packed) in pieces.iter().zip(packed) {
            let bytes = &batch[piece.bytes.clone()];
            match packed {
                Some(packed) if piece.is_short => self.inline(piece, &packed, true),
                Some(packed) => self.compressed(piece, packed)?,
                None if piece.is_short => self.inline(piece, bytes, false),
                None => self.plain(piece.owner, bytes)?,
            }
        }
        self.batch = batch;
        self.batch.clear();
        Ok(())
    }

    /// Keeps a file with the metadata.
    fn inline(&mut self, piece: &Piece, bytes: &[u8], is_packed: bool) {
        let packed = self.compress.filter(|_| is_packed);
        let record = head(piece.bytes.len() as u64, packed).u8(0).bytes(bytes);
        self.files[piece.owner.subvolume].add(piece.owner.key(), &record);
    }

    /// Puts a compressed piece on the disk.
    fn compressed(&mut self, piece: &Piece, packed: Vec<u8>) -> Result<(), Failed> {
        self.close();
        let packed = Record(packed).whole_blocks();
        let length = packed.len() as u64;
        let (start, _) = self.space.take(length, true).ok_or(Failed::NoRoom)?;
        self.write(start, &packed)?;
        let owner = piece.owner;
        let whole = piece.bytes.len() as u64;
        let record = head(whole, self.compress).on_disk(start, length, whole);
        self.files[owner.subvolume].add(owner.key(), &record);
        self.extents.push(Extent {
            start,
            length,
            owner,
        });
        Ok(())
    }

    /// Puts whole blocks on the disk, as a part of the last extent if they follow it.
    fn plain(&mut self, mut owner: Owner, mut bytes: &[u8]) -> Result<(), Failed> {
        while !bytes.is_empty() {
            let wanted = bytes.len() as u64;
            let (start, length) = self.space.take(wanted, false).ok_or(Failed::NoRoom)?;
            let (part, rest) = bytes.split_at(length as usize);
            self.write(start, part)?;
            let follows = self.open.is_some_and(|open| {
                let same = (open.owner.subvolume, open.owner.inode)
                    == (owner.subvolume, owner.inode)
                    && open.owner.offset + open.length == owner.offset;
                same && open.start + open.length == start
                    && open.length + length <= LONGEST
                    && !self.space.is_border(start)
            });
            if !follows {
                self.close();
            }
            let open = self.open.get_or_insert(Extent {
                start,
                length: 0,
                owner,
            });
            open.length += length;
            owner.offset += length;
            bytes = rest;
        }
        Ok(())
    }

    /// Ends the last extent.
    fn close(&mut self) {
        if let Some(extent) = self.open.take() {
            let Extent {
                start,
                length,
                owner,
            } = extent;
            let record = head(length, None).on_disk(start, length, length);
            self.files[owner.subvolume].add(owner.key(), &record);
            self.extents.push(extent);
        }
    }

    /// Writes whole blocks, which mostly follow those before.
    fn write(&mut self, start: u64, mut bytes: &[u8]) -> io::Result<()> {
        let mut start = start;
        while !bytes.is_empty() {
            let follows = self.at + self.gathered.len() as u64 == start;
            if !follows || self.gathered.len() == GATHERED || self.space.is_border(start) {
                self.flush()?;
                self.at = start;
            }
            let length = bytes.len().min(GATHERED - self.gathered.len());
            self.gathered.extend_from_slice(&bytes[..length]);
            bytes = &bytes[length..];
            start += length as u64;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let sums: Vec<[u8; 4]> = self
            .gathered
            .par_chunks(BLOCK)
            .with_min_len(64)
            .map(|block| sum(block).to_le_bytes())
            .collect();
        let key = Key::new(SUMS, kind::SUMS, self.at);
        self.sums.add_bytes(key, sums.as_flattened());
        self.file
            .write_all_at(&self.gathered, self.offset + self.at)?;
        self.gathered.clear();
        Ok(())
    }
}

impl Piece {
    /// What it is when it is compressed, if that takes less of the disk.
    fn packed(&self, algorithm: Algorithm, bytes: &[u8]) -> Option<Vec<u8>> {
        // A block can get no smaller unless it is kept elsewhere.
        if !self.is_short && bytes.len() <= BLOCK {
            return None;
        }
        let packed = algorithm.compress(bytes)?;
        let is_less = if self.is_short {
            packed.len() < bytes.len() && packed.len() <= INLINE
        } else {
            packed.len().next_multiple_of(BLOCK) < bytes.len()
        };
        is_less.then_some(packed)
    }
}

/// The beginning of an item that says where a part of a file is, of `length` bytes for those who read it.
fn head(length: u64, compress: Option<Algorithm>) -> Record {
    let number = compress.map_or(0, Algorithm::number);
    Record::new()
        .u64(GENERATION)
        .u64(length)
        .u8(number)
        .u8(0)
        .u16(0)
}

impl Record {
    fn on_disk(self, start: u64, on_disk: u64, length: u64) -> Self {
        self.u8(1).u64(start).u64(on_disk).u64(0).u64(length)
    }

    fn whole_blocks(self) -> Vec<u8> {
        let length = self.0.len().next_multiple_of(BLOCK);
        self.up_to(length).0
    }
}

/// Where on the disk, and how long there, an item's part of a file is; nothing if the item holds it itself.
pub(super) fn place(item: &[u8]) -> Option<(u64, u64)> {
    let number = |at: usize| Some(u64::from_le_bytes(item.get(at..at + 8)?.try_into().ok()?));
    if item.get(20) != Some(&1) {
        return None;
    }
    Some((number(21)?, number(29)?))
}

/// Which tree a subvolume is, by its place among them.
pub(super) const fn tree_of(subvolume: usize) -> u64 {
    if subvolume == 0 {
        tree::FILES
    } else {
        255 + subvolume as u64
    }
}
