//! How large an ext4 file system must be for what goes into it.

use super::geometry::{BLOCK, Geometry, inodes, least_blocks, most_blocks};
use crate::disk::Content;

/// The size of a root file system that holds little and whose size nobody set: 1 GiB.
pub const SMALLEST_AUTOMATIC: u64 = 1 << 30;
/// Percent of a writable file system that only root can fill, so that a full disk can still be
/// repaired; mke2fs' own default.
pub const RESERVED_PERCENT: u64 = 5;
/// Room in bytes that a writable file system of automatic size has beside its files, at least.
const LEAST_ROOM: u64 = 64 << 20;
/// Sizes are searched in steps of 1 MiB.
const STEP: u64 = (1 << 20) / BLOCK;

/// The smallest size in bytes, in whole MiB, that is sure to hold `content`.
#[must_use]
pub fn needed(content: &Content, read_only: bool) -> u64 {
    search(content, read_only, |_| most_blocks(content))
}

/// The size in bytes where none is set: what the files need, room to work with unless it is
/// read-only, and at least [`SMALLEST_AUTOMATIC`].
#[must_use]
pub fn automatic(content: &Content, read_only: bool) -> u64 {
    let size = if read_only {
        needed(content, read_only)
    } else {
        let files = most_blocks(content);
        let room = (files / 10).max(LEAST_ROOM / BLOCK);
        search(content, read_only, |blocks| {
            files
                .saturating_add(room)
                .saturating_add(blocks / 100 * RESERVED_PERCENT)
        })
    };
    size.max(SMALLEST_AUTOMATIC)
}

/// The dimensions of a file system of `size` bytes for `content`, unless that cannot hold it.
#[must_use]
pub fn fit(size: u64, content: &Content, read_only: bool) -> Option<Geometry> {
    let blocks = size / BLOCK;
    Geometry::new(blocks, inodes(blocks, content, read_only), !read_only)
        // Spare inodes are given up before the files.
        .or_else(|| Geometry::new(blocks, inodes(blocks, content, true), !read_only))
        .filter(|geometry| {
            geometry.free() >= least_blocks(content) && geometry.inodes > content.inodes
        })
}

/// The smallest file system, in steps, with as many blocks free as `wanted` says for its size.
fn search(content: &Content, read_only: bool, wanted: impl Fn(u64) -> u64) -> u64 {
    // Beyond this no file can be; the layout refuses it with a message.
    const LARGEST: u64 = i64::MAX as u64;
    let mut blocks = wanted(0).max(STEP);
    loop {
        let Some(size) = blocks
            .checked_next_multiple_of(STEP)
            .and_then(|blocks| blocks.checked_mul(BLOCK))
            .filter(|size| *size < LARGEST)
        else {
            return LARGEST;
        };
        blocks = size / BLOCK;
        let geometry = Geometry::new(blocks, inodes(blocks, content, read_only), !read_only);
        let missing = match geometry {
            Some(geometry) => wanted(blocks).saturating_sub(geometry.free()),
            // Too many inodes for it: rare, so coarse steps will do.
            None => (blocks / 64).max(STEP),
        };
        if missing == 0 {
            return size;
        }
        blocks = blocks.saturating_add(missing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(mebibytes: u64, inodes: u64) -> Content {
        Content::roughly(mebibytes << 20, inodes, inodes / 10 + 1)
    }

    #[test]
    fn a_small_tree_gets_one_gibibyte() {
        assert_eq!(automatic(&content(200, 10_000), false), 1 << 30);
        assert_eq!(automatic(&content(200, 10_000), true), 1 << 30);
        assert_eq!(automatic(&Content::default(), true), 1 << 30);
    }

    #[test]
    fn sizes_follow_the_content_without_waste() {
        for mebibytes in [1, 10, 100, 500, 1000, 5000, 50_000, 500_000] {
            let content = content(mebibytes, mebibytes * 50);
            let needed_size = needed(&content, true);
            assert!(needed_size > mebibytes << 20);
            assert!(
                needed_size < (mebibytes << 20) * 11 / 10 + (16 << 20),
                "{mebibytes}: {needed_size}"
            );
            let size = automatic(&content, false);
            assert!(size >= needed(&content, false));
            assert!(
                size < (mebibytes << 20) * 13 / 10 + (2 << 30),
                "{mebibytes}: {size}"
            );
        }
    }

    #[test]
    fn what_is_needed_fits_and_much_less_does_not() {
        for read_only in [false, true] {
            for mebibytes in [0, 7, 120, 129, 300, 4000] {
                let content = content(mebibytes, 3000);
                let size = needed(&content, read_only);
                assert!(fit(size, &content, read_only).is_some());
                if mebibytes > 0 {
                    assert!(fit(mebibytes << 20, &content, read_only).is_none());
                }
            }
        }
    }

    #[test]
    fn many_small_files_get_more_inodes_than_the_ratio() {
        let content = content(900, 400_000);
        let size = automatic(&content, false);
        let geometry = fit(size, &content, false).unwrap();
        assert!(geometry.inodes >= 440_000);
        assert!(geometry.inodes > geometry.blocks / 4);
    }

    #[test]
    fn absurd_contents_end_the_search() {
        let content = Content {
            data_bytes: u64::MAX,
            inodes: u64::MAX,
            directories: u64::MAX,
            names: u64::MAX,
            name_bytes: u64::MAX,
            long_symlinks: u64::MAX,
            with_xattrs: u64::MAX,
        };
        assert_eq!(needed(&content, false), i64::MAX as u64);
        assert_eq!(automatic(&content, false), i64::MAX as u64);
    }
}
