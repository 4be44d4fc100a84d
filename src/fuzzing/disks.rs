//! Sizes, layouts and partition tables.

use std::os::unix::fs::FileExt as _;

use uuid::Uuid;

use super::take::Take;
use super::{check_error, check_message};
use crate::config::values::Size as SettingSize;
use crate::disk::btrfs::Btrfs;
use crate::disk::layout::{ALIGNMENT, Attributes, GRAIN, Request, SECTOR};
use crate::disk::squashfs::Squashfs;
use crate::disk::{
    Architecture, Content, DiskError, DiskSpec, FileSystem, Files, Filling, Layout, Partition,
    PartitionKind, Seed, Size, Style, draw, gpt, size_text, table_for_fuzzing,
};

/// The first sectors of a disk on which a table is looked for.
const LARGEST_TABLE: u64 = 1 << 40;

/// Computes with sizes, lays out a disk, or reads a partition table, as the first byte says.
///
/// # Panics
/// When partitions lie over each other, outside, not aligned, or are smaller than asked for; when a
/// table is not read as it was written; when a foreign one leads outside its file.
pub fn disks(input: &[u8]) {
    let mut input = Take(input);
    match input.byte() % 4 {
        0 => layout(input),
        1 => spec(input),
        2 => foreign_table(input),
        _ => sizes(input.0),
    }
}

fn requests(input: &mut Take<'_>) -> Vec<Request> {
    let count = input.byte() % 10;
    let one = |number| {
        let bits = input.byte();
        Request {
            kind: PartitionKind::ALL[usize::from(bits % 8)],
            size: input.size(),
            size_is_minimum: bits & 8 != 0,
            uuid: Uuid::from_u128(u128::from(number) + 1),
            attributes: Attributes {
                read_only: bits & 16 != 0,
                grow_file_system: bits & 32 != 0,
                no_auto: bits & 64 != 0,
            },
        }
    };
    (0..count).map(one).collect()
}

fn layout(mut input: Take<'_>) {
    let architecture = Architecture::ALL[usize::from(input.byte()) % Architecture::ALL.len()];
    let first_lba = input.size();
    let requests = requests(&mut input);
    match Layout::new(architecture, &requests, first_lba) {
        Err(error) => check_error(&error),
        Ok(layout) => {
            assert_eq!(layout.slots().len(), requests.len());
            for request in &requests {
                let size = layout.slot(request.kind).unwrap().size;
                assert!(size >= request.size && size - request.size < GRAIN);
            }
            check(&layout);
            if layout.total() <= LARGEST_TABLE {
                check_table(&layout);
            }
        }
    }
}

/// What holds of every layout.
fn check(layout: &Layout) {
    assert_eq!(layout.total() % ALIGNMENT, 0);
    assert!(i64::try_from(layout.total()).is_ok());
    let mut end = layout.first_lba() * SECTOR;
    for slot in layout.slots() {
        assert!(slot.size > 0 && slot.size % GRAIN == 0 && slot.offset % ALIGNMENT == 0);
        assert!(slot.offset >= end && slot.first_lba() >= layout.first_lba());
        assert!(slot.last_lba() <= layout.last_lba());
        end = slot.end();
    }
    // After the last partition: the backup of the table, and its header.
    assert!(end + 33 * SECTOR <= layout.total());
    check_message(&draw(layout, 80, Style::Unicode));
    check_message(&draw(layout, 1, Style::Ascii));
}

/// Writes the table and reads it again.
fn check_table(layout: &Layout) {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(layout.total()).unwrap();
    gpt::write(file.as_file(), layout, Uuid::from_u128(99)).unwrap();
    let found = table_for_fuzzing(file.path()).unwrap();
    let slots = layout.slots();
    let wanted: Vec<_> = slots
        .iter()
        .map(|slot| (slot.type_uuid, slot.offset, slot.size))
        .collect();
    assert_eq!(found, wanted);
}

/// A whole disk, with file systems and what they hold.
fn spec(mut input: Take<'_>) {
    let mut spec = DiskSpec::new(Architecture::X86_64, Seed::new(Uuid::nil()));
    spec.first_lba = input.size();
    let bits = input.byte();
    spec.verity = bits & 1 != 0;
    for _ in 0..bits >> 5 {
        spec.partitions.push(partition(&mut input));
    }
    for laid_out in [spec.layout(), spec.preview()] {
        match laid_out {
            Ok(layout) => check(&layout),
            Err(error) => check_disk_error(&error),
        }
    }
    let _ = (spec.tools(), spec.encrypts());
}

fn partition(input: &mut Take<'_>) -> Partition {
    let bits = input.byte();
    let size = match bits >> 6 {
        0 => Size::Automatic,
        1 => Size::Minimal,
        _ => Size::Fixed(input.size()),
    };
    let file_system = match bits >> 3 & 7 {
        0 => FileSystem::Ext4,
        1 => FileSystem::Xfs,
        2 => FileSystem::Btrfs(Btrfs { compress: None }),
        3 => FileSystem::Squashfs(Squashfs {
            compress: None,
            program: None,
        }),
        _ => FileSystem::Fat,
    };
    let kind = PartitionKind::ALL[usize::from(bits % 8)];
    let bits = input.byte();
    let content = Content {
        data_bytes: input.size(),
        inodes: input.size(),
        directories: input.size(),
        names: input.size(),
        name_bytes: input.size(),
        long_symlinks: input.size(),
        with_xattrs: input.size(),
    };
    let filling = match bits & 3 {
        0 => Filling::Nothing,
        1 => Filling::Swap,
        _ => Filling::Files(Files {
            file_system,
            directory: None,
            content,
        }),
    };
    let mut partition = Partition::new(kind, size, filling);
    partition.read_only = bits & 4 != 0;
    partition.encrypted = bits & 8 != 0;
    partition
}

fn check_disk_error(error: &DiskError) {
    check_error(error);
}

/// A table that somebody else made: the rest of the input, at the first sectors of a disk.
fn foreign_table(mut input: Take<'_>) {
    let length = input.size().min(LARGEST_TABLE);
    let file = tempfile::NamedTempFile::new().unwrap();
    let header = input.bytes(92);
    file.as_file().write_all_at(b"EFI PART", SECTOR).unwrap();
    let name = header.len().min(8);
    file.as_file()
        .write_all_at(&header[name..], SECTOR + 8)
        .unwrap();
    file.as_file().write_all_at(input.0, 2 * SECTOR).unwrap();
    file.as_file().set_len(length).unwrap();
    match table_for_fuzzing(file.path()) {
        Err(error) => check_disk_error(&error),
        Ok(found) => {
            for (_, offset, size) in found {
                let end = offset.checked_add(size).expect("no partition is so large");
                assert!(end <= length, "{offset}+{size} of {length}");
            }
        }
    }
}

/// A size in words, and back.
fn sizes(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    match SettingSize::from_text(text) {
        Err(error) => check_message(&error.to_string()),
        Ok(size) => {
            assert!(size.bytes() > 0 && size.bytes() % GRAIN == 0);
            check_message(&size.to_string());
            let shown = SettingSize::from_text(&size_text(size.bytes())).unwrap();
            assert!(shown >= size, "{size}");
        }
    }
}
