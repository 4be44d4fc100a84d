//! Writes the partition table: protective MBR, primary and backup header, entries.
//!
//! A writer of its own rather than the `gpt` crate's: the layout is already decided and checked, the
//! first usable sector must come from it, the order of the writes matters, and the bytes of a table
//! that is only ever written are fewer than the calls that would coax them out of a library. The
//! tests read the result back with that crate, and with sfdisk.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use crc::{CRC_32_ISO_HDLC, Crc};
use uuid::Uuid;

use super::layout::{ENTRIES, Layout, SECTOR, Slot, TABLE_SECTORS};

/// The UEFI specification's CRC32 (section 5.3.2).
const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);
const ENTRY_SIZE: usize = 128;
const HEADER_SIZE: usize = 92;
const SECTOR_BYTES: usize = SECTOR as usize;

/// Writes the table of `layout` into `image`, whose size must be [`Layout::total`].
///
/// The primary header, without which nothing takes the file for a partitioned disk, is written
/// last, after everything else has reached the file.
///
/// # Errors
/// The image cannot be written.
pub fn write(image: &File, layout: &Layout, disk: Uuid) -> io::Result<()> {
    let entries = entries(layout.slots());
    let entries_crc = CRC.checksum(&entries);
    let last = layout.sectors() - 1;
    let backup_table = last - TABLE_SECTORS;
    let header =
        |here: u64, other: u64, table: u64| header(layout, disk, [here, other, table], entries_crc);

    image.write_all_at(&[0; SECTOR_BYTES], SECTOR)?;
    image.write_all_at(&entries, backup_table * SECTOR)?;
    image.write_all_at(&header(last, 1, backup_table), last * SECTOR)?;
    image.write_all_at(&entries, 2 * SECTOR)?;
    image.write_all_at(&protective_mbr(layout.sectors()), 446)?;
    image.write_all_at(&header(1, last, 2), SECTOR)
}

/// The bytes of the MBR from the partition table on: one partition of type 0xEE over the whole
/// disk, so that old tools keep their hands off. The boot code before it is left alone.
fn protective_mbr(sectors: u64) -> [u8; 66] {
    let mut bytes = [0; 66];
    // Start, in cylinders, heads and sectors: what every tool writes for sector 1.
    bytes[1..4].copy_from_slice(&[0x00, 0x02, 0x00]);
    bytes[4] = 0xee;
    bytes[5..8].copy_from_slice(&[0xff, 0xff, 0xff]);
    bytes[8..12].copy_from_slice(&1_u32.to_le_bytes());
    let size = u32::try_from(sectors - 1).unwrap_or(u32::MAX);
    bytes[12..16].copy_from_slice(&size.to_le_bytes());
    bytes[64..66].copy_from_slice(&[0x55, 0xaa]);
    bytes
}

/// One header (UEFI specification, table 5-5), padded to its sector.
fn header(
    layout: &Layout,
    disk: Uuid,
    [here, other, table]: [u64; 3],
    entries_crc: u32,
) -> [u8; SECTOR_BYTES] {
    let mut bytes = [0; SECTOR_BYTES];
    bytes[..8].copy_from_slice(b"EFI PART");
    bytes[8..12].copy_from_slice(&[0, 0, 1, 0]);
    bytes[12..16].copy_from_slice(&(HEADER_SIZE as u32).to_le_bytes());
    for (at, value) in [
        (24, here),
        (32, other),
        (40, layout.first_lba()),
        (48, layout.last_lba()),
        (72, table),
    ] {
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    bytes[56..72].copy_from_slice(&disk.to_bytes_le());
    bytes[80..84].copy_from_slice(&ENTRIES.to_le_bytes());
    bytes[84..88].copy_from_slice(&(ENTRY_SIZE as u32).to_le_bytes());
    bytes[88..92].copy_from_slice(&entries_crc.to_le_bytes());
    let crc = CRC.checksum(&bytes[..HEADER_SIZE]);
    bytes[16..20].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// The table (UEFI specification, table 5-6).
fn entries(slots: &[Slot]) -> Vec<u8> {
    let mut table = vec![0; ENTRIES as usize * ENTRY_SIZE];
    for (slot, bytes) in slots.iter().zip(table.chunks_exact_mut(ENTRY_SIZE)) {
        bytes[..16].copy_from_slice(&slot.type_uuid.to_bytes_le());
        bytes[16..32].copy_from_slice(&slot.uuid.to_bytes_le());
        for (at, value) in [
            (32, slot.first_lba()),
            (40, slot.last_lba()),
            (48, slot.attributes.bits()),
        ] {
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        for (unit, place) in slot
            .label
            .encode_utf16()
            .zip(bytes[56..].chunks_exact_mut(2))
        {
            place.copy_from_slice(&unit.to_le_bytes());
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;
    use crate::disk::layout::{Attributes, DEFAULT_FIRST_LBA, Request};
    use crate::disk::{Architecture, PartitionKind};

    fn image(first_lba: u64) -> (tempfile::NamedTempFile, Layout) {
        let request = |kind, size, uuid, attributes| Request {
            kind,
            size,
            size_is_minimum: false,
            uuid: Uuid::from_u128(uuid),
            attributes,
        };
        let layout = Layout::new(
            Architecture::Aarch64,
            &[
                request(PartitionKind::Esp, 256 << 20, 1, Attributes::default()),
                request(
                    PartitionKind::Root,
                    (1 << 30) + 1,
                    0x0123_4567_89ab_cdef,
                    Attributes {
                        read_only: true,
                        grow_file_system: true,
                        no_auto: false,
                    },
                ),
            ],
            first_lba,
        )
        .unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(layout.total()).unwrap();
        write(file.as_file(), &layout, Uuid::from_u128(99)).unwrap();
        (file, layout)
    }

    #[test]
    fn another_reader_finds_both_tables_as_written() {
        for first_lba in [34, DEFAULT_FIRST_LBA, 16_384] {
            let (file, layout) = image(first_lba);
            for only_valid in [gpt::disk::LogicalBlockSize::Lb512] {
                let disk = gpt::GptConfig::new()
                    .logical_block_size(only_valid)
                    .only_valid_headers(true)
                    .readonly_backup(false)
                    .open(file.path())
                    .unwrap();
                let (primary, backup) = (
                    disk.primary_header().unwrap().clone(),
                    disk.backup_header().unwrap().clone(),
                );
                assert_eq!(primary.disk_guid.as_u128(), 99);
                assert_eq!(primary.first_usable, first_lba);
                assert_eq!(primary.last_usable, layout.last_lba());
                assert_eq!(primary.backup_lba, layout.sectors() - 1);
                assert_eq!(backup.current_lba, layout.sectors() - 1);
                assert_eq!(backup.part_start, layout.sectors() - 33);
                assert_eq!(disk.partitions().len(), 2);
                for (number, slot) in layout.slots().iter().enumerate() {
                    let read = &disk.partitions()[&(number as u32 + 1)];
                    assert_eq!(read.part_guid.as_bytes(), slot.uuid.as_bytes());
                    assert_eq!(read.first_lba, slot.first_lba());
                    assert_eq!(read.last_lba, slot.last_lba());
                    assert_eq!(read.flags, slot.attributes.bits());
                    assert_eq!(read.name, slot.label);
                }
            }
        }
    }

    #[test]
    fn protective_mbr_covers_the_disk_and_keeps_boot_code() {
        let (file, layout) = image(DEFAULT_FIRST_LBA);
        let mut mbr = [0; 512];
        file.as_file().read_exact_at(&mut mbr, 0).unwrap();
        assert_eq!(mbr[..446], [0; 446]);
        assert_eq!(mbr[446 + 4], 0xee);
        assert_eq!(
            u64::from(u32::from_le_bytes(mbr[458..462].try_into().unwrap())),
            layout.sectors() - 1
        );
        assert_eq!(mbr[510..], [0x55, 0xaa]);

        file.as_file().write_all_at(b"boot code", 0).unwrap();
        write(file.as_file(), &layout, Uuid::from_u128(1)).unwrap();
        file.as_file().read_exact_at(&mut mbr, 0).unwrap();
        assert_eq!(&mbr[..9], b"boot code");
    }

    #[test]
    fn size_of_a_huge_disk_saturates_in_the_mbr() {
        assert_eq!(protective_mbr(1 << 40)[12..16], [0xff; 4]);
        assert_eq!(protective_mbr((1 << 32) + 1)[12..16], [0xff; 4]);
        assert_eq!(protective_mbr(2)[12..16], [1, 0, 0, 0]);
    }

    #[test]
    fn only_the_tables_are_written() {
        let (file, layout) = image(DEFAULT_FIRST_LBA);
        let mut gap = vec![0; 512 * 34];
        file.as_file()
            .read_exact_at(&mut gap, layout.total() - 34 * 512)
            .unwrap();
        assert_eq!(gap[..512], [0; 512]);
        assert_eq!(&gap[512 * 33..][..8], b"EFI PART");
    }
}
