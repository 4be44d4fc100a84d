//! Reads what is in a file.

use std::fs::File;
use std::path::Path;

use super::compress::PIECE;
use super::data::Owner;
use super::fill::Filling;
use super::format::BLOCK;
use crate::disk::filling::{Failed, not_zero, read_full};
use crate::host::extents;
use crate::tree::Metadata;

impl Filling<'_> {
    /// Copies what is in a file but for blocks of zeros; returns its length, and how many bytes of it there
    /// are in whole blocks.
    pub(super) fn content(
        &mut self,
        file: &File,
        path: &Path,
        meta: &Metadata,
        mut owner: Owner,
    ) -> Result<(u64, u64), Failed> {
        let unread = |error: &std::io::Error| {
            let errno = rustix::io::Errno::from_io_error(error);
            self.volume
                .failed("read", path, errno.unwrap_or(rustix::io::Errno::IO))
        };
        let piece = PIECE as u64;
        // What the file system below the tree knows to be a hole is not read: it can be larger than any disk.
        let ranges = if meta.size <= piece {
            std::iter::once(0..meta.size).collect()
        } else {
            extents::of(file, piece, &[]).map_err(|e| unread(&e))?
        };
        let mut buffer = vec![0; PIECE.min(meta.size as usize)];
        let mut stored = 0;
        for at in ranges.into_iter().flat_map(|range| range.step_by(PIECE)) {
            if self.host.cancel.is_cancelled() {
                return Err(Failed::Cancelled);
            }
            let wanted = piece.min(meta.size - at) as usize;
            let length = read_full(file, &mut buffer[..wanted], at).map_err(|e| unread(&e))?;
            owner.offset = at;
            if at == 0 && self.data.may_be_short(length as u64) && length < PIECE {
                if buffer[..length].iter().any(|byte| *byte != 0) {
                    stored = self.data.add_short(owner, &buffer[..length])?;
                }
                return Ok((length as u64, stored));
            }
            let mut whole = length.next_multiple_of(BLOCK);
            buffer.resize(whole.max(buffer.len()), 0);
            buffer[length..whole].fill(0);
            whole = whole.min(buffer.len());
            for part in not_zero(&buffer[..whole], BLOCK) {
                owner.offset = at + part.start as u64;
                stored += part.len() as u64;
                self.data.add(owner, &buffer[part])?;
            }
            if length < wanted {
                // It is shorter by now.
                return Ok((at + length as u64, stored));
            }
        }
        Ok((meta.size, stored))
    }
}
