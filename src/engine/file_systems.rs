//! The images that hold file systems: what goes into each is taken from the tree and measured.

use std::fs::File;
use std::path::Path;

use uuid::Uuid;

use super::site::Site;
use super::{EngineError, StepError, boot};
use crate::disk::{
    self, Assembled, Content, DiskSpec, FileSystem, Filling, PartitionKind, Place, Room, Size,
    Volume,
};
use crate::host::Host;
use crate::tree::{self, Root};

/// The block size that trees are measured in.
const BLOCK: u64 = 4096;

/// Counts over the tree at `path`.
pub(super) fn content(path: &Path, host: &Host) -> Result<Content, StepError> {
    let root = Root::open(path)?;
    let size = tree::measure(&root, Path::new(""), &[], &host.cancel)?;
    Ok(Content {
        data_bytes: size.data_bytes,
        inodes: size.inodes,
        directories: size.dirs,
        names: size.names,
        name_bytes: size.name_bytes,
        long_symlinks: size.symlink_bytes / BLOCK,
        with_xattrs: size.xattr_bytes / BLOCK,
    })
}

/// Writes a disk image. Directories that get partitions of their own are moved out of the tree.
pub(super) fn write_disk(
    mut spec: DiskSpec,
    target: &Path,
    site: &Site<'_>,
    host: &Host,
) -> Result<Assembled, StepError> {
    let root = Root::open(&site.tree)?;
    // All others first: the root file system holds what is left.
    spec.partitions
        .sort_by_key(|partition| partition.kind == PartitionKind::Root);
    let mut boots = Vec::new();
    for partition in &mut spec.partitions {
        let Filling::Files(files) = &mut partition.filling else {
            continue;
        };
        if let (Some(prepared), FileSystem::Fat) = (&site.boot, &files.file_system) {
            let directory = boot::directory(partition.kind, site, host)?;
            prepared.fill(partition.kind, &directory, host)?;
            files.content = content(&directory, host)?;
            files.directory = Some(directory.clone());
            boots.push((partition.kind, directory));
        } else if let Some(place) = partition.kind.mount_point() {
            let aside = site.scratch.join(partition.kind.short_name());
            let (report, cancel) = (host.report.as_ref(), &host.cancel);
            tree::set_aside(&root, Path::new(place), &aside, report, cancel)?;
            files.content = content(&aside, host)?;
            files.directory = Some(aside);
        } else {
            files.content = content(&site.tree, host)?;
        }
    }
    let finish = |hash: Option<&_>, sector| match &site.boot {
        Some(prepared) => Ok(prepared.finish(&boots, hash, sector, host)?),
        None => Ok(None),
    };
    let place = disk::Site {
        booting: Some(&finish),
        tree: &site.tree,
        output: target,
        scratch: &site.scratch,
        passphrase: site.build.passphrase,
    };
    Ok(disk::assemble(&spec, &place, host)?)
}

/// Writes a file system that fills the whole file.
pub(super) fn write_plain(
    file_system: &FileSystem,
    uuid: Uuid,
    target: &Path,
    site: &Site<'_>,
    host: &Host,
) -> Result<(), StepError> {
    let content = content(&site.tree, host)?;
    let volume = Volume {
        kind: PartitionKind::Root,
        tree: &site.tree,
        content: &content,
        read_only: true,
        minimal: true,
        uuid,
        hash_seed: uuid,
        latest: site.build.context.source_date_epoch,
        zeroed: true,
        scratch: &site.scratch,
    };
    let (Room::Exactly(size) | Room::UpTo(size)) =
        file_system.room(Size::Minimal, &content, volume.read_only);
    let file = File::create_new(target).map_err(EngineError::path("create", target))?;
    let place = Place {
        file: target,
        offset: 0,
        size,
    };
    let size = file_system.make(&place, &volume, host)?;
    file.set_len(size)
        .map_err(EngineError::path("set the size of", target))?;
    Ok(())
}

/// Makes a btrfs subvolume.
pub(super) fn write_subvolume(
    compress: Option<disk::btrfs::Algorithm>,
    target: &Path,
    site: &Site<'_>,
    host: &Host,
) -> Result<(), StepError> {
    let subvolume = disk::btrfs::Subvolume {
        tree: &site.tree,
        target,
        compress,
        latest: site.build.context.source_date_epoch,
    };
    Ok(disk::btrfs::make_subvolume(&subvolume, host)?)
}
