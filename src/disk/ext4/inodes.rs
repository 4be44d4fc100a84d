//! Puts right what `mkfs.ext4 -d` leaves undone in the inodes of a file system it has just made.
//!
//! It keeps the root directory's mode, owner and times to itself (before e2fsprogs 1.47.1), and it
//! copies access and change times, which differ from one build of the same tree to the next, and the order
//! of extended attributes. All are in inodes, found through the group descriptors and covered by a checksum
//! each.
//! Source of the offsets: the kernel's `Documentation/filesystems/ext4/`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use crc::{CRC_32_ISCSI, Crc};

use super::attributes;

/// The checksum of all ext4 metadata.
pub(super) const CRC32C: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
const ROOT: u64 = 2;
/// Inodes below belong to the file system itself.
const FIRST_FREE: u64 = 11;
pub(super) const INODE: usize = super::INODE_SIZE as usize;
/// `i_extra_isize` at which every field used here is inside the inode.
const FULL_EXTRA: u16 = 28;

/// The root directory as it shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootDirectory {
    /// Permission bits: the lower 12 of the mode.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time of the last modification, in seconds.
    pub mtime: i64,
}

/// Why the inodes could not be put right.
#[derive(Debug)]
pub enum InodeError {
    /// Reading or writing failed.
    Io(io::Error),
    /// The file system is not as expected.
    Unexpected(&'static str),
}

impl From<io::Error> for InodeError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What of the superblock matters here.
struct Super {
    uuid: [u8; 16],
    groups: u64,
    inodes_per_group: u64,
    descriptor: u64,
    blocks: u64,
}

/// Puts the inodes of the file system at `offset` right. With `latest`, in seconds, no file is
/// newer than that, access and change times equal the modification time, and extended attributes are sorted.
pub fn settle(
    image: &File,
    offset: u64,
    root: RootDirectory,
    latest: Option<i64>,
) -> Result<(), InodeError> {
    let sb = superblock(image, offset)?;
    let groups = if latest.is_some() { sb.groups } else { 1 };
    for group in 0..groups {
        let mut descriptor = [0; 64];
        // The descriptors start in the block after the superblock's.
        image.read_exact_at(
            &mut descriptor,
            offset + super::BLOCK + group * sb.descriptor,
        )?;
        let table = u64::from(le32(&descriptor, 0x08)) | u64::from(le32(&descriptor, 0x28)) << 32;
        let unused = u64::from(le16(&descriptor, 0x1c)) | u64::from(le16(&descriptor, 0x32)) << 16;
        let uninitialised = le16(&descriptor, 0x12) & 1 != 0;
        let used = if uninitialised {
            0
        } else {
            sb.inodes_per_group.saturating_sub(unused)
        };
        if used == 0 {
            continue;
        }
        let length = used * super::INODE_SIZE;
        if table == 0 || table.saturating_add(length.div_ceil(super::BLOCK)) > sb.blocks {
            return Err(InodeError::Unexpected("an inode table lies outside of it"));
        }
        let at = offset + table * super::BLOCK;
        let mut inodes = vec![0; length as usize];
        image.read_exact_at(&mut inodes, at)?;
        let first = group * sb.inodes_per_group + 1;
        for (number, inode) in (first..).zip(inodes.chunks_exact_mut(INODE)) {
            let links = le16(inode, 0x1a);
            if number != ROOT && (number < FIRST_FREE || links == 0) {
                continue;
            }
            if le16(inode, 0x80) < FULL_EXTRA {
                return Err(InodeError::Unexpected("an inode is too short"));
            }
            if number == ROOT {
                own(inode, root);
            }
            if let Some(latest) = latest {
                clamp(inode, latest);
                sort_attributes(image, offset, inode, &sb)?;
            }
            seal(inode, number, &sb.uuid);
        }
        image.write_all_at(&inodes, at)?;
    }
    Ok(())
}

/// Sorts the extended attributes of an inode, those in a block of their own among them.
fn sort_attributes(
    image: &File,
    offset: u64,
    inode: &mut [u8],
    sb: &Super,
) -> Result<(), InodeError> {
    let number = u64::from(le32(inode, 0x68)) | u64::from(le16(inode, 0x76)) << 32;
    if number == 0 {
        attributes::sort(inode, None);
        return Ok(());
    }
    if number >= sb.blocks {
        return Err(InodeError::Unexpected(
            "a block of attributes lies outside of it",
        ));
    }
    let at = offset + number * super::BLOCK;
    let mut block = vec![0; super::BLOCK as usize];
    image.read_exact_at(&mut block, at)?;
    if attributes::sort(inode, Some(&mut block)) {
        attributes::seal(&mut block, number, &sb.uuid);
        image.write_all_at(&block, at)?;
    }
    Ok(())
}

fn superblock(image: &File, offset: u64) -> Result<Super, InodeError> {
    let mut sb = [0; 1024];
    image.read_exact_at(&mut sb, offset + 1024)?;
    let expected = [
        (le16(&sb, 0x38) == 0xef53, "it has no superblock"),
        (le32(&sb, 0x18) == 2, "its blocks are not of 4096 bytes"),
        (
            u64::from(le16(&sb, 0x58)) == super::INODE_SIZE,
            "its inodes are not of 256 bytes",
        ),
        // Feature bits: 64bit, metadata_csum, and not metadata_csum_seed.
        (le32(&sb, 0x60) & 0x80 != 0, "it lacks the feature 64bit"),
        (
            le32(&sb, 0x64) & 0x400 != 0,
            "it lacks the feature metadata_csum",
        ),
        (
            le32(&sb, 0x60) & 0x2000 == 0,
            "it has the feature metadata_csum_seed",
        ),
        (le16(&sb, 0xfe) == 64, "its descriptors are not of 64 bytes"),
        (
            le32(&sb, 0x20) != 0 && le32(&sb, 0x28) != 0,
            "its groups are empty",
        ),
    ];
    for (holds, what) in expected {
        if !holds {
            return Err(InodeError::Unexpected(what));
        }
    }
    let blocks = u64::from(le32(&sb, 0x04)) | u64::from(le32(&sb, 0x150)) << 32;
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&sb[0x68..0x78]);
    Ok(Super {
        uuid,
        groups: blocks.div_ceil(u64::from(le32(&sb, 0x20))),
        inodes_per_group: u64::from(le32(&sb, 0x28)),
        descriptor: u64::from(le16(&sb, 0xfe)),
        blocks,
    })
}

/// Gives a directory's inode its mode, owner and times.
fn own(inode: &mut [u8], root: RootDirectory) {
    let mode = (le16(inode, 0) & 0xf000) | (root.mode & 0o7777);
    put(inode, 0x00, &mode.to_le_bytes());
    put(inode, 0x02, &root.uid.to_le_bytes()[..2]);
    put(inode, 0x78, &root.uid.to_le_bytes()[2..]);
    put(inode, 0x18, &root.gid.to_le_bytes()[..2]);
    put(inode, 0x7a, &root.gid.to_le_bytes()[2..]);
    put_time(inode, 0x10, 0x88, root.mtime);
    put_time(inode, 0x0c, 0x84, root.mtime);
    put_time(inode, 0x08, 0x8c, root.mtime);
}

/// Makes the modification time `latest` where it is later, and the other times equal to it.
fn clamp(inode: &mut [u8], latest: i64) {
    let (low, extra) = (le32(inode, 0x10), le32(inode, 0x88));
    let seconds = i64::from(low as i32) + (i64::from(extra & 3) << 32);
    if seconds > latest {
        put_time(inode, 0x10, 0x88, latest);
    }
    let (low, extra) = (le32(inode, 0x10), le32(inode, 0x88));
    for (at, extra_at) in [(0x0c, 0x84), (0x08, 0x8c)] {
        put(inode, at, &low.to_le_bytes());
        put(inode, extra_at, &extra.to_le_bytes());
    }
}

/// Stores a time in whole seconds: 32 bits in the old field, two more in the new one.
fn put_time(inode: &mut [u8], at: usize, extra_at: usize, seconds: i64) {
    let low = seconds as u32;
    let epoch = ((seconds - i64::from(low as i32)) >> 32) as u32 & 3;
    put(inode, at, &low.to_le_bytes());
    put(inode, extra_at, &epoch.to_le_bytes());
}

/// Renews an inode's checksum: over the file system's UUID, the inode's number and generation, and
/// the inode with the checksum's own fields zero.
fn seal(inode: &mut [u8], number: u64, uuid: &[u8; 16]) {
    put(inode, 0x7c, &[0; 2]);
    put(inode, 0x82, &[0; 2]);
    let mut digest = CRC32C.digest();
    digest.update(uuid);
    digest.update(&(number as u32).to_le_bytes());
    digest.update(&inode[0x64..0x68]);
    digest.update(inode);
    // ext4 stores the bare remainder, without the customary inversion at the end.
    let sum = (!digest.finalize()).to_le_bytes();
    put(inode, 0x7c, &sum[..2]);
    put(inode, 0x82, &sum[2..]);
}

pub(super) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

pub(super) fn le16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

pub(super) fn le32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_their_epoch() {
        for seconds in [
            0,
            1,
            1_700_000_000,
            -1,
            i64::from(i32::MIN),
            1 << 31,
            1 << 32,
            (3 << 32) + 5,
        ] {
            let mut inode = [0; INODE];
            put_time(&mut inode, 0x10, 0x88, seconds);
            let read =
                i64::from(le32(&inode, 0x10) as i32) + (i64::from(le32(&inode, 0x88) & 3) << 32);
            assert_eq!(read, seconds);
        }
    }

    #[test]
    fn clamping_touches_only_what_is_later() {
        for (mtime, latest, expected) in [
            (5, 10, 5),
            (10, 10, 10),
            (11, 10, 10),
            (1 << 33, 7, 7),
            (-5, 0, -5),
        ] {
            let mut inode = [0; INODE];
            put_time(&mut inode, 0x10, 0x88, mtime);
            put_time(&mut inode, 0x0c, 0x84, 99);
            put_time(&mut inode, 0x08, 0x8c, 77);
            clamp(&mut inode, latest);
            for (at, extra) in [(0x10, 0x88), (0x0c, 0x84), (0x08, 0x8c)] {
                let seconds =
                    i64::from(le32(&inode, at) as i32) + (i64::from(le32(&inode, extra) & 3) << 32);
                assert_eq!(seconds, expected);
            }
        }
    }

    #[test]
    fn a_file_that_is_no_file_system_is_refused() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 20).unwrap();
        let root = RootDirectory {
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime: 0,
        };
        assert!(matches!(
            settle(&file, 0, root, None),
            Err(InodeError::Unexpected("it has no superblock"))
        ));
        assert!(matches!(
            settle(&file, 1 << 20, root, None),
            Err(InodeError::Io(_))
        ));
    }
}
