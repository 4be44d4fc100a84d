//! btrfs, made by `mkfs.btrfs` and filled through the kernel.
//!
//! `mkfs.btrfs --rootdir` makes no subvolumes and does not compress before release 6.14, loses the
//! attributes of the root directory in older ones, and turns holes into zeros in all of them.

mod size;
mod subvolumes;

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use uuid::Uuid;

pub use subvolumes::{Subvolume, make_subvolume};

use super::ask::ask;
use super::file_system::{Place, Volume};
use super::host_room::is_full;
use super::{Content, DiskError, mounted, sparse};
use crate::host::{BtrfsUsage, Command, CommandError, Host, set_subvolume_read_only};

/// The kernel's name of it.
const NAME: &str = "btrfs";
/// Features, whatever the defaults of this host's release are, and whether they are on: with these,
/// Linux 4.5 and later can mount the result.
const FEATURES: [(&str, bool); 5] = [
    ("extref", true),
    ("skinny-metadata", true),
    ("no-holes", true),
    ("free-space-tree", true),
    ("block-group-tree", false),
];

/// How often an identifier that is in use is tried, and how long to wait in between.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);

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

    /// The smallest file system that mkfs.btrfs makes: 45 MiB, or 109 MiB with two copies of the
    /// metadata (`btrfs_min_dev_size` of btrfs-progs).
    #[must_use]
    pub const fn least(read_only: bool) -> u64 {
        if read_only { 45 << 20 } else { 109 << 20 }
    }

    /// The size in bytes that is sure to hold `content`, in whole MiB, were it not compressed.
    #[must_use]
    pub fn needed(content: &Content, read_only: bool) -> u64 {
        size::needed(content, copies(read_only), 0).max(Self::least(read_only))
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

    /// Makes a file system in `place` with the files of the volume's tree.
    ///
    /// The root file system has a subvolume for each of `/home`, `/srv`, `/var` and `/var/tmp` that
    /// is a directory in the tree. A read-only one has the read-only flag of its top subvolume set.
    ///
    /// Preserved are contents, holes, modes, owners, extended attributes and ACLs, hard links within
    /// a subvolume, devices, FIFOs, sockets, and modification times.
    pub(super) fn make(
        self,
        place: &Place<'_>,
        volume: &Volume<'_>,
        host: &Host,
    ) -> Result<u64, DiskError> {
        let needed = Self::needed(volume.content, volume.read_only);
        let usage = self
            .fill(place, volume, host)
            .map_err(|error| mounted::explain(error, place, volume, needed))?;
        let size = if volume.minimal {
            self.shrink(place, volume, &usage, host)
                .map_err(|error| mounted::explain(error, place, volume, needed))?
        } else {
            place.size
        };
        mounted::tidy(place)?;
        Ok(size)
    }

    fn fill(
        self,
        place: &Place<'_>,
        volume: &Volume<'_>,
        host: &Host,
    ) -> Result<BtrfsUsage, DiskError> {
        let device = mounted::attach(place, NAME)?;
        let list = Command::new("mkfs.btrfs").args(["-O", "list-all"]);
        let known = ask(list, host).map_err(|e| mounted::failed(e, volume))?;
        // The kernel and mkfs.btrfs both refuse an identifier that any device here has already: that
        // of another build of the same image, or of the disk that it was written to before.
        let passing = Uuid::new_v4();
        let command = command(volume, passing, &known).arg(device.path());
        host.run(command).map_err(|e| mounted::failed(e, volume))?;
        let options = self
            .compress
            .map(|algorithm| format!("compress-force={}", algorithm.name()))
            .unwrap_or_default();
        let usage = mounted::with(&device, NAME, &options, place, volume, |target| {
            if volume.kind == super::PartitionKind::Root {
                subvolumes::create(volume.tree, target)?;
            }
            mounted::fill(volume, target, host)?;
            let usage = usage(target)?;
            if volume.read_only {
                set_subvolume_read_only(target, true)?;
            }
            Ok(usage)
        })?;
        drop(device);
        identify(place, volume, host)?;
        Ok(usage)
    }

    /// Makes it again in the smallest part of `place` that holds it; returns that part's size.
    ///
    /// The kernel can shrink a file system only by whole chunks of it, which are up to a tenth of it
    /// and end half empty. In a smaller one the chunks are smaller from the beginning.
    fn shrink(
        self,
        place: &Place<'_>,
        volume: &Volume<'_>,
        usage: &BtrfsUsage,
        host: &Host,
    ) -> Result<u64, DiskError> {
        let copies = copies(volume.read_only);
        let least = size::tight(usage, copies).max(Self::least(volume.read_only));
        let file = File::options()
            .write(true)
            .open(place.file)
            .map_err(DiskError::io("open", place.file))?;
        for step in 0..size::TRIES {
            let Some(size) = size::between(least, place.size, step) else {
                break;
            };
            sparse::clear(&file, place.offset, place.size)
                .map_err(DiskError::io("clear", place.file))?;
            let smaller = Place { size, ..*place };
            match self.fill(&smaller, volume, host) {
                Ok(_) => return Ok(size),
                // The disk below is full for every size.
                Err(DiskError::HostFull(disk)) if disk.is_of(place.file) => {
                    return Err(DiskError::HostFull(disk));
                }
                Err(error) if is_full(&error) => {}
                Err(error) => return Err(error),
            }
        }
        // What worked before works again.
        sparse::clear(&file, place.offset, place.size)
            .map_err(DiskError::io("clear", place.file))?;
        self.fill(place, volume, host)?;
        Ok(place.size)
    }
}

/// Gives the file system the identifier that it is to have.
///
/// btrfstune refuses one that a device of this machine has. Another build of the same image has it
/// for a moment only.
fn identify(place: &Place<'_>, volume: &Volume<'_>, host: &Host) -> Result<(), DiskError> {
    let mut tries = 0;
    loop {
        let device = mounted::attach(place, NAME)?;
        let command = Command::new("btrfstune")
            .args(["-f".to_owned(), "-U".to_owned(), volume.uuid.to_string()])
            .arg(device.path());
        match host.run(command) {
            Ok(_) => return Ok(()),
            Err(CommandError::Failed { tail, .. }) if tail.contains("not unique") => {
                drop(device);
                tries += 1;
                if tries == TRIES {
                    return Err(DiskError::IdentifierInUse {
                        kind: volume.kind,
                        uuid: volume.uuid,
                    });
                }
                std::thread::sleep(PAUSE);
            }
            Err(error) => return Err(mounted::failed(error, volume)),
        }
    }
}

fn usage(target: &Path) -> Result<BtrfsUsage, DiskError> {
    // What was copied is counted once it is written.
    File::open(target)
        .and_then(|directory| Ok(rustix::fs::syncfs(directory)?))
        .map_err(DiskError::io("write everything to", target))?;
    Ok(BtrfsUsage::of(target)?)
}

/// The command line, without the device, for a release whose list of features is `known`.
fn command(volume: &Volume<'_>, uuid: Uuid, known: &str) -> Command {
    let is_known = |name: &str| {
        known
            .lines()
            .any(|line| line.split(' ').next() == Some(name))
    };
    let features: Vec<String> = FEATURES
        .iter()
        .filter(|(name, _)| is_known(name))
        .map(|(name, on)| format!("{}{name}", if *on { "" } else { "^" }))
        .collect();
    let metadata = match copies(volume.read_only) {
        1 => "single",
        _ => "dup",
    };
    let command = Command::new("mkfs.btrfs")
        .args(["-q", "-f", "-K"])
        .args(["-L", volume.kind.short_name()])
        .args(["-U".to_owned(), uuid.to_string()])
        .args(["-d", "single", "-m", metadata]);
    if features.is_empty() {
        command
    } else {
        command.args(["-O".to_owned(), features.join(",")])
    }
}

#[cfg(test)]
mod tests;
