//! What starts a machine from a disk, as far as its partitions are concerned.

use std::error::Error;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::layout::{Layout, SECTOR};
use super::verity::Hash;
use super::{DiskError, PartitionKind};

/// Bytes of the first sector that hold code; the rest is the partition table's.
const CODE: usize = 440;

/// Code that a BIOS runs.
#[derive(Clone, Debug)]
pub struct BootCode {
    /// What goes into the first sector; cut to the part before the partition table.
    pub first_sector: Vec<u8>,
    /// What goes into the BIOS boot partition.
    pub core: Vec<u8>,
}

/// Finishes what boot partitions will hold, once everything else is in the image.
///
/// Called once, when the root hash is known; what it changes in the directories of boot partitions
/// must keep their sizes. It is given the first sector of the BIOS boot partition, where there is
/// one, and returns the code for it.
pub type Booting<'a> = dyn Fn(Option<&Hash>, Option<u64>) -> Result<Option<BootCode>, Box<dyn Error + Send + Sync>>
    + 'a;

/// Has boot partitions finished, and writes what is no file system.
pub(super) fn finish(
    image: &File,
    path: &Path,
    layout: &Layout,
    root_hash: Option<&Hash>,
    booting: &Booting<'_>,
) -> Result<(), DiskError> {
    let slot = layout.slot(PartitionKind::BiosBoot);
    let code =
        booting(root_hash, slot.map(|slot| slot.offset / SECTOR)).map_err(DiskError::Boot)?;
    let (Some(slot), Some(code)) = (slot, code) else {
        return Ok(());
    };
    let size = code.core.len() as u64;
    if size > slot.size {
        return Err(DiskError::CoreTooLarge {
            size,
            room: slot.size,
        });
    }
    write(image, slot.offset, &code).map_err(DiskError::io("write", path))
}

fn write(image: &File, offset: u64, code: &BootCode) -> io::Result<()> {
    let first = code.first_sector.get(..CODE).unwrap_or(&code.first_sector);
    image.write_all_at(&code.core, offset)?;
    image.write_all_at(first, 0)
}

/// Whether a partition is filled after all others, because what is in it depends on them.
pub(super) const fn comes_last(kind: PartitionKind) -> bool {
    matches!(
        kind,
        PartitionKind::Esp | PartitionKind::BiosBoot | PartitionKind::Xbootldr
    )
}
