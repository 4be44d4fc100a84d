//! Puts the content of a file into the file system.

use std::fs::File;
use std::io;
use std::path::Path;

use super::extents::Extents;
use super::fill::Filling;
use super::format::BLOCK;
use crate::disk::filling::{Failed, not_zero, read_full};
use crate::host::extents;

/// Read at once.
const PIECE: usize = 1 << 20;

impl Filling<'_, '_> {
    /// Copies what is in a file but for blocks of zeros; returns its length and where it is.
    pub(super) fn content(&mut self, file: &File, path: &Path) -> Result<(u64, Extents), Failed> {
        let piece = PIECE as u64;
        let end = file.metadata().map_err(|e| self.unread(path, &e))?.len();
        // What the file system below the tree knows to be a hole is not read: it can be larger than any disk.
        let ranges = extents::of(file, piece, &[]).map_err(|e| self.unread(path, &e))?;
        let mut extents = Extents::default();
        let mut buffer = vec![0; PIECE];
        for at in ranges.into_iter().flat_map(|range| range.step_by(PIECE)) {
            if self.host.cancel.is_cancelled() {
                return Err(Failed::Cancelled);
            }
            let wanted = piece.min(end - at) as usize;
            let length =
                read_full(file, &mut buffer[..wanted], at).map_err(|e| self.unread(path, &e))?;
            let whole = length.next_multiple_of(BLOCK);
            buffer[length..whole].fill(0);
            for part in not_zero(&buffer[..whole], BLOCK) {
                let start = part.start as u64;
                self.place(&buffer[part], at + start, &mut extents)?;
            }
            if length < wanted {
                // It is shorter by now.
                return Ok((at + length as u64, extents));
            }
        }
        Ok((end, extents))
    }

    fn unread(&self, path: &Path, error: &io::Error) -> Failed {
        let errno = rustix::io::Errno::from_io_error(error);
        self.volume
            .failed("read", path, errno.unwrap_or(rustix::io::Errno::IO))
    }

    /// Writes whole blocks of a file.
    fn place(&mut self, mut bytes: &[u8], at: u64, extents: &mut Extents) -> Result<(), Failed> {
        let mut block = at / BLOCK as u64;
        while !bytes.is_empty() {
            let wanted = (bytes.len() / BLOCK) as u32;
            let run = self.space.take(wanted).ok_or(Failed::NoRoom)?;
            let (part, rest) = bytes.split_at(run.1 as usize * BLOCK);
            self.output
                .write(self.geometry.place(run.0) * BLOCK as u64, part)?;
            extents.add(block, run);
            block += u64::from(run.1);
            bytes = rest;
        }
        Ok(())
    }
}
