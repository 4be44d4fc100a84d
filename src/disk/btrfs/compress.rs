//! Compressed parts of files, as the kernel reads them.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

use super::Algorithm;
use super::format::BLOCK;
use super::lzo;

/// The kernel's usual level, of zlib and of Zstandard.
const LEVEL: u8 = 3;
/// So many bytes are compressed at once (`BTRFS_MAX_UNCOMPRESSED`).
pub(super) const PIECE: usize = 128 << 10;
/// Readers of Zstandard keep so many bytes, as a power of two (`ZSTD_BTRFS_MAX_WINDOWLOG`).
const WINDOW: u32 = 17;
/// Bytes of a length in LZO's form.
const LENGTH: usize = 4;

impl Algorithm {
    /// The number of it in a file system.
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::Zlib => 1,
            Self::Lzo => 2,
            Self::Zstd => 3,
        }
    }

    /// Compresses at most [`PIECE`] bytes. `None` where that cannot be done, in which case the piece is
    /// stored as it is.
    pub(super) fn compress(self, piece: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Zlib => {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(LEVEL.into()));
                encoder.write_all(piece).ok()?;
                encoder.finish().ok()
            }
            Self::Lzo => Some(lzo_segments(piece)),
            Self::Zstd => {
                let mut compressor = Compressor::new(LEVEL.into()).ok()?;
                compressor
                    .set_parameter(CParameter::WindowLog(WINDOW))
                    .ok()?;
                compressor.compress(piece).ok()
            }
        }
    }
}

/// The length of all of it, and each block compressed for itself, after its length.
fn lzo_segments(piece: &[u8]) -> Vec<u8> {
    let mut output = vec![0; LENGTH];
    for block in piece.chunks(BLOCK) {
        // No length may go across the border of blocks.
        let left = BLOCK - output.len() % BLOCK;
        if left < LENGTH {
            output.resize(output.len() + left, 0);
        }
        let segment = lzo::compress(block);
        output.extend((segment.len() as u32).to_le_bytes());
        output.extend(segment);
    }
    let all = (output.len() as u32).to_le_bytes();
    output[..LENGTH].copy_from_slice(&all);
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_makes_text_smaller_and_the_same_each_time() {
        let text = "to be compressed, again and again; ".repeat(PIECE / 35);
        for algorithm in [Algorithm::Zlib, Algorithm::Lzo, Algorithm::Zstd] {
            let packed = algorithm.compress(text.as_bytes()).unwrap();
            assert!(packed.len() < PIECE / 8, "{algorithm:?}: {}", packed.len());
            assert_eq!(packed, algorithm.compress(text.as_bytes()).unwrap());
        }
    }

    #[test]
    fn lengths_of_segments_do_not_cross_blocks() {
        let mut state = 1_u32;
        let noise: Vec<u8> = (0..PIECE)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        let packed = lzo_segments(&noise);
        let number = |at: usize| {
            u32::from_le_bytes([packed[at], packed[at + 1], packed[at + 2], packed[at + 3]])
        };
        assert_eq!(number(0) as usize, packed.len());
        let (mut at, mut segments) = (LENGTH, 0);
        while at < packed.len() {
            if BLOCK - at % BLOCK < LENGTH {
                at = at.next_multiple_of(BLOCK);
            }
            at += LENGTH + number(at) as usize;
            segments += 1;
        }
        assert_eq!((at, segments), (packed.len(), PIECE / BLOCK));
    }
}
