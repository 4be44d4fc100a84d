//! One partition of a finished image as a file of its own.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rustix::fs::copy_file_range;
use rustix::io::Errno;

use super::DiskError;
use super::extents::{Extent, data_extents};
use super::layout::Slot;
use crate::host::Host;

/// How much is copied between two looks at whether to stop.
const PIECE: u64 = 16 << 20;

/// Copies the partition `slot` of `image` to `target`, which must not exist. Holes stay holes, and
/// where the file system can share blocks between files, nothing is copied at all.
///
/// # Errors
/// The image cannot be read or the target not written, or an interruption.
pub fn split(image: &Path, slot: &Slot, target: &Path, host: &Host) -> Result<(), DiskError> {
    let failed = || DiskError::io("write", target);
    let from = File::open(image).map_err(DiskError::io("open", image))?;
    let to = File::create_new(target).map_err(DiskError::io("create", target))?;
    to.set_len(slot.size).map_err(failed())?;
    let extents = data_extents(&from, slot.offset, slot.size).map_err(failed())?;
    let total = extents.iter().map(|extent| extent.end - extent.start).sum();
    let mut done = 0;
    for Extent { start, end } in extents {
        let mut at = start;
        while at < end {
            if host.cancel.is_cancelled() {
                return Err(DiskError::Cancelled);
            }
            let wanted = PIECE.min(end - at);
            let copied = copy(&from, at, &to, at - slot.offset, wanted).map_err(failed())?;
            at += copied;
            done += copied;
            host.report.progress(done, total);
        }
    }
    Ok(())
}

/// Copies up to `wanted` bytes; returns how many, at least one.
fn copy(from: &File, start: u64, to: &File, target: u64, wanted: u64) -> io::Result<u64> {
    let (mut read_at, mut write_at) = (start, target);
    match copy_file_range(
        from,
        Some(&mut read_at),
        to,
        Some(&mut write_at),
        wanted as usize,
    ) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(copied) => Ok(copied as u64),
        Err(Errno::INTR) => copy(from, start, to, target, wanted),
        // File systems that cannot, and kernels before 5.3 across file systems.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::XDEV) => {
            let mut buffer = vec![0; wanted as usize];
            from.read_exact_at(&mut buffer, start)?;
            to.write_all_at(&buffer, target)?;
            Ok(wanted)
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;
    use std::sync::Arc;

    use uuid::Uuid;

    use super::*;
    use crate::disk::layout::{Attributes, Layout, Request};
    use crate::disk::{Architecture, PartitionKind};
    use crate::host::{Cancel, Quiet, Recorder};

    #[test]
    fn a_partition_keeps_its_data_and_its_holes() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let request = |kind| Request {
            kind,
            size: 64 << 20,
            size_is_minimum: false,
            uuid: Uuid::nil(),
            attributes: Attributes::default(),
        };
        let layout = Layout::new(
            Architecture::X86_64,
            &[request(PartitionKind::Home), request(PartitionKind::Root)],
            2048,
        )
        .unwrap();
        let image = File::create_new(path("image")).unwrap();
        image.set_len(layout.total()).unwrap();
        let slot = layout.slot(PartitionKind::Root).unwrap();
        // Neighbours on both sides, and data at both ends and in the middle.
        for (at, byte) in [
            (-4096_i64, 9_u8),
            (0, 1),
            (20 << 20, 2),
            ((64 << 20) - 4096, 3),
            (64 << 20, 9),
        ] {
            let at = slot.offset.checked_add_signed(at).unwrap();
            image.write_all_at(&[byte; 4096], at).unwrap();
        }
        let host = Host::new(
            Arc::new(Recorder::default()),
            Arc::new(Quiet),
            Cancel::default(),
        );
        split(&path("image"), slot, &path("part"), &host).unwrap();
        let part = File::open(path("part")).unwrap();
        let metadata = part.metadata().unwrap();
        assert_eq!(metadata.len(), 64 << 20);
        assert!(metadata.blocks() * 512 < 1 << 20, "{}", metadata.blocks());
        let mut expected = vec![0; 64 << 20];
        let mut found = expected.clone();
        image.read_exact_at(&mut expected, slot.offset).unwrap();
        part.read_exact_at(&mut found, 0).unwrap();
        assert!(expected == found);

        let error = split(&path("image"), slot, &path("part"), &host).unwrap_err();
        assert!(matches!(
            error,
            DiskError::Io {
                doing: "create",
                ..
            }
        ));
        host.cancel.cancel();
        let error = split(&path("image"), slot, &path("other"), &host).unwrap_err();
        assert!(matches!(error, DiskError::Cancelled));
    }
}
