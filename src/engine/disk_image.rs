//! A disk image and the files that go with it: its root hash, and its partitions on their own.

use std::fs;
use std::path::Path;

use super::artifacts::stage;
use super::site::Site;
use super::{EngineError, StepError, file_systems};
use crate::disk::verity::{Hash, hash_text};
use crate::disk::{self, Assembled, PartitionKind};
use crate::host::Host;
use crate::plan::Disk;

/// Makes the image `target`, and what `disk` asks for besides.
pub(super) fn write(
    disk: &Disk,
    target: &Path,
    site: &mut Site<'_>,
    host: &Host,
) -> Result<(), StepError> {
    let assembled = file_systems::write_disk(disk.spec()?, target, site, host)?;
    if let Some(hash) = &assembled.root_hash {
        write_root_hash(hash, site)?;
    }
    if disk.split() {
        split(&assembled, target, site, host)?;
    }
    Ok(())
}

/// One line, as `veritysetup --root-hash-file=` and systemd read it.
fn write_root_hash(hash: &Hash, site: &mut Site<'_>) -> Result<(), StepError> {
    let path = stage(site, &site.build.names.roothash())?;
    fs::write(&path, hash_text(hash) + "\n").map_err(EngineError::path("write", &path))?;
    Ok(())
}

fn split(
    assembled: &Assembled,
    image: &Path,
    site: &mut Site<'_>,
    host: &Host,
) -> Result<(), StepError> {
    let names = site.build.names;
    for (kind, name) in [
        (PartitionKind::Root, names.split_root()),
        (PartitionKind::RootVerity, names.split_verity()),
    ] {
        if let Some(slot) = assembled.layout.slot(kind) {
            let path = stage(site, &name)?;
            disk::split(image, slot, &path, host)?;
        }
    }
    split_kernel(site, host)
}

/// Writes the kernel, its initrd, and both as one where the firmware starts them so.
fn split_kernel(site: &mut Site<'_>, host: &Host) -> Result<(), StepError> {
    let Some(files) = site.boot.as_ref().and_then(|boot| boot.to_split(site)) else {
        return Ok(());
    };
    if files.others > 0 {
        host.report.warn(&format!(
            "the image has {} kernels: only the newest, {}, is written as a file of its own",
            files.others + 1,
            files.release
        ));
    }
    let names = site.build.names;
    for (from, name) in [
        (files.unified, names.split_unified()),
        (Some(files.kernel), names.split_kernel()),
        (Some(files.initrd), names.split_initrd()),
    ] {
        if let Some(from) = from {
            let path = stage(site, &name)?;
            fs::copy(&from, &path).map_err(EngineError::path("write", &path))?;
        }
    }
    Ok(())
}
