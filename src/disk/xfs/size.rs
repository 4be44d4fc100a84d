//! How large an XFS file system must be for what goes into it.
//!
//! Source: the formulas of `libxfs` and `xfs_fsops.c` (Linux 6.1) for what a mount keeps for itself,
//! with the features in [`super::FEATURES`]. Each counts up; the tests fill file systems of exactly
//! these sizes.

use super::BLOCK;
use crate::disk::Content;

/// The smallest file system that mkfs.xfs makes: 300 MiB (since xfsprogs 5.19).
pub const LEAST: u64 = 300 << 20;
/// The size of a root file system that holds little and whose size nobody set: 1300 MiB.
pub const SMALLEST_AUTOMATIC: u64 = 1300 << 20;
/// Room in bytes that a writable file system of automatic size has beside its files, at least.
const LEAST_ROOM: u64 = 64 << 20;
/// Sizes are searched in steps of 1 MiB.
const STEP: u64 = (1 << 20) / BLOCK;
/// Blocks of the smallest journal that mkfs.xfs makes: 64 MiB.
const LEAST_LOG: u64 = (64 << 20) / BLOCK;
/// Blocks of the largest one: a little below 2 GiB.
const MOST_LOG: u64 = (2000 << 20) / BLOCK;
/// Allocation groups are at most this large.
const LARGEST_GROUP: u64 = 1 << 40;
/// Inodes of 512 bytes in a block.
const INODES_PER_BLOCK: u64 = BLOCK / 512;
/// Blocks of a chunk of 64 inodes.
const CHUNK: u64 = 64 / INODES_PER_BLOCK;
/// A mount keeps a twentieth for itself, but no more than these blocks.
const RESERVE: u64 = 8192;
/// The share of the blocks that inodes may take where nothing else is said, in percent.
const INODE_PERCENT: u64 = 25;

/// How many allocation groups there are.
pub fn groups(size: u64) -> u64 {
    // At the limit mkfs.xfs would round up to a group that is too large.
    (size / (LARGEST_GROUP - (1 << 30)) + 1).max(4)
}

/// The journal's size in blocks.
pub fn log_blocks(size: u64) -> u64 {
    (size / BLOCK / 2048).clamp(LEAST_LOG, MOST_LOG)
}

/// The share that inodes may take, where the usual one is too little for `content`, in percent.
pub fn inode_percent(size: u64, content: &Content) -> Option<u64> {
    let usual = size / BLOCK * INODE_PERCENT / 100;
    (inode_blocks(content, size) > usual / 10 * 9).then_some(100)
}

/// Blocks for files and directories in a file system of `size` bytes.
fn free(size: u64) -> u64 {
    let blocks = size / BLOCK;
    // Each group's own blocks, and what stays unused at the ends of its trees.
    let fixed = groups(size) * 32 + 64;
    // The most that the trees of shared blocks and of free inodes can become is kept free for them:
    // a record for each block at 168 to a half-full leaf, one for each 64 inodes at 250.
    let trees = blocks / 168 + blocks / 1900;
    blocks
        .saturating_sub(log_blocks(size))
        .saturating_sub(trees)
        .saturating_sub((blocks / 20).min(RESERVE))
        .saturating_sub(fixed)
}

fn inode_blocks(content: &Content, size: u64) -> u64 {
    // Chunks are begun in each group, and directories try to keep theirs apart.
    let chunks = content.inodes.div_ceil(64) + content.inodes / 2048 + 2 * groups(size);
    chunks * CHUNK
}

/// Blocks that are sure to be enough for files and directories.
fn most_blocks(content: &Content, size: u64) -> u64 {
    let data = content.data_bytes.div_ceil(BLOCK);
    // An entry has 12 bytes beside its name, ends on a multiple of 8 and has 8 more in the index;
    // blocks of large directories are half full at worst, three quarters on the whole.
    let names = content
        .name_bytes
        .saturating_add(content.names.saturating_mul(12 + 7 + 8));
    data.saturating_add(data / 250 + 16)
        .saturating_add(inode_blocks(content, size))
        .saturating_add(content.directories)
        .saturating_add(names / (BLOCK * 3 / 4))
        .saturating_add(content.long_symlinks)
        .saturating_add(content.with_xattrs)
}

/// Blocks that files take at the very least.
fn least_blocks(content: &Content) -> u64 {
    (content.data_bytes / BLOCK).saturating_add(content.inodes / INODES_PER_BLOCK)
}

/// Whether a file system of `size` bytes may hold `content`.
pub fn fits(size: u64, content: &Content) -> bool {
    size >= LEAST && free(size) >= least_blocks(content)
}

/// The smallest size in bytes, in whole MiB, that is sure to hold `content`.
#[must_use]
pub fn needed(content: &Content) -> u64 {
    search(content, 0)
}

/// The size in bytes where none is set: what the files need, room to work with unless it is
/// read-only, and at least [`SMALLEST_AUTOMATIC`].
#[must_use]
pub fn automatic(content: &Content, read_only: bool) -> u64 {
    let room = if read_only {
        0
    } else {
        (content.data_bytes / BLOCK / 10).max(LEAST_ROOM / BLOCK)
    };
    search(content, room).max(SMALLEST_AUTOMATIC)
}

/// The smallest file system, in steps, that holds `content` and `room` more blocks.
fn search(content: &Content, room: u64) -> u64 {
    // Beyond this no file can be; the layout refuses it with a message.
    const LARGEST: u64 = i64::MAX as u64;
    let mut size = LEAST;
    loop {
        let wanted = most_blocks(content, size).saturating_add(room);
        let missing = wanted.saturating_sub(free(size));
        if missing == 0 {
            return size;
        }
        match missing
            .checked_next_multiple_of(STEP)
            .and_then(|blocks| blocks.checked_mul(BLOCK))
            .and_then(|bytes| size.checked_add(bytes))
            .filter(|size| *size < LARGEST)
        {
            Some(larger) => size = larger,
            None => return LARGEST,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(mebibytes: u64, inodes: u64) -> Content {
        Content::roughly(mebibytes << 20, inodes, inodes / 10 + 1)
    }

    #[test]
    fn a_small_tree_gets_the_usual_size() {
        for read_only in [false, true] {
            assert_eq!(automatic(&content(200, 10_000), read_only), 1300 << 20);
        }
        assert_eq!(needed(&Content::default()), LEAST);
    }

    #[test]
    fn sizes_follow_the_content_without_waste() {
        for mebibytes in [100, 500, 1000, 5000, 50_000, 500_000] {
            let content = content(mebibytes, mebibytes * 50);
            let size = needed(&content);
            assert!(size > mebibytes << 20);
            assert!(
                size < (mebibytes << 20) * 11 / 10 + (200 << 20),
                "{mebibytes}: {size}"
            );
            assert!(fits(size, &content));
            assert!(!fits(mebibytes << 20, &content));
            assert!(automatic(&content, false) > size);
        }
    }

    #[test]
    fn many_empty_files_may_fill_it() {
        let content = content(1, 2_000_000);
        let size = needed(&content);
        assert_eq!(inode_percent(size, &content), Some(100));
        assert_eq!(inode_percent(10 << 30, &content), None);
    }

    #[test]
    fn large_ones_have_more_groups() {
        assert_eq!(groups(300 << 20), 4);
        assert_eq!(groups(3 << 40), 4);
        for size in [5 << 40, 100 << 40] {
            assert!(size / groups(size) < LARGEST_GROUP);
        }
    }

    #[test]
    fn absurd_contents_end_the_search() {
        let content = Content {
            data_bytes: u64::MAX,
            inodes: u64::MAX / 1024,
            directories: u64::MAX,
            names: u64::MAX,
            name_bytes: u64::MAX,
            long_symlinks: u64::MAX,
            with_xattrs: u64::MAX,
        };
        assert_eq!(needed(&content), i64::MAX as u64);
    }
}
