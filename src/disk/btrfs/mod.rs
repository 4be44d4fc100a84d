//! btrfs, put together by this program.
//!
//! Neither loop device nor mount, and the same bytes for the same tree: what the kernel fills has times,
//! identifiers and an order of its own. `mkfs.btrfs --rootdir` makes no subvolumes and does not compress
//! before release 6.14, and turns holes into zeros.
//!
//! Everything is known beforehand, so that trees are made of sorted items at once, from the leaves to the
//! root: files first, whose data goes to the disk meanwhile, and then what says where all that is.

mod compress;
mod content;
mod data;
mod fill;
mod format;
mod inode;
mod items;
mod layout;
mod lzo;
mod nodes;
mod size;
mod space;
mod subvolumes;
mod superblock;
mod trees;

use std::fs::File;

use serde::Serialize;

pub use subvolumes::{Subvolume, make_subvolume};

use self::data::{Data, tree_of};
use self::fill::Filling;
use self::format::tree;
use self::layout::Layout;
use self::space::{DataSpace, Room};
use super::file_system::{Place, Volume};
use super::filling::Failed;
use super::{Content, DiskError, PartitionKind};
use crate::host::Host;

/// What only btrfs has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Btrfs {
    /// How files are compressed, if at all.
    pub compress: Option<Algorithm>,
}

/// What compresses files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Algorithm {
    /// zlib.
    Zlib,
    /// LZO.
    Lzo,
    /// Zstandard.
    Zstd,
}

impl Algorithm {
    /// The kernel's name of it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zlib => "zlib",
            Self::Lzo => "lzo",
            Self::Zstd => "zstd",
        }
    }
}

/// How often metadata is stored: what is never written does not need a second copy to recover from.
const fn copies(read_only: bool) -> u64 {
    if read_only { 1 } else { 2 }
}

impl Btrfs {
    /// The size of a root file system that holds little and whose size nobody set: 1 GiB.
    pub const SMALLEST_AUTOMATIC: u64 = 1 << 30;

    /// The smallest file system: with nothing in it, but with the room for metadata that the kernel needs
    /// to change anything.
    #[must_use]
    pub const fn least(read_only: bool) -> u64 {
        size::smallest(copies(read_only))
    }

    /// The size in bytes that is sure to hold `content`, in whole MiB, were it not compressed.
    #[must_use]
    pub fn needed(content: &Content, read_only: bool) -> u64 {
        size::needed(content, copies(read_only), 0)
    }

    /// The size in bytes where none is set: what the files need, room to work with unless it is
    /// read-only, and at least [`Self::SMALLEST_AUTOMATIC`].
    #[must_use]
    pub fn automatic(content: &Content, read_only: bool) -> u64 {
        let room = if read_only {
            0
        } else {
            (content.data_bytes / 10).max(64 << 20)
        };
        size::needed(content, copies(read_only), room).max(Self::SMALLEST_AUTOMATIC)
    }

    /// Whether `size` bytes can hold the volume, as far as that can be known before it is filled.
    pub(super) fn check(self, size: u64, volume: &Volume<'_>) -> Result<(), DiskError> {
        let copies = copies(volume.read_only);
        if size >= size::least(volume.content, copies, self.compress.is_some()) {
            return Ok(());
        }
        Err(DiskError::TooSmall {
            kind: volume.kind,
            size,
            needed: Self::needed(volume.content, volume.read_only),
        })
    }

    /// Makes a file system in `place` with the files of the volume's tree; returns its size, which is
    /// the smallest one if the volume is to be that.
    ///
    /// The root file system has a subvolume for each of `/home`, `/srv`, `/var` and `/var/tmp` that
    /// is a directory in the tree. A read-only one has the read-only flag of its top subvolume set.
    ///
    /// Preserved are contents, modes, owners, extended attributes and ACLs, hard links within a
    /// subvolume, devices, FIFOs, sockets, and modification times. A file with names in several
    /// subvolumes is one in each, and they share its data. Blocks of zeros become holes.
    pub(super) fn make(
        self,
        place: &Place<'_>,
        volume: &Volume<'_>,
        host: &Host,
    ) -> Result<u64, DiskError> {
        let nested = if volume.kind == PartitionKind::Root {
            subvolumes::nested(volume.tree)?
        } else {
            Vec::new()
        };
        let image = File::options()
            .write(true)
            .open(place.file)
            .map_err(DiskError::io("open", place.file))?;
        let needed = Self::needed(volume.content, volume.read_only);
        self.fill(&image, &nested, place, volume, host)
            .map_err(|failed| failed.explain(place, volume, needed))
    }

    fn fill(
        self,
        image: &File,
        nested: &[&str],
        place: &Place<'_>,
        volume: &Volume<'_>,
        host: &Host,
    ) -> Result<u64, Failed> {
        let copies = copies(volume.read_only);
        let system = space::system(place.size, copies);
        let space = DataSpace::new(system.disk_end(), place.size);
        let data = Data::new(image, place.offset, self.compress, space);
        let mut filling = Filling::new(data, volume, nested, host);
        filling.run()?;
        let files = std::mem::take(&mut filling.data.files);
        let mut trees: Vec<_> = (0..).map(tree_of).zip(files).collect();
        trees.push((tree::SUMS, std::mem::take(&mut filling.data.sums)));
        let chunks = filling.data.chunks();
        let room = Room {
            from: chunks.last().unwrap_or(&system).disk_end(),
            size: place.size,
            copies,
            tight: volume.minimal,
        };
        Layout::new(&filling, trees, system, chunks, room).write(image, place.offset)
    }
}
