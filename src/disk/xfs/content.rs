//! Puts the content of a file into the file system.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

use super::extents::Extents;
use super::fill::Filling;
use super::format::BLOCK;
use crate::disk::filling::{Failed, read_full};
use crate::host::extents;

/// So many blocks of zeros are a hole: that follows from the content alone, whatever the file system
/// below the tree thinks of it. Shorter ones would only be more extents.
const HOLE: usize = 16;
/// Read at once.
const PIECE: usize = 1 << 20;

impl Filling<'_, '_> {
    /// Copies what is in a file but for long runs of zeros; returns its length and where it is.
    pub(super) fn content(&mut self, file: &File, path: &Path) -> Result<(u64, Extents), Failed> {
        let mut extents = Extents::default();
        let mut at = 0_u64;
        let mut zeros = HOLE;
        let mut buffer = vec![0; PIECE];
        // What the file system below the tree knows to be a hole is not read: it can be larger than any disk.
        let data = extents::of(file, PIECE as u64, &[]).map_err(|e| self.unread(path, &e))?;
        let mut data = data.into_iter().peekable();
        let end = file.metadata().map_err(|e| self.unread(path, &e))?.len();
        loop {
            while data.next_if(|range| range.end <= at).is_some() {}
            let next = data.peek().map_or(end, |range| range.start);
            if next > at {
                // As if the zeros of whole pieces had been read, each of which is more than a hole takes.
                let whole = (next - at) / PIECE as u64 * PIECE as u64;
                if whole > 0 {
                    at += whole;
                    zeros = HOLE;
                }
            }
            if self.host.cancel.is_cancelled() {
                return Err(Failed::Cancelled);
            }
            let length = read_full(file, &mut buffer, at).map_err(|e| self.unread(path, &e))?;
            buffer[length..length.next_multiple_of(BLOCK)].fill(0);
            for part in parts(&buffer[..length.next_multiple_of(BLOCK)], &mut zeros) {
                let start = part.start;
                self.place(&buffer[part], at + start as u64, &mut extents)?;
            }
            at += length as u64;
            if length < PIECE {
                return Ok((at, extents));
            }
        }
    }

    fn unread(&self, path: &Path, error: &io::Error) -> Failed {
        let errno = rustix::io::Errno::from_io_error(error);
        self.failed("read", path, errno.unwrap_or(rustix::io::Errno::IO))
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

/// The parts of whole blocks that are no holes. `zeros` blocks of zeros were the last before them, and
/// are in the end.
fn parts(bytes: &[u8], zeros: &mut usize) -> Vec<Range<usize>> {
    const ZEROS: [u8; BLOCK] = [0; BLOCK];
    let mut parts = Vec::new();
    let mut start = (*zeros < HOLE).then_some(0);
    for (number, block) in bytes.chunks(BLOCK).enumerate() {
        if block != ZEROS {
            start = start.or(Some(number));
            *zeros = 0;
            continue;
        }
        *zeros = (*zeros + 1).min(HOLE);
        if *zeros == HOLE {
            if let Some(start) = start.take() {
                parts.push(start..(number + 1).saturating_sub(HOLE).max(start));
            }
        }
    }
    parts.extend(start.map(|start| start..bytes.len() / BLOCK));
    parts.retain(|part| !part.is_empty());
    let in_bytes = |part: Range<usize>| part.start * BLOCK..part.end * BLOCK;
    parts.into_iter().map(in_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_runs_of_zeros_are_holes() {
        let found = |blocks: &str, zeros: &mut usize| -> Vec<(usize, usize)> {
            let bytes: Vec<u8> = blocks
                .bytes()
                .flat_map(|block| [block - b'0'; BLOCK])
                .collect();
            let parts = parts(&bytes, zeros).into_iter();
            parts.map(|p| (p.start / BLOCK, p.end / BLOCK)).collect()
        };
        let mut zeros = HOLE;
        assert_eq!(found("0010000000001", &mut zeros), [(2, 13)]);
        assert_eq!(zeros, 0);
        let hole = "0".repeat(16);
        assert_eq!(found(&format!("1{hole}1"), &mut zeros), [(0, 1), (17, 18)]);
        // The same over the border of pieces.
        assert_eq!(found("11000000", &mut zeros), [(0, 8)]);
        assert_eq!(found("00000000001", &mut zeros), [(10, 11)]);
        assert_eq!(found("1000", &mut zeros), [(0, 4)]);
        assert_eq!(found("0001", &mut zeros), [(0, 4)]);
        assert_eq!(found(&hole, &mut zeros), []);
        assert_eq!(found(&hole, &mut zeros), []);
    }
}
