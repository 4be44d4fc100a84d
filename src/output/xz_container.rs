//! The parts of an .xz file around its compressed data ("The .xz File Format", version 1.2.1): one
//! stream of blocks that say their sizes, so that they can be compressed, and decompressed, side by side.

use std::io;

use crc::{CRC_32_ISO_HDLC, CRC_64_XZ, Crc, Table};

const CRC32: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);
/// Sixteen bytes at a time: a check must not slow down what it checks.
static CRC64: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_XZ);

/// Section 2.1.1.2: nothing reserved, and CRC64 as check.
const STREAM_FLAGS: [u8; 2] = [0, 4];
/// Section 5.3.1: LZMA2, with one byte of properties.
const LZMA2: [u8; 2] = [0x21, 1];
/// Section 3.1.2: one filter, both sizes present.
const BLOCK_FLAGS: u8 = 0xc0;
/// Size of the check at a block's end.
const CHECK: usize = 8;

/// One finished block.
#[derive(Clone, Debug)]
pub struct Block {
    /// All of it: header, compressed data, padding, check.
    pub bytes: Vec<u8>,
    /// Its size without the padding.
    unpadded: u64,
    /// How much it decompresses to.
    uncompressed: u64,
}

/// The first bytes of the file.
#[must_use]
pub fn header() -> Vec<u8> {
    let mut bytes = vec![0xfd, b'7', b'z', b'X', b'Z', 0];
    bytes.extend(STREAM_FLAGS);
    bytes.extend(CRC32.checksum(&STREAM_FLAGS).to_le_bytes());
    bytes
}

/// Room for a block's header: what it takes with sizes below 2^28, and more if it must.
const HEADER: usize = 20;

/// A block to whose bytes compressed data is being added.
#[derive(Debug)]
pub struct Unfinished {
    /// Room for the header, then the data. Nothing is copied in the end: a block is large.
    pub bytes: Vec<u8>,
}

impl Unfinished {
    /// A block without data yet, with room for some.
    #[must_use]
    pub fn new(room: usize) -> Self {
        let mut bytes = Vec::with_capacity(HEADER + room);
        bytes.resize(HEADER, 0);
        Self { bytes }
    }

    /// The block, whose bytes are `data` in LZMA2 with a dictionary of 2^`dictionary` bytes.
    #[must_use]
    pub fn finish(self, data: &[u8], dictionary: u32) -> Block {
        let mut bytes = self.bytes;
        let packed = bytes.len() - HEADER;
        let mut head = vec![0, BLOCK_FLAGS];
        number(&mut head, packed as u64);
        number(&mut head, data.len() as u64);
        head.extend(LZMA2);
        // Section 5.3.1: an even value 2n stands for 2^(n + 12) bytes.
        head.push(2 * dictionary.saturating_sub(12) as u8);
        // Section 3.1.7: a header may be padded.
        head.resize(head.len().max(HEADER - 4), 0);
        pad(&mut head);
        // Section 3.1.1: in units of four bytes, the checksum behind it included, less one.
        head[0] = (head.len() / 4) as u8;
        let crc = CRC32.checksum(&head);
        head.extend(crc.to_le_bytes());
        let unpadded = head.len() + packed + CHECK;
        // Only where sizes are enormous does the data have to move.
        bytes.splice(..HEADER, head);
        bytes.reserve_exact(3 + CHECK);
        pad(&mut bytes);
        bytes.extend(CRC64.checksum(data).to_le_bytes());
        Block {
            bytes,
            unpadded: unpadded as u64,
            uncompressed: data.len() as u64,
        }
    }
}

/// The index of a stream, which counts its blocks as they are written.
#[derive(Clone, Debug, Default)]
pub struct Index {
    blocks: u64,
    records: Vec<u8>,
}

impl Index {
    /// Adds the block that was written last.
    pub fn add(&mut self, block: &Block) {
        self.blocks += 1;
        number(&mut self.records, block.unpadded);
        number(&mut self.records, block.uncompressed);
    }

    /// The last bytes of the file: index and footer.
    pub fn end(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0];
        number(&mut bytes, self.blocks);
        bytes.extend_from_slice(&self.records);
        pad(&mut bytes);
        bytes.extend(CRC32.checksum(&bytes).to_le_bytes());
        // Section 2.1.2.2: in units of four bytes, less one.
        let size = u32::try_from(bytes.len() / 4 - 1)
            .map_err(|_| io::Error::other("there are too many blocks for one xz stream"))?;
        let mut footer = size.to_le_bytes().to_vec();
        footer.extend(STREAM_FLAGS);
        bytes.extend(CRC32.checksum(&footer).to_le_bytes());
        bytes.extend(footer);
        bytes.extend(b"YZ");
        Ok(bytes)
    }
}

/// Section 1.2: seven bits in each byte, the lowest first.
fn number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Zeros up to a multiple of four bytes.
fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_stream_is_what_xz_makes_of_nothing() {
        let mut stream = header();
        stream.extend(Index::default().end().unwrap());
        // xz < /dev/null
        let expected = [
            0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04, 0xe6, 0xd6, 0xb4, 0x46, 0x00, 0x00,
            0x00, 0x00, 0x1c, 0xdf, 0x44, 0x21, 0x1f, 0xb6, 0xf3, 0x7d, 0x01, 0x00, 0x00, 0x00,
            0x00, 0x04, 0x59, 0x5a,
        ];
        assert_eq!(stream, expected);
    }

    #[test]
    fn numbers_grow_by_seven_bits() {
        for (value, expected) in [
            (0, &[0][..]),
            (127, &[127]),
            (128, &[0x80, 1]),
            (16_384, &[0x80, 0x80, 1]),
            (
                u64::MAX >> 1,
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
            ),
        ] {
            let mut bytes = Vec::new();
            number(&mut bytes, value);
            assert_eq!(bytes, expected, "{value}");
        }
    }
}
