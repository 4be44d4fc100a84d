//! XFS: `mkfs.xfs` decides on its shape, and this program puts the files in.
//!
//! Neither loop device nor mount, and the same bytes for the same tree: the kernel numbers inodes'
//! generations at random, notes times of its own, and leaves a journal. mkfs.xfs can fill a file system
//! itself, from a list of files (`-p`), but that knows neither extended attributes nor several names of
//! one file, no names with white space and no times.

mod attributes;
mod blocks;
mod chunks;
mod content;
mod directory;
mod extents;
mod fill;
mod format;
mod geometry;
mod groups;
mod inode;
mod output;
mod size;
mod space;

pub use size::{LEAST, SMALLEST_AUTOMATIC, automatic, needed};

use self::size::{fits, groups, inode_percent, log_blocks};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;

use self::chunks::Chunks;
use self::fill::Filling;
use self::format::Bytes;
use self::geometry::Geometry;
use self::output::Output;
use self::space::Space;
use super::DiskError;
use super::ask::ask;
use super::file_system::{Place, Volume};
use super::filling::Failed;
use super::host_room::{failed_making, failed_writing};
use crate::host::{Command, Host};

/// Bytes in a block.
const BLOCK: u64 = 4096;
/// Features that newer releases of mkfs.xfs switch on by themselves and that older ones do not know:
/// with these, Linux 5.10 can mount the result. Option, feature, value.
const FEATURES: [(&str, &str, u8); 5] = [
    ("-m", "bigtime", 1),
    ("-m", "inobtcount", 1),
    ("-i", "nrext64", 0),
    ("-i", "exchange", 0),
    ("-n", "parent", 0),
];

/// Whether `size` bytes can hold the volume, as far as that can be known before it is filled.
///
/// # Errors
/// [`DiskError::TooSmall`], with the size that would do.
pub fn check(size: u64, volume: &Volume<'_>) -> Result<(), DiskError> {
    if fits(size, volume.content) {
        return Ok(());
    }
    Err(DiskError::TooSmall {
        kind: volume.kind,
        size,
        needed: needed(volume.content),
    })
}

/// Makes a file system in `place` with the files of the volume's tree.
///
/// Preserved are contents, modes, owners, extended attributes and ACLs, hard links, devices, FIFOs,
/// sockets, and modification times. Blocks of zeros become holes.
///
/// # Errors
/// What mkfs.xfs says, a tree that cannot be read, a full file system or host, or an interruption.
pub fn make(place: &Place<'_>, volume: &Volume<'_>, host: &Host) -> Result<(), DiskError> {
    let template = tempfile::Builder::new()
        .prefix("xfs-")
        .tempfile_in(volume.scratch)
        .map_err(DiskError::io("create a file in", volume.scratch))?;
    let path = template.path();
    let file = template.as_file();
    file.set_len(place.size)
        .map_err(DiskError::io("set the size of", path))?;
    let known = ask(Command::new("mkfs.xfs"), host).map_err(|e| failed_making(e, volume))?;
    let command = command(place, volume, &known).arg(path);
    host.run(command)
        .map_err(|e| failed_writing(e, path, volume))?;
    let geometry = Geometry::read(file).map_err(DiskError::io("read", path))?;
    let image = File::options()
        .write(true)
        .open(place.file)
        .map_err(DiskError::io("open", place.file))?;
    fill(&geometry, file, &image, place, volume, host)
        .map_err(|failed| failed.explain(place, volume, needed(volume.content)))
}

/// Fills the empty file system that is in `template`, in place.
fn fill(
    geometry: &Geometry,
    template: &File,
    image: &File,
    place: &Place<'_>,
    volume: &Volume<'_>,
    host: &Host,
) -> Result<(), Failed> {
    let now = volume.now();
    let mut output = Output::new(image, place.offset);
    // All that is in a new journal, and each group's lists of nothing.
    let (log, _) = geometry.log;
    for block in [log, log + 1] {
        let bytes = geometry::read(template, block * BLOCK, 4096)?;
        output.block(block, &bytes)?;
    }
    if !volume.zeroed {
        let (first, length) = geometry.log;
        for block in first + 2..first + length {
            output.block(block, &Bytes::block())?;
        }
    }
    for number in 0..geometry.groups.len() as u32 {
        let group = geometry.place(geometry.block(number, 0));
        output.block(group, &Bytes::block())?;
        for block in 1..FIRST_BLOCKS {
            let bytes = geometry::read(template, (group + block) * BLOCK, 4096)?;
            output.block(group + block, &bytes)?;
        }
    }
    let start = geometry.place(geometry.root / 8) * BLOCK;
    let mut used = vec![Bytes(Vec::new())];
    for number in 1..RESERVED {
        let mut bytes = geometry::read(template, start + number * 512, 512)?;
        inode::redate(&mut bytes, geometry.root + number, now, geometry);
        used.push(bytes);
    }
    let filling = Filling {
        geometry,
        space: Space::new(geometry),
        chunks: Chunks::new(geometry.root, used, volume.content.inodes),
        output,
        now,
        volume,
        host,
        linked: HashMap::new(),
        refused: BTreeMap::new(),
        done: 0,
        expected: volume.content.names,
    };
    filling.run()
}

/// Blocks at the beginning of each group that mkfs.xfs writes: headers and roots of trees.
const FIRST_BLOCKS: u64 = 6;
/// Inodes that mkfs.xfs uses: the root, and two for parts of the disk that there are none of.
const RESERVED: u64 = 3;

/// The command line, without the device, for a release whose help is `known`.
fn command(place: &Place<'_>, volume: &Volume<'_>, known: &str) -> Command {
    let option = |letter: &str, mut value: String| {
        for (option, feature, on) in FEATURES {
            if option == letter && known.contains(&format!("{feature}=")) {
                value.push_str(&format!(",{feature}={on}"));
            }
        }
        value
    };
    let mut inodes = "size=512,sparse=1".to_owned();
    if let Some(percent) = inode_percent(place.size, volume.content) {
        inodes.push_str(&format!(",maxpct={percent}"));
    }
    let metadata = format!("crc=1,finobt=1,reflink=1,rmapbt=0,uuid={}", volume.uuid);
    // Nothing is left to what mkfs.xfs thinks of this host's disks and processors.
    Command::new("mkfs.xfs")
        .args(["-q", "-f", "-K"])
        .args(["-L", volume.kind.short_name()])
        .args(["-b", "size=4096"])
        .args(["-s", "size=512"])
        .args([
            "-d".to_owned(),
            format!("agcount={},noalign", groups(place.size)),
        ])
        .args(["-l".to_owned(), format!("size={}b", log_blocks(place.size))])
        .args(["-m".to_owned(), option("-m", metadata)])
        .args(["-i".to_owned(), option("-i", inodes)])
        .args(["-n".to_owned(), option("-n", "size=4096".to_owned())])
}

#[cfg(test)]
mod tests;
