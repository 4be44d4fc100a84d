//! The dm-verity hash tree of a partition, built on all cores.
//!
//! The format is the kernel's (Documentation/admin-guide/device-mapper/verity.rst) with the
//! superblock of cryptsetup (docs/on-disk-format of dm-verity, version 1): 4096-byte data and hash
//! blocks, SHA-256, salt before data (hash type 1). Byte for byte what `veritysetup format` writes
//! for the same salt and UUID.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::extents::{Extent, data_extents};
use crate::host::Cancel;

/// Bytes in a data block and in a hash block.
pub const BLOCK: usize = 4096;
/// Bytes in a digest.
const DIGEST: usize = 32;
/// Digests in a hash block.
const FAN_OUT: u64 = (BLOCK / DIGEST) as u64;
/// Hash blocks whose contents one task computes: 16 MiB of data each.
const LEAVES_PER_TASK: u64 = 32;

/// A SHA-256 digest, or the root hash.
pub type Hash = [u8; DIGEST];

/// What to build a tree over, and where to.
#[derive(Debug)]
pub struct Tree<'a> {
    /// The file that holds the data.
    pub data: &'a File,
    /// Where the data starts in it, in bytes.
    pub data_offset: u64,
    /// Size of the data in bytes, a multiple of [`BLOCK`].
    pub data_size: u64,
    /// The file that gets the superblock and the tree.
    pub hashes: &'a File,
    /// Where they start in it, in bytes.
    pub hash_offset: u64,
    /// Hashed before every block.
    pub salt: [u8; 32],
    /// The superblock's identifier.
    pub uuid: Uuid,
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

impl Tree<'_> {
    /// Builds and writes the tree; the root hash is what the kernel has to be told.
    pub fn build(&self, cancel: &Cancel) -> io::Result<Hash> {
        if self.data_size == 0 || self.data_size % BLOCK as u64 != 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the size of the data is not a multiple of 4096 bytes",
            ));
        }
        let data_blocks = self.data_size / BLOCK as u64;
        let levels = levels(data_blocks);
        // On the disk the top comes first.
        let mut starts = vec![0; levels.len()];
        let mut next = self.hash_offset + BLOCK as u64;
        for (start, blocks) in starts.iter_mut().zip(&levels).rev() {
            *start = next;
            next += blocks * BLOCK as u64;
        }
        self.hashes
            .write_all_at(&self.superblock(data_blocks), self.hash_offset)?;
        let extents = data_extents(self.data, self.data_offset, self.data_size)?;
        let hasher = Hasher::new(self.salt);
        if levels.is_empty() {
            // A single block is its own tree.
            let mut only = [0; BLOCK];
            self.data.read_exact_at(&mut only, self.data_offset)?;
            return Ok(hasher.digest(&only));
        }
        hasher.level(
            &Source {
                file: self.data,
                start: self.data_offset,
                blocks: data_blocks,
                extents: Some(&extents),
            },
            self.hashes,
            starts[0],
            cancel,
        )?;
        for level in 1..levels.len() {
            hasher.level(
                &Source {
                    file: self.hashes,
                    start: starts[level - 1],
                    blocks: levels[level - 1],
                    extents: None,
                },
                self.hashes,
                starts[level],
                cancel,
            )?;
        }
        let mut top = [0; BLOCK];
        self.hashes
            .read_exact_at(&mut top, starts[levels.len() - 1])?;
        Ok(hasher.digest(&top))
    }

    /// cryptsetup's `struct verity_sb`, padded to a block.
    fn superblock(&self, data_blocks: u64) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"verity\0\0");
        put(8, &1u32.to_le_bytes());
        put(12, &1u32.to_le_bytes());
        put(16, self.uuid.as_bytes());
        put(32, b"sha256");
        put(64, &(BLOCK as u32).to_le_bytes());
        put(68, &(BLOCK as u32).to_le_bytes());
        put(72, &data_blocks.to_le_bytes());
        put(80, &(self.salt.len() as u16).to_le_bytes());
        put(88, &self.salt);
        block
    }
}

/// Blocks whose digests make a level.
struct Source<'a> {
    file: &'a File,
    start: u64,
    blocks: u64,
    /// Where there is data; everything else reads as zeros. None: everywhere.
    extents: Option<&'a [Extent]>,
}

impl Source<'_> {
    /// Whether any of the blocks from `first` on may hold something else than zeros.
    fn has_data(&self, first: u64, count: u64) -> bool {
        let Some(extents) = self.extents else {
            return true;
        };
        let start = self.start + first * BLOCK as u64;
        let end = start + count * BLOCK as u64;
        let index = extents.partition_point(|e| e.end <= start);
        extents.get(index).is_some_and(|e| e.start < end)
    }
}

struct Hasher {
    /// The state after the salt.
    salted: Sha256,
    /// The digest of a block of zeros: holes need not be read.
    zero: Hash,
}

impl Hasher {
    fn new(salt: [u8; 32]) -> Self {
        let salted = Sha256::new_with_prefix(salt);
        let zero = salted.clone().chain_update([0; BLOCK]).finalize().into();
        Self { salted, zero }
    }

    fn digest(&self, block: &[u8]) -> Hash {
        self.salted.clone().chain_update(block).finalize().into()
    }

    /// Writes the level above `source` at `target`.
    fn level(
        &self,
        source: &Source<'_>,
        hashes: &File,
        target: u64,
        cancel: &Cancel,
    ) -> io::Result<()> {
        let leaves = source.blocks.div_ceil(FAN_OUT);
        let tasks = leaves.div_ceil(LEAVES_PER_TASK);
        (0..tasks).into_par_iter().try_for_each_init(
            || vec![0; FAN_OUT as usize * BLOCK],
            |buffer, task| {
                if cancel.is_cancelled() {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                let first = task * LEAVES_PER_TASK;
                let count = LEAVES_PER_TASK.min(leaves - first);
                let mut out = vec![0; count as usize * BLOCK];
                for (leaf, digests) in (first..).zip(out.chunks_exact_mut(BLOCK)) {
                    self.leaf(source, leaf, buffer, digests)?;
                }
                hashes.write_all_at(&out, target + first * BLOCK as u64)
            },
        )
    }

    /// Fills one hash block; what lies beyond the last digest stays zero.
    fn leaf(
        &self,
        source: &Source<'_>,
        leaf: u64,
        buffer: &mut [u8],
        digests: &mut [u8],
    ) -> io::Result<()> {
        let first = leaf * FAN_OUT;
        let count = FAN_OUT.min(source.blocks - first);
        let digests = digests[..count as usize * DIGEST].chunks_exact_mut(DIGEST);
        if !source.has_data(first, count) {
            digests.for_each(|digest| digest.copy_from_slice(&self.zero));
            return Ok(());
        }
        let data = &mut buffer[..count as usize * BLOCK];
        source
            .file
            .read_exact_at(data, source.start + first * BLOCK as u64)?;
        for (block, digest) in data.chunks_exact(BLOCK).zip(digests) {
            digest.copy_from_slice(&self.digest(block));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_of(bytes: &[u8]) -> File {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(bytes, 0).unwrap();
        file
    }

    #[test]
    fn sizes_of_trees() {
        for (blocks, expected) in [
            (1, vec![]),
            (2, vec![1]),
            (128, vec![1]),
            (129, vec![2, 1]),
            (128 * 128, vec![128, 1]),
            (128 * 128 + 1, vec![129, 2, 1]),
        ] {
            assert_eq!(levels(blocks), expected, "{blocks} blocks");
        }
        assert_eq!(hash_size(4096), 4096);
        assert_eq!(hash_size(129 * 4096), 4 * 4096);
    }

    /// Root hashes as `veritysetup format --salt 00…` of version 2.6.1 printed them for these data.
    #[test]
    fn holes_hash_like_zeros() {
        let zeros = file_of(&vec![0; 300 * BLOCK]);
        let hole = tempfile::tempfile().unwrap();
        hole.set_len(300 * BLOCK as u64).unwrap();
        let hash = |data: &File| {
            let hashes = tempfile::tempfile().unwrap();
            let tree = Tree {
                data,
                data_offset: 0,
                data_size: 300 * BLOCK as u64,
                hashes: &hashes,
                hash_offset: 0,
                salt: [7; 32],
                uuid: Uuid::nil(),
            };
            tree.build(&Cancel::default()).unwrap()
        };
        assert_eq!(hash(&zeros), hash(&hole));
    }
}
