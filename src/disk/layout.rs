//! From the partitions that are wanted to where each lies on the disk. Pure arithmetic.

use uuid::Uuid;

use super::types::{Architecture, type_uuid};
use super::{PartitionKind, size_text};

/// Bytes in a sector. Images are plain files; 512 is what firmware and virtual machines expect.
pub const SECTOR: u64 = 512;
/// Every partition starts at a multiple of this, which suits every known disk's physical blocks.
pub const ALIGNMENT: u64 = 1 << 20;
/// Partition sizes are multiples of this: the block size of the file systems inside.
pub const GRAIN: u64 = 4096;
/// The first usable sector where nothing else is asked for (`GPTFirstLBA`): 1 MiB.
pub const DEFAULT_FIRST_LBA: u64 = 2048;
/// Number of entries in the partition table (UEFI specification, section 5.3.1: at least 16 KiB).
pub const ENTRIES: u32 = 128;
/// Sectors of the table itself: 128 entries of 128 bytes.
pub const TABLE_SECTORS: u64 = 32;
/// The first sector after the protective MBR, the header and the table.
pub const LOWEST_FIRST_LBA: u64 = 2 + TABLE_SECTORS;
/// The size of GRUB's partition: room for any core image.
pub const BIOS_BOOT_SIZE: u64 = 1 << 20;
/// File offsets are signed 64-bit numbers.
pub(super) const LARGEST_FILE: u64 = i64::MAX as u64;

/// The attribute bits of a partition that the Discoverable Partitions Specification defines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Bit 60: mounted read-only.
    pub read_only: bool,
    /// Bit 59: the file system is grown to the partition's size when mounted.
    pub grow_file_system: bool,
    /// Bit 63: not mounted without being asked for.
    pub no_auto: bool,
}

impl Attributes {
    /// The attribute field of the partition table.
    #[must_use]
    pub const fn bits(self) -> u64 {
        (self.grow_file_system as u64) << 59
            | (self.read_only as u64) << 60
            | (self.no_auto as u64) << 63
    }
}

/// A partition that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// What it is for.
    pub kind: PartitionKind,
    /// Its size in bytes; rounded up to [`GRAIN`].
    pub size: u64,
    /// The size is only known to be this or more; drawings say so.
    pub size_is_minimum: bool,
    /// Its identifier.
    pub uuid: Uuid,
    /// Its attribute bits.
    pub attributes: Attributes,
}

/// A partition with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// What it is for.
    pub kind: PartitionKind,
    /// Its type.
    pub type_uuid: Uuid,
    /// Its identifier.
    pub uuid: Uuid,
    /// Its name in the partition table.
    pub label: &'static str,
    /// Its attribute bits.
    pub attributes: Attributes,
    /// Where it starts, in bytes.
    pub offset: u64,
    /// Its size in bytes.
    pub size: u64,
    /// The size may turn out larger.
    pub size_is_minimum: bool,
}

impl Slot {
    /// The first byte after the partition.
    #[must_use]
    pub const fn end(&self) -> u64 {
        // Both were checked to stay below the largest file size when the layout was made.
        self.offset + self.size
    }

    /// Its first sector.
    #[must_use]
    pub const fn first_lba(&self) -> u64 {
        self.offset / SECTOR
    }

    /// Its last sector.
    #[must_use]
    pub const fn last_lba(&self) -> u64 {
        self.end() / SECTOR - 1
    }
}

/// Why partitions cannot be laid out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// The first usable sector lies inside the partition table.
    #[error(
        "GPTFirstLBA={first_lba} lies inside the partition table; the lowest possible value is {LOWEST_FIRST_LBA}"
    )]
    FirstLbaTooSmall {
        /// What was asked for.
        first_lba: u64,
    },
    /// A partition of no bytes.
    #[error("the {} partition has a size of 0{}", kind.short_name(), set_hint(*kind))]
    Empty {
        /// Which one.
        kind: PartitionKind,
    },
    /// One kind twice.
    #[error("there can be only one {} partition", kind.short_name())]
    Twice {
        /// Which one.
        kind: PartitionKind,
    },
    /// More bytes than a file can have.
    #[error(
        "the {} partition of {} ends beyond the largest possible file{}",
        kind.short_name(), size_text(*size), set_hint(*kind)
    )]
    TooBig {
        /// The partition at which the limit was passed.
        kind: PartitionKind,
        /// Its size in bytes.
        size: u64,
    },
    /// The unpartitioned start is more than a file can have.
    #[error("GPTFirstLBA={first_lba} lies beyond the largest possible file")]
    FirstLbaTooBig {
        /// What was asked for.
        first_lba: u64,
    },
}

fn set_hint(kind: PartitionKind) -> String {
    kind.size_setting()
        .map(|setting| format!("; set {setting}="))
        .unwrap_or_default()
}

/// A disk with its partitions' places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    slots: Vec<Slot>,
    first_lba: u64,
    total: u64,
}

impl Layout {
    /// Places the partitions in the order of their kinds, each on a multiple of [`ALIGNMENT`] at or
    /// after sector `first_lba`, and leaves room for the backup table after them.
    ///
    /// # Errors
    /// Two partitions of a kind, or sizes and places that no disk can have.
    pub fn new(
        architecture: Architecture,
        requests: &[Request],
        first_lba: u64,
    ) -> Result<Self, LayoutError> {
        if first_lba < LOWEST_FIRST_LBA {
            return Err(LayoutError::FirstLbaTooSmall { first_lba });
        }
        let first_byte = first_lba
            .checked_mul(SECTOR)
            .filter(|byte| *byte <= LARGEST_FILE - 2 * ALIGNMENT)
            .ok_or(LayoutError::FirstLbaTooBig { first_lba })?;
        let mut requests = requests.to_vec();
        requests.sort_by_key(|request| request.kind);
        for pair in requests.windows(2) {
            if let [one, other] = pair {
                if one.kind == other.kind {
                    return Err(LayoutError::Twice { kind: one.kind });
                }
            }
        }

        let mut slots = Vec::with_capacity(requests.len());
        let mut end = first_byte;
        for request in &requests {
            let kind = request.kind;
            if request.size == 0 {
                return Err(LayoutError::Empty { kind });
            }
            let too_big = || LayoutError::TooBig {
                kind,
                size: request.size,
            };
            let offset = round_up(end, ALIGNMENT).ok_or_else(too_big)?;
            let size = round_up(request.size, GRAIN).ok_or_else(too_big)?;
            end = offset
                .checked_add(size)
                .filter(|end| *end <= LARGEST_FILE - 2 * ALIGNMENT)
                .ok_or_else(too_big)?;
            slots.push(Slot {
                kind,
                type_uuid: type_uuid(kind, architecture),
                uuid: request.uuid,
                label: kind.label(),
                attributes: request.attributes,
                offset,
                size,
                size_is_minimum: request.size_is_minimum,
            });
        }
        // The backup table and header take the last 33 sectors; a whole number of MiB suits
        // virtual machines and clouds.
        let total = round_up(end + (TABLE_SECTORS + 1) * SECTOR, ALIGNMENT)
            .ok_or(LayoutError::FirstLbaTooBig { first_lba })?;
        Ok(Self {
            slots,
            first_lba,
            total,
        })
    }

    /// The partitions in order.
    #[must_use]
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The partition of one kind.
    #[must_use]
    pub fn slot(&self, kind: PartitionKind) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.kind == kind)
    }

    /// Gives a partition another identifier, which may depend on what is in it.
    pub fn set_uuid(&mut self, kind: PartitionKind, uuid: Uuid) {
        for slot in &mut self.slots {
            if slot.kind == kind {
                slot.uuid = uuid;
            }
        }
    }

    /// The number under which the partition table, and so the kernel, knows the partition of one
    /// kind: from 1.
    #[must_use]
    pub fn number(&self, kind: PartitionKind) -> Option<usize> {
        self.slots
            .iter()
            .position(|slot| slot.kind == kind)
            .map(|index| index + 1)
    }

    /// The size of the whole disk in bytes, with the backup table.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// The size of the whole disk in sectors.
    #[must_use]
    pub const fn sectors(&self) -> u64 {
        self.total / SECTOR
    }

    /// The first sector that a partition may use.
    #[must_use]
    pub const fn first_lba(&self) -> u64 {
        self.first_lba
    }

    /// The last sector that a partition may use.
    #[must_use]
    pub const fn last_lba(&self) -> u64 {
        self.sectors() - TABLE_SECTORS - 2
    }
}

/// The next multiple of `step`, or `None` beyond 64 bits.
pub(super) const fn round_up(value: u64, step: u64) -> Option<u64> {
    value.checked_next_multiple_of(step)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(kind: PartitionKind, size: u64) -> Request {
        Request {
            kind,
            size,
            size_is_minimum: false,
            uuid: Uuid::from_u128(kind as u128 + 1),
            attributes: Attributes::default(),
        }
    }

    fn layout(requests: &[Request], first_lba: u64) -> Result<Layout, LayoutError> {
        Layout::new(Architecture::X86_64, requests, first_lba)
    }

    #[test]
    fn one_root_partition_starts_at_one_mebibyte() {
        let layout = layout(&[request(PartitionKind::Root, 1 << 30)], DEFAULT_FIRST_LBA).unwrap();
        let root = layout.slot(PartitionKind::Root).unwrap();
        assert_eq!((root.offset, root.size), (1 << 20, 1 << 30));
        assert_eq!((root.first_lba(), root.last_lba()), (2048, 2_099_199));
        assert_eq!(layout.total(), (1 << 30) + (2 << 20));
        assert_eq!(layout.last_lba(), layout.sectors() - 34);
        assert_eq!(root.type_uuid, Architecture::X86_64.root());
        assert_eq!(layout.number(PartitionKind::Root), Some(1));
    }

    #[test]
    fn partitions_come_in_the_order_of_their_kinds() {
        let mut requests: Vec<_> = PartitionKind::ALL
            .iter()
            .rev()
            .map(|kind| request(*kind, 5 << 20))
            .collect();
        requests.swap(1, 5);
        let layout = layout(&requests, DEFAULT_FIRST_LBA).unwrap();
        let kinds: Vec<_> = layout.slots().iter().map(|slot| slot.kind).collect();
        assert_eq!(kinds, PartitionKind::ALL);
    }

    #[test]
    fn impossible_requests_are_errors_with_their_reason() {
        use PartitionKind::{Home, Root, RootVerity};
        for (requests, first_lba, message) in [
            (
                vec![request(Root, 1)],
                33,
                "GPTFirstLBA=33 lies inside the partition table; the lowest possible value is 34",
            ),
            (
                vec![request(Root, 1)],
                u64::MAX,
                "GPTFirstLBA=18446744073709551615 lies beyond the largest possible file",
            ),
            (
                vec![request(Home, 0)],
                2048,
                "the home partition has a size of 0; set HomeSize=",
            ),
            (
                vec![request(RootVerity, 0)],
                2048,
                "the verity partition has a size of 0",
            ),
            (
                vec![request(Root, 1), request(Home, 1), request(Root, 2)],
                2048,
                "there can be only one root partition",
            ),
            (
                vec![request(Home, 1 << 62), request(Root, 1 << 62)],
                2048,
                "the root partition of 4194304T ends beyond the largest possible file; set RootSize=",
            ),
            (
                vec![request(Root, u64::MAX)],
                2048,
                "the root partition of 16777216T ends beyond the largest possible file; set RootSize=",
            ),
        ] {
            assert_eq!(
                layout(&requests, first_lba).unwrap_err().to_string(),
                message
            );
        }
    }

    #[test]
    fn a_disk_without_partitions_has_room_for_both_tables() {
        let layout = layout(&[], LOWEST_FIRST_LBA).unwrap();
        assert!(layout.first_lba() <= layout.last_lba());
        assert_eq!(layout.total(), 1 << 20);
    }

    #[test]
    fn attribute_bits() {
        for (read_only, grow_file_system, no_auto, bits) in [
            (false, false, false, 0),
            (true, false, false, 1 << 60),
            (false, true, false, 1 << 59),
            (false, false, true, 1 << 63),
            (true, true, true, (1 << 60) | (1 << 59) | (1 << 63)),
        ] {
            let attributes = Attributes {
                read_only,
                grow_file_system,
                no_auto,
            };
            assert_eq!(attributes.bits(), bits);
        }
    }

    #[test]
    fn labels_fit_the_table() {
        for kind in PartitionKind::ALL {
            assert!(kind.label().encode_utf16().count() <= 36);
        }
    }

    prop_compose! {
        fn requests()(
            kinds in proptest::sample::subsequence(PartitionKind::ALL.to_vec(), 0..=8).prop_shuffle(),
            sizes in prop::collection::vec(prop_oneof![1_u64..1 << 20, 1_u64..1 << 40, any::<u64>()], 8),
        ) -> Vec<Request> {
            kinds.into_iter().zip(sizes).map(|(kind, size)| request(kind, size)).collect()
        }
    }

    proptest! {
        #[test]
        fn partitions_are_aligned_sorted_inside_and_apart(
            requests in requests(),
            first_lba in prop_oneof![0_u64..5000, any::<u64>()],
        ) {
            let Ok(layout) = layout(&requests, first_lba) else {
                let sum: u128 = requests.iter().map(|r| u128::from(r.size)).sum();
                prop_assert!(
                    !(34..=1 << 53).contains(&first_lba)
                        || requests.iter().any(|r| r.size == 0)
                        || sum + u128::from(first_lba) * 512 + (32 << 20) > u128::from(LARGEST_FILE)
                );
                return Ok(());
            };
            prop_assert_eq!(layout.slots().len(), requests.len());
            prop_assert_eq!(layout.total() % ALIGNMENT, 0);
            prop_assert!(i64::try_from(layout.total()).is_ok());
            let mut end = first_lba * SECTOR;
            for slot in layout.slots() {
                let wanted = requests.iter().find(|r| r.kind == slot.kind).unwrap();
                prop_assert!(slot.size >= wanted.size && slot.size - wanted.size < GRAIN);
                prop_assert_eq!(slot.offset % ALIGNMENT, 0);
                prop_assert!(slot.offset >= end);
                prop_assert!(slot.offset - end < ALIGNMENT);
                prop_assert!(slot.first_lba() >= layout.first_lba());
                prop_assert!(slot.last_lba() <= layout.last_lba());
                prop_assert_eq!((slot.last_lba() + 1 - slot.first_lba()) * SECTOR, slot.size);
                end = slot.end();
            }
            prop_assert!(layout.total() - end < ALIGNMENT + 34 * SECTOR);
        }
    }
}
