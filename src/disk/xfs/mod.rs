//! XFS, made by `mkfs.xfs` and filled through the kernel.
//!
//! mkfs.xfs can fill a file system itself, from a list of files (`-p`), but that knows neither
//! extended attributes nor several names of one file, no names with white space and no times.

mod size;

pub use size::{LEAST, SMALLEST_AUTOMATIC, automatic, needed};

use self::size::{fits, groups, inode_percent, log_blocks};
use super::ask::ask;
use super::file_system::{Place, Volume};
use super::{DiskError, mounted};
use crate::host::{Command, Host};

/// Bytes in a block.
const BLOCK: u64 = 4096;
/// The kernel's name of it.
const NAME: &str = "xfs";
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
/// Preserved are contents, holes, modes, owners, extended attributes and ACLs, hard links, devices,
/// FIFOs, sockets, and modification times.
pub fn make(place: &Place<'_>, volume: &Volume<'_>, host: &Host) -> Result<(), DiskError> {
    fill(place, volume, host)
        .map_err(|error| mounted::explain(error, place, volume, needed(volume.content)))
}

fn fill(place: &Place<'_>, volume: &Volume<'_>, host: &Host) -> Result<(), DiskError> {
    let device = mounted::attach(place, NAME)?;
    let known = ask(Command::new("mkfs.xfs"), host).map_err(|e| mounted::failed(e, volume))?;
    let command = command(place, volume, &known).arg(device.path());
    host.run(command).map_err(|e| mounted::failed(e, volume))?;
    // Another image with the same identifier may be mounted: that of an equal build.
    mounted::with(&device, NAME, "nouuid", place, volume, |target| {
        mounted::fill(volume, target, host)
    })?;
    drop(device);
    mounted::tidy(place)
}

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
