//! The superblock: what a kernel reads first.

use uuid::Uuid;

use super::format::{
    BLOCK, CHUNKS, DEVICE, GENERATION, Key, NODE, ROOT_DIRECTORY, Record, STRIPE, kind, seal, tree,
};
use super::nodes::Family;
use super::space::{Chunk, SUPERBLOCKS};

const MAGIC: &[u8; 8] = b"_BHRfS_M";
/// Bytes of a superblock.
const LENGTH: usize = 4096;
/// Where it has the chunks that find all others, and how many bytes those may take.
const CHUNK_LIST: usize = 811;
const MOST_CHUNK_LIST: usize = 2048;
/// Bytes of a label.
const LABEL: usize = 256;
/// There is a tree of free space, and it is right (`BTRFS_FEATURE_COMPAT_RO_*`).
const COMPATIBLE_READ_ONLY: u64 = 1 | 1 << 1;
/// Mixed references, more names of a file than one item holds, short items of nodes, and holes without
/// items (`BTRFS_FEATURE_INCOMPAT_*`): Linux 4.5 and later can mount all that.
const INCOMPATIBLE: u64 = 1 | 1 << 6 | 1 << 8 | 1 << 9;

/// The root of a tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Root {
    pub address: u64,
    pub level: u8,
}

/// What superblocks say.
#[derive(Debug)]
pub(super) struct Superblock<'a> {
    pub family: Family,
    pub device: Uuid,
    pub label: &'a str,
    /// The size of the disk in bytes.
    pub size: u64,
    /// Bytes of it that chunks take, all copies counted.
    pub in_chunks: u64,
    /// Bytes that are in use, counted once.
    pub used: u64,
    /// The first chunk.
    pub system: &'a Chunk,
    pub root: Root,
    pub chunks: Root,
    pub extents: Root,
    pub files: Root,
    pub devices: Root,
    pub sums: Root,
}

impl Superblock<'_> {
    /// Each copy, with its place on the disk.
    pub fn copies(&self) -> impl Iterator<Item = (u64, Vec<u8>)> {
        SUPERBLOCKS
            .into_iter()
            .filter(|at| at + (LENGTH as u64) < self.size)
            .map(|at| (at, self.bytes(at)))
    }

    fn bytes(&self, at: u64) -> Vec<u8> {
        let list = Record::new()
            .key(Key::new(CHUNKS, kind::CHUNK, self.system.start()))
            .chunk(self.system, self.device)
            .0;
        let mut label = self.label.as_bytes().to_vec();
        label.resize(LABEL, 0);
        let mut bytes = Record::new()
            .up_to(32)
            .uuid(self.family.file_system)
            .u64(at)
            .u64(1)
            .bytes(MAGIC)
            .u64(GENERATION)
            .u64(self.root.address)
            .u64(self.chunks.address)
            // No log.
            .u64(0)
            .u64(0)
            .u64(self.size)
            .u64(self.used)
            .u64(ROOT_DIRECTORY)
            .u64(1)
            .u32(BLOCK as u32)
            .u32(NODE as u32)
            .u32(NODE as u32)
            .u32(BLOCK as u32)
            .u32(list.len() as u32)
            .u64(GENERATION)
            .u64(0)
            .u64(COMPATIBLE_READ_ONLY)
            .u64(INCOMPATIBLE)
            // CRC-32C.
            .u16(0)
            .u8(self.root.level)
            .u8(self.chunks.level)
            .u8(0)
            .device(self.size, self.in_chunks, self.device, self.family)
            .bytes(&label)
            .u64(0)
            // The tree of identifiers is complete.
            .u64(GENERATION)
            .up_to(CHUNK_LIST)
            .bytes(&list)
            .up_to(CHUNK_LIST + MOST_CHUNK_LIST)
            .bytes(&self.backup())
            .up_to(LENGTH)
            .0;
        seal(&mut bytes);
        bytes
    }

    /// The roots once more, as a kernel notes them each time.
    fn backup(&self) -> Vec<u8> {
        let roots = [
            self.root,
            self.chunks,
            self.extents,
            self.files,
            self.devices,
            self.sums,
        ];
        let addresses = roots.iter().fold(Record::new(), |record, root| {
            record.u64(root.address).u64(GENERATION)
        });
        let counts = addresses.u64(self.size).u64(self.used).u64(1);
        let unused = counts.0.len() + 32;
        let levels = roots.iter().map(|root| root.level).collect::<Vec<_>>();
        counts.up_to(unused).bytes(&levels).0
    }
}

impl Record {
    /// A chunk, as the chunk tree and superblocks have it.
    pub(super) fn chunk(self, chunk: &Chunk, device: Uuid) -> Self {
        let record = self
            .u64(chunk.length)
            .u64(tree::EXTENT)
            .u64(STRIPE)
            .u64(chunk.kind)
            .u32(STRIPE as u32)
            .u32(STRIPE as u32)
            .u32(BLOCK as u32)
            .u16(chunk.copies.len() as u16)
            .u16(1);
        let copies = chunk.copies.iter();
        copies.fold(record, |record, copy| {
            record.u64(DEVICE).u64(*copy).uuid(device)
        })
    }

    /// The disk, of `size` bytes.
    pub(super) fn device(self, size: u64, in_chunks: u64, device: Uuid, family: Family) -> Self {
        self.u64(DEVICE)
            .u64(size)
            .u64(in_chunks)
            .u32(BLOCK as u32)
            .u32(BLOCK as u32)
            .u32(BLOCK as u32)
            // Its type, when it was added, where it begins; its group, and how fast it is.
            .u64(0)
            .u64(0)
            .u64(0)
            .u32(0)
            .u16(0)
            .uuid(device)
            .uuid(family.file_system)
    }
}
