//! How large a FAT file system must be, and how it is divided.

use crate::disk::Content;

/// Bytes in a sector.
pub const SECTOR: u64 = 512;
/// The fewest clusters of a FAT32 file system (Microsoft's FAT specification, "FAT Type
/// Determination"), and a few more: implementations disagree by some around the border.
const FEWEST_OF_FAT32: u64 = 65_525 + 16;
/// The same of FAT16.
const FEWEST_OF_FAT16: u64 = 4_085 + 16;
/// Reserved sectors, boot sectors and their copies, rounding to whole sectors and a partial last
/// cluster: more than any of these file systems loses.
const OVERHEAD: u64 = 64 << 10;
/// A name of 255 UTF-16 units takes 20 entries of 32 bytes, and one for the file itself.
const LONGEST_NAME: u64 = 21 * 32;

/// The least that can be made, in bytes.
pub const LEAST: u64 = 4 << 20;
/// What an EFI system partition gets where nothing else is asked for (`ESPSize`).
pub const SMALLEST_AUTOMATIC: u64 = 256 << 20;

/// How a file system is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Bits of an entry of the allocation table: 16 or 32.
    pub bits: u8,
    /// Sectors in a cluster.
    pub cluster: u64,
}

impl Geometry {
    /// The geometry for `size` bytes: FAT32, which the UEFI specification has for fixed disks, with
    /// clusters as large as they can be up to 4096 bytes, and FAT16 where that is impossible.
    #[must_use]
    pub fn of(size: u64) -> Self {
        for cluster in [8, 4, 2, 1] {
            if clusters(size, 32, cluster) >= FEWEST_OF_FAT32 {
                return Self { bits: 32, cluster };
            }
        }
        // Up to about 33 MiB: clusters of 1 KiB are too few for FAT16 only below 4 MiB.
        let cluster = if clusters(size, 16, 2) >= FEWEST_OF_FAT16 {
            2
        } else {
            1
        };
        Self { bits: 16, cluster }
    }

    /// Bytes that files and directories can use in `size` bytes.
    #[must_use]
    pub fn usable(self, size: u64) -> u64 {
        clusters(size, self.bits, self.cluster) * self.cluster * SECTOR
    }
}

/// The number of clusters in `size` bytes, a little on the low side.
fn clusters(size: u64, bits: u8, cluster: u64) -> u64 {
    // Each cluster takes its own bytes and an entry in both tables.
    let each = cluster * SECTOR + 2 * u64::from(bits) / 8;
    size.saturating_sub(OVERHEAD) / each
}

/// Bytes that `content` takes, in clusters of up to 4096 bytes.
fn used(content: &Content) -> u64 {
    let directories = content.directories.max(1);
    let entries = content.name_bytes.saturating_mul(4).saturating_add(
        content
            .names
            .saturating_add(directories.saturating_mul(3))
            .saturating_mul(64),
    );
    content
        .data_bytes
        .saturating_add(entries.max(LONGEST_NAME))
        .saturating_add(directories.saturating_mul(4096))
}

/// Whether `content` is sure to fit into `size` bytes.
#[must_use]
pub fn fits(size: u64, content: &Content) -> bool {
    Geometry::of(size).usable(size) >= used(content)
}

/// The size in bytes that is sure to hold `content`, in whole MiB.
#[must_use]
pub fn needed(content: &Content) -> u64 {
    // Beyond this no file can be; the layout refuses it with a message.
    const LARGEST: u64 = i64::MAX as u64;
    // Two tables take less than 1/64 with clusters of 512 bytes.
    let used = used(content);
    used.saturating_add(used / 60)
        .saturating_add(2 * OVERHEAD)
        .max(LEAST)
        .checked_next_multiple_of(1 << 20)
        .map_or(LARGEST, |size| size.min(LARGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_beyond_all_measure_are_only_too_large() {
        let most = u64::MAX;
        for content in [
            Content {
                directories: most / 2,
                ..Content::default()
            },
            Content::roughly(most, most, most),
        ] {
            assert_eq!(needed(&content), i64::MAX as u64);
            assert!(!fits(1 << 40, &content));
        }
    }

    #[test]
    fn geometry_follows_the_size() {
        for (mib, bits, cluster) in [
            (4, 16, 1),
            (8, 16, 2),
            (32, 16, 2),
            (33, 32, 1),
            (40, 32, 1),
            (100, 32, 2),
            (256, 32, 4),
            (512, 32, 8),
            (4096, 32, 8),
        ] {
            let expected = Geometry { bits, cluster };
            assert_eq!(Geometry::of(mib << 20), expected, "{mib}");
        }
    }

    #[test]
    fn what_is_needed_fits() {
        for mib in [0, 1, 3, 16, 31, 32, 33, 60, 120, 250, 260, 1000] {
            let mut content = Content::roughly(mib << 20, 40, 8);
            content.name_bytes = 2000;
            let needed = needed(&content);
            assert!(fits(needed, &content), "{mib}: {needed}");
            assert!(needed < (mib << 20) + (mib << 20) / 40 + (5 << 20), "{mib}");
        }
        assert!(!fits(256 << 20, &Content::roughly(256 << 20, 1, 1)));
    }
}
