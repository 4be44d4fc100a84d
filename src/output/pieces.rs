//! Cuts what is written into pieces of one size; those that are nothing but zeros are only counted.

use crate::host::zeros::is_zero;

/// A piece that is complete.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Bytes that are not all zero.
    Data(Vec<u8>),
    /// Nothing but zeros.
    Zeros,
}

/// The piece that is being filled.
#[derive(Debug)]
pub struct Pieces {
    size: usize,
    /// Zeros at the beginning, which take no memory.
    zeros: usize,
    /// What follows them, or everything.
    bytes: Vec<u8>,
}

impl Pieces {
    /// Pieces of `size` bytes.
    pub fn new(size: usize) -> Self {
        Self {
            size,
            zeros: 0,
            bytes: Vec::new(),
        }
    }

    /// Takes some of `bytes`: how many, and the piece, if it is complete.
    pub fn add(&mut self, bytes: &[u8]) -> (usize, Option<Piece>) {
        if self.bytes.is_empty() {
            self.bytes.reserve_exact(self.size);
            self.bytes.resize(self.zeros, 0);
            self.zeros = 0;
        }
        let taken = bytes.len().min(self.size - self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..taken]);
        (taken, self.complete())
    }

    /// The same for `count` zeros.
    pub fn add_zeros(&mut self, count: u64) -> (u64, Option<Piece>) {
        let room = self.size - self.zeros - self.bytes.len();
        let taken = usize::try_from(count).map_or(room, |count| count.min(room));
        if self.bytes.is_empty() {
            self.zeros += taken;
        } else {
            self.bytes.resize(self.bytes.len() + taken, 0);
        }
        (taken as u64, self.complete())
    }

    /// What is left: a piece that is not complete, maybe empty.
    pub fn rest(self) -> Vec<u8> {
        if self.bytes.is_empty() {
            vec![0; self.zeros]
        } else {
            self.bytes
        }
    }

    fn complete(&mut self) -> Option<Piece> {
        if self.zeros == self.size {
            self.zeros = 0;
            return Some(Piece::Zeros);
        }
        if self.bytes.len() < self.size {
            return None;
        }
        // However the zeros came, the piece is the same.
        if is_zero(&self.bytes) {
            self.bytes.clear();
            return Some(Piece::Zeros);
        }
        Some(Piece::Data(std::mem::take(&mut self.bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_cut_whatever_comes() {
        enum Part {
            Bytes(&'static [u8]),
            Zeros(u64),
        }
        use Part::{Bytes, Zeros};
        for (parts, expected) in [
            (vec![], vec![vec![]]),
            (vec![Bytes(b"abc")], vec![b"abc".to_vec()]),
            (
                vec![Bytes(b"abcdef")],
                vec![b"abcd".to_vec(), b"ef".to_vec()],
            ),
            (vec![Zeros(9)], vec![vec![], vec![], vec![0]]),
            (vec![Bytes(&[0; 5])], vec![vec![], vec![0]]),
            (
                vec![Zeros(2), Bytes(&[0, 0]), Bytes(b"a")],
                vec![vec![], b"a".to_vec()],
            ),
            (
                vec![Zeros(3), Bytes(b"ab")],
                vec![b"\0\0\0a".to_vec(), b"b".to_vec()],
            ),
            (
                vec![Bytes(b"a"), Zeros(8)],
                vec![b"a\0\0\0".to_vec(), vec![], vec![0]],
            ),
        ] {
            let mut pieces = Pieces::new(4);
            // Pieces of zeros are shown as nothing.
            let mut seen = Vec::new();
            let mut keep = |piece| {
                seen.extend(match piece {
                    None => None,
                    Some(Piece::Zeros) => Some(Vec::new()),
                    Some(Piece::Data(bytes)) => Some(bytes),
                });
            };
            for part in parts {
                match part {
                    Bytes(mut bytes) => {
                        while !bytes.is_empty() {
                            let (taken, piece) = pieces.add(bytes);
                            keep(piece);
                            bytes = &bytes[taken..];
                        }
                    }
                    Zeros(mut count) => {
                        while count > 0 {
                            let (taken, piece) = pieces.add_zeros(count);
                            keep(piece);
                            count -= taken;
                        }
                    }
                }
            }
            seen.push(pieces.rest());
            assert_eq!(seen, expected);
        }
    }
}
