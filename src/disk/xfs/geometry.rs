//! What mkfs.xfs decided: read from the empty file system that it made.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use uuid::Uuid;

use super::format::{BLOCK, Bytes, INODE, SECTOR};

/// `XFS_SB_FEAT_INCOMPAT_BIGTIME`.
const BIGTIME: u32 = 1 << 3;
/// `XFS_SB_FEAT_RO_COMPAT_INOBTCNT`.
const COUNTED_INODE_TREES: u32 = 1 << 3;

/// The file system's shape.
#[derive(Clone, Debug)]
pub(super) struct Geometry {
    pub uuid: Uuid,
    /// Blocks of an allocation group; the last may have fewer.
    pub group_blocks: u32,
    pub groups: Vec<Group>,
    /// How many bits of a block's number say where in its group it is.
    pub group_bits: u32,
    pub root: u64,
    /// The journal's first block and its length, in blocks of the device.
    pub log: (u64, u64),
    /// Times are counted in nanoseconds.
    pub big_times: bool,
    /// Groups count the blocks of their trees of inodes.
    pub counts_inode_trees: bool,
}

/// What mkfs.xfs put into an allocation group.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// Superblock, and the headers of free space, inodes and the free list.
    pub headers: [Bytes; 4],
    pub blocks: u32,
    /// Blocks with the roots of the trees: free space by place and by length, inodes, inode chunks
    /// with free ones.
    pub by_place: u32,
    pub by_length: u32,
    pub inodes: u32,
    pub free_inodes: u32,
    /// What is free: first block and length, in order.
    pub free: Vec<(u32, u32)>,
}

impl Geometry {
    /// Reads an empty file system from a file of its own.
    pub fn read(file: &File) -> io::Result<Self> {
        let superblock = read(file, 0, SECTOR)?;
        let wrong = |what: &str| io::Error::other(format!("mkfs.xfs made {what}"));
        if superblock.read_u32(0) != u32::from_be_bytes(*b"XFSB") {
            return Err(wrong("no XFS"));
        }
        let sizes = [
            superblock.read_u32(4) as usize,
            usize::from(superblock.read_u16(102)),
            usize::from(superblock.read_u16(104)),
        ];
        if sizes != [BLOCK, SECTOR, INODE] || superblock.0[192] != 0 {
            return Err(wrong("an XFS of other sizes than it was asked for"));
        }
        let group_blocks = superblock.read_u32(84);
        let group_bits = u32::from(superblock.0[124]);
        let block = |number: u64| {
            let group = number >> group_bits;
            group * u64::from(group_blocks) + (number & ((1 << group_bits) - 1))
        };
        let groups = (0..superblock.read_u32(88))
            .map(|number| group(file, u64::from(number) * u64::from(group_blocks)))
            .collect::<io::Result<Vec<_>>>()?;
        let mut id = [0; 16];
        id.copy_from_slice(&superblock.0[32..48]);
        Ok(Self {
            uuid: Uuid::from_bytes(id),
            group_blocks,
            groups,
            group_bits,
            root: superblock.read_u64(56),
            log: (
                block(superblock.read_u64(48)),
                superblock.read_u32(96).into(),
            ),
            big_times: superblock.read_u32(216) & BIGTIME != 0,
            counts_inode_trees: superblock.read_u32(212) & COUNTED_INODE_TREES != 0,
        })
    }

    /// A block's number from its group and its place in there.
    pub fn block(&self, group: u32, block: u32) -> u64 {
        u64::from(group) << self.group_bits | u64::from(block)
    }

    /// Where a block is, in blocks from the beginning.
    pub fn place(&self, number: u64) -> u64 {
        let mask = (1 << self.group_bits) - 1;
        (number >> self.group_bits) * u64::from(self.group_blocks) + (number & mask)
    }

    /// A block's address as headers have it, in sectors.
    pub fn address(&self, number: u64) -> u64 {
        self.place(number) * (BLOCK / SECTOR) as u64
    }
}

fn group(file: &File, start: u64) -> io::Result<Group> {
    let header = |number: u64| read(file, start * BLOCK as u64 + number * SECTOR as u64, SECTOR);
    let headers = [header(0)?, header(1)?, header(2)?, header(3)?];
    let [_, free, inodes, _] = &headers;
    let by_place = free.read_u32(16);
    let tree = read(file, (start + u64::from(by_place)) * BLOCK as u64, BLOCK)?;
    if tree.read_u16(4) != 0 {
        return Err(io::Error::other("mkfs.xfs left free space in many parts"));
    }
    let records = usize::from(tree.read_u16(6));
    let record = |number: usize| {
        let at = 56 + number * 8;
        (tree.read_u32(at), tree.read_u32(at + 4))
    };
    Ok(Group {
        blocks: free.read_u32(12),
        by_place,
        by_length: free.read_u32(20),
        inodes: inodes.read_u32(20),
        free_inodes: inodes.read_u32(328),
        free: (0..records).map(record).collect(),
        headers,
    })
}

/// Some bytes of a file.
pub(super) fn read(file: &File, at: u64, length: usize) -> io::Result<Bytes> {
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, at)?;
    Ok(Bytes(bytes))
}
