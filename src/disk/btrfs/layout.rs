//! Finds a place for everything, and writes it.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use super::fill::Filling;
use super::format::tree;
use super::items::Items;
use super::nodes;
use super::space::{Chunk, Room};
use super::superblock::{Root, Superblock};
use super::trees::{About, Tree, Used, in_chunks};
use crate::disk::filling::Failed;

/// How often the trees that say where everything is may grow by what they say of themselves.
const TRIES: usize = 32;

/// A file system whose files are known.
pub(super) struct Layout<'a> {
    about: About<'a>,
    label: &'static str,
    system: Chunk,
    data: Vec<Chunk>,
    room: Room,
    trees: Vec<Tree>,
}

/// The trees that depend on where everything is.
const DEPENDENT: [u64; 5] = [
    tree::ROOT,
    tree::EXTENT,
    tree::CHUNK,
    tree::DEVICE,
    tree::FREE,
];

impl<'a> Layout<'a> {
    /// Of files that were read, with their data in `data`.
    pub fn new(
        filling: &'a Filling<'_>,
        files: Vec<(u64, Items)>,
        system: Chunk,
        data: Vec<Chunk>,
        room: Room,
    ) -> Self {
        let about = About::of(filling);
        let mut trees: Vec<_> = files
            .into_iter()
            .map(|(number, items)| Tree::new(number, items))
            .collect();
        trees.push(Tree::new(tree::UUID, about.identifiers()));
        trees.push(Tree::new(tree::RELOCATION, about.relocation()));
        let dependent = DEPENDENT.into_iter();
        trees.extend(dependent.map(|number| Tree::new(number, Items::new())));
        Self {
            about,
            label: filling.volume.kind.short_name(),
            system,
            data,
            room,
            trees,
        }
    }

    /// Writes everything but data into `file`, whose file system begins at `offset`; returns its size.
    pub fn write(mut self, file: &File, offset: u64) -> Result<u64, Failed> {
        let (chunks, size) = self.settle()?;
        let family = self.about.family;
        let mut write = |address: u64, node: &[u8]| {
            let chunk = chunks
                .iter()
                .find(|chunk| (chunk.start()..chunk.end()).contains(&address));
            let copies = chunk.iter().flat_map(|chunk| {
                let inside = address - chunk.start();
                chunk.copies.iter().map(move |copy| copy + inside)
            });
            for copy in copies {
                file.write_all_at(node, offset + copy)?;
            }
            Ok(())
        };
        for tree in &self.trees {
            nodes::write(
                &tree.items,
                tree.number,
                &tree.addresses,
                family,
                &mut write,
            )?;
        }
        let superblock = self.superblock(&chunks, size);
        for (at, bytes) in superblock.copies() {
            file.write_all_at(&bytes, offset + at)?;
        }
        Ok(size)
    }

    /// Gives every node a place. That is said in trees, whose nodes need places as well.
    fn settle(&mut self) -> Result<(Vec<Chunk>, u64), Failed> {
        for _ in 0..TRIES {
            let in_metadata = self.trees.iter().filter(|tree| tree.number != tree::CHUNK);
            let count = in_metadata.map(|tree| tree.shape.nodes()).sum();
            let metadata = self.room.metadata(count).ok_or(Failed::NoRoom)?;
            let size = match metadata.last() {
                Some(last) if self.room.tight => last.disk_end(),
                _ => self.room.size,
            };
            self.place(&metadata)?;
            let first = std::iter::once(&self.system);
            let chunks: Vec<Chunk> = first.chain(&self.data).chain(&metadata).cloned().collect();
            let used = Used::new(self.about.extents, &self.trees);
            let mut is_settled = true;
            for number in DEPENDENT {
                let items = match number {
                    tree::ROOT => self.about.roots(&self.trees),
                    tree::EXTENT => self.about.uses(&chunks, &used, &self.trees),
                    tree::CHUNK => self.about.chunks(&chunks, size),
                    tree::DEVICE => self.about.places(&chunks),
                    _ => self.about.free(&chunks, &used),
                };
                let mut new = Tree::new(number, items);
                for old in self.trees.iter_mut().filter(|old| old.number == number) {
                    is_settled &= old.shape == new.shape;
                    new.addresses = std::mem::take(&mut old.addresses);
                    std::mem::swap(old, &mut new);
                }
            }
            if is_settled {
                return Ok((chunks, size));
            }
        }
        // Each try takes fewer nodes more than the one before.
        Err(Failed::NoRoom)
    }

    fn place(&mut self, metadata: &[Chunk]) -> Result<(), Failed> {
        let mut in_metadata = metadata.iter().flat_map(Chunk::nodes);
        let mut in_system = self.system.nodes();
        for tree in &mut self.trees {
            let nodes = tree.shape.nodes();
            tree.addresses = if tree.number == tree::CHUNK {
                in_system.by_ref().take(nodes).collect()
            } else {
                in_metadata.by_ref().take(nodes).collect()
            };
            if tree.addresses.len() < nodes {
                return Err(Failed::NoRoom);
            }
        }
        Ok(())
    }

    fn superblock(&self, chunks: &[Chunk], size: u64) -> Superblock<'_> {
        let root = |number: u64| {
            let tree = self.trees.iter().find(|tree| tree.number == number);
            Root {
                address: tree.map_or(0, Tree::root),
                level: tree.map_or(0, |tree| tree.shape.level()),
            }
        };
        Superblock {
            family: self.about.family,
            device: self.about.device,
            label: self.label,
            size,
            in_chunks: in_chunks(chunks),
            used: Used::new(self.about.extents, &self.trees).bytes(),
            system: &self.system,
            root: root(tree::ROOT),
            chunks: root(tree::CHUNK),
            extents: root(tree::EXTENT),
            files: root(tree::FILES),
            devices: root(tree::DEVICE),
            sums: root(tree::SUMS),
        }
    }
}
