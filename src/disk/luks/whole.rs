//! Which parts of a new file system matter although nothing was written there.
//!
//! Holes are not encrypted: after decryption they read as noise, like the free space of a disk that
//! was used before. File systems can be made on such disks, so they write every block that they will
//! ever read before writing it again, with the exceptions here.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use crate::disk::extents::Extent;

/// Where programs that identify disks look for signatures, at both ends: noise must not pass for one.
const EDGE: u64 = 1 << 20;

/// Parts of the file system that fills the `size` bytes of `clear` whose holes stand for zeros.
pub(super) fn matters(clear: &File, size: u64) -> io::Result<Vec<Extent>> {
    let mut parts = vec![
        Extent {
            start: 0,
            end: EDGE.min(size),
        },
        Extent {
            start: size.saturating_sub(EDGE),
            end: size,
        },
    ];
    let mut superblock = [0; XFS_SUPERBLOCK];
    if size >= superblock.len() as u64 {
        clear.read_exact_at(&mut superblock, 0)?;
        parts.extend(xfs_log(&superblock, size));
    }
    Ok(parts)
}

/// Bytes of `struct xfs_dsb` (the kernel's `fs/xfs/libxfs/xfs_format.h`) up to the last field used
/// here.
const XFS_SUPERBLOCK: usize = 125;

/// The log of an XFS file system. mkfs.xfs leaves zeroing it to the operating system, which makes a
/// hole of it, and the kernel finds the log's head by a search that counts on these zeros.
fn xfs_log(superblock: &[u8; XFS_SUPERBLOCK], size: u64) -> Option<Extent> {
    if !superblock.starts_with(b"XFSB") {
        return None;
    }
    let small = |at: usize| {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&superblock[at..at + 4]);
        u64::from(u32::from_be_bytes(bytes))
    };
    let (block, group_blocks, log_blocks) = (small(4), small(84), small(96));
    // A block number: the allocation group above, the block in it below so many bits.
    let start = small(48) << 32 | small(52);
    let bits = u32::from(superblock[124]);
    let group = start.checked_shr(bits)?;
    let in_group = start & 1_u64.checked_shl(bits)?.wrapping_sub(1);
    let start = group
        .checked_mul(group_blocks)?
        .checked_add(in_group)?
        .checked_mul(block)?;
    let end = start.checked_add(log_blocks.checked_mul(block)?)?;
    (start < end && end <= size).then_some(Extent { start, end })
}

/// Extents in order, widened to multiples of `grain`, none touching another, within `size`.
pub(super) fn merged(mut extents: Vec<Extent>, grain: u64, size: u64) -> Vec<Extent> {
    extents.sort_unstable_by_key(|extent| extent.start);
    let mut merged: Vec<Extent> = Vec::with_capacity(extents.len());
    for extent in extents {
        let start = extent.start / grain * grain;
        let end = extent
            .end
            .checked_next_multiple_of(grain)
            .unwrap_or(size)
            .min(size);
        match merged.last_mut() {
            Some(last) if last.end >= start => last.end = last.end.max(end),
            _ if start < end => merged.push(Extent { start, end }),
            _ => {}
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn extent(start: u64, end: u64) -> Extent {
        Extent { start, end }
    }

    #[test]
    fn both_ends_matter() {
        let clear = tempfile::tempfile().unwrap();
        clear.set_len(10 << 20).unwrap();
        assert_eq!(
            matters(&clear, 10 << 20).unwrap(),
            [extent(0, 1 << 20), extent(9 << 20, 10 << 20)]
        );
        assert_eq!(
            matters(&clear, 100).unwrap(),
            [extent(0, 100), extent(0, 100)]
        );
    }

    #[test]
    fn the_log_of_xfs_matters() {
        let mut superblock = [0; XFS_SUPERBLOCK];
        assert_eq!(xfs_log(&superblock, 1 << 40), None);
        superblock[..4].copy_from_slice(b"XFSB");
        superblock[4..8].copy_from_slice(&4096_u32.to_be_bytes());
        superblock[84..88].copy_from_slice(&81_920_u32.to_be_bytes());
        superblock[96..100].copy_from_slice(&16_384_u32.to_be_bytes());
        superblock[124] = 17;
        superblock[48..56].copy_from_slice(&((2_u64 << 17) + 6).to_be_bytes());
        let start = (2 * 81_920 + 6) * 4096;
        let log = extent(start, start + (64 << 20));
        assert_eq!(xfs_log(&superblock, 1 << 40), Some(log));
        // Nonsense is not followed outside of the file, nor into a wrong shift.
        assert_eq!(xfs_log(&superblock, log.end - 1), None);
        superblock[124] = 200;
        assert_eq!(xfs_log(&superblock, 1 << 40), None);
        superblock[48..].fill(0xff);
        superblock[124] = 1;
        assert_eq!(xfs_log(&superblock, 1 << 40), None);
    }

    #[test]
    fn merging() {
        for (extents, expected) in [
            (vec![], vec![]),
            (vec![extent(5, 5)], vec![extent(0, 10)]),
            (vec![extent(10, 10)], vec![]),
            (
                vec![extent(31, 32), extent(1, 12)],
                vec![extent(0, 20), extent(30, 40)],
            ),
            (vec![extent(0, 10), extent(10, 20)], vec![extent(0, 20)]),
            (
                vec![extent(0, 90), extent(10, 20), extent(50, 99)],
                vec![extent(0, 100)],
            ),
            (vec![extent(95, 200)], vec![extent(90, 100)]),
        ] {
            assert_eq!(merged(extents, 10, 100), expected);
        }
    }

    proptest! {
        #[test]
        fn merged_extents_are_apart_aligned_and_cover_all(
            pairs in proptest::collection::vec((0_u64..1000, 0_u64..50), 0..30),
        ) {
            let extents: Vec<Extent> = pairs.iter().map(|(s, l)| extent(*s, s + l + 1)).collect();
            let merged = merged(extents.clone(), 16, 2048);
            for pair in merged.windows(2) {
                prop_assert!(pair[0].end < pair[1].start);
            }
            for one in &merged {
                prop_assert!(one.start % 16 == 0 && one.end % 16 == 0 && one.start < one.end);
            }
            for extent in extents {
                prop_assert!(merged.iter().any(|m| m.start <= extent.start && m.end >= extent.end));
            }
        }
    }
}
