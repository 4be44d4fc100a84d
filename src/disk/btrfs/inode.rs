//! What belongs to an inode: itself, its names, its entries and its attributes.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::data::tree_of;
use super::format::{
    ENTRY, GENERATION, Key, LARGEST_ITEM, Record, TOP, further_name_hash, kind, name_hash,
};
use super::items::Items;
use crate::disk::filling::{Time, mode_bits};
use crate::tree::{Kind, Metadata};

/// What a directory, and an attribute, is called among kinds of files.
const DIRECTORY: u8 = 2;
const ATTRIBUTE: u8 = 8;
/// The most names that a file can have (`BTRFS_LINK_MAX`).
pub(super) const MOST_NAMES: usize = 65535;
/// The number of the first name in a directory.
pub(super) const FIRST_NAME: u64 = 2;

/// A file but for its names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inode {
    pub meta: Metadata,
    pub size: u64,
    /// Bytes of its content that there are.
    pub stored: u64,
    pub names: u32,
    pub mtime: Time,
}

impl Inode {
    pub fn record(&self, now: Time) -> Record {
        let (major, minor) = match self.meta.kind {
            Kind::Device => self.meta.device,
            _ => (0, 0),
        };
        let mode = mode_bits(&self.meta) | self.meta.mode;
        Record::new()
            .u64(GENERATION)
            .u64(GENERATION)
            .u64(self.size)
            .u64(self.stored)
            .u64(0)
            .u32(self.names)
            .u32(self.meta.uid)
            .u32(self.meta.gid)
            .u32(mode)
            // As the kernel has it: 20 bits of minor number.
            .u64(u64::from(major) << 20 | u64::from(minor & 0xf_ffff))
            .up_to(112)
            .time(now)
            .time(now)
            .time(self.mtime)
            .time(now)
    }
}

/// The directory at the top of a tree that no file of the image is in.
pub(super) fn plain_directory(now: Time, stored: u64) -> Record {
    Record::new()
        .u64(GENERATION)
        .u64(0)
        .u64(0)
        .u64(stored)
        .u64(0)
        .u32(1)
        .u64(0)
        .u32(0o040_755)
        .up_to(112)
        .time(now)
        .time(now)
        .time(now)
        .time(now)
}

impl Record {
    pub(super) fn time(self, (seconds, nanoseconds): Time) -> Self {
        self.bytes(&seconds.to_le_bytes()).u32(nanoseconds)
    }

    /// A name with its number in the directory.
    pub(super) fn name(self, index: u64, name: &[u8]) -> Self {
        self.u64(index).u16(name.len() as u16).bytes(name)
    }

    /// The entry by which the first subvolume is the one that is mounted.
    pub(super) fn first_subvolume(self, name: &[u8]) -> Self {
        self.entry(Target::Subvolume(0).location(), DIRECTORY, name, &[])
    }

    fn entry(self, location: Key, kind: u8, name: &[u8], value: &[u8]) -> Self {
        self.key(location)
            .u64(GENERATION)
            .u16(value.len() as u16)
            .u16(name.len() as u16)
            .u8(kind)
            .bytes(name)
            .bytes(value)
    }
}

/// What a name in a directory leads to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    Inode(u64),
    Subvolume(usize),
}

impl Target {
    fn location(self) -> Key {
        match self {
            Self::Inode(inode) => Key::new(inode, kind::INODE, 0),
            Self::Subvolume(number) => Key::new(tree_of(number), kind::ROOT, u64::MAX),
        }
    }
}

/// A name in a directory.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub name: Vec<u8>,
    pub target: Target,
    /// What it is, as directories have it.
    pub kind: u8,
}

/// Adds the entries of a directory, in the order of their numbers. Fails with the name of one that has
/// the same hash as too many others.
pub(super) fn add_entries<'e>(
    items: &mut Items,
    directory: u64,
    entries: &'e [Entry],
) -> Result<(), &'e [u8]> {
    let mut lengths: BTreeMap<u64, usize> = BTreeMap::new();
    for (index, entry) in (FIRST_NAME..).zip(entries) {
        let hash = name_hash(&entry.name);
        if !fits(&mut lengths, hash, ENTRY + entry.name.len()) {
            return Err(&entry.name);
        }
        let record = Record::new().entry(entry.target.location(), entry.kind, &entry.name, &[]);
        items.add(Key::new(directory, kind::ENTRY, hash), &record);
        items.add(Key::new(directory, kind::NUMBERED_ENTRY, index), &record);
    }
    Ok(())
}

/// Whether an item has room for `length` more bytes, which it then has no longer.
fn fits(lengths: &mut BTreeMap<u64, usize>, item: u64, length: usize) -> bool {
    let used = lengths.entry(item).or_default();
    *used += length;
    *used <= LARGEST_ITEM
}

/// Adds attributes. Fails with the name of one that has no room.
pub(super) fn add_attributes<'n>(
    items: &mut Items,
    inode: u64,
    attributes: impl Iterator<Item = (&'n [u8], &'n [u8])>,
) -> Result<(), &'n [u8]> {
    let mut lengths = BTreeMap::new();
    for (name, value) in attributes {
        let hash = name_hash(name);
        if !fits(&mut lengths, hash, ENTRY + name.len() + value.len()) {
            return Err(name);
        }
        let record = Record::new().entry(Key::new(0, 0, 0), ATTRIBUTE, name, value);
        items.add(Key::new(inode, kind::ATTRIBUTE, hash), &record);
    }
    Ok(())
}

/// A name of a file: its directory, its number there, and itself.
pub(super) type Name = (u64, u64, Vec<u8>);

/// Adds the only name of a file.
pub(super) fn add_name(items: &mut Items, inode: u64, directory: u64, index: u64, name: &[u8]) {
    let record = Record::new().name(index, name);
    items.add(Key::new(inode, kind::NAME, directory), &record);
}

/// Adds all names of a file. Fails with one of them if too many have the same hash.
pub(super) fn add_names<'n>(
    items: &mut Items,
    inode: u64,
    names: &'n [Name],
) -> Result<(), &'n [u8]> {
    let mut lengths = BTreeMap::new();
    let mut further_lengths = BTreeMap::new();
    for (directory, index, name) in names {
        if fits(&mut lengths, *directory, 10 + name.len()) {
            add_name(items, inode, *directory, *index, name);
            continue;
        }
        // There is no more room in the item of the directory's names.
        let hash = further_name_hash(*directory, name);
        if !fits(&mut further_lengths, hash, 18 + name.len()) {
            return Err(name);
        }
        let record = Record::new().u64(*directory).name(*index, name);
        items.add(Key::new(inode, kind::FURTHER_NAME, hash), &record);
    }
    Ok(())
}

/// Adds that the directory at the top of a tree has no other above it.
pub(super) fn add_top(items: &mut Items) {
    add_name(items, TOP, TOP, 0, b"..");
}

/// An identifier that follows from another one, and always does.
pub(super) fn derived(uuid: Uuid, what: &str) -> Uuid {
    Uuid::new_v5(&uuid, what.as_bytes())
}
