//! squashfs, made by `mksquashfs` straight into its place in the image.

mod attributes;

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::file_system::{Place, Volume};
use super::host_room::failed_writing;
use super::{Content, DiskError, sparse};
use crate::host::{Command, Host};

/// What only squashfs has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Squashfs {
    /// How everything is compressed, if at all.
    pub compress: Option<Algorithm>,
    /// A program to call instead of mksquashfs.
    pub program: Option<PathBuf>,
}

/// What compresses a squashfs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Algorithm {
    /// Zstandard at a level as small as gzip's usual one in a sixth of the time.
    Quick,
    /// gzip, which is zlib.
    Gzip,
    /// LZO.
    Lzo,
    /// LZ4.
    Lz4,
    /// xz.
    Xz,
    /// Zstandard at mksquashfs' own level.
    Zstd,
}

impl Algorithm {
    const fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Quick => &["-comp", "zstd", "-Xcompression-level", "9"],
            Self::Gzip => &["-comp", "gzip"],
            Self::Lzo => &["-comp", "lzo"],
            Self::Lz4 => &["-comp", "lz4"],
            Self::Xz => &["-comp", "xz"],
            Self::Zstd => &["-comp", "zstd"],
        }
    }
}

/// How much memory mksquashfs may use for its queues; otherwise a quarter of the machine's.
const MEMORY: &str = "512M";
/// The first bytes of a squashfs (`SQUASHFS_MAGIC`), little-endian.
const MAGIC: [u8; 4] = *b"hsqs";
/// Bytes of the superblock.
const SUPERBLOCK: u64 = 96;
/// Where the superblock says how many bytes are used.
const BYTES_USED: u64 = 40;
/// Sizes are multiples of this.
const GRAIN: u64 = 4096;

impl Squashfs {
    /// The size in bytes of one that holds next to nothing.
    pub const LEAST: u64 = GRAIN;

    /// The program that makes it.
    #[must_use]
    pub fn tool(&self) -> String {
        match &self.program {
            Some(program) => program.to_string_lossy().into_owned(),
            None => "mksquashfs".to_owned(),
        }
    }

    /// More bytes than `content` takes, compressed or not.
    #[must_use]
    pub fn most(content: &Content) -> u64 {
        // Beyond this no file can be; the layout refuses it with a message.
        const LARGEST: u64 = i64::MAX as u64;
        content
            .data_bytes
            .saturating_add(content.data_bytes / 16)
            .saturating_add(content.inodes.saturating_mul(256))
            .saturating_add(content.name_bytes.saturating_mul(2))
            .saturating_add(content.long_symlinks.saturating_mul(GRAIN))
            .saturating_add(content.with_xattrs.saturating_mul(GRAIN))
            .saturating_add(1 << 20)
            .checked_next_multiple_of(1 << 20)
            .map_or(LARGEST, |size| size.min(LARGEST))
    }

    /// Makes a file system at the start of `place` with the files of the volume's tree, and returns
    /// its size. The file holds nothing else afterwards.
    ///
    /// Preserved are contents, holes, modes, owners, extended attributes, hard links, devices, FIFOs,
    /// sockets, and modification times in whole seconds; not ACLs.
    pub(super) fn make(
        &self,
        place: &Place<'_>,
        volume: &Volume<'_>,
        host: &Host,
    ) -> Result<u64, DiskError> {
        match &self.program {
            None => {
                let command = self
                    .command(volume, place.file)
                    .args(["-offset".to_owned(), place.offset.to_string()]);
                host.run(command)
                    .map_err(|e| failed_writing(e, place.file, volume))?;
                settle(place.file, place.offset, Path::new("mksquashfs"))
            }
            // Whatever the program is, it need not know how to write into the middle of a file.
            Some(program) => {
                let part = volume.scratch.join("part.squashfs");
                let made = host
                    .run(self.command(volume, &part))
                    .map_err(|e| failed_writing(e, &part, volume))
                    .and_then(|_| settle(&part, 0, program))
                    .and_then(|size| sparse::copy_into(&part, place, size).map(|()| size));
                // The scratch directory goes in any case; this frees its space earlier.
                let _ = fs::remove_file(&part);
                made
            }
        }
    }

    /// The command line that makes a file system of its own in `output`.
    fn command(&self, volume: &Volume<'_>, output: &Path) -> Command {
        let program = self.program.as_deref().unwrap_or(Path::new("mksquashfs"));
        let mut command = Command::new(program)
            .arg(volume.tree)
            .arg(output)
            .args(["-noappend", "-no-progress", "-quiet", "-exit-on-error"])
            .args(["-mem", MEMORY]);
        command = match self.compress {
            // Attributes are sorted afterwards. They are few bytes: each file has the same as many others.
            Some(algorithm) => command.args(algorithm.arguments()).arg("-noX"),
            None => command.args(["-noI", "-noD", "-noF", "-noX"]),
        };
        if let Some(latest) = volume.latest {
            // Its own time stamp, and the latest that any file may have.
            command = command.env("SOURCE_DATE_EPOCH", latest.min(u32::MAX.into()).to_string());
        }
        command
    }
}

/// Sorts the attributes in the squashfs at an offset of a file. Returns its size in bytes, in whole blocks.
fn settle(path: &Path, offset: u64, program: &Path) -> Result<u64, DiskError> {
    let mut options = File::options();
    let file = options.read(true).write(true).open(path);
    let file = file.map_err(DiskError::io("open", path))?;
    used(&file, path, offset, program)?;
    attributes::sort(&file, offset).map_err(DiskError::io("write", path))?;
    used(&file, path, offset, program)
}

/// The size in bytes of the squashfs at an offset of a file, in whole blocks.
fn used(file: &File, path: &Path, offset: u64, program: &Path) -> Result<u64, DiskError> {
    let length = file.metadata().map_err(DiskError::io("read", path))?.len();
    let mut magic = [0; MAGIC.len()];
    let used = file
        .read_exact_at(&mut magic, offset)
        .and_then(|()| attributes::number_at(file, offset + BYTES_USED));
    let is_whole = |used: &u64| {
        let end = used.checked_add(offset);
        *used >= SUPERBLOCK && end.is_some_and(|end| end <= length)
    };
    match used.ok().filter(is_whole) {
        Some(used) if magic == MAGIC => Ok(used.next_multiple_of(GRAIN)),
        _ => Err(DiskError::Unexpected {
            program: program.display().to_string(),
            path: path.to_owned(),
            what: "it is no squashfs",
        }),
    }
}
