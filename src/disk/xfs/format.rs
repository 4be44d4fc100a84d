//! Numbers and marks as XFS has them on a disk (XFS Algorithms & Data Structures, third edition):
//! big-endian, with a CRC-32C of each block that is little-endian.

use crc::{CRC_32_ISCSI, Crc, Table};
use uuid::Uuid;

/// Bytes in a block, here.
pub(super) const BLOCK: usize = 4096;
/// Bytes in a sector, here; disk addresses in headers count these.
pub(super) const SECTOR: usize = 512;
/// Bytes of an inode, here.
pub(super) const INODE: usize = 512;
/// Inodes that are allocated at once.
pub(super) const CHUNK: usize = 64;
/// No block of an allocation group.
pub(super) const NO_AG_BLOCK: u32 = u32::MAX;
/// No block.
pub(super) const NO_BLOCK: u64 = u64::MAX;

const CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// Bytes of a block that is put together.
#[derive(Clone, Debug)]
pub(super) struct Bytes(pub Vec<u8>);

impl Bytes {
    /// A block of zeros.
    pub fn block() -> Self {
        Self(vec![0; BLOCK])
    }

    pub fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    pub fn u8(&mut self, at: usize, value: u8) {
        self.0[at] = value;
    }

    pub fn u16(&mut self, at: usize, value: u16) {
        self.put(at, &value.to_be_bytes());
    }

    pub fn u32(&mut self, at: usize, value: u32) {
        self.put(at, &value.to_be_bytes());
    }

    pub fn u64(&mut self, at: usize, value: u64) {
        self.put(at, &value.to_be_bytes());
    }

    pub fn uuid(&mut self, at: usize, value: Uuid) {
        self.put(at, value.as_bytes());
    }

    /// Puts the checksum of all bytes at `at`, which counts as zeros itself.
    pub fn seal(&mut self, at: usize) {
        self.put(at, &[0; 4]);
        let sum = CRC.checksum(&self.0);
        self.put(at, &sum.to_le_bytes());
    }

    pub fn read_u16(&self, at: usize) -> u16 {
        u16::from_be_bytes(self.array(at))
    }

    pub fn read_u32(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.array(at))
    }

    pub fn read_u64(&self, at: usize) -> u64 {
        u64::from_be_bytes(self.array(at))
    }

    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut array = [0; N];
        array.copy_from_slice(&self.0[at..at + N]);
        array
    }
}

/// A number that looks like any other, always the same for one inode of one file system: network file
/// systems tell by it whether an inode is still the same file.
pub(super) fn generation(uuid: Uuid, inode: u64) -> u32 {
    let mut digest = CRC.digest();
    digest.update(uuid.as_bytes());
    digest.update(&inode.to_be_bytes());
    digest.finalize()
}

/// The hash of a name in directories and among attributes (`xfs_da_hashname`).
pub(super) fn hash(name: &[u8]) -> u32 {
    let mut hash = 0_u32;
    let mut four = name.chunks_exact(4);
    for part in &mut four {
        let [a, b, c, d] = [part[0], part[1], part[2], part[3]].map(u32::from);
        hash = (a << 21) ^ (b << 14) ^ (c << 7) ^ d ^ hash.rotate_left(28);
    }
    match four.remainder() {
        [a, b, c] => {
            let [a, b, c] = [*a, *b, *c].map(u32::from);
            (a << 14) ^ (b << 7) ^ c ^ hash.rotate_left(21)
        }
        [a, b] => (u32::from(*a) << 7) ^ u32::from(*b) ^ hash.rotate_left(14),
        [a] => u32::from(*a) ^ hash.rotate_left(7),
        _ => hash,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_of_names_are_the_kernels() {
        // As `xfs_db -c "hash NAME"` has them.
        for (name, expected) in [
            ("usr", 0x001d_79f2),
            ("lost+found", 0x021a_a60c),
            ("mkosi.default", 0x83bd_9ea3),
            ("a-name-of-some-length", 0x7e9d_2ef5),
        ] {
            assert_eq!(hash(name.as_bytes()), expected, "{name}");
        }
    }
}
