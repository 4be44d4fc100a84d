//! A finished tree and a list of partitions → one sparse image file.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::layout::{Attributes, BIOS_BOOT_SIZE, DEFAULT_FIRST_LBA, Layout, Request, Slot};
use super::luks::{self, Clear, Encryption};
use super::verity::Hash;
use super::{
    Architecture, Content, DiskError, LUKS_HEADER, PartitionKind, Seed, ext4, gpt, seal, swap,
};
use crate::host::Host;

/// A disk image to be made.
#[derive(Clone, Debug)]
pub struct DiskSpec {
    /// Of the system on it; decides the partition types.
    pub architecture: Architecture,
    /// Where its identifiers come from.
    pub seed: Seed,
    /// The first sector that a partition may use.
    pub first_lba: u64,
    /// Its partitions; they are brought into their order.
    pub partitions: Vec<Partition>,
    /// The time in seconds that nothing shall be newer than (`SOURCE_DATE_EPOCH`).
    pub latest: Option<u64>,
    /// Whether a hash tree protects the root partition, in a partition of its own.
    pub verity: bool,
    /// What it takes to encrypt the partitions that shall be.
    pub encryption: Option<Encryption>,
}

/// A partition to be made.
#[derive(Clone, Debug)]
pub struct Partition {
    /// What it is for.
    pub kind: PartitionKind,
    /// How large.
    pub size: Size,
    /// What is in it.
    pub filling: Filling,
    /// It shall only ever be mounted read-only.
    pub read_only: bool,
    /// Its identifier, where that is not to come from the seed.
    pub uuid: Option<Uuid>,
    /// It is encrypted; its size includes the header that this takes.
    pub encrypted: bool,
}

/// The size of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// This many bytes.
    Fixed(u64),
    /// What its filling needs, and what the file system's default adds to that.
    Automatic,
}

/// What is in a partition.
#[derive(Clone, Debug)]
pub enum Filling {
    /// Nothing yet: zeros.
    Nothing,
    /// Swap space.
    Swap,
    /// An ext4 file system.
    Ext4 {
        /// The directory whose files it holds; `None` for the image's tree itself.
        directory: Option<PathBuf>,
        /// Counts over that directory.
        content: Content,
    },
}

/// An image that was made.
#[derive(Clone, Debug)]
pub struct Assembled {
    /// Where everything in it lies.
    pub layout: Layout,
    /// The root hash of the hash tree over the root partition.
    pub root_hash: Option<Hash>,
}

impl Partition {
    /// A writable partition whose identifier comes from the seed.
    #[must_use]
    pub const fn new(kind: PartitionKind, size: Size, filling: Filling) -> Self {
        Self {
            kind,
            size,
            filling,
            read_only: false,
            uuid: None,
            encrypted: false,
        }
    }

    fn attributes(&self) -> Attributes {
        Attributes {
            // Nothing ever writes to a hash tree.
            read_only: self.read_only || self.kind == PartitionKind::RootVerity,
            grow_file_system: !self.read_only && matches!(self.filling, Filling::Ext4 { .. }),
            no_auto: false,
        }
    }

    /// Bytes before the file system.
    fn header(&self) -> u64 {
        if self.encrypted { LUKS_HEADER } else { 0 }
    }

    fn automatic_size(&self) -> u64 {
        match &self.filling {
            Filling::Nothing if self.kind == PartitionKind::BiosBoot => BIOS_BOOT_SIZE,
            // Refused by the layout, which names the setting.
            Filling::Nothing | Filling::Swap => 0,
            Filling::Ext4 { content, .. } => ext4::automatic(content, self.read_only),
        }
    }
}

impl DiskSpec {
    /// An image without partitions, starting where images usually do.
    #[must_use]
    pub const fn new(architecture: Architecture, seed: Seed) -> Self {
        Self {
            architecture,
            seed,
            first_lba: DEFAULT_FIRST_LBA,
            partitions: Vec::new(),
            latest: None,
            verity: false,
            encryption: None,
        }
    }

    /// The programs that making it needs.
    #[must_use]
    pub fn tools(&self) -> Vec<&'static str> {
        let ext4 = |partition: &Partition| matches!(partition.filling, Filling::Ext4 { .. });
        let mut tools = Vec::new();
        if self.partitions.iter().any(ext4) {
            tools.push("mkfs.ext4");
        }
        if self.partitions.iter().any(|partition| partition.encrypted) {
            tools.push("cryptsetup");
        }
        tools
    }

    /// Where everything will lie.
    pub fn layout(&self) -> Result<Layout, DiskError> {
        self.lay_out(false)
    }

    /// Where everything would lie as far as that is known before there is a tree: partitions of
    /// automatic size are shown at the least they can be. Counts in the fillings are not used.
    pub fn preview(&self) -> Result<Layout, DiskError> {
        self.lay_out(true)
    }

    fn lay_out(&self, preview: bool) -> Result<Layout, DiskError> {
        let mut requests: Vec<_> = self
            .partitions
            .iter()
            .map(|partition| {
                let open = preview
                    && partition.size == Size::Automatic
                    && matches!(partition.filling, Filling::Ext4 { .. });
                Request {
                    kind: partition.kind,
                    size: match partition.size {
                        Size::Fixed(size) => size,
                        Size::Automatic if open => ext4::SMALLEST_AUTOMATIC + partition.header(),
                        Size::Automatic => partition
                            .automatic_size()
                            .saturating_add(partition.header()),
                    },
                    size_is_minimum: open,
                    uuid: partition
                        .uuid
                        .unwrap_or_else(|| self.seed.partition(partition.kind)),
                    attributes: partition.attributes(),
                }
            })
            .collect();
        if self.verity {
            requests.extend(seal::request(&requests, self.seed));
        }
        Ok(Layout::new(self.architecture, &requests, self.first_lba)?)
    }
}

/// Makes the image `output`, a file that must not exist yet, from `tree`.
///
/// Everything that can be checked is checked before the file is created. The partition table is
/// written last: until then nothing takes the file for a disk. A failure leaves no file.
pub fn assemble(
    spec: &DiskSpec,
    tree: &Path,
    output: &Path,
    host: &Host,
) -> Result<Assembled, DiskError> {
    let mut layout = spec.layout()?;
    for partition in &spec.partitions {
        let Some(slot) = layout.slot(partition.kind) else {
            continue;
        };
        if partition.encrypted {
            encryption(spec, partition)?;
            check(spec, partition, &luks::payload(slot)?).map_err(DiskError::of_encrypted)?;
        } else {
            check(spec, partition, slot)?;
        }
    }

    let image = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(output)
        .map_err(DiskError::io("create", output))?;
    let unfinished = Unfinished(output);
    image
        .set_len(layout.total())
        .map_err(DiskError::io("set the size of", output))?;
    for partition in &spec.partitions {
        let Some(slot) = layout.slot(partition.kind) else {
            continue;
        };
        if partition.encrypted {
            let Encryption {
                passphrase,
                scratch,
            } = encryption(spec, partition)?;
            let clear = Clear::create(slot, scratch)?;
            fill(spec, partition, clear.slot(), tree, clear.path(), host)
                .map_err(DiskError::of_encrypted)?;
            let uuid = spec.seed.encrypted(partition.kind);
            clear.encrypt_into(&image, output, slot, uuid, passphrase, host)?;
        } else {
            fill(spec, partition, slot, tree, output, host)?;
        }
    }
    let root_hash = if spec.verity {
        seal::seal(&image, output, &mut layout, spec.seed, host)?
    } else {
        None
    };
    gpt::write(&image, &layout, spec.seed.disk()).map_err(DiskError::io("write", output))?;
    std::mem::forget(unfinished);
    Ok(Assembled { layout, root_hash })
}

/// What to encrypt a partition with.
fn encryption<'a>(spec: &'a DiskSpec, partition: &Partition) -> Result<&'a Encryption, DiskError> {
    let kind = partition.kind;
    let given = spec.encryption.as_ref();
    given.ok_or(DiskError::NoPassphrase { kind })
}

/// Whether `slot` can hold what goes into it.
fn check(spec: &DiskSpec, partition: &Partition, slot: &Slot) -> Result<(), DiskError> {
    match &partition.filling {
        Filling::Nothing => Ok(()),
        Filling::Swap => swap::check(slot, spec.architecture),
        Filling::Ext4 { content, .. } => {
            ext4::check(slot, &ext4_options(spec, partition, content)).map(|_| ())
        }
    }
}

/// Puts into the part of `file` that `slot` describes what belongs there.
fn fill(
    spec: &DiskSpec,
    partition: &Partition,
    slot: &Slot,
    tree: &Path,
    file: &Path,
    host: &Host,
) -> Result<(), DiskError> {
    match &partition.filling {
        Filling::Nothing => Ok(()),
        Filling::Swap => {
            let uuid = spec.seed.file_system(partition.kind);
            File::options()
                .write(true)
                .open(file)
                .and_then(|file| swap::write(&file, slot, spec.architecture, uuid))
                .map_err(DiskError::io("make swap space in", file))
        }
        Filling::Ext4 { directory, content } => {
            let directory = directory.as_deref().unwrap_or(tree);
            let options = ext4_options(spec, partition, content);
            ext4::make(file, slot, directory, &options, host)
        }
    }
}

fn ext4_options<'a>(
    spec: &DiskSpec,
    partition: &Partition,
    content: &'a Content,
) -> ext4::Options<'a> {
    ext4::Options {
        uuid: spec.seed.file_system(partition.kind),
        hash_seed: spec.seed.directory_hash(partition.kind),
        read_only: partition.read_only,
        content,
        latest: spec.latest,
        zeroed: !partition.encrypted,
    }
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

    use super::*;
    use crate::host::{Cancel, Quiet, Recorder};

    fn spec(partitions: Vec<Partition>) -> DiskSpec {
        DiskSpec {
            partitions,
            ..DiskSpec::new(Architecture::X86_64, Seed::new(Uuid::from_u128(5)))
        }
    }

    fn root(size: Size, content: Content) -> Partition {
        let filling = Filling::Ext4 {
            directory: None,
            content,
        };
        Partition::new(PartitionKind::Root, size, filling)
    }

    fn host() -> Host {
        Host::new(
            Arc::new(Recorder::default()),
            Arc::new(Quiet),
            Cancel::default(),
        )
    }

    #[test]
    fn sizes_and_attributes_follow_the_filling() {
        let mut read_only = root(Size::Automatic, Content::default());
        read_only.read_only = true;
        for (root, grow) in [
            (root(Size::Automatic, Content::default()), true),
            (read_only, false),
        ] {
            let spec = spec(vec![
                root,
                Partition::new(PartitionKind::BiosBoot, Size::Automatic, Filling::Nothing),
            ]);
            let layout = spec.layout().unwrap();
            let [bios, root] = layout.slots() else {
                panic!("two partitions");
            };
            assert_eq!((bios.size, bios.attributes.bits()), (1 << 20, 0));
            assert_eq!(root.size, 1 << 30);
            assert_eq!(root.attributes.grow_file_system, grow);
            assert_eq!(root.attributes.read_only, !grow);
            assert_eq!(root.uuid, spec.seed.partition(PartitionKind::Root));
            assert!(!root.size_is_minimum);
            assert!(spec.preview().unwrap().slots()[1].size_is_minimum);
        }
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
            let error =
                assemble(&spec(partitions), directory.path(), &output, &host()).unwrap_err();
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
        let error = assemble(&spec, directory.path(), &output, &host).unwrap_err();
        assert!(matches!(error, DiskError::Cancelled), "{error}");
        assert!(!output.exists());
    }

    #[test]
    fn a_failure_halfway_leaves_no_file_and_an_existing_file_alone() {
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("image.raw");
        let spec = spec(vec![root(Size::Automatic, Content::default())]);
        // The recorder makes no file system, which is noticed.
        let error = assemble(&spec, directory.path(), &output, &host()).unwrap_err();
        assert!(matches!(error, DiskError::Unexpected { .. }), "{error}");
        assert!(!output.exists());

        fs::write(&output, "mine").unwrap();
        let error = assemble(&spec, directory.path(), &output, &host()).unwrap_err();
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
