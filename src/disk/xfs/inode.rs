//! Inodes.

use super::format::{Bytes, INODE, generation};
use super::geometry::Geometry;
use crate::disk::filling::{Time, mode_bits};
use crate::tree::Metadata;

/// Bytes before what is the file's own.
const CORE: usize = 176;
/// Bytes for a file's extents, link or names, and its attributes.
pub(super) const ROOM: usize = INODE - CORE;
/// How a fork holds its content: a device's number, itself, extents, a tree of extents.
const DEVICE: u8 = 0;
const LOCAL: u8 = 1;
const EXTENTS: u8 = 2;
const TREE: u8 = 3;
/// Times are counted in nanoseconds (`XFS_DIFLAG2_BIGTIME`), from this many seconds before 1970 on.
const BIG_TIME: u64 = 1 << 3;
const BIG_TIME_START: i64 = 1 << 31;

/// What is in a fork.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Device(u32, u32),
    Local(Vec<u8>),
    /// Records of extents, and how many.
    Extents(Vec<u8>, u32),
    /// The root of a tree of that many.
    Tree(Vec<u8>, u32),
}

impl Content {
    fn format(&self) -> u8 {
        match self {
            Self::Device(..) => DEVICE,
            Self::Local(_) => LOCAL,
            Self::Extents(..) => EXTENTS,
            Self::Tree(..) => TREE,
        }
    }

    fn count(&self) -> u32 {
        match self {
            Self::Extents(_, count) | Self::Tree(_, count) => *count,
            Self::Device(..) | Self::Local(_) => 0,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            // As System V had it: 18 bits of minor number.
            Self::Device(major, minor) => (major << 18 | minor & 0x3_ffff).to_be_bytes().to_vec(),
            Self::Local(bytes) | Self::Extents(bytes, _) | Self::Tree(bytes, _) => bytes.clone(),
        }
    }
}

/// A file but for its names.
#[derive(Clone, Debug)]
pub(super) struct Inode {
    pub meta: Metadata,
    pub names: u32,
    pub size: u64,
    /// Blocks of all kinds.
    pub blocks: u64,
    pub data: Content,
    /// Attributes, with the room that they get.
    pub attributes: Option<(Content, usize)>,
}

impl Inode {
    /// Its bytes but for the checksum. `now` is when it was last changed in any way.
    pub fn bytes(&self, number: u64, mtime: Time, now: Time, geometry: &Geometry) -> Bytes {
        let mut bytes = free(number, geometry);
        bytes.u16(2, (mode_bits(&self.meta) | self.meta.mode) as u16);
        bytes.u8(5, self.data.format());
        bytes.u32(8, self.meta.uid);
        bytes.u32(12, self.meta.gid);
        bytes.u32(16, self.names);
        for (at, time) in [(32, now), (40, mtime), (48, now), (144, now)] {
            put_time(&mut bytes, at, time, geometry.big_times);
        }
        bytes.u64(56, self.size);
        bytes.u64(64, self.blocks);
        bytes.u32(76, self.data.count());
        bytes.put(CORE, &self.data.bytes());
        // What has no attributes has them as no extents.
        bytes.u8(83, EXTENTS);
        if let Some((attributes, room)) = &self.attributes {
            bytes.u16(80, attributes.count() as u16);
            bytes.u8(82, ((ROOM - room) / 8) as u8);
            bytes.u8(83, attributes.format());
            bytes.put(INODE - room, &attributes.bytes());
        }
        bytes.u64(104, 1);
        if geometry.big_times {
            bytes.u64(120, BIG_TIME);
        }
        bytes
    }
}

/// The room that device numbers leave to attributes.
pub(super) const BESIDE_DEVICE: usize = ROOM - 8;

/// An inode that is not in use.
pub(super) fn free(number: u64, geometry: &Geometry) -> Bytes {
    let mut bytes = Bytes(vec![0; INODE]);
    bytes.put(0, b"IN");
    bytes.u8(4, 3);
    bytes.u32(92, generation(geometry.uuid, number));
    bytes.u32(96, u32::MAX);
    bytes.u64(152, number);
    bytes.uuid(160, geometry.uuid);
    bytes
}

/// Makes an inode that mkfs.xfs wrote one of this time.
pub(super) fn redate(bytes: &mut Bytes, number: u64, now: Time, geometry: &Geometry) {
    for at in [40, 48, 144] {
        put_time(bytes, at, now, geometry.big_times);
    }
    bytes.u32(92, generation(geometry.uuid, number));
}

/// Where an inode has its checksum.
pub(super) const SUM: usize = 100;

fn put_time(bytes: &mut Bytes, at: usize, (seconds, nanoseconds): Time, big: bool) {
    if big {
        // To the year 2486.
        let most = i64::try_from(u64::MAX / 1_000_000_000 - 1).unwrap_or(i64::MAX);
        let since = seconds.saturating_add(BIG_TIME_START).clamp(0, most);
        bytes.u64(
            at,
            since.unsigned_abs() * 1_000_000_000 + u64::from(nanoseconds),
        );
    } else {
        let seconds = seconds.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
        bytes.put(at, &seconds.to_be_bytes());
        bytes.u32(at + 4, nanoseconds);
    }
}
