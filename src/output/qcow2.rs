//! A finished disk image → QCOW2, by qemu-img.

use std::fs;
use std::path::Path;

use super::OutputError;
use crate::host::{Command, CommandError, FullDisk, Host};

/// Converts the raw image `from` into `to`, which must not exist yet. Holes, and blocks of nothing but
/// zeros, are left out. A failure leaves no `to`.
///
/// # Errors
/// What qemu-img says.
pub fn convert(from: &Path, to: &Path, host: &Host) -> Result<(), OutputError> {
    let command = Command::new("qemu-img")
        .args(["convert", "-f", "raw", "-O", "qcow2", "--"])
        .arg(from)
        .arg(to);
    host.run(command).map(drop).map_err(|source| {
        // The error at hand says what matters.
        let _ = fs::remove_file(to);
        match source {
            CommandError::Cancelled => OutputError::Cancelled,
            CommandError::Failed { tail, .. } if tail.contains("No space left on device") => {
                OutputError::HostFull(FullDisk::of(to))
            }
            source => OutputError::Command {
                doing: "convert the image to QCOW2",
                source,
            },
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::host::{Cancel, Quiet, Recorder};

    fn on_paper(recorder: Recorder) -> (Result<(), OutputError>, Vec<String>) {
        let recorder = Arc::new(recorder);
        let host = Host::new(recorder.clone(), Arc::new(Quiet), Cancel::default());
        let result = convert(Path::new("/a b.raw"), Path::new("/nowhere/b.qcow2"), &host);
        (result, recorder.lines())
    }

    #[test]
    fn command_line() {
        let (result, lines) = on_paper(Recorder::default());
        result.unwrap();
        assert_eq!(
            lines,
            ["qemu-img convert -f raw -O qcow2 -- '/a b.raw' /nowhere/b.qcow2"]
        );
    }

    #[test]
    fn a_full_disk_is_told_from_the_rest() {
        for (said, full) in [
            ("error while writing: No space left on device", true),
            ("Could not open", false),
        ] {
            let recorder = Recorder::default();
            recorder.fail("qemu-img", 1, said);
            let error = on_paper(recorder).0.unwrap_err();
            assert_eq!(matches!(error, OutputError::HostFull(_)), full, "{error}");
        }
    }
}
