//! ext4, filled from a tree by `mkfs.ext4 -d` straight into its place in the image.

mod attributes;
mod geometry;
mod inodes;
mod size;

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

pub use geometry::{BLOCK, Geometry};
pub use size::{RESERVED_PERCENT, SMALLEST_AUTOMATIC, automatic, fit, needed};

use self::inodes::{InodeError, RootDirectory};
use super::DiskError;
use super::file_system::{Place, Volume};
use super::host_room::failed_writing;
use crate::host::{Command, CommandError, Host};

/// Bytes in an inode.
pub const INODE_SIZE: u64 = 256;
/// The features of a file system, whatever mke2fs.conf of this host says: those that every supported
/// release can mount, and every one's GRUB read. Newer ones (`metadata_csum_seed`, `orphan_file`)
/// lock out the tools of Debian 11 and 12.
pub const FEATURES: &str = "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,\
                            flex_bg,sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum";
/// Tells mke2fs that what it does not write is zero already, as in a new sparse file: neither it nor
/// the kernel at first boot then writes empty inode tables. Known since e2fsprogs 1.47.
const PREZEROED: &str = "assume_storage_prezeroed=1";

/// The size in bytes below which there is not even room for its own data.
pub const LEAST: u64 = 1 << 20;

/// Whether `size` bytes can hold the volume, as far as that can be known before it is filled.
///
/// # Errors
/// [`DiskError::TooSmall`], with the size that would do.
pub fn check(size: u64, volume: &Volume<'_>) -> Result<Geometry, DiskError> {
    let (kind, content) = (volume.kind, volume.content);
    if let Some(geometry) = fit(size, content, volume.read_only) {
        return Ok(geometry);
    }
    let needed = needed(content, volume.read_only);
    if needed > size {
        return Err(DiskError::TooSmall { kind, size, needed });
    }
    Err(DiskError::TooManyFiles {
        kind,
        size,
        inodes: content.inodes,
        limit: u64::from(u32::MAX),
    })
}

/// Makes a file system in `place` with the files of the volume's tree.
///
/// The tree must have nothing mounted on it: the program enters mounts.
/// Preserved are contents, holes, modes, owners, extended attributes and ACLs, hard links, devices,
/// FIFOs, sockets, and modification times in whole seconds.
///
/// # Errors
/// What mke2fs says, that the file system or the host's disk is full, or an interruption.
pub fn make(place: &Place<'_>, volume: &Volume<'_>, host: &Host) -> Result<(), DiskError> {
    let geometry = check(place.size, volume)?;
    let root = root_directory(volume.tree, volume.latest)?;
    let made = host.run(command(place, volume, &geometry, volume.zeroed));
    let made = match made {
        Err(error) if says(&error, "assume_storage_prezeroed") => {
            host.run(command(place, volume, &geometry, false))
        }
        other => other,
    };
    made.map_err(|source| explain(source, place, volume))?;

    let image = place.file;
    let file = File::options()
        .read(true)
        .write(true)
        .open(image)
        .map_err(DiskError::io("open", image))?;
    let latest = volume.latest.map(signed);
    inodes::settle(&file, place.offset, root, latest).map_err(|error| match error {
        InodeError::Io(source) => DiskError::io("write", image)(source),
        InodeError::Unexpected(what) => DiskError::Unexpected {
            program: "mkfs.ext4".to_owned(),
            path: image.to_owned(),
            what,
        },
    })
}

fn signed(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

fn root_directory(tree: &Path, latest: Option<u64>) -> Result<RootDirectory, DiskError> {
    let metadata = fs::symlink_metadata(tree).map_err(DiskError::io("read", tree))?;
    if !metadata.is_dir() {
        return Err(DiskError::io("read", tree)(
            std::io::ErrorKind::NotADirectory.into(),
        ));
    }
    Ok(RootDirectory {
        mode: (metadata.permissions().mode() & 0o7777) as u16,
        uid: metadata.uid(),
        gid: metadata.gid(),
        mtime: latest.map_or(metadata.mtime(), |latest| {
            metadata.mtime().min(signed(latest))
        }),
    })
}

fn command(
    place: &Place<'_>,
    volume: &Volume<'_>,
    geometry: &Geometry,
    prezeroed: bool,
) -> Command {
    let mut extended = format!(
        "offset={},nodiscard,hash_seed={}",
        place.offset, volume.hash_seed
    );
    extended.push(',');
    extended.push_str(if prezeroed {
        PREZEROED
    } else {
        "lazy_itable_init=1,lazy_journal_init=1"
    });
    let features = if geometry.journal == 0 {
        FEATURES.replace("has_journal,", "")
    } else {
        FEATURES.to_owned()
    };
    let reserved = if volume.read_only {
        0
    } else {
        RESERVED_PERCENT
    };

    let mut command = Command::new("mkfs.ext4")
        // Names are sorted by the locale; and a file that cannot exist keeps the host's
        // mke2fs.conf from mattering.
        .env("LC_ALL", "C")
        .env("MKE2FS_CONFIG", "/proc/mke2fs.conf")
        .args(["-q", "-F"])
        .args(["-b".to_owned(), BLOCK.to_string()])
        .args(["-I".to_owned(), INODE_SIZE.to_string()])
        .args(["-N".to_owned(), geometry.inodes.to_string()])
        .args(["-m".to_owned(), reserved.to_string()])
        .args(["-L", volume.kind.short_name()])
        .args(["-U".to_owned(), volume.uuid.to_string()])
        .args(["-O", &features]);
    if geometry.journal > 0 {
        let mebibytes = (geometry.journal * BLOCK) >> 20;
        command = command.args(["-J".to_owned(), format!("size={mebibytes}")]);
    }
    if let Some(latest) = volume.latest {
        // Both names, for releases before and since 1.47.1; 0 would mean the clock.
        let latest = latest.max(1).to_string();
        command = command
            .env("E2FSPROGS_FAKE_TIME", &latest)
            .env("SOURCE_DATE_EPOCH", &latest);
    }
    if !volume.zeroed {
        // Otherwise it leaves holes where it wants zeros, which are none once they are encrypted.
        command = command.env("UNIX_IO_NOZEROOUT", "1");
    }
    command
        .args(["-E", &extended])
        .arg("-d")
        .arg(volume.tree)
        .arg(place.file)
        .arg((place.size / BLOCK).to_string())
}

fn says(error: &CommandError, what: &str) -> bool {
    matches!(error, CommandError::Failed { tail, .. } if tail.contains(what))
}

/// Turns what mke2fs says when there is no room into what to do about it.
fn explain(source: CommandError, place: &Place<'_>, volume: &Volume<'_>) -> DiskError {
    const FULL: [&str; 4] = [
        "Could not allocate block",
        "Could not allocate inode",
        "No free space",
        "No free inodes",
    ];
    if FULL.iter().any(|what| says(&source, what)) {
        // The calculation said that it would fit: what it missed is little.
        let needed = needed(volume.content, volume.read_only).max(place.size);
        return DiskError::Full {
            kind: volume.kind,
            size: place.size,
            needed: needed.saturating_add(needed / 20),
            source: Box::new(source),
        };
    }
    failed_writing(source, place.file, volume)
}

#[cfg(test)]
mod tests;
