//! How large a btrfs file system must be for what goes into it.
//!
//! Space is handed out in chunks, for data or for metadata, of up to a tenth of the file system: what
//! a half-used chunk of one holds is lost to the other. Sizes of items are those of the on-disk format
//! (the kernel's `include/uapi/linux/btrfs_tree.h`); the tests fill file systems of these sizes.

use crate::disk::Content;
use crate::host::BtrfsUsage;

const BLOCK: u64 = 4096;
const MIB: u64 = 1 << 20;
/// Before each item in a leaf.
const KEY: u64 = 25;
/// Files of up to this many bytes are kept in the metadata.
const INLINE: u64 = 2048;
/// The largest metadata chunk of a file system below 50 GB.
const LARGEST_CHUNK: u64 = 256 * MIB;
/// The smallest chunk that pays.
const SMALLEST_CHUNK: u64 = 32 * MIB;
/// Kept free so that metadata can always be written (`btrfs_init_global_block_rsv`), at least.
const RESERVE: u64 = 6 * MIB;
/// One copy of the chunk tree.
const SYSTEM: u64 = 4 * MIB;
/// What is left alone at the start: 1 MiB, and what ends up unused between chunks.
const START: u64 = 2 * MIB;

/// How many sizes are tried when shrinking.
pub(super) const TRIES: u32 = 5;

/// Bytes of metadata, once, at the most.
fn metadata(content: &Content) -> u64 {
    let inodes = content.inodes.saturating_mul(160 + KEY);
    // Each name is in its inode and twice in its directory.
    let names = content
        .names
        .saturating_mul(10 + 2 * 30 + 3 * KEY)
        .saturating_add(content.name_bytes.saturating_mul(3));
    // Each file with data has an extent: of the file, and in the extent tree.
    let extents = content.inodes.saturating_mul(53 + 53 + 2 * KEY);
    let inline = content
        .inodes
        .min(content.data_bytes / BLOCK)
        .saturating_mul(INLINE / 4);
    let sums = content.data_bytes / BLOCK * 4;
    let xattrs = content.with_xattrs.saturating_mul(300);
    let links = content.long_symlinks.saturating_mul(BLOCK);
    // Leaves are two thirds full.
    [names, extents, inline, sums, xattrs, links]
        .into_iter()
        .fold(inodes, u64::saturating_add)
        .saturating_mul(3)
        / 2
}

/// The smallest size in bytes, in whole MiB, that is sure to hold `content` and `room` more bytes,
/// with so many copies of the metadata.
pub(super) fn needed(content: &Content, copies: u64, room: u64) -> u64 {
    let data = content.data_bytes.saturating_add(room);
    with_chunks(data, metadata(content), copies)
}

/// The size that this much data and metadata take when neither has a chunk of its own to spare.
fn with_chunks(data: u64, metadata: u64, copies: u64) -> u64 {
    // Beyond this no file can be; the layout refuses it with a message.
    const LARGEST: u64 = i64::MAX as u64;
    let fixed = data
        .saturating_add(data / 100)
        .saturating_add(metadata.saturating_add(RESERVE).saturating_mul(copies))
        .saturating_add(SYSTEM * copies + START);
    // A chunk of metadata that has just been begun, which is a tenth of the whole.
    let chunk = |size: u64| (size / 10).clamp(SMALLEST_CHUNK, LARGEST_CHUNK) * copies;
    let mut size = fixed;
    for _ in 0..8 {
        size = fixed.saturating_add(chunk(size));
    }
    size.checked_next_multiple_of(MIB)
        .map_or(LARGEST, |size| size.min(LARGEST))
}

/// The size below which `content` cannot fit.
pub(super) fn least(content: &Content, copies: u64, compressed: bool) -> u64 {
    // Small files may be kept in the metadata, and what is compressed may be next to nothing.
    let data = if compressed {
        0
    } else {
        content
            .data_bytes
            .saturating_sub(content.inodes.saturating_mul(BLOCK))
    };
    let metadata = content
        .inodes
        .saturating_mul(160 + KEY)
        .saturating_add(content.name_bytes.saturating_mul(3));
    data.saturating_add(metadata.saturating_mul(copies))
        .saturating_add(SYSTEM * copies)
}

/// The size in bytes, in whole MiB, that could just be enough for what a file system holds.
pub(super) fn tight(usage: &BtrfsUsage, copies: u64) -> u64 {
    let metadata = usage.metadata + RESERVE + 2 * MIB;
    (usage.data + metadata * copies + SYSTEM * copies + START).next_multiple_of(MIB)
}

/// The size to try next when shrinking from `size` towards `least`, in whole MiB: from the smallest
/// on, with growing steps. `None` where that is hardly less than `size`.
pub(super) fn between(least: u64, size: u64, step: u32) -> Option<u64> {
    let gap = size.checked_sub(least)?;
    // 0, 1/32, 1/16, 1/8, 1/4 of the way.
    let part = match step {
        0 => 0,
        step => gap >> (6 - step.min(5)),
    };
    let next = least.checked_add(part)?.checked_next_multiple_of(MIB)?;
    (next < size - size / 64).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_follow_the_content_without_waste() {
        for copies in [1, 2] {
            for mebibytes in [100, 500, 1000, 5000, 50_000, 500_000] {
                let content = Content::roughly(mebibytes << 20, mebibytes * 20, mebibytes);
                let size = needed(&content, copies, 0);
                assert!(size > mebibytes << 20);
                assert!(
                    size < (mebibytes << 20) * 14 / 10 + (160 << 20),
                    "{mebibytes}: {size}"
                );
                assert!(least(&content, copies, false) < size);
                assert!(least(&content, copies, true) < least(&content, copies, false));
            }
        }
    }

    #[test]
    fn shrinking_tries_from_below_and_ends() {
        let sizes: Vec<_> = (0..TRIES)
            .map(|step| between(100 * MIB, 420 * MIB, step).unwrap() / MIB)
            .collect();
        assert_eq!(sizes, [100, 110, 120, 140, 180]);
        assert_eq!(between(100 * MIB, 101 * MIB, 0), None);
        assert_eq!(between(100 * MIB, 50 * MIB, 0), None);
    }

    #[test]
    fn absurd_contents_are_the_largest_size() {
        let content = Content {
            data_bytes: u64::MAX,
            inodes: u64::MAX,
            directories: u64::MAX,
            names: u64::MAX,
            name_bytes: u64::MAX,
            long_symlinks: u64::MAX,
            with_xattrs: u64::MAX,
        };
        assert_eq!(needed(&content, 2, u64::MAX), i64::MAX as u64);
    }
}
