//! Writing into the range of the image: neighbouring parts go together.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::format::{BLOCK, Bytes};

/// Gathered before it is written.
const GATHERED: usize = 4 << 20;

/// The range of the image.
pub(super) struct Output<'a> {
    file: &'a File,
    /// Where the file system begins in it.
    offset: u64,
    at: u64,
    gathered: Vec<u8>,
}

impl<'a> Output<'a> {
    pub fn new(file: &'a File, offset: u64) -> Self {
        Self {
            file,
            offset,
            at: 0,
            gathered: Vec::with_capacity(GATHERED),
        }
    }

    /// Writes `bytes` at this byte of the file system.
    pub fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let follows = self.at + self.gathered.len() as u64 == at;
        if !follows || self.gathered.len() + bytes.len() > GATHERED {
            self.flush()?;
            self.at = at;
        }
        self.gathered.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes a block, by its number from the beginning.
    pub fn block(&mut self, place: u64, bytes: &Bytes) -> io::Result<()> {
        self.write(place * BLOCK as u64, &bytes.0)
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.file
            .write_all_at(&self.gathered, self.offset + self.at)?;
        self.gathered.clear();
        Ok(())
    }
}
