//! The trees beside those of files: of trees, of what is in use and what is free, of chunks and the disk.

use uuid::Uuid;

use super::data::{Extent, Owner, tree_of};
use super::fill::{Filling, Subvolume};
use super::format::{
    CHUNKS, DEVICE, GENERATION, Key, NODE, ROOT_DIRECTORY, Record, TOP, kind, name_hash, tree,
    use_hash,
};
use super::inode::{add_name, add_top, derived, plain_directory};
use super::items::Items;
use super::nodes::{Family, Shape};
use super::space::Chunk;
use crate::disk::filling::Time;

/// That an extent is data, and that it is a node.
const IS_DATA: u64 = 1;
const IS_NODE: u64 = 1 << 1;
/// That a root's inode has flags at all (`BTRFS_INODE_ROOT_ITEM_INIT`).
const ROOT_INITIALIZED: u64 = 1 << 31;
/// That a subvolume is read-only.
const READ_ONLY: u64 = 1;
/// Bytes of the item of a root.
const ROOT_ITEM: usize = 439;

/// A tree with the places of its nodes.
#[derive(Debug)]
pub(super) struct Tree {
    pub number: u64,
    pub items: Items,
    pub shape: Shape,
    /// One for each node, the root's last.
    pub addresses: Vec<u64>,
}

impl Tree {
    pub fn new(number: u64, mut items: Items) -> Self {
        items.sort();
        Self {
            number,
            shape: Shape::of(&items),
            items,
            addresses: Vec::new(),
        }
    }

    pub fn root(&self) -> u64 {
        self.addresses.last().copied().unwrap_or_default()
    }
}

/// What all these trees are about.
pub(super) struct About<'a> {
    pub family: Family,
    pub device: Uuid,
    pub now: Time,
    pub read_only: bool,
    pub subvolumes: &'a [Subvolume],
    pub extents: &'a [Extent],
    /// Further users of extents, by the places of these.
    pub further: &'a [(u64, Owner)],
}

impl<'a> About<'a> {
    pub fn of(filling: &'a Filling<'_>) -> Self {
        let uuid = filling.volume.uuid;
        Self {
            family: Family {
                file_system: uuid,
                chunks: derived(uuid, "chunks"),
            },
            device: derived(uuid, "device"),
            now: filling.now,
            read_only: filling.volume.read_only,
            subvolumes: &filling.subvolumes,
            extents: &filling.data.extents,
            further: &filling.further,
        }
    }

    fn uuid(&self, subvolume: usize) -> Uuid {
        let name = format!("subvolume {}", tree_of(subvolume));
        derived(self.family.file_system, &name)
    }

    /// Which subvolume has which identifier.
    pub fn identifiers(&self) -> Items {
        let mut items = Items::new();
        for subvolume in 0..self.subvolumes.len() {
            let (first, last) = self.uuid(subvolume).as_u64_pair();
            let key = Key::new(first.swap_bytes(), kind::UUID, last.swap_bytes());
            items.add(key, &Record::new().u64(tree_of(subvolume)));
        }
        items
    }

    /// What moving data around takes: a tree of files without any.
    pub fn relocation(&self) -> Items {
        let mut items = Items::new();
        let record = plain_directory(self.now, 0);
        items.add(Key::new(TOP, kind::INODE, 0), &record);
        add_top(&mut items);
        items
    }

    /// The disk and the chunks.
    pub fn chunks(&self, chunks: &[Chunk], size: u64) -> Items {
        let mut items = Items::new();
        let in_chunks = in_chunks(chunks);
        let record = Record::new().device(size, in_chunks, self.device, self.family);
        items.add(Key::new(1, kind::DEVICE, DEVICE), &record);
        for chunk in chunks {
            let key = Key::new(CHUNKS, kind::CHUNK, chunk.start());
            items.add(key, &Record::new().chunk(chunk, self.device));
        }
        items
    }

    /// Which parts of the disk belong to which chunk.
    pub fn places(&self, chunks: &[Chunk]) -> Items {
        let mut items = Items::new();
        for chunk in chunks {
            for copy in &chunk.copies {
                let record = Record::new()
                    .u64(tree::CHUNK)
                    .u64(CHUNKS)
                    .u64(chunk.start())
                    .u64(chunk.length)
                    .uuid(self.family.chunks);
                items.add(Key::new(DEVICE, kind::PLACE, *copy), &record);
            }
        }
        items
    }

    /// What is in use, and by whom.
    pub fn uses(&self, chunks: &[Chunk], used: &Used, trees: &[Tree]) -> Items {
        let mut items = Items::new();
        let mut further = self.further.iter().peekable();
        for extent in self.extents {
            let mut owners = vec![extent.owner];
            while let Some((_, owner)) = further.next_if(|(start, _)| *start == extent.start) {
                owners.push(*owner);
            }
            let key = Key::new(extent.start, kind::EXTENT, extent.length);
            items.add(key, &data_uses(&owners));
        }
        for tree in trees {
            for (address, level) in tree.addresses.iter().zip(tree.shape.each_level()) {
                let record = Record::new()
                    .u64(1)
                    .u64(GENERATION)
                    .u64(IS_NODE)
                    .u8(kind::IN_NODE)
                    .u64(tree.number);
                items.add(Key::new(*address, kind::NODE, level.into()), &record);
            }
        }
        for chunk in chunks {
            let record = Record::new()
                .u64(used.of(chunk).iter().map(|(_, length)| length).sum())
                .u64(CHUNKS)
                .u64(chunk.kind);
            items.add(Key::new(chunk.start(), kind::GROUP, chunk.length), &record);
        }
        items
    }

    /// What is free.
    pub fn free(&self, chunks: &[Chunk], used: &Used) -> Items {
        let mut items = Items::new();
        for chunk in chunks {
            let free = chunk.free(used.of(chunk).iter().copied());
            let record = Record::new().u32(free.len() as u32).u32(0);
            items.add(
                Key::new(chunk.start(), kind::FREE_INFO, chunk.length),
                &record,
            );
            for (start, length) in free {
                items.add(Key::new(start, kind::FREE, length), &Record::new());
            }
        }
        items
    }

    /// The trees, but for this one itself and that of chunks, which the superblock finds.
    pub fn roots(&self, trees: &[Tree]) -> Items {
        let mut items = Items::new();
        for tree in trees {
            if [tree::ROOT, tree::CHUNK].contains(&tree.number) {
                continue;
            }
            items.add(Key::new(tree.number, kind::ROOT, 0), &self.root(tree));
        }
        let directory = Key::new(ROOT_DIRECTORY, kind::INODE, 0);
        items.add(directory, &plain_directory(self.now, NODE as u64));
        add_name(&mut items, ROOT_DIRECTORY, ROOT_DIRECTORY, 0, b"..");
        add_name(&mut items, tree::FILES, ROOT_DIRECTORY, 0, b"default");
        let hash = name_hash(b"default");
        let record = Record::new().first_subvolume(b"default");
        items.add(Key::new(ROOT_DIRECTORY, kind::ENTRY, hash), &record);
        for (number, subvolume) in self.subvolumes.iter().enumerate() {
            let Some((above, (directory, index, name))) = &subvolume.above else {
                continue;
            };
            let (above, below) = (tree_of(*above), tree_of(number));
            let record = Record::new().u64(*directory).name(*index, name);
            items.add(Key::new(above, kind::ROOT_BELOW, below), &record);
            items.add(Key::new(below, kind::ROOT_ABOVE, above), &record);
        }
        items
    }

    fn root(&self, tree: &Tree) -> Record {
        let subvolume = (0..self.subvolumes.len()).find(|n| tree_of(*n) == tree.number);
        let is_files = subvolume.is_some() || tree.number == tree::RELOCATION;
        let is_read_only = self.read_only && tree.number == tree::FILES;
        let record = Record::new()
            .u64(1)
            .u64(0)
            .u64(3)
            .u64(NODE as u64)
            .u64(0)
            .u32(1)
            .u64(0)
            .u32(0o040_755)
            .u64(0)
            .u64(ROOT_INITIALIZED)
            .up_to(160)
            .u64(GENERATION)
            .u64(if is_files { TOP } else { 0 })
            .u64(tree.root())
            .u64(0)
            .u64((tree.shape.nodes() * NODE) as u64)
            .u64(0)
            .u64(if is_read_only { READ_ONLY } else { 0 })
            .u32(1)
            // How far it is deleted: not at all.
            .key(Key::new(0, 0, 0))
            .u8(0)
            .u8(tree.shape.level())
            .u64(GENERATION);
        let record = match subvolume {
            None => record,
            Some(number) => record
                .uuid(self.uuid(number))
                // Neither copied nor received from another one.
                .uuid(Uuid::nil())
                .uuid(Uuid::nil())
                .u64(GENERATION)
                .u64(GENERATION)
                .u64(0)
                .u64(0)
                .time(self.now)
                .time(self.now),
        };
        record.up_to(ROOT_ITEM)
    }
}

/// Who uses an extent of data.
fn data_uses(owners: &[Owner]) -> Record {
    let mut uses: Vec<(u64, u64, Owner)> = owners
        .iter()
        .map(|owner| {
            let tree = tree_of(owner.subvolume);
            (use_hash(tree, owner.inode, owner.offset), tree, *owner)
        })
        .collect();
    // The largest first.
    uses.sort_by_key(|(hash, ..)| std::cmp::Reverse(*hash));
    let record = Record::new()
        .u64(uses.len() as u64)
        .u64(GENERATION)
        .u64(IS_DATA);
    uses.iter().fold(record, |record, (_, tree, owner)| {
        record
            .u8(kind::IN_FILE)
            .u64(*tree)
            .u64(owner.inode)
            .u64(owner.offset)
            .u32(1)
    })
}

/// Bytes of the disk that chunks take.
pub(super) fn in_chunks(chunks: &[Chunk]) -> u64 {
    let bytes = chunks
        .iter()
        .map(|chunk| chunk.length * chunk.copies.len() as u64);
    bytes.sum()
}

/// Ranges of addresses that are in use: starts and lengths, in order and apart from each other.
pub(super) struct Used(Vec<(u64, u64)>);

impl Used {
    /// By data and by the nodes of these trees.
    pub fn new(extents: &[Extent], trees: &[Tree]) -> Self {
        let data = extents.iter().map(|extent| (extent.start, extent.length));
        let addresses = trees.iter().flat_map(|tree| &tree.addresses);
        let nodes = addresses.map(|address| (*address, NODE as u64));
        let mut all: Vec<_> = data.chain(nodes).collect();
        all.sort_unstable();
        Self(all)
    }

    fn of(&self, chunk: &Chunk) -> &[(u64, u64)] {
        let before = |border: u64| self.0.partition_point(|(start, _)| *start < border);
        &self.0[before(chunk.start())..before(chunk.end())]
    }

    /// All bytes in use.
    pub fn bytes(&self) -> u64 {
        self.0.iter().map(|(_, length)| length).sum()
    }
}
