//! How large a btrfs file system must be for what goes into it. Each formula counts up, but for
//! [`least`]; the tests fill file systems of exactly these sizes.

use super::data::INLINE;
use super::format::{BLOCK, ENTRY, ITEM, LEAF, NODE, STRIPE};
use super::space::{START, STEP, reserve, system};
use crate::disk::Content;

/// Bytes of an inode, with its item.
const INODE: u64 = (160 + ITEM) as u64;
/// The number and the directory before one of many names of a file, and that name's length.
const NAME: u64 = (18 + ITEM) as u64;
/// Bytes of an extent in a file, or in the tree of extents.
const EXTENT: u64 = (53 + ITEM) as u64;
/// Bytes before what a file keeps with the metadata.
const HEAD: u64 = (21 + ITEM) as u64;
/// Links of up to this many bytes are not counted for themselves.
const SHORT_LINK: u64 = 59;
/// What attributes of a file take, which are rarely more than a label, capabilities or a list.
const ATTRIBUTES: u64 = 512;
/// Nodes that each tree has even if there is nothing in it, and those above.
const NODES: u64 = 64;
/// One copy of the chunk that finds all others.
const SYSTEM: u64 = 4 << 20;
/// Beyond this no file can be; the layout refuses it with a message.
const LARGEST: u64 = i64::MAX as u64;

/// The smallest file system in bytes, with so many copies of the metadata.
pub(super) const fn smallest(copies: u64) -> u64 {
    let metadata = reserve(copies) + 2 * STRIPE + NODES * NODE as u64;
    START + (SYSTEM + metadata.next_multiple_of(STEP)) * copies
}

/// Bytes of metadata, once, at the most.
fn metadata(content: &Content) -> u64 {
    let many = |count: u64, bytes: u64| count.saturating_mul(bytes);
    // Beyond the first name of a file, each may be in another subvolume: there it is another file.
    let inodes = content.inodes.max(content.names.saturating_add(1));
    let blocks = content.data_bytes / BLOCK as u64;
    // Each name is in its inode and twice in its directory.
    let entries = many(content.names, NAME + 2 * (ENTRY + ITEM) as u64);
    let names = many(content.name_bytes, 3);
    // Between any two blocks of a file there can be a hole.
    let extents = many(blocks, 2 * EXTENT + 4);
    // A file that is kept with the metadata takes no block, but two copies of it, with what leaves have
    // left over beside it, can take a little more than that.
    let inline = many(inodes.min(blocks), 256);
    let links = many(inodes, HEAD + SHORT_LINK);
    // Three of the longest fit into a leaf.
    let long_links = many(content.long_symlinks, (LEAF / 3) as u64);
    let attributes = many(content.with_xattrs, ATTRIBUTES);
    let items = [
        many(inodes, INODE),
        entries,
        names,
        extents,
        inline,
        links,
        long_links,
        attributes,
    ];
    let bytes = items.into_iter().fold(0, u64::saturating_add);
    // A leaf has no room for the next item when it lacks a byte of it, and the largest that are common
    // are what is kept of files. Nodes themselves are noted, too.
    const { assert!(INLINE < LEAF / 7) };
    (bytes / 5).saturating_mul(6)
}

/// The smallest size in bytes, in whole MiB, that is sure to hold `content` and `room` more bytes,
/// with so many copies of the metadata.
pub(super) fn needed(content: &Content, copies: u64, room: u64) -> u64 {
    let data = content.data_bytes.saturating_add(room);
    let trees = metadata(content);
    // What is compressed must lie in one piece: the ends of chunks can be left over.
    let around = data / 4096 + 2 * STRIPE + STEP;
    let all = data
        .saturating_add(if data > 0 { around } else { 0 })
        .saturating_add(trees.saturating_mul(copies))
        .saturating_add(smallest(copies));
    let system = system(all, copies).length - SYSTEM;
    all.saturating_add(system * copies)
        .checked_next_multiple_of(STEP)
        .map_or(LARGEST, |size| size.min(LARGEST))
}

/// The size below which `content` cannot fit.
pub(super) fn least(content: &Content, copies: u64, compressed: bool) -> u64 {
    // Small files may be kept in the metadata, and what is compressed may be next to nothing.
    let data = if compressed {
        0
    } else {
        let short = content.inodes.saturating_mul(BLOCK as u64);
        content.data_bytes.saturating_sub(short)
    };
    let entries = 10 + 2 * ENTRY + 3 * ITEM;
    let metadata = content
        .inodes
        .saturating_mul(INODE)
        .saturating_add(content.names.saturating_mul(entries as u64))
        .saturating_add(content.name_bytes.saturating_mul(3));
    data.saturating_add(metadata.saturating_mul(copies))
        .saturating_add(START + (SYSTEM + reserve(copies)) * copies)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn sizes_follow_the_content_without_waste() {
        for copies in [1, 2] {
            for mebibytes in [100, 500, 1000, 5000, 50_000, 500_000] {
                let content = Content::roughly(mebibytes << 20, mebibytes * 20, mebibytes);
                let size = needed(&content, copies, 0);
                assert!(size > mebibytes << 20);
                let most = (mebibytes << 20) * 12 / 10 + 60 * MIB;
                assert!(size < most, "{mebibytes}: {size}");
                assert!(least(&content, copies, false) < size);
                assert!(least(&content, copies, true) < least(&content, copies, false));
                assert_eq!(size % MIB, 0);
            }
            assert_eq!(
                needed(&Content::default(), copies, 0) / MIB,
                smallest(copies) / MIB + 1
            );
        }
        assert_eq!((smallest(1) / MIB, smallest(2) / MIB), (15, 45));
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
        assert_eq!(least(&content, 2, false), u64::MAX);
    }
}
