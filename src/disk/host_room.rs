//! Whether a program that makes a file system failed because the disk is full that it writes to.

use std::path::Path;

use super::DiskError;
use super::file_system::Volume;
use crate::host::{CommandError, FullDisk};

/// What programs say of it.
const SAID: [&str; 2] = ["No space left on device", "Disk quota exceeded"];

fn says_full(error: &CommandError) -> bool {
    matches!(error, CommandError::Failed { tail, .. } if SAID.iter().any(|words| tail.contains(words)))
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
    failed_making(source, volume)
}

/// A program's failure to make a file system, whatever it was writing to.
pub(super) fn failed_making(source: CommandError, volume: &Volume<'_>) -> DiskError {
    match source {
        CommandError::Cancelled => DiskError::Cancelled,
        source => DiskError::Command {
            doing: format!("make the {} file system", volume.kind.short_name()),
            source,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_say_that_a_disk_is_full() {
        let failed = |tail: &str| CommandError::Failed {
            command: "mkfs".to_owned(),
            status: "exited with status 1".to_owned(),
            code: Some(1),
            tail: tail.to_owned(),
        };
        assert!(says_full(&failed("write: No space left on device")));
        assert!(says_full(&failed("cannot write: Disk quota exceeded")));
        assert!(!says_full(&failed("something else")));
        assert!(!says_full(&CommandError::Cancelled));
    }
}
