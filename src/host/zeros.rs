//! Zeros: most of a sparse image, and worth not being looked at twice.

use std::io::{self, Write};

/// Zeros to write or hash from.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Whether there is nothing but zeros in `bytes`.
#[must_use]
pub fn is_zero(bytes: &[u8]) -> bool {
    // In pieces that are looked at whole, which the compiler does in vectors.
    bytes
        .chunks(1024)
        .all(|piece| piece.iter().fold(0, |all, byte| all | byte) == 0)
}

/// Calls `work` with pieces of zeros, `count` bytes in all.
///
/// # Errors
/// Those of `work`.
pub fn in_pieces(mut count: u64, mut work: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    while count > 0 {
        let piece = usize::try_from(count).map_or(ZEROS.len(), |count| count.min(ZEROS.len()));
        work(&ZEROS[..piece])?;
        count -= piece as u64;
    }
    Ok(())
}

/// A writer that zeros can be announced to by number.
pub trait WriteZeros: Write {
    /// Writes `count` zeros.
    ///
    /// # Errors
    /// They cannot be written.
    fn zeros(&mut self, count: u64) -> io::Result<()> {
        in_pieces(count, |piece| self.write_all(piece))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_is_found_anywhere() {
        for length in [0, 1, 1023, 1024, 1025, 5000] {
            let mut bytes = vec![0; length];
            assert!(is_zero(&bytes));
            for at in [0, length / 2, length.saturating_sub(1)] {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = 0x80;
                    assert!(!is_zero(&bytes), "{at} of {length}");
                }
                bytes.fill(0);
            }
        }
    }

    #[test]
    fn pieces_add_up() {
        for count in [0, 1, 65_535, 65_536, 65_537, 1_000_000] {
            let mut sum = 0;
            in_pieces(count, |piece| {
                assert!(!piece.is_empty() && is_zero(piece));
                sum += piece.len() as u64;
                Ok(())
            })
            .unwrap();
            assert_eq!(sum, count);
        }
    }
}
