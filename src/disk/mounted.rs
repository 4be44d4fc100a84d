//! Filling a file system through the kernel: for those whose own programs lose something on the way.
//!
//! The mount lives in the build's mount namespace, and the loop device goes when nobody has it open:
//! a build that is killed leaves neither.

use std::fs::{self, File};
use std::path::Path;

use super::file_system::{Place, Volume};
use super::host_room::{full_below, is_full};
use super::{DiskError, sparse};
use crate::host::{CommandError, Host, HostError, LoopDevice, LoopOptions, Mount};
use crate::tree::{CopyOptions, Root, TreeError, copy_tree};

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
    place: &Place<'_>,
    volume: &Volume<'_>,
    work: impl FnOnce(&Path) -> Result<T, DiskError>,
) -> Result<T, DiskError> {
    let target = volume
        .scratch
        .join(format!("mount-{}", volume.kind.short_name()));
    fs::create_dir(&target).map_err(DiskError::io("create", &target))?;
    let result = mount(device, name, options, &target).and_then(|mount| {
        let filled = || {
            let value = work(&target)?;
            // Unmounting alone would not tell that something could not be written.
            File::open(&target)
                .and_then(|directory| Ok(rustix::fs::syncfs(directory)?))
                .map_err(DiskError::io("write everything to", &target))?;
            Ok(value)
        };
        // Only now the file system can be asked whether it is the one that is full.
        let value =
            filled().map_err(|error| full_below(&error, place, Some(&target)).unwrap_or(error))?;
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
    if let DiskError::HostFull(disk) = &error {
        if disk.is_of(place.file) {
            return error;
        }
    }
    if let Some(error) = full_below(&error, place, None) {
        return error;
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
