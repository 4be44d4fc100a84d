//! The digests of one level of a hash tree.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use super::{BLOCK, DIGEST, FAN_OUT, Hash, VerityError};
use crate::disk::extents::Extent;
use crate::host::Host;

/// Hash blocks whose contents one task computes: 16 MiB of data each.
const LEAVES_PER_TASK: u64 = 32;

/// Blocks whose digests make a level.
pub(super) struct Source<'a> {
    pub(super) file: &'a File,
    /// Where the first block begins, in bytes.
    pub(super) start: u64,
    pub(super) blocks: u64,
    /// Where there is data; everything else reads as zeros. `None`: everywhere.
    pub(super) extents: Option<&'a [Extent]>,
}

impl Source<'_> {
    /// Whether any of the `count` blocks from `first` on may hold something else than zeros.
    fn has_data(&self, first: u64, count: u64) -> bool {
        let Some(extents) = self.extents else {
            return true;
        };
        let start = self.start + first * BLOCK as u64;
        let end = start + count * BLOCK as u64;
        let index = extents.partition_point(|extent| extent.end <= start);
        extents.get(index).is_some_and(|extent| extent.start < end)
    }
}

/// What is done with computed hash blocks.
#[derive(Clone, Copy)]
pub(super) enum Sink {
    /// They are written.
    Write,
    /// They are compared with what is there.
    Compare,
}

pub(super) struct Hasher<'a> {
    /// The state after the salt.
    salted: Sha256,
    /// The digest of a block of zeros: holes need not be read.
    zero: Hash,
    hashes: &'a File,
    sink: Sink,
    host: &'a Host,
    /// Blocks that were hashed, for the progress display, and how many there are.
    done: AtomicU64,
    total: u64,
}

impl<'a> Hasher<'a> {
    pub(super) fn new(
        salt: &[u8],
        hashes: &'a File,
        sink: Sink,
        data_blocks: u64,
        host: &'a Host,
    ) -> Self {
        let salted = Sha256::new_with_prefix(salt);
        let zero = salted.clone().chain_update([0; BLOCK]).finalize().into();
        Self {
            salted,
            zero,
            hashes,
            sink,
            host,
            done: AtomicU64::new(0),
            total: data_blocks,
        }
    }

    pub(super) fn digest(&self, block: &[u8]) -> Hash {
        self.salted.clone().chain_update(block).finalize().into()
    }

    /// Computes the level above `source`, which is kept at `target`.
    pub(super) fn level(&self, source: &Source<'_>, target: u64) -> Result<(), VerityError> {
        let leaves = source.blocks.div_ceil(FAN_OUT);
        let tasks = leaves.div_ceil(LEAVES_PER_TASK);
        (0..tasks).into_par_iter().try_for_each_init(
            || vec![0; FAN_OUT as usize * BLOCK],
            |buffer, task| {
                if self.host.cancel.is_cancelled() {
                    return Err(VerityError::Cancelled);
                }
                let first = task * LEAVES_PER_TASK;
                let count = LEAVES_PER_TASK.min(leaves - first);
                let mut out = vec![0; count as usize * BLOCK];
                for (leaf, digests) in (first..).zip(out.chunks_exact_mut(BLOCK)) {
                    self.leaf(source, leaf, buffer, digests)?;
                }
                self.hand_on(&out, target + first * BLOCK as u64)?;
                if source.extents.is_some() {
                    let blocks = (count * FAN_OUT).min(source.blocks - first * FAN_OUT);
                    let before = self.done.fetch_add(blocks, Ordering::Relaxed);
                    self.host.report.progress(before + blocks, self.total);
                }
                Ok(())
            },
        )
    }

    fn hand_on(&self, computed: &[u8], target: u64) -> Result<(), VerityError> {
        match self.sink {
            Sink::Write => self.hashes.write_all_at(computed, target)?,
            Sink::Compare => {
                let mut there = vec![0; computed.len()];
                self.hashes.read_exact_at(&mut there, target)?;
                if there != computed {
                    return Err(VerityError::Changed);
                }
            }
        }
        Ok(())
    }

    /// Fills one hash block; what lies beyond the last digest stays zero.
    fn leaf(
        &self,
        source: &Source<'_>,
        leaf: u64,
        buffer: &mut [u8],
        digests: &mut [u8],
    ) -> Result<(), VerityError> {
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
