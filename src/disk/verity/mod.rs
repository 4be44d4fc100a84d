//! The dm-verity hash tree of a partition: built, and checked, on all cores.
//!
//! The format is the kernel's (Documentation/admin-guide/device-mapper/verity.rst) with cryptsetup's
//! superblock: 4096-byte data and hash blocks, SHA-256, salt before data. Byte for byte what
//! `veritysetup format` writes for the same salt and identifier.

mod hasher;
mod superblock;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use self::hasher::{Hasher, Sink, Source};
pub use self::superblock::Superblock;
use super::extents::data_extents;
use crate::host::{Host, fail_point, hex};

/// Bytes in a data block and in a hash block.
pub const BLOCK: usize = 4096;
/// Bytes in a digest.
const DIGEST: usize = 32;
/// Digests in a hash block.
const FAN_OUT: u64 = (BLOCK / DIGEST) as u64;
/// The longest salt in bytes that the kernel takes.
const MOST_SALT: usize = 256;

/// A SHA-256 digest; that of the whole tree is the root hash.
pub type Hash = [u8; DIGEST];

/// A hash as it is written: 64 hexadecimal digits.
#[must_use]
pub fn hash_text(hash: &Hash) -> String {
    hex(hash)
}

/// Reads what [`hash_text`] wrote, with white space around it.
#[must_use]
pub fn parse_hash(text: &str) -> Option<Hash> {
    let digits = text.trim().as_bytes();
    if digits.len() != 2 * DIGEST {
        return None;
    }
    let mut hash = [0; DIGEST];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = (digit(0)? << 4 | digit(1)?) as u8;
    }
    Some(hash)
}

/// Where data and its hash tree are.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The file that holds the data.
    pub data: &'a File,
    /// Where the data starts in it, in bytes.
    pub data_offset: u64,
    /// Size of the data in bytes, a multiple of [`BLOCK`].
    pub data_size: u64,
    /// The file that holds the superblock and the tree.
    pub hashes: &'a File,
    /// Where they start in it, in bytes.
    pub hash_offset: u64,
}

/// Why a hash tree could not be built, or what is wrong with one.
#[derive(Debug, thiserror::Error)]
pub enum VerityError {
    /// The data is no whole number of blocks, or none.
    #[error("{0} bytes are no whole number of blocks of {BLOCK} bytes")]
    Size(u64),
    /// A file could not be read or written.
    #[error("cannot read or write it")]
    Io(#[from] io::Error),
    /// There is no superblock, or it is for something else.
    #[error("there is no hash tree for data of this size")]
    NoTree,
    /// Data, or a part of the tree, is not what it was when the tree was built.
    #[error("what is on the disk is not what the hash tree was built from")]
    Changed,
    /// The build was interrupted.
    #[error("interrupted")]
    Cancelled,
}

/// Blocks of each level of the tree, from the one right above the data to the top.
fn levels(data_blocks: u64) -> Vec<u64> {
    let mut levels = Vec::new();
    let mut blocks = data_blocks;
    while blocks > 1 {
        blocks = blocks.div_ceil(FAN_OUT);
        levels.push(blocks);
    }
    levels
}

/// Bytes that superblock and tree of `data_size` bytes take.
#[must_use]
pub fn hash_size(data_size: u64) -> u64 {
    let blocks: u64 = levels(data_size / BLOCK as u64).iter().sum();
    (1 + blocks) * BLOCK as u64
}

impl Place<'_> {
    /// Builds and writes superblock and tree; returns the root hash, which the kernel has to be
    /// told. `superblock.data_blocks` is set to what it must be.
    ///
    /// # Errors
    /// When the data cannot be read, or the tree not be written.
    pub fn build(&self, mut superblock: Superblock, host: &Host) -> Result<Hash, VerityError> {
        superblock.data_blocks = self.data_blocks()?;
        self.hashes
            .write_all_at(&superblock.to_block(), self.hash_offset)?;
        fail_point::reach("hash-tree-begun", "")?;
        self.run(&superblock.salt, Sink::Write, host)
    }

    /// Checks all of the data and the tree against the root hash, as the kernel does block by block.
    ///
    /// # Errors
    /// [`VerityError::Changed`] when anything differs.
    pub fn check(&self, root_hash: &Hash, host: &Host) -> Result<(), VerityError> {
        let mut block = [0; BLOCK];
        self.hashes.read_exact_at(&mut block, self.hash_offset)?;
        let superblock = Superblock::from_block(&block).ok_or(VerityError::NoTree)?;
        if superblock.data_blocks != self.data_blocks()? {
            return Err(VerityError::NoTree);
        }
        if self.run(&superblock.salt, Sink::Compare, host)? == *root_hash {
            Ok(())
        } else {
            Err(VerityError::Changed)
        }
    }

    fn data_blocks(&self) -> Result<u64, VerityError> {
        if self.data_size == 0 || self.data_size % BLOCK as u64 != 0 {
            return Err(VerityError::Size(self.data_size));
        }
        Ok(self.data_size / BLOCK as u64)
    }

    /// Computes every level and hands it on; returns the digest of the top.
    fn run(&self, salt: &[u8], sink: Sink, host: &Host) -> Result<Hash, VerityError> {
        let data_blocks = self.data_blocks()?;
        let hasher = Hasher::new(salt, self.hashes, sink, data_blocks, host);
        let levels = levels(data_blocks);
        // On the disk the top comes first.
        let mut starts = vec![0; levels.len()];
        let mut next = self.hash_offset + BLOCK as u64;
        for (start, blocks) in starts.iter_mut().zip(&levels).rev() {
            *start = next;
            next += blocks * BLOCK as u64;
        }
        let extents = data_extents(self.data, self.data_offset, self.data_size)?;
        let mut source = Source {
            file: self.data,
            start: self.data_offset,
            blocks: data_blocks,
            extents: Some(&extents),
        };
        for (start, blocks) in starts.into_iter().zip(levels) {
            hasher.level(&source, start)?;
            source = Source {
                file: self.hashes,
                start,
                blocks,
                extents: None,
            };
        }
        // One block is left: the top, or data that is a single block.
        let mut top = [0; BLOCK];
        source.file.read_exact_at(&mut top, source.start)?;
        Ok(hasher.digest(&top))
    }
}

#[cfg(test)]
mod tests;
