//! Filling a file system through the kernel: for those whose own programs lose something on the way.
//!
//! The mount lives in the build's mount namespace, and the loop device goes when nobody has it open:
//! a build that is killed leaves neither.

use std::error::Error;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::file_system::{Place, Volume};
use super::{DiskError, sparse};
use crate::host::{CommandError, Host, HostError, LoopDevice, LoopOptions, Mount};
use crate::tree::{CopyOptions, Root, TreeError, copy_tree};

/// With less than this many bytes left, a disk counts as full.
const FULL: u64 = 1 << 20;

/// Shows `place` as a block device.
pub(super) fn attach(place: &Place<'_>, name: &'static str) -> Result<LoopDevice, DiskError> {
    let options = LoopOptions {
        offset: place.offset,
        size: place.size,
        read_only: false,
    };
    LoopDevice::attach(place.file, options).map_err(|source| DiskError::NoLoopDevice {
        name,
        source: Box::new(source),
    })
}

/// Mounts the file system of type `name` that is on `device`, lets `work` use it, and unmounts it.
/// When this returns without an error, everything has reached the device.
pub(super) fn with<T>(
    device: &LoopDevice,
    name: &'static str,
    options: &str,
    volume: &Volume<'_>,
    work: impl FnOnce(&Path) -> Result<T, DiskError>,
) -> Result<T, DiskError> {
    let target = volume
        .scratch
        .join(format!("mount-{}", volume.kind.short_name()));
    fs::create_dir(&target).map_err(DiskError::io("create", &target))?;
    let result = mount(device, name, options, &target).and_then(|mount| {
        let value = work(&target)?;
        // Unmounting alone would not tell that something could not be written.
        File::open(&target)
            .and_then(|directory| Ok(rustix::fs::syncfs(directory)?))
            .map_err(DiskError::io("write everything to", &target))?;
        mount.unmount()?;
        Ok(value)
    });
    // Never with what is in it: should unmounting have failed, that is the image's content.
    let _ = fs::remove_dir(&target);
    result
}

fn mount(
    device: &LoopDevice,
    name: &'static str,
    options: &str,
    target: &Path,
) -> Result<Mount, DiskError> {
    Mount::device(device.path(), target, name, false, options).map_err(|source| {
        let unknown = matches!(&source, HostError::Path { source, .. }
            if source.raw_os_error() == Some(nix::libc::ENODEV));
        if unknown {
            DiskError::NotMountable { name }
        } else {
            source.into()
        }
    })
}

/// Copies the volume's tree into the mounted file system, with everything that it can hold.
pub(super) fn fill(volume: &Volume<'_>, target: &Path, host: &Host) -> Result<(), DiskError> {
    let root = Root::open(target)?;
    let options = CopyOptions::faithful(volume.latest);
    copy_tree(
        &root,
        volume.tree,
        Path::new(""),
        &options,
        host.report.as_ref(),
        &host.cancel,
    )?;
    Ok(())
}

/// What to do when making a file system failed: a full one, a full disk below it, or neither.
pub(super) fn explain(
    error: DiskError,
    place: &Place<'_>,
    volume: &Volume<'_>,
    needed: u64,
) -> DiskError {
    if let DiskError::Tree(TreeError::Cancelled) | DiskError::Host(HostError::Cancelled) = &error {
        return DiskError::Cancelled;
    }
    // A write that the disk below refuses is an I/O error above.
    if host_is_full(place.file) {
        return DiskError::HostFull {
            path: place.file.to_owned(),
        };
    }
    if is_full(&error) {
        let needed = needed.max(place.size);
        return DiskError::Full {
            kind: volume.kind,
            size: place.size,
            needed: needed.saturating_add(needed / 20),
            source: Box::new(error),
        };
    }
    error
}

/// Whether a file system without room is the reason of an error.
pub(super) fn is_full(error: &DiskError) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            if io.kind() == io::ErrorKind::StorageFull {
                return true;
            }
        }
        next = error.source();
    }
    matches!(error, DiskError::HostFull { .. })
}

fn host_is_full(file: &Path) -> bool {
    let directory = file.parent().unwrap_or(file);
    rustix::fs::statvfs(directory)
        .is_ok_and(|stat| stat.f_bavail.saturating_mul(stat.f_frsize) < FULL)
}

/// A program's failure to make a file system.
pub(super) fn failed(source: CommandError, volume: &Volume<'_>) -> DiskError {
    match source {
        CommandError::Cancelled => DiskError::Cancelled,
        source => DiskError::Command {
            doing: format!("make the {} file system", volume.kind.short_name()),
            source,
        },
    }
}

/// Gives back what making the file system reserved in vain.
pub(super) fn tidy(place: &Place<'_>) -> Result<(), DiskError> {
    sparse::release_unwritten(place)
}
