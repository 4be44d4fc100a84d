//! Puts a tree into an empty file system.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{CString, OsStr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{Mode, open, readlinkat};

use super::attributes::{self, Attribute};
use super::blocks::Owned;
use super::chunks::Chunks;
use super::directory::{self, Name};
use super::extents::Extents;
use super::format::{BLOCK, Bytes};
use super::geometry::Geometry;
use super::groups;
use super::inode::{BESIDE_DEVICE, Content, Inode, ROOM};
use super::output::Output;
use super::space::Space;
use crate::disk::file_system::Volume;
use crate::disk::filling::{self, Failed, MAX_DEPTH, Source, entry_kind};
use crate::host::Host;
use crate::tree::listing::{DIRECTORY, list, open_child};
use crate::tree::shown_path;
use crate::tree::xattrs::Of;
use crate::tree::{Kind, Metadata};

/// Attributes get no more of an inode than this.
const MOST_ATTRIBUTES: usize = ROOM - 56;
/// The longest target of a link (`XFS_SYMLINK_MAXLEN`, with a null byte).
const LONGEST_LINK: usize = 1023;
/// Bytes of a link's block that are not the link's.
const LINK_HEADER: usize = 56;
/// Bytes of an extent's record.
const RECORD: usize = 16;

/// What a tree is put into.
pub(super) struct Filling<'a, 'o> {
    pub geometry: &'a Geometry,
    pub space: Space,
    pub chunks: Chunks,
    pub output: Output<'o>,
    /// When everything was last changed in any way.
    pub now: filling::Time,
    pub volume: &'a Volume<'a>,
    pub host: &'a Host,
    /// Inodes of files with several names, by what they are in the tree.
    pub linked: HashMap<(u64, u64), u64>,
    /// Attributes that no XFS has, and of how many files.
    pub refused: BTreeMap<CString, u64>,
    pub done: u64,
    pub expected: u64,
}

impl<'o> Filling<'_, 'o> {
    /// Copies the tree, and writes what says where everything is.
    pub fn run(mut self) -> Result<(), Failed> {
        let failed =
            |e: rustix::io::Errno| self.volume.failed("read the directory", Path::new(""), e);
        let top = open(self.volume.tree, DIRECTORY, Mode::empty()).map_err(failed)?;
        let meta = Metadata::of(&top).map_err(failed)?;
        let root = self.geometry.root;
        self.directory(&top, Path::new(""), &meta, root, root, 0)?;
        for (name, files) in &self.refused {
            self.host.report.warn(&format!(
                "XFS has no extended attribute {}: it is missing from {files} files of the image",
                shown_path(Path::new(OsStr::from_bytes(name.to_bytes())))
            ));
        }
        let chunks = self
            .chunks
            .write(self.geometry, &mut self.space, &mut self.output)?;
        groups::write(self.geometry, &chunks, &mut self.space, &mut self.output)?;
        Ok(self.output.flush()?)
    }

    /// Copies a directory and everything beneath it.
    fn directory(
        &mut self,
        fd: &OwnedFd,
        path: &Path,
        meta: &Metadata,
        number: u64,
        parent: u64,
        depth: usize,
    ) -> Result<(), Failed> {
        if depth == MAX_DEPTH {
            return Err(self.volume.too_deep(path));
        }
        let entries = list(fd).map_err(|e| self.volume.failed("read the directory", path, e))?;
        let mut names = Vec::with_capacity(entries.len());
        let mut below = Vec::new();
        for entry in &entries {
            if self.host.cancel.is_cancelled() {
                return Err(Failed::Cancelled);
            }
            let inside = path.join(&entry.name);
            let source = Source {
                above: fd,
                name: &entry.name,
                path: &inside,
            };
            let meta = Metadata::at(fd, &entry.name)
                .map_err(|e| self.volume.failed("look at", &inside, e))?;
            let inode = if meta.kind == Kind::Directory {
                let inode = self.chunks.take(&mut self.space)?;
                below.push((entry.name.clone(), meta, inode));
                inode
            } else {
                self.file(&source, &meta)?
            };
            names.push(Name {
                name: entry.name.as_bytes().to_vec(),
                inode,
                kind: entry_kind(&meta),
            });
        }
        let all = self.attributes(Of::fd(fd), path)?;
        let (attributes, attribute_blocks) = self.attribute_fork(number, &all, MOST_ATTRIBUTES)?;
        let room = ROOM - attributes.as_ref().map_or(0, |(_, room)| *room);
        let (size, blocks, data) = match directory::short(parent, &names, room) {
            Some(content) => (content.len() as u64, 0, Content::Local(content)),
            None => {
                let mut owned = self.owned(number);
                let size = directory::write(&mut owned, parent, &names)?;
                let extents = owned.extents.in_order();
                let (data, blocks) = self.extents(number, &extents, room)?;
                (size, blocks, data)
            }
        };
        let inode = Inode {
            meta: *meta,
            names: 2 + below.len() as u32,
            size,
            blocks: blocks + attribute_blocks,
            data,
            attributes,
        };
        self.put(number, &inode);
        self.count(entries.len() as u64);
        drop((names, entries));
        for (name, meta, inode) in below {
            let path = path.join(&name);
            let child = open_child(fd, &name)
                .map_err(|e| self.volume.failed("read the directory", &path, e))?;
            self.directory(&child, &path, &meta, inode, number, depth + 1)?;
        }
        Ok(())
    }

    fn count(&mut self, entries: u64) {
        self.done += entries;
        let all = self.expected.max(self.done);
        self.host.report.progress(self.done, all);
    }

    /// Copies what is no directory; returns its inode.
    fn file(&mut self, source: &Source<'_>, meta: &Metadata) -> Result<u64, Failed> {
        if meta.links > 1 {
            if let Some(&number) = self.linked.get(&meta.id) {
                if let Some(inode) = self.chunks.get(number) {
                    let names = inode.read_u32(16);
                    inode.u32(16, names + 1);
                }
                return Ok(number);
            }
        }
        let number = self.chunks.take(&mut self.space)?;
        if meta.links > 1 {
            self.linked.insert(meta.id, number);
        }
        let content = source
            .open(meta)
            .map_err(|e| self.volume.failed("read", source.path, e))?;
        let of = match &content {
            Some(file) => Of::fd(file),
            None => Of::name(source.above, source.name),
        };
        let all = self.attributes(of, source.path)?;
        let most = match meta.kind {
            Kind::File | Kind::Symlink | Kind::Directory => MOST_ATTRIBUTES,
            Kind::Fifo | Kind::Socket | Kind::Device => BESIDE_DEVICE,
        };
        let (mut attributes, attribute_blocks) = self.attribute_fork(number, &all, most)?;
        let room = ROOM - attributes.as_ref().map_or(0, |(_, room)| *room);
        let (size, blocks, data) = match (&content, meta.kind) {
            (Some(file), _) => {
                let (size, extents) = self.content(file, source.path)?;
                let (data, blocks) = self.extents(number, &extents, room)?;
                (size, blocks, data)
            }
            (None, Kind::Symlink) => self.link(source, number, room)?,
            _ => {
                // The kernel gives attributes all that a device's number leaves.
                if let Some((_, room)) = &mut attributes {
                    *room = BESIDE_DEVICE;
                }
                let (major, minor) = match meta.kind {
                    Kind::Device => meta.device,
                    _ => (0, 0),
                };
                (0, 0, Content::Device(major, minor))
            }
        };
        let inode = Inode {
            meta: *meta,
            names: 1,
            size,
            blocks: blocks + attribute_blocks,
            data,
            attributes,
        };
        self.put(number, &inode);
        Ok(number)
    }

    fn put(&mut self, number: u64, inode: &Inode) {
        let mtime = self.volume.mtime(&inode.meta);
        let bytes = inode.bytes(number, mtime, self.now, self.geometry);
        if let Some(place) = self.chunks.get(number) {
            *place = bytes;
        }
    }

    fn owned(&mut self, inode: u64) -> Owned<'_, 'o> {
        Owned {
            inode,
            geometry: self.geometry,
            space: &mut self.space,
            output: &mut self.output,
            extents: Extents::default(),
        }
    }

    /// The attributes of a file that XFS can hold.
    fn attributes(&mut self, of: Of<'_>, path: &Path) -> Result<Vec<Attribute>, Failed> {
        let found = filling::attributes(of);
        let found = found.map_err(|e| self.volume.failed("read the attributes of", path, e))?;
        let mut all = Vec::with_capacity(found.len());
        for (name, value) in found {
            match Attribute::new(name.to_bytes(), value) {
                Some(attribute) => all.push(attribute),
                None => *self.refused.entry(name).or_default() += 1,
            }
        }
        Ok(all)
    }

    /// The fork of attributes with its room in the inode, of at most `most` bytes, and how many blocks
    /// it takes.
    fn attribute_fork(
        &mut self,
        number: u64,
        all: &[Attribute],
        most: usize,
    ) -> Result<(Option<(Content, usize)>, u64), Failed> {
        if all.is_empty() {
            return Ok((None, 0));
        }
        if let Some(content) = attributes::short(all, most) {
            let room = content.len().next_multiple_of(8);
            return Ok((Some((Content::Local(content), room)), 0));
        }
        let mut owned = self.owned(number);
        attributes::write(&mut owned, all)?;
        let extents = owned.extents.in_order();
        // Room for the root of a tree is the least that the kernel leaves.
        let room = (extents.0.len() * RECORD)
            .clamp(40, 112)
            .next_multiple_of(8);
        let (content, blocks) = self.extents(number, &extents, room)?;
        Ok((Some((content, room)), blocks))
    }

    /// How an inode holds extents, and how many blocks that makes.
    fn extents(
        &mut self,
        number: u64,
        extents: &Extents,
        room: usize,
    ) -> Result<(Content, u64), Failed> {
        let fork = extents.fork(
            room,
            number,
            self.geometry,
            &mut self.space,
            &mut self.output,
        )?;
        let count = extents.0.len() as u32;
        let content = if fork.is_tree {
            Content::Tree(fork.content, count)
        } else {
            Content::Extents(fork.content, count)
        };
        Ok((content, extents.blocks() + fork.blocks))
    }

    /// A link: in the inode, or in a block.
    fn link(
        &mut self,
        source: &Source<'_>,
        number: u64,
        room: usize,
    ) -> Result<(u64, u64, Content), Failed> {
        let target = readlinkat(source.above, source.name, Vec::new())
            .map_err(|e| self.volume.failed("read the link", source.path, e))?
            .into_bytes();
        if target.len() > LONGEST_LINK {
            let error = rustix::io::Errno::NAMETOOLONG;
            return Err(self.volume.failed("create the link", source.path, error));
        }
        let size = target.len() as u64;
        if target.len() <= room {
            return Ok((size, 0, Content::Local(target)));
        }
        let mut extents = Extents::default();
        for (index, part) in target.chunks(BLOCK - LINK_HEADER).enumerate() {
            let run = self.space.take(1).ok_or(Failed::NoRoom)?;
            extents.add(index as u64, run);
            let mut block = Bytes::block();
            block.put(0, b"XSLM");
            block.u32(4, (index * (BLOCK - LINK_HEADER)) as u32);
            block.u32(8, part.len() as u32);
            block.uuid(16, self.geometry.uuid);
            block.u64(32, number);
            block.u64(40, self.geometry.address(run.0));
            block.put(LINK_HEADER, part);
            block.seal(12);
            self.output.block(self.geometry.place(run.0), &block)?;
        }
        let (content, blocks) = self.extents(number, &extents, room)?;
        Ok((size, blocks, content))
    }
}
