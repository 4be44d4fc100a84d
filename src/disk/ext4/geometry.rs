//! How much of an ext4 file system is left for files: the arithmetic of mke2fs.
//!
//! Source: `ext2fs_initialize` and `ext2fs_default_journal_size` of e2fsprogs 1.47, for the features
//! in [`super::FEATURES`]. The tests compare the outcome with dumpe2fs.

use crate::disk::Content;

/// Bytes in a block.
pub const BLOCK: u64 = 4096;
/// Blocks in a group: one bitmap's worth.
const GROUP: u64 = 8 * BLOCK;
/// Inodes in a block.
const INODES_PER_BLOCK: u64 = BLOCK / super::INODE_SIZE;
/// Group descriptors (64 bytes each with the `64bit` feature) in a block.
const DESCRIPTORS_PER_BLOCK: u64 = BLOCK / 64;
/// Bytes of file system for each inode, as mke2fs does by default.
const INODE_RATIO: u64 = 16_384;
/// Inodes that the file system keeps for itself, and `lost+found`.
const RESERVED_INODES: u64 = 11;
/// Room for names in a directory block: what remains beside the checksum at its end.
const NAME_ROOM: u64 = BLOCK - 12;
/// The largest directory entry: 255 bytes of name and 8 before it, in steps of 4.
const LARGEST_NAME: u64 = 264;
/// Extents in a block of a file's extent tree.
const EXTENTS_PER_BLOCK: u64 = 340;
/// Blocks beside those of files: `lost+found`, the resize inode's, and an extent tree's for the journal.
const FIXED: u64 = 4 + 1 + 1;
/// mke2fs gives up a last group that has fewer blocks left than this.
const LEAST_IN_LAST_GROUP: u64 = 50;

/// The inner dimensions of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Its size in blocks; a last group too small to be of use is already taken off.
    pub blocks: u64,
    /// Its inodes.
    pub inodes: u64,
    /// Blocks of its journal; 0: none.
    pub journal: u64,
    /// Blocks taken by everything that is not a file or directory, the journal included.
    pub overhead: u64,
}

impl Geometry {
    /// The dimensions of a file system of `blocks` with at least `inodes`; `None` where it is too
    /// small for its own data or the inodes are too many for it.
    #[must_use]
    pub fn new(blocks: u64, inodes: u64, journal: bool) -> Option<Self> {
        let mut blocks = blocks;
        loop {
            let groups = blocks.div_ceil(GROUP);
            let inode_blocks = inodes
                .max(RESERVED_INODES + 1)
                .div_ceil(groups.max(1))
                .div_ceil(INODES_PER_BLOCK);
            if groups == 0 || inode_blocks > GROUP / INODES_PER_BLOCK {
                return None;
            }
            let descriptors = groups.div_ceil(DESCRIPTORS_PER_BLOCK);
            let backup = 1 + descriptors + reserved_descriptors(blocks, descriptors);
            if 2 + backup + inode_blocks > GROUP {
                return None;
            }
            let in_last = blocks % GROUP;
            let last = groups - 1;
            let last_backup = u64::from(with_backup(groups).any(|group| group == last));
            let last_needs = 2 + inode_blocks + last_backup * backup;
            if in_last > 0 && in_last < last_needs + LEAST_IN_LAST_GROUP {
                blocks -= in_last;
                continue;
            }
            let journal = if journal { journal_blocks(blocks) } else { 0 };
            let backups = with_backup(groups).count() as u64;
            let overhead = groups * (2 + inode_blocks) + backups * backup + journal;
            return Some(Self {
                blocks,
                inodes: inode_blocks * INODES_PER_BLOCK * groups,
                journal,
                overhead,
            });
        }
    }

    /// Blocks for files and directories.
    #[must_use]
    pub const fn free(&self) -> u64 {
        self.blocks.saturating_sub(self.overhead + FIXED)
    }
}

/// Room for more group descriptors, so that the file system can grow to 1024 times its size while
/// it is mounted.
fn reserved_descriptors(blocks: u64, descriptors: u64) -> u64 {
    const LARGEST: u64 = u32::MAX as u64;
    if blocks > LARGEST {
        return 0;
    }
    let largest = if blocks < LARGEST / 1024 {
        blocks * 1024
    } else {
        LARGEST
    };
    largest
        .div_ceil(GROUP)
        .div_ceil(DESCRIPTORS_PER_BLOCK)
        .saturating_sub(descriptors)
        .min(BLOCK / 4)
}

/// The groups below `groups` that hold a copy of the superblock: 0, 1, and the powers of 3, 5 and 7.
fn with_backup(groups: u64) -> impl Iterator<Item = u64> {
    let powers =
        |base: u64| std::iter::successors(Some(base), move |power| power.checked_mul(base));
    [0, 1]
        .into_iter()
        .filter(move |group| *group < groups)
        .chain(
            [3, 5, 7]
                .into_iter()
                .flat_map(move |base| powers(base).take_while(move |power| *power < groups)),
        )
}

/// The journal of a file system of that many blocks; 0 where it is too small for one.
fn journal_blocks(blocks: u64) -> u64 {
    match blocks / 1024 {
        0..2 => 0,
        2..32 => 1024,
        32..256 => 4096,
        256..512 => 8192,
        512..4096 => 16_384,
        4096..8192 => 32_768,
        8192..16_384 => 65_536,
        16_384..32_768 => 131_072,
        _ => 262_144,
    }
}

/// The inodes to ask for: one for each [`INODE_RATIO`] bytes, or what the files need and then some.
#[must_use]
pub fn inodes(blocks: u64, content: &Content, read_only: bool) -> u64 {
    let spare = if read_only {
        0
    } else {
        (content.inodes / 10).max(1024)
    };
    let needed = content
        .inodes
        .saturating_add(RESERVED_INODES)
        .saturating_add(spare);
    needed
        .max(blocks / (INODE_RATIO / BLOCK))
        .min(u64::from(u32::MAX))
}

/// Blocks that files and directories take at the very least.
#[must_use]
pub fn least_blocks(content: &Content) -> u64 {
    let names = content
        .name_bytes
        .saturating_add(content.names.saturating_mul(8));
    (content.data_bytes / BLOCK)
        .saturating_add(content.directories.max(names / NAME_ROOM))
        .saturating_add(content.long_symlinks)
}

/// Blocks that are sure to be enough for files and directories.
#[must_use]
pub fn most_blocks(content: &Content) -> u64 {
    let data = content.data_bytes.div_ceil(BLOCK);
    // Each entry has 8 bytes before its name and ends on a multiple of 4, and the end of a block
    // goes unused when the next entry does not fit; `.` and `..` are in each directory's first block.
    let names = content
        .name_bytes
        .saturating_add(content.names.saturating_mul(8 + 3))
        .saturating_add(content.directories.saturating_mul(24));
    data.saturating_add(data / EXTENTS_PER_BLOCK + 16)
        .saturating_add(content.directories)
        .saturating_add(names / (NAME_ROOM - LARGEST_NAME))
        .saturating_add(content.long_symlinks)
        .saturating_add(content.with_xattrs)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn superblock_copies_lie_in_the_known_groups() {
        let mut with: Vec<_> = with_backup(344).collect();
        with.sort_unstable();
        assert_eq!(with, [0, 1, 3, 5, 7, 9, 25, 27, 49, 81, 125, 243, 343]);
        assert_eq!(with_backup(343).count(), 12);
        assert_eq!(with_backup(1).collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn overhead_is_what_mke2fs_reports() {
        // Blocks, inodes asked for → blocks, inodes, overhead clusters by dumpe2fs (e2fsprogs 1.47.0).
        for (blocks, asked, journal, expected) in [
            (262_144, 65_536, true, (262_144, 65_536, 12_949)),
            (262_144, 65_536, false, (262_144, 65_536, 4757)),
        ] {
            let geometry = Geometry::new(blocks, asked, journal).unwrap();
            assert_eq!(
                (geometry.blocks, geometry.inodes, geometry.overhead),
                expected
            );
        }
    }

    #[test]
    fn too_small_or_too_many_inodes_is_none() {
        assert_eq!(Geometry::new(0, 16, false), None);
        assert_eq!(Geometry::new(10, 16, false), None);
        assert_eq!(Geometry::new(32_768, 32_769, false), None);
        assert!(Geometry::new(32_768, 32_768, false).is_some());
    }

    proptest! {
        #[test]
        fn never_larger_than_asked_and_never_fewer_inodes(
            blocks in 64_u64..1 << 33, inodes in 1_u64..1 << 20, journal: bool,
        ) {
            if let Some(geometry) = Geometry::new(blocks, inodes, journal) {
                prop_assert!(geometry.blocks <= blocks);
                prop_assert!(blocks - geometry.blocks < GROUP);
                prop_assert!(geometry.inodes >= inodes);
            }
        }

        #[test]
        fn least_is_never_above_most(
            data in 0_u64..1 << 40, inodes in 1_u64..1 << 24, directories in 1_u64..1 << 20,
            name in 1_u64..255, long_symlinks in 0_u64..1000,
        ) {
            let content = Content {
                data_bytes: data,
                inodes,
                directories,
                names: inodes,
                name_bytes: inodes * name,
                long_symlinks,
                with_xattrs: 0,
            };
            prop_assert!(least_blocks(&content) <= most_blocks(&content));
        }
    }
}
