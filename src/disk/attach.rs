//! A finished disk image as a directory tree: its partitions attached and mounted.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::layout::{LARGEST_FILE, SECTOR};
use super::{Architecture, DiskError, PartitionKind, types};
use crate::host::{LoopDevice, LoopOptions, Mount, mount_point_inside};

/// A disk image whose file systems are mounted. To be used in a mount namespace of its own, so that
/// nothing stays when the process is killed.
#[derive(Debug)]
pub struct AttachedImage {
    // In the order in which they were mounted, each with the device below it.
    mounts: Vec<(Mount, LoopDevice)>,
    path: PathBuf,
    apart: Vec<Apart>,
}

/// A partition with data of a read-only system, which is not mounted within it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Apart {
    /// Where it is mounted.
    pub source: PathBuf,
    /// Where it belongs, as seen from inside the system.
    pub target: PathBuf,
}

/// Where the parts of an image are mounted.
#[derive(Clone, Copy, Debug)]
pub struct MountPoints<'a> {
    /// The root: an empty directory.
    pub root: &'a Path,
    /// A directory for those parts that are not mounted within the root.
    pub apart: &'a Path,
}

impl AttachedImage {
    /// Mounts the image's root partition, and its home and srv partitions inside; or the file system
    /// that fills the image. With `read_only`, nothing can be written to the root, and the other
    /// partitions are mounted apart, where a container that makes everything of the root read-only
    /// leaves them as they are.
    ///
    /// # Errors
    /// When the image has no root partition that this kernel can mount.
    pub fn open(
        image: &Path,
        architecture: Architecture,
        points: MountPoints<'_>,
        read_only: bool,
    ) -> Result<Self, DiskError> {
        let mut attached = Self {
            mounts: Vec::new(),
            path: points.root.to_owned(),
            apart: Vec::new(),
        };
        let slots = match whole(image)? {
            Some(whole) => {
                attached.mount(image, &whole, points.root, read_only)?;
                return Ok(attached);
            }
            None => partitions(image)?,
        };
        let slot = |kind| {
            let wanted = types::type_uuid(kind, architecture);
            slots.iter().find(|slot| slot.type_uuid == wanted)
        };
        let root = slot(PartitionKind::Root).ok_or_else(|| DiskError::NoRootPartition {
            image: image.to_owned(),
        })?;
        let read_only = read_only || root.read_only;
        attached.mount(image, root, points.root, read_only)?;
        for kind in PartitionKind::ALL {
            let (Some(place), Some(slot)) = (kind.mount_point(), slot(kind)) else {
                continue;
            };
            let place = Path::new(place);
            let inside = mount_point_inside(points.root, place).map_err(DiskError::Host)?;
            let target = if read_only {
                let source = points.apart.join(place);
                fs::create_dir_all(&source).map_err(DiskError::io("create", &source))?;
                attached.apart.push(Apart {
                    source: source.clone(),
                    target: Path::new("/").join(place),
                });
                source
            } else {
                inside
            };
            attached.mount(image, slot, &target, slot.read_only)?;
        }
        Ok(attached)
    }

    /// Mounts the image's root partition alone, or the file system that fills the image, so that nothing
    /// can be written to either.
    ///
    /// # Errors
    /// As [`AttachedImage::open`].
    pub fn open_root(
        image: &Path,
        architecture: Architecture,
        root: &Path,
    ) -> Result<Self, DiskError> {
        let mut attached = Self {
            mounts: Vec::new(),
            path: root.to_owned(),
            apart: Vec::new(),
        };
        let slot = match whole(image)? {
            Some(whole) => whole,
            None => {
                let wanted = types::type_uuid(PartitionKind::Root, architecture);
                let mut slots = partitions(image)?.into_iter();
                let found = slots.find(|slot| slot.type_uuid == wanted);
                found.ok_or_else(|| DiskError::NoRootPartition {
                    image: image.to_owned(),
                })?
            }
        };
        attached.mount(image, &slot, root, true)?;
        Ok(attached)
    }

    /// Mounts all of an image's file systems in one tree, so that nothing can be written to any of them:
    /// the root partition of whichever architecture, and its home and srv partitions inside; or the file
    /// system that fills the image.
    ///
    /// # Errors
    /// As [`AttachedImage::open`].
    pub fn open_to_read(image: &Path, root: &Path) -> Result<Self, DiskError> {
        let mut attached = Self {
            mounts: Vec::new(),
            path: root.to_owned(),
            apart: Vec::new(),
        };
        if let Some(whole) = whole(image)? {
            attached.mount(image, &whole, root, true)?;
            return Ok(attached);
        }
        let slots = partitions(image)?;
        let (architecture, slot) = Architecture::ALL
            .iter()
            .find_map(|architecture| {
                let wanted = types::type_uuid(PartitionKind::Root, *architecture);
                let slot = slots.iter().find(|slot| slot.type_uuid == wanted)?;
                Some((*architecture, slot))
            })
            .ok_or_else(|| DiskError::NoRoot {
                image: image.to_owned(),
            })?;
        attached.mount(image, slot, root, true)?;
        for kind in PartitionKind::ALL {
            let wanted = types::type_uuid(kind, architecture);
            let slot = slots.iter().find(|slot| slot.type_uuid == wanted);
            if let (Some(place), Some(slot)) = (kind.mount_point(), slot) {
                let inside = mount_point_inside(root, Path::new(place)).map_err(DiskError::Host)?;
                attached.mount(image, slot, &inside, true)?;
            }
        }
        Ok(attached)
    }

    /// Whether a file is what [`AttachedImage::open`] takes: a partition table, or a file system.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn is_image(path: &Path) -> Result<bool, DiskError> {
        if whole(path)?.is_some() {
            return Ok(true);
        }
        // The file may be no more than the start of one.
        let file = File::open(path).map_err(DiskError::io("open", path))?;
        Ok(read_table(&file).is_ok())
    }

    fn mount(
        &mut self,
        image: &Path,
        slot: &Found,
        target: &Path,
        read_only: bool,
    ) -> Result<(), DiskError> {
        let kind = file_system(image, slot.offset)?;
        if kind == LUKS {
            return Err(DiskError::Encrypted {
                image: image.to_owned(),
            });
        }
        let options = LoopOptions {
            offset: slot.offset,
            size: slot.size,
            read_only,
        };
        // Another image with the same identifier may be mounted: that of an equal build.
        let unique = if kind == "xfs" { "nouuid" } else { "" };
        let device = LoopDevice::attach(image, options).map_err(DiskError::Host)?;
        let mount = Mount::device(device.path(), target, kind, read_only, unique)
            .map_err(DiskError::Host)?;
        self.mounts.push((mount, device));
        Ok(())
    }

    /// The partitions that are mounted apart.
    #[must_use]
    pub fn apart(&self) -> &[Apart] {
        &self.apart
    }

    /// The directory where the image's root is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Unmounts everything, the innermost first.
    ///
    /// # Errors
    /// When something still uses a mount.
    pub fn close(mut self) -> Result<(), DiskError> {
        while let Some((mount, device)) = self.mounts.pop() {
            mount.unmount().map_err(DiskError::Host)?;
            drop(device);
        }
        Ok(())
    }
}

impl Drop for AttachedImage {
    fn drop(&mut self) {
        while let Some((mount, device)) = self.mounts.pop() {
            drop(mount);
            drop(device);
        }
    }
}

/// A partition as the table has it.
pub(super) struct Found {
    pub(super) type_uuid: Uuid,
    pub(super) offset: u64,
    pub(super) size: u64,
    read_only: bool,
}

/// All of an image that is a file system without a partition table.
fn whole(image: &Path) -> Result<Option<Found>, DiskError> {
    match file_system(image, 0) {
        Ok(_) => {}
        Err(DiskError::UnknownFileSystem { .. }) => return Ok(None),
        Err(error) => return Err(error),
    }
    let metadata = fs::metadata(image).map_err(DiskError::io("read", image))?;
    Ok(Some(Found {
        type_uuid: Uuid::nil(),
        offset: 0,
        size: metadata.len(),
        read_only: false,
    }))
}

/// Reads the primary partition table (UEFI specification, sections 5.3.2 and 5.3.3).
pub(super) fn partitions(image: &Path) -> Result<Vec<Found>, DiskError> {
    let file = File::open(image).map_err(DiskError::io("open", image))?;
    let read = || -> io::Result<Vec<Found>> {
        let length = file.metadata()?.len();
        let found = read_table(&file)?;
        if found.iter().any(|slot| slot.offset + slot.size > length) {
            return Err(outside());
        }
        Ok(found)
    };
    read().map_err(DiskError::io("read the partition table of", image))
}

/// No file has this sector.
const LARGEST_LBA: u64 = LARGEST_FILE / SECTOR;

fn outside() -> io::Error {
    let what = "a partition of its table lies outside the image";
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Types, places and sizes of partitions, for whoever tries bad tables.
#[cfg(any(test, fuzzing))]
pub(crate) fn table_for_fuzzing(image: &Path) -> Result<Vec<(Uuid, u64, u64)>, DiskError> {
    let found = partitions(image)?.into_iter();
    Ok(found
        .map(|found| (found.type_uuid, found.offset, found.size))
        .collect())
}

fn read_table(file: &File) -> io::Result<Vec<Found>> {
    let bad = || {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "there is no GPT partition table",
        )
    };
    let mut header = [0; 92];
    file.read_exact_at(&mut header, SECTOR)?;
    let number = |at: usize| u64::from_le_bytes(array(&header[at..at + 8]));
    let small = |at: usize| u32::from_le_bytes(array(&header[at..at + 4]));
    let (entries, count, length) = (number(72), small(80), small(84));
    if !header.starts_with(b"EFI PART") || !(128..=4096).contains(&length) || count > 1024 {
        return Err(bad());
    }
    if entries >= LARGEST_LBA {
        return Err(outside());
    }
    let entries = entries * SECTOR;
    let mut found = Vec::new();
    for index in 0..u64::from(count) {
        let mut entry = [0; 56];
        file.read_exact_at(&mut entry, entries + index * u64::from(length))?;
        let number = |at: usize| u64::from_le_bytes(array(&entry[at..at + 8]));
        let type_uuid = Uuid::from_bytes_le(array(&entry[..16]));
        if type_uuid.is_nil() {
            continue;
        }
        let (first, last) = (number(32), number(40));
        if first > last || last >= LARGEST_LBA {
            return Err(outside());
        }
        found.push(Found {
            type_uuid,
            offset: first * SECTOR,
            size: (last - first + 1) * SECTOR,
            read_only: number(48) & (1 << 60) != 0,
        });
    }
    Ok(found)
}

/// The first bytes of a slice that is long enough.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[..N]);
    array
}

/// What `blkid` calls an encrypted partition.
const LUKS: &str = "crypto_LUKS";

/// Signatures of file systems: where, what, and the kernel's name. From each one's on-disk format.
const SIGNATURES: [(u64, &[u8], &str); 6] = [
    (0, b"LUKS\xba\xbe", LUKS),
    (0, b"XFSB", "xfs"),
    (0, b"hsqs", "squashfs"),
    (0x400, &[0xe2, 0xe1, 0xf5, 0xe0], "erofs"),
    (0x438, &[0x53, 0xef], "ext4"),
    (0x1_0040, b"_BHRfS_M", "btrfs"),
];

/// The kernel's name of the file system at an offset of a file.
fn file_system(image: &Path, offset: u64) -> Result<&'static str, DiskError> {
    let file = File::open(image).map_err(DiskError::io("open", image))?;
    for (at, signature, name) in SIGNATURES {
        let mut found = vec![0; signature.len()];
        if file.read_exact_at(&mut found, offset + at).is_ok() && found == signature {
            return Ok(name);
        }
    }
    Err(DiskError::UnknownFileSystem {
        image: image.to_owned(),
        offset,
    })
}

/// Whether this host's init system dissects images itself: it takes udev to find the partitions.
#[must_use]
pub fn host_dissects() -> bool {
    fs::symlink_metadata("/run/udev/control").is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_that_lead_outside_their_file_are_refused() {
        let root = types::type_uuid(PartitionKind::Root, Architecture::X86_64);
        let table = |entries: u64, first: u64, last: u64| {
            let file = tempfile::NamedTempFile::new().unwrap();
            file.as_file().set_len(1 << 20).unwrap();
            let write = |bytes: &[u8], at| file.as_file().write_all_at(bytes, at).unwrap();
            write(b"EFI PART", 512);
            for (at, value) in [(72, entries), (80, 128 << 32 | 2)] {
                write(&u64::to_le_bytes(value), 512 + at);
            }
            write(root.to_bytes_le().as_slice(), 1024);
            write(&first.to_le_bytes(), 1024 + 32);
            write(&last.to_le_bytes(), 1024 + 40);
            let found = partitions(file.path());
            (
                found.map_err(|error| std::error::Error::source(&error).unwrap().to_string()),
                AttachedImage::is_image(file.path()).unwrap(),
            )
        };
        let (found, is_image) = table(2, 2, 2047);
        assert_eq!((found.unwrap()[0].size, is_image), (2046 * 512, true));
        let outside = "a partition of its table lies outside the image";
        for (entries, first, last, is_image) in [
            // As of an image of which only the start is there.
            (2, 2, 2048, true),
            (2, 0, u64::MAX, false),
            (2, u64::MAX, u64::MAX, false),
            (2, 3, 2, false),
            (u64::MAX / 512, 2, 3, false),
            (u64::MAX, 2, 3, false),
        ] {
            let (found, seen) = table(entries, first, last);
            assert_eq!(found.err().as_deref(), Some(outside), "{first} to {last}");
            assert_eq!(seen, is_image, "{first} to {last}");
        }
    }

    #[test]
    fn file_systems_are_known_by_their_signatures() {
        for (at, signature, name) in SIGNATURES {
            let file = tempfile::NamedTempFile::new().unwrap();
            file.as_file().write_all_at(signature, 4096 + at).unwrap();
            assert_eq!(file_system(file.path(), 4096).unwrap(), name);
        }
        let empty = tempfile::NamedTempFile::new().unwrap();
        assert!(file_system(empty.path(), 0).is_err());
    }
}
