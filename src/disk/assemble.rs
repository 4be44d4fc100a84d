//! A finished tree and a list of partitions → one sparse image file.

use std::fs::{self, File};
use std::path::Path;

use super::boot::{self, Booting};
use super::layout::{Layout, Slot};
use super::luks::Clear;
use super::spec::{DiskSpec, Files, Filling, Partition, Size};
use super::verity::Hash;
use super::{DiskError, PartitionKind, Passphrase, Place, Room, Volume, gpt, seal, sparse, swap};
use crate::host::{Host, fail_point};

/// An image that was made.
#[derive(Clone, Debug)]
pub struct Assembled {
    /// Where everything in it lies.
    pub layout: Layout,
    /// The root hash of the hash tree over the root partition.
    pub root_hash: Option<Hash>,
}

/// Where an image is made, and of what.
#[derive(Clone, Copy)]
pub struct Site<'a> {
    /// The finished tree.
    pub tree: &'a Path,
    /// The image: a path at which nothing is yet.
    pub output: &'a Path,
    /// A directory for mount points and parts, on a disk; it is left empty.
    pub scratch: &'a Path,
    /// What encrypted partitions are opened with.
    pub passphrase: Option<&'a Passphrase>,
    /// Finishes what boot partitions hold, when there are any.
    pub booting: Option<&'a Booting<'a>>,
}

/// Makes an image.
///
/// Everything that can be checked is checked before the file is created. The partition table is
/// written last: until then nothing takes the file for a disk. A failure leaves no file.
///
/// # Errors
/// A part that is too small for its files, what a program says, a file that cannot be read or written, a full
/// disk, or an interruption.
pub fn assemble(spec: &DiskSpec, site: &Site<'_>, host: &Host) -> Result<Assembled, DiskError> {
    let output = site.output;
    let mut layout = spec.layout()?;
    check(spec, &layout, site)?;

    let image = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(output)
        .map_err(DiskError::io("create", output))?;
    let unfinished = Unfinished(output);
    let reach =
        |name, about: &str| fail_point::reach(name, about).map_err(DiskError::io("write", output));
    reach("image-created", "")?;
    let resize = |layout: &Layout| {
        image
            .set_len(layout.total())
            .map_err(DiskError::io("set the size of", output))
    };
    resize(&layout)?;
    // First those whose size making them tells: the places of others depend on it, and their
    // programs may drop whatever else is in the file.
    let mut made: Vec<(PartitionKind, u64)> = Vec::new();
    for partition in spec.in_order() {
        if let (Some(files), Room::UpTo(_)) = (partition.files(), partition.room()) {
            let slot = slot(&layout, partition)?;
            let size = make_files(spec, partition, files, slot, &image, site, host)?;
            let (offset, most) = (slot.offset + size, slot.size.saturating_sub(size));
            sparse::clear(&image, offset, most).map_err(DiskError::io("clear", output))?;
            reach("partition-filled", partition.kind.short_name())?;
            made.push((partition.kind, size));
            layout = spec.layout_with(&made)?;
            resize(&layout)?;
        }
    }
    let fill = |partition: &Partition, layout: &Layout| {
        if made.iter().any(|(kind, _)| *kind == partition.kind) {
            return Ok(());
        }
        let slot = slot(layout, partition)?;
        match &partition.filling {
            Filling::Nothing => Ok(()),
            Filling::Swap => {
                let id = spec.seed.file_system(partition.kind);
                swap::write(&image, slot, spec.architecture, id)
                    .map_err(DiskError::io("make swap space in", output))
            }
            Filling::Files(files) => {
                make_files(spec, partition, files, slot, &image, site, host).map(drop)
            }
        }
    };
    let (last, first): (Vec<_>, Vec<_>) = spec
        .in_order()
        .into_iter()
        .partition(|partition| boot::comes_last(partition.kind));
    for partition in first {
        fill(partition, &layout)?;
        reach("partition-filled", partition.kind.short_name())?;
    }
    let root_hash = if spec.verity {
        let hash = seal::seal(&image, output, &mut layout, spec.seed, host)?;
        reach("root-sealed", "")?;
        hash
    } else {
        None
    };
    if let Some(booting) = site.booting {
        boot::finish(&image, output, &layout, root_hash.as_ref(), booting)?;
    }
    for partition in last {
        fill(partition, &layout)?;
        reach("partition-filled", partition.kind.short_name())?;
    }
    reach("table-unwritten", "")?;
    gpt::write(&image, &layout, spec.seed.disk()).map_err(DiskError::io("write", output))?;
    reach("table-written", "")?;
    std::mem::forget(unfinished);
    Ok(Assembled { layout, root_hash })
}

/// Whether everything fits its partition.
fn check(spec: &DiskSpec, layout: &Layout, site: &Site<'_>) -> Result<(), DiskError> {
    let check = |partition: &Partition| {
        let Some(slot) = layout.slot(partition.kind) else {
            return Ok(());
        };
        match &partition.filling {
            Filling::Nothing => Ok(()),
            Filling::Swap => swap::check(slot, spec.architecture),
            Filling::Files(files) => {
                if partition.encrypted {
                    passphrase(partition, site)?;
                }
                let volume = volume(spec, partition, files, site);
                let inside = slot.size.saturating_sub(partition.header());
                files
                    .file_system
                    .check(inside, &volume)
                    .map_err(|error| error.of_partition(slot.size))
            }
        }
    };
    let mut errors: Vec<DiskError> = spec
        .in_order()
        .into_iter()
        .filter_map(|partition| check(partition).err())
        .collect();
    match errors.len() {
        0 => Ok(()),
        1 => Err(errors.remove(0)),
        _ => Err(DiskError::Several(errors)),
    }
}

/// Makes the file system of a partition in its place, encrypted or not; returns the partition's
/// size.
fn make_files(
    spec: &DiskSpec,
    partition: &Partition,
    files: &Files,
    slot: &Slot,
    image: &File,
    site: &Site<'_>,
    host: &Host,
) -> Result<u64, DiskError> {
    let volume = volume(spec, partition, files, site);
    if !partition.encrypted {
        let place = Place {
            file: site.output,
            offset: slot.offset,
            size: slot.size,
        };
        return files.file_system.make(&place, &volume, host);
    }
    let passphrase = passphrase(partition, site)?;
    let clear = Clear::create(slot, site.scratch)?;
    let size = files
        .file_system
        .make(&clear.place(), &volume, host)
        .map_err(|error| error.of_partition(slot.size))?;
    let uuid = spec.seed.encrypted(partition.kind);
    clear.encrypt_into(size, image, site.output, uuid, passphrase, host)
}

/// What to encrypt a partition with.
fn passphrase<'a>(partition: &Partition, site: &Site<'a>) -> Result<&'a Passphrase, DiskError> {
    let kind = partition.kind;
    site.passphrase.ok_or(DiskError::NoPassphrase { kind })
}

fn volume<'a>(
    spec: &DiskSpec,
    partition: &Partition,
    files: &'a Files,
    site: &Site<'a>,
) -> Volume<'a> {
    Volume {
        kind: partition.kind,
        tree: files.directory.as_deref().unwrap_or(site.tree),
        content: &files.content,
        read_only: partition.read_only,
        minimal: partition.size == Size::Minimal,
        uuid: spec.seed.file_system(partition.kind),
        hash_seed: spec.seed.directory_hash(partition.kind),
        latest: spec.latest,
        zeroed: !partition.encrypted,
        scratch: site.scratch,
    }
}

/// The place of a partition in a layout made from the same partitions.
fn slot<'a>(layout: &'a Layout, partition: &Partition) -> Result<&'a Slot, DiskError> {
    let kind = partition.kind;
    let slot = layout.slot(kind);
    Ok(slot.ok_or(super::LayoutError::Empty { kind })?)
}

/// Removes an image that was not finished.
struct Unfinished<'a>(&'a Path);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        // There is nobody left to tell; the error that led here says what matters.
        let _ = fs::remove_file(self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use uuid::Uuid;

    use super::*;
    use crate::disk::{Architecture, Content, FileSystem, Seed};
    use crate::host::{Cancel, Quiet, Recorder};

    fn spec(partitions: Vec<Partition>) -> DiskSpec {
        DiskSpec {
            partitions,
            ..DiskSpec::new(Architecture::X86_64, Seed::new(Uuid::from_u128(5)))
        }
    }

    fn root(size: Size, content: Content) -> Partition {
        let filling = Filling::Files(Files {
            file_system: FileSystem::Ext4,
            directory: None,
            content,
        });
        Partition::new(PartitionKind::Root, size, filling)
    }

    fn host() -> Host {
        Host::new(
            Arc::new(Recorder::default()),
            Arc::new(Quiet),
            Cancel::default(),
        )
    }

    fn make(
        spec: &DiskSpec,
        tree: &Path,
        output: &Path,
        host: &Host,
    ) -> Result<Assembled, DiskError> {
        let scratch = tempfile::tempdir().unwrap();
        let site = Site {
            tree,
            output,
            scratch: scratch.path(),
            passphrase: None,
            booting: None,
        };
        assemble(spec, &site, host)
    }

    #[test]
    fn an_impossible_image_leaves_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("image.raw");
        let many = Content::roughly(1 << 30, 1000, 100);
        for (partitions, message) in [
            (
                vec![root(Size::Fixed(1 << 20), many)],
                "the root partition has 1M but its files need 1.1G; set RootSize=1.1G or more",
            ),
            (
                vec![Partition::new(
                    PartitionKind::Swap,
                    Size::Automatic,
                    Filling::Swap,
                )],
                "the swap partition has a size of 0; set SwapSize=",
            ),
        ] {
            let error = make(&spec(partitions), directory.path(), &output, &host()).unwrap_err();
            assert_eq!(error.to_string(), message);
            assert!(!output.exists());
        }
    }

    #[test]
    fn an_interrupted_build_leaves_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("image.raw");
        let host = host();
        host.cancel.cancel();
        let spec = spec(vec![root(Size::Automatic, Content::default())]);
        let error = make(&spec, directory.path(), &output, &host).unwrap_err();
        assert!(matches!(error, DiskError::Cancelled), "{error}");
        assert!(!output.exists());
    }

    #[test]
    fn a_failure_halfway_leaves_no_file_and_an_existing_file_alone() {
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("image.raw");
        let spec = spec(vec![root(Size::Automatic, Content::default())]);
        // The recorder makes no file system, which is noticed.
        let error = make(&spec, directory.path(), &output, &host()).unwrap_err();
        assert!(matches!(error, DiskError::Unexpected { .. }), "{error}");
        assert!(!output.exists());

        fs::write(&output, "mine").unwrap();
        let error = make(&spec, directory.path(), &output, &host()).unwrap_err();
        assert!(
            matches!(
                error,
                DiskError::Io {
                    doing: "create",
                    ..
                }
            ),
            "{error}"
        );
        assert_eq!(fs::read(&output).unwrap(), b"mine");
    }
}
