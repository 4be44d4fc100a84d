//! Which of two disks is full when a file system is made in a sparse file: the host's, below the file, or
//! the one that is being made. Errors alone do not tell: the kernel hands "no space left" through a loop
//! device, and older ones make an I/O error of it.

use std::error::Error;
use std::fs::File;
use std::io;
use std::path::Path;

use rustix::io::Errno;

use super::file_system::{Place, Volume};
use super::{DiskError, data_extents, mounted};
use crate::host::{CommandError, FullDisk};

/// With less than this many bytes left, a disk counts as full.
const FULL: u64 = 1 << 20;
/// What programs say of it.
const SAID: [&str; 2] = ["No space left on device", "Disk quota exceeded"];
/// What a program says that writes to a loop device whose file cannot grow, on older kernels.
const REFUSED: &str = "Input/output error";

/// Whether a program says that the disk it writes to is full.
pub(super) fn says_full(error: &CommandError) -> bool {
    says(error, &SAID)
}

/// A program's failure to make a file system, by what it was writing to.
pub(super) fn failed_writing(
    source: CommandError,
    written: &Path,
    volume: &Volume<'_>,
) -> DiskError {
    if says_full(&source) {
        return DiskError::HostFull(FullDisk::of(written));
    }
    mounted::failed(source, volume)
}

fn says(error: &CommandError, words: &[&str]) -> bool {
    matches!(error, CommandError::Failed { tail, .. } if words.iter().any(|word| tail.contains(word)))
}

/// That the disk below `place` is full, if that is the reason of an error, or of what follows from it.
/// `mounted` is where the file system is mounted that is being made, if it is.
pub(super) fn full_below(
    error: &DiskError,
    place: &Place<'_>,
    mounted: Option<&Path>,
) -> Option<DiskError> {
    let disk = FullDisk::of(place.file);
    let refused = match error {
        DiskError::Command { source, .. } if says_full(source) => true,
        DiskError::Command { source, .. } => says(source, &[REFUSED]),
        error => is_about(error, is_refusal),
    };
    let is_below = if disk.has_less_than(FULL) {
        true
    } else if disk.has_less_than(unwritten(place)) {
        refused || is_full(error) && mounted.is_some_and(has_room)
    } else {
        // There was room for all of it, if not as much as a quota allows.
        matches!(error, DiskError::Command { source, .. } if says_full(source))
    };
    is_below.then_some(DiskError::HostFull(disk))
}

/// Whether a file system without room is the reason of an error.
pub(super) fn is_full(error: &DiskError) -> bool {
    let full = |error: &io::Error| error.kind() == io::ErrorKind::StorageFull;
    is_about(error, full) || matches!(error, DiskError::HostFull(_))
}

fn is_refusal(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::IO.raw_os_error())
}

fn is_about(error: &DiskError, reason: impl Fn(&io::Error) -> bool) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if error.downcast_ref::<io::Error>().is_some_and(&reason) {
            return true;
        }
        next = error.source();
    }
    false
}

/// How many bytes of a place the disk below has not given out yet.
fn unwritten(place: &Place<'_>) -> u64 {
    let written = File::open(place.file).and_then(|file| {
        let extents = data_extents(&file, place.offset, place.size)?;
        Ok(extents.iter().map(|extent| extent.end - extent.start).sum())
    });
    place.size.saturating_sub(written.unwrap_or(0))
}

/// Whether a mounted file system could take more files, and more in them.
fn has_room(mounted: &Path) -> bool {
    rustix::fs::statvfs(mounted).is_ok_and(|stat| {
        let counts_files = stat.f_files > 0;
        stat.f_bavail.saturating_mul(stat.f_frsize) >= FULL && (!counts_files || stat.f_ffree > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(tail: &str) -> DiskError {
        DiskError::Command {
            doing: "make the root file system".to_owned(),
            source: CommandError::Failed {
                command: "mkfs".to_owned(),
                status: "exited with status 1".to_owned(),
                code: Some(1),
                tail: tail.to_owned(),
            },
        }
    }

    fn io(errno: Errno) -> DiskError {
        DiskError::Io {
            doing: "write",
            path: "file".into(),
            source: errno.into(),
        }
    }

    /// Of a place larger than any disk something is always unwritten; of a written one, nothing.
    #[test]
    fn the_disk_below_is_full_only_if_the_rest_had_no_room_there() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let place = |size| Place {
            file: file.path(),
            offset: 0,
            size,
        };
        let (huge, small) = (place(1 << 60), place(4096));
        let elsewhere = Some(Path::new("/proc/self"));
        for (error, place, mounted, below) in [
            (failed("No space left on device"), &huge, None, true),
            (failed("No space left on device"), &small, None, true),
            (
                failed("pwrite failed: Input/output error"),
                &huge,
                None,
                true,
            ),
            (
                failed("pwrite failed: Input/output error"),
                &small,
                None,
                false,
            ),
            (failed("something else"), &huge, None, false),
            (io(Errno::IO), &huge, None, true),
            (io(Errno::IO), &small, None, false),
            (io(Errno::NOSPC), &huge, file.path().parent(), true),
            (io(Errno::NOSPC), &small, file.path().parent(), false),
            // It has no blocks at all: what is full is that one.
            (io(Errno::NOSPC), &huge, elsewhere, false),
            (io(Errno::NOSPC), &huge, None, false),
        ] {
            let found = full_below(&error, place, mounted);
            assert_eq!(found.is_some(), below, "{error:?} {}", place.size);
        }
    }
}
