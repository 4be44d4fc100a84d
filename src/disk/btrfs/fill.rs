//! Turns a tree of files into items.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, open, readlinkat};
use rustix::io::Errno;

use super::data::{Data, Owner, place};
use super::format::{Key, TOP, kind};
use super::inode::{
    self, Entry, FIRST_NAME, Inode, MOST_NAMES, Name, Target, add_name, add_names, add_top,
};
use super::items::Items;
use crate::disk::file_system::Volume;
use crate::disk::filling::{Failed, MAX_DEPTH, Source, Time, attributes, entry_kind};
use crate::host::Host;
use crate::tree::listing::{DIRECTORY, list, open_child};
use crate::tree::xattrs::Of;
use crate::tree::{Kind, Metadata};

/// What a tree is put into.
pub(super) struct Filling<'a> {
    pub data: Data<'a>,
    pub volume: &'a Volume<'a>,
    pub host: &'a Host,
    /// When everything was last changed in any way.
    pub now: Time,
    /// The first is the top.
    pub subvolumes: Vec<Subvolume>,
    linked: Vec<Linked>,
    /// Which of those a file of the tree is in a subvolume.
    known: HashMap<(usize, (u64, u64)), usize>,
    /// Which of those has a file's content.
    first: HashMap<(u64, u64), usize>,
    /// Users of extents beside those that they were made for: the place of the extent, and who.
    pub further: Vec<(u64, Owner)>,
    done: u64,
}

/// A tree of files of its own.
#[derive(Debug)]
pub(super) struct Subvolume {
    /// Where it is in the tree.
    pub path: PathBuf,
    /// The next inode.
    next: u64,
    /// The subvolume that it is in, with the name that it has there.
    pub above: Option<(usize, Name)>,
}

/// A file with several names in the tree, in one subvolume.
struct Linked {
    subvolume: usize,
    number: u64,
    inode: Inode,
    names: Vec<Name>,
    path: PathBuf,
    /// Which one has its content.
    content: Option<usize>,
}

/// A directory that is being read.
#[derive(Clone, Copy)]
struct Directory<'a> {
    fd: &'a OwnedFd,
    path: &'a Path,
    meta: &'a Metadata,
    subvolume: usize,
    number: u64,
    depth: usize,
}

impl<'a> Filling<'a> {
    /// Of a tree in which these directories are subvolumes.
    pub fn new(data: Data<'a>, volume: &'a Volume<'a>, nested: &[&str], host: &'a Host) -> Self {
        let paths = std::iter::once("").chain(nested.iter().copied());
        let subvolumes: Vec<_> = paths
            .map(|path| Subvolume {
                path: path.into(),
                next: TOP + 1,
                above: None,
            })
            .collect();
        let mut filling = Self {
            data,
            volume,
            host,
            now: volume.now(),
            subvolumes,
            linked: Vec::new(),
            known: HashMap::new(),
            first: HashMap::new(),
            further: Vec::new(),
            done: 0,
        };
        filling.data.files = filling.subvolumes.iter().map(|_| Items::new()).collect();
        filling
    }

    /// Reads all of the tree.
    pub fn run(&mut self) -> Result<(), Failed> {
        let path = Path::new("");
        let failed = |e| self.volume.failed("read the directory", path, e);
        let fd = open(self.volume.tree, DIRECTORY, Mode::empty()).map_err(failed)?;
        let meta = Metadata::of(&fd).map_err(failed)?;
        self.directory(Directory {
            fd: &fd,
            path,
            meta: &meta,
            subvolume: 0,
            number: TOP,
            depth: 0,
        })?;
        self.data.finish()?;
        self.add_linked()?;
        self.data.files.iter_mut().for_each(Items::sort);
        self.share();
        self.data.files.iter_mut().for_each(Items::sort);
        self.data.sums.sort();
        Ok(())
    }

    fn items(&mut self, subvolume: usize) -> &mut Items {
        &mut self.data.files[subvolume]
    }

    /// That btrfs has no room for something of this name.
    fn no_room(&self, doing: &'static str, path: &Path, name: &[u8], errno: Errno) -> Failed {
        let path = path.join(OsStr::from_bytes(name));
        self.volume.failed(doing, &path, errno)
    }

    /// Reads a directory and everything beneath it.
    fn directory(&mut self, at: Directory<'_>) -> Result<(), Failed> {
        if at.depth == MAX_DEPTH {
            return Err(self.volume.too_deep(at.path));
        }
        let unread = |path: &Path, e| self.volume.failed("read the directory", path, e);
        let found = list(at.fd).map_err(|e| unread(at.path, e))?;
        let mut entries = Vec::with_capacity(found.len());
        let mut below = Vec::new();
        for (index, entry) in (FIRST_NAME..).zip(&found) {
            if self.host.cancel.is_cancelled() {
                return Err(Failed::Cancelled);
            }
            let path = at.path.join(&entry.name);
            let meta = Metadata::at(at.fd, &entry.name)
                .map_err(|e| self.volume.failed("look at", &path, e))?;
            let name = entry.name.as_bytes().to_vec();
            let target = if meta.kind == Kind::Directory {
                let target = self.new_directory(&at, &path, (at.number, index, name.clone()));
                below.push((entry.name.clone(), meta, target));
                target
            } else {
                let source = Source {
                    above: at.fd,
                    name: &entry.name,
                    path: &path,
                };
                let name = (at.number, index, name.clone());
                Target::Inode(self.file(&source, &meta, at.subvolume, name)?)
            };
            entries.push(Entry {
                name,
                target,
                kind: entry_kind(&meta),
            });
        }
        inode::add_entries(&mut self.data.files[at.subvolume], at.number, &entries)
            .map_err(|name| self.no_room("create", at.path, name, Errno::OVERFLOW))?;
        self.add_attributes(Of::fd(at.fd), at.path, at.subvolume, at.number)?;
        let inode = Inode {
            meta: *at.meta,
            // Each name counts as an entry and as one with a number.
            size: entries
                .iter()
                .map(|entry| 2 * entry.name.len() as u64)
                .sum(),
            stored: 0,
            names: 1,
            mtime: self.volume.mtime(at.meta),
        };
        self.add_inode(at.subvolume, at.number, &inode);
        self.count(found.len() as u64);
        drop((entries, found));
        for (name, meta, target) in below {
            let path = at.path.join(&name);
            let fd = open_child(at.fd, &name)
                .map_err(|e| self.volume.failed("read the directory", &path, e))?;
            let (subvolume, number) = match target {
                Target::Inode(number) => (at.subvolume, number),
                Target::Subvolume(subvolume) => (subvolume, TOP),
            };
            self.directory(Directory {
                fd: &fd,
                path: &path,
                meta: &meta,
                subvolume,
                number,
                depth: at.depth + 1,
            })?;
        }
        Ok(())
    }

    /// A directory in a directory, or a subvolume there.
    fn new_directory(&mut self, at: &Directory<'_>, path: &Path, name: Name) -> Target {
        let is_it = |subvolume: &Subvolume| subvolume.path == path;
        if let Some(subvolume) = self.subvolumes.iter().position(is_it) {
            self.subvolumes[subvolume].above = Some((at.subvolume, name));
            return Target::Subvolume(subvolume);
        }
        let number = self.new_number(at.subvolume);
        let (directory, index, name) = name;
        add_name(self.items(at.subvolume), number, directory, index, &name);
        Target::Inode(number)
    }

    fn new_number(&mut self, subvolume: usize) -> u64 {
        let next = &mut self.subvolumes[subvolume].next;
        *next += 1;
        *next - 1
    }

    fn count(&mut self, entries: u64) {
        self.done += entries;
        let all = self.volume.content.names.max(self.done);
        self.host.report.progress(self.done, all);
    }

    fn add_inode(&mut self, subvolume: usize, number: u64, inode: &Inode) {
        let record = inode.record(self.now);
        let items = self.items(subvolume);
        items.add(Key::new(number, kind::INODE, 0), &record);
        if number == TOP {
            add_top(items);
        }
    }

    fn add_attributes(
        &mut self,
        of: Of<'_>,
        path: &Path,
        subvolume: usize,
        number: u64,
    ) -> Result<(), Failed> {
        let found =
            attributes(of).map_err(|e| self.volume.failed("read the attributes of", path, e))?;
        let all = found
            .iter()
            .map(|(name, value)| (name.to_bytes(), &value[..]));
        inode::add_attributes(self.items(subvolume), number, all).map_err(|_| {
            let doing = "keep an extended attribute, which btrfs has less than 16K for, of";
            self.volume.failed(doing, path, Errno::TOOBIG)
        })
    }

    /// Reads what is no directory; returns its inode.
    fn file(
        &mut self,
        source: &Source<'_>,
        meta: &Metadata,
        subvolume: usize,
        name: Name,
    ) -> Result<u64, Failed> {
        if let Some(&known) = self.known.get(&(subvolume, meta.id)) {
            let linked = &mut self.linked[known];
            if linked.names.len() == MOST_NAMES {
                let doing = "create one more link";
                return Err(self.volume.failed(doing, source.path, Errno::MLINK));
            }
            linked.names.push(name);
            return Ok(linked.number);
        }
        let number = self.new_number(subvolume);
        let file = source
            .open(meta)
            .map_err(|e| self.volume.failed("read", source.path, e))?;
        let of = match &file {
            Some(file) => Of::fd(file),
            None => Of::name(source.above, source.name),
        };
        self.add_attributes(of, source.path, subvolume, number)?;
        // Of a file with names in several subvolumes, they share the content.
        let first = self.first.get(&meta.id).copied();
        let owner = Owner {
            subvolume,
            inode: number,
            offset: 0,
        };
        let (size, stored) = match (first, &file) {
            (Some(first), _) => {
                let inode = &self.linked[first].inode;
                (inode.size, inode.stored)
            }
            (None, Some(file)) => self.content(file, source.path, meta, owner)?,
            (None, None) if meta.kind == Kind::Symlink => self.link(source, owner)?,
            (None, None) => (0, 0),
        };
        let inode = Inode {
            meta: *meta,
            size,
            stored,
            names: 1,
            mtime: self.volume.mtime(meta),
        };
        if meta.links > 1 {
            self.known.insert((subvolume, meta.id), self.linked.len());
            self.first.entry(meta.id).or_insert(self.linked.len());
            self.linked.push(Linked {
                subvolume,
                number,
                inode,
                names: vec![name],
                path: source.path.to_owned(),
                content: first,
            });
        } else {
            let (directory, index, name) = name;
            self.add_inode(subvolume, number, &inode);
            add_name(self.items(subvolume), number, directory, index, &name);
        }
        Ok(number)
    }

    /// A symbolic link's target is its content.
    fn link(&mut self, source: &Source<'_>, owner: Owner) -> Result<(u64, u64), Failed> {
        let target = readlinkat(source.above, source.name, Vec::new())
            .map_err(|e| self.volume.failed("read the link", source.path, e))?
            .into_bytes();
        self.data.add_link(owner, &target);
        let length = target.len() as u64;
        Ok((length, length))
    }

    /// Adds files with several names, of which all are known now.
    fn add_linked(&mut self) -> Result<(), Failed> {
        let linked = std::mem::take(&mut self.linked);
        for one in &linked {
            let inode = Inode {
                names: one.names.len() as u32,
                ..one.inode
            };
            self.add_inode(one.subvolume, one.number, &inode);
            add_names(self.items(one.subvolume), one.number, &one.names).map_err(|_| {
                self.volume
                    .failed("create so many links to", &one.path, Errno::OVERFLOW)
            })?;
        }
        self.linked = linked;
        Ok(())
    }

    /// Gives files with names in several subvolumes their content in each.
    fn share(&mut self) {
        for one in &self.linked {
            let Some(content) = one.content else { continue };
            let from = &self.linked[content];
            let items: Vec<(u64, Vec<u8>)> = self.data.files[from.subvolume]
                .of(from.number, kind::DATA)
                .map(|(offset, bytes)| (offset, bytes.to_vec()))
                .collect();
            for (offset, bytes) in items {
                if let Some((start, _)) = place(&bytes) {
                    let owner = Owner {
                        subvolume: one.subvolume,
                        inode: one.number,
                        offset,
                    };
                    self.further.push((start, owner));
                }
                let key = Key::new(one.number, kind::DATA, offset);
                self.data.files[one.subvolume].add_bytes(key, &bytes);
            }
        }
        self.further.sort_by_key(|(start, _)| *start);
    }
}
