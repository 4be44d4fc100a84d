//! Bytes compressed with Zstandard in frames (RFC 8878) that are checked one by one: none is used before
//! its checksum was compared.
//!
//! Before each frame stands one that readers skip, with its length; a length of zero is the end. So
//! `zstd -d` reads it, too.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;

use zstd::bulk::{Compressor, Decompressor};

/// The most bytes in a frame, before they were compressed.
pub(super) const FRAME: usize = 1 << 20;

/// Fast before all: these are read a few times at most.
const LEVEL: i32 = 1;

/// How a frame begins that is skipped, the first of 16 such numbers (RFC 8878, section 3.1.2), and the
/// length of what it holds.
const SKIPPED: [u8; 8] = [0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0];

/// Writes frames.
pub(super) struct Writer<W> {
    target: W,
    compressor: Compressor<'static>,
}

impl<W: Write> Writer<W> {
    /// # Errors
    /// When there is no memory.
    pub fn new(target: W) -> io::Result<Self> {
        let mut compressor = Compressor::new(LEVEL)?;
        compressor.include_checksum(true)?;
        Ok(Self { target, compressor })
    }

    /// Writes a frame of these bytes, at least one and at most [`FRAME`].
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn frame(&mut self, plain: &[u8]) -> io::Result<()> {
        let frame = self.compressor.compress(plain)?;
        self.length(frame.len())?;
        self.target.write_all(&frame)
    }

    /// Writes the end.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> io::Result<W> {
        self.length(0)?;
        Ok(self.target)
    }

    fn length(&mut self, length: usize) -> io::Result<()> {
        let length = u32::try_from(length).map_err(io::Error::other)?;
        self.target.write_all(&SKIPPED)?;
        self.target.write_all(&length.to_le_bytes())
    }
}

/// Reads frames.
pub(super) struct Frames {
    file: File,
    at: u64,
    decompressor: Decompressor<'static>,
    compressed: Vec<u8>,
}

impl Frames {
    /// # Errors
    /// When there is no memory.
    pub fn new(file: File) -> io::Result<Self> {
        Ok(Self {
            file,
            at: 0,
            decompressor: Decompressor::new()?,
            compressed: Vec::new(),
        })
    }

    /// Puts the bytes of the next frame in the place of these; none at the end.
    ///
    /// # Errors
    /// When a frame is damaged, or the end is missing.
    pub fn next(&mut self, plain: &mut Vec<u8>) -> io::Result<()> {
        plain.clear();
        let damaged = || io::Error::other("a frame is damaged");
        let mut head = [0; SKIPPED.len() + 4];
        self.file.read_exact_at(&mut head, self.at)?;
        let (mark, length) = head.split_at(SKIPPED.len());
        let length = length.try_into().map_or(u32::MAX, u32::from_le_bytes);
        let length = usize::try_from(length).map_err(io::Error::other)?;
        if mark != SKIPPED || length > zstd::zstd_safe::compress_bound(FRAME) {
            return Err(damaged());
        }
        if length == 0 {
            return Ok(());
        }
        self.compressed.resize(length, 0);
        let start = self.at + head.len() as u64;
        self.file.read_exact_at(&mut self.compressed, start)?;
        plain.reserve(FRAME);
        self.decompressor
            .decompress_to_buffer(&self.compressed, plain)?;
        if plain.is_empty() || plain.len() > FRAME {
            plain.clear();
            return Err(damaged());
        }
        self.at = start + length as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn written(plain: &[u8]) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new()).unwrap();
        for piece in plain.chunks(FRAME) {
            writer.frame(piece).unwrap();
        }
        writer.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("frames");
        fs::write(&path, bytes).unwrap();
        let mut frames = Frames::new(File::open(&path).unwrap()).unwrap();
        let (mut all, mut plain) = (Vec::new(), Vec::new());
        loop {
            frames.next(&mut plain)?;
            if plain.is_empty() {
                return Ok(all);
            }
            all.extend_from_slice(&plain);
        }
    }

    fn some() -> Vec<u8> {
        let words = (0..FRAME as u64 / 2).map(|n| (n * n % 251).to_le_bytes()[0]);
        words.chain(std::iter::repeat_n(7, FRAME)).collect()
    }

    #[test]
    fn what_was_written_is_read() {
        for plain in [Vec::new(), vec![1], vec![0; FRAME], some()] {
            let bytes = written(&plain);
            assert_eq!(read(&bytes).unwrap(), plain);
            // Other programs read the same.
            assert_eq!(zstd::decode_all(bytes.as_slice()).unwrap(), plain);
        }
    }

    #[test]
    fn no_damage_is_missed() {
        let plain = some();
        let bytes = written(&plain);
        for at in (0..bytes.len()).step_by(997).chain(0..40) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            // Not every bit of a header counts.
            assert!(
                read(&damaged).map_or(true, |all| all == plain && at < 40),
                "{at}"
            );
        }
        for length in [0, 1, 12, 100, bytes.len() - 1, bytes.len() - 12] {
            assert!(read(&bytes[..length]).is_err(), "{length}");
        }
        // A frame that would be larger than any.
        let mut large = SKIPPED.to_vec();
        let frame = zstd::bulk::compress(&vec![0; 4 * FRAME], 1).unwrap();
        large.extend(u32::try_from(frame.len()).unwrap().to_le_bytes());
        large.extend(frame);
        assert!(read(&large).is_err());
    }
}
