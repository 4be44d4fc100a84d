//! Numbers, keys and marks as btrfs has them on a disk (the kernel's `include/uapi/linux/btrfs_tree.h`):
//! little-endian, with a CRC-32C of each block.

use crc::{Algorithm, CRC_32_ISCSI, Crc, Table};
use uuid::Uuid;

/// Bytes in a block of a file, which has a checksum of its own.
pub(super) const BLOCK: usize = 4096;
/// Bytes in a node of a tree.
pub(super) const NODE: usize = 16384;
/// Bytes of a node's header.
pub(super) const HEADER: usize = 101;
/// Bytes of a leaf for items.
pub(super) const LEAF: usize = NODE - HEADER;
/// Bytes of an item's key, place and length.
pub(super) const ITEM: usize = 25;
/// Nodes that one above the leaves can point at.
pub(super) const POINTERS: usize = LEAF / 33;
/// The most bytes in an item.
pub(super) const LARGEST_ITEM: usize = LEAF - ITEM;
/// Bytes of an entry of a directory, or an attribute, before its name.
pub(super) const ENTRY: usize = 30;
/// Chunks and what lies in them keep to multiples of this many bytes (`BTRFS_STRIPE_LEN`).
pub(super) const STRIPE: u64 = 65536;
/// The number of the transaction that wrote everything; those of `mkfs.btrfs` are smaller.
pub(super) const GENERATION: u64 = 8;
/// The number of the directory at the top of each subvolume.
pub(super) const TOP: u64 = 256;
/// The directory of the tree of trees that says which subvolume is mounted.
pub(super) const ROOT_DIRECTORY: u64 = 6;
/// To whom all chunks belong.
pub(super) const CHUNKS: u64 = 256;
/// The only disk.
pub(super) const DEVICE: u64 = 1;

/// Trees by their numbers.
pub(super) mod tree {
    pub const ROOT: u64 = 1;
    pub const EXTENT: u64 = 2;
    pub const CHUNK: u64 = 3;
    pub const DEVICE: u64 = 4;
    pub const FILES: u64 = 5;
    pub const SUMS: u64 = 7;
    pub const UUID: u64 = 9;
    pub const FREE: u64 = 10;
    pub const RELOCATION: u64 = -9_i64 as u64;
}

/// Kinds of items.
pub(super) mod kind {
    pub const INODE: u8 = 1;
    pub const NAME: u8 = 12;
    pub const FURTHER_NAME: u8 = 13;
    pub const ATTRIBUTE: u8 = 24;
    pub const ENTRY: u8 = 84;
    pub const NUMBERED_ENTRY: u8 = 96;
    pub const DATA: u8 = 108;
    pub const SUMS: u8 = 128;
    pub const ROOT: u8 = 132;
    pub const ROOT_ABOVE: u8 = 144;
    pub const ROOT_BELOW: u8 = 156;
    pub const EXTENT: u8 = 168;
    pub const NODE: u8 = 169;
    pub const IN_NODE: u8 = 176;
    pub const IN_FILE: u8 = 178;
    pub const GROUP: u8 = 192;
    pub const FREE_INFO: u8 = 198;
    pub const FREE: u8 = 199;
    pub const PLACE: u8 = 204;
    pub const DEVICE: u8 = 216;
    pub const CHUNK: u8 = 228;
    pub const UUID: u8 = 251;
}

const CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// The same without what is done to it in the end, as hashes have it.
const RAW: Algorithm<u32> = Algorithm {
    xorout: 0,
    ..CRC_32_ISCSI
};
const RAW_CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&RAW);

/// Where an item belongs in a tree; the order of fields is the order of items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub object: u64,
    pub kind: u8,
    pub offset: u64,
}

impl Key {
    pub const fn new(object: u64, kind: u8, offset: u64) -> Self {
        Self {
            object,
            kind,
            offset,
        }
    }
}

/// Bytes that are put together from the first to the last.
#[derive(Clone, Debug, Default)]
pub(super) struct Record(pub Vec<u8>);

impl Record {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn u8(self, value: u8) -> Self {
        self.bytes(&[value])
    }

    pub fn u16(self, value: u16) -> Self {
        self.bytes(&value.to_le_bytes())
    }

    pub fn u32(self, value: u32) -> Self {
        self.bytes(&value.to_le_bytes())
    }

    pub fn u64(self, value: u64) -> Self {
        self.bytes(&value.to_le_bytes())
    }

    pub fn uuid(self, value: Uuid) -> Self {
        self.bytes(value.as_bytes())
    }

    pub fn key(self, key: Key) -> Self {
        self.u64(key.object).u8(key.kind).u64(key.offset)
    }

    /// Zeros up to a length.
    pub fn up_to(mut self, length: usize) -> Self {
        self.0.resize(length, 0);
        self
    }
}

/// The checksum of a block of a file.
pub(super) fn sum(bytes: &[u8]) -> u32 {
    CRC.checksum(bytes)
}

/// Puts the checksum of a node or a superblock at its beginning, where 32 bytes are left for it.
pub(super) fn seal(bytes: &mut [u8]) {
    let sum = CRC.checksum(&bytes[32..]);
    bytes[..4].copy_from_slice(&sum.to_le_bytes());
}

fn hash(seed: u32, bytes: &[u8]) -> u32 {
    let mut digest = RAW_CRC.digest_with_initial(seed.reverse_bits());
    digest.update(bytes);
    digest.finalize()
}

/// The hash of a name in a directory, or of an attribute's (`btrfs_name_hash`).
pub(super) fn name_hash(name: &[u8]) -> u64 {
    hash(!1, name).into()
}

/// The hash of one of many names of a file in the directory `parent` (`btrfs_extref_hash`).
pub(super) fn further_name_hash(parent: u64, name: &[u8]) -> u64 {
    hash(parent as u32, name).into()
}

/// By what the users of an extent are ordered (`hash_extent_data_ref`).
pub(super) fn use_hash(tree: u64, inode: u64, offset: u64) -> u64 {
    let high = hash(u32::MAX, &tree.to_le_bytes());
    let low = hash(u32::MAX, &inode.to_le_bytes());
    let low = hash(low, &offset.to_le_bytes());
    u64::from(high) << 31 ^ u64::from(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_the_kernels() {
        // Of the entry that mkfs.btrfs makes.
        assert_eq!(name_hash(b"default"), 2_378_154_706);
        assert_eq!(further_name_hash(0xffff_fffe, b"default"), 2_378_154_706);
        assert_eq!(sum(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn keys_are_in_the_order_of_objects_kinds_and_offsets() {
        let key = Key::new;
        let sorted = [
            key(1, 255, u64::MAX),
            key(2, 1, 5),
            key(2, 2, 0),
            key(2, 2, 1),
        ];
        assert!(sorted.is_sorted());
        assert_eq!(Record::new().key(sorted[1]).0.len(), 17);
    }
}
