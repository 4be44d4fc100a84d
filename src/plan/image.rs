//! What is made of the finished tree.

use serde::Serialize;
use uuid::Uuid;

use super::{Context, PlanError, artifacts, derived_uuid};
use crate::config::Config;
use crate::config::values::{Encrypt, Format};
use crate::disk::{Architecture, Content, DiskSpec, Filling, Partition, PartitionKind, Seed, Size};
use crate::output::Compression;

/// The output's form.
#[derive(Clone, Debug, Serialize)]
pub enum Image {
    /// The tree itself.
    Directory,
    /// An archive of it.
    Tar {
        /// Leaves `security.selinux` out.
        strip_selinux: bool,
        /// What it is compressed with.
        compression: Option<Compression>,
    },
    /// A disk image.
    Disk(Disk),
}

/// A disk image before its tree is known.
#[derive(Clone, Debug, Serialize)]
pub struct Disk {
    /// The kernel's name of the architecture.
    architecture: String,
    /// What its identifiers come from.
    seed: Uuid,
    /// The first sector that partitions may use.
    first_lba: u64,
    /// Size of the root partition in bytes; else what the tree needs.
    root_size: Option<u64>,
    /// The root file system is never written.
    read_only: bool,
    /// Seconds since 1970 that no time stamp exceeds.
    latest: Option<u64>,
    /// A hash tree protects the root partition.
    verity: bool,
    /// The root partition is encrypted.
    encrypt_root: bool,
    /// The home and srv partitions are encrypted.
    encrypt_data: bool,
    /// Partitions are written as files of their own, too.
    split: bool,
}

impl Image {
    /// What is shown while it is made.
    #[must_use]
    pub fn title(&self) -> &'static str {
        match self {
            Self::Directory => "Finishing the directory",
            Self::Tar { .. } => "Writing the archive",
            Self::Disk(_) => "Writing the disk image",
        }
    }
}

impl Disk {
    /// The image's partitions, given what the root file system will hold.
    ///
    /// # Errors
    /// When partition tables have no type for this architecture.
    pub fn spec(&self, content: Content) -> Result<DiskSpec, PlanError> {
        let architecture =
            Architecture::from_name(&self.architecture).ok_or_else(|| PlanError::Setting {
                setting: "Architecture",
                problem: format!(
                    "the Discoverable Partitions Specification has no root partition for {}; \
                     Format=directory and tar work",
                    self.architecture
                ),
            })?;
        let size = self.root_size.map_or(Size::Automatic, Size::Fixed);
        let filling = Filling::Ext4 {
            directory: None,
            content,
        };
        let mut root = Partition::new(PartitionKind::Root, size, filling);
        root.read_only = self.read_only;
        let mut spec = DiskSpec::new(architecture, Seed::new(self.seed));
        spec.first_lba = self.first_lba;
        spec.latest = self.latest;
        spec.verity = self.verity;
        spec.partitions = vec![root];
        for partition in &mut spec.partitions {
            partition.encrypted = self.encrypts(partition.kind);
        }
        Ok(spec)
    }

    /// Whether partitions are written as files of their own, too.
    #[must_use]
    pub fn split(&self) -> bool {
        self.split
    }

    /// Whether partitions of this kind are encrypted.
    fn encrypts(&self, kind: PartitionKind) -> bool {
        match kind {
            PartitionKind::Root => self.encrypt_root,
            PartitionKind::Home | PartitionKind::Srv => self.encrypt_data,
            _ => false,
        }
    }
}

/// The image that a configuration asks for. Problems are added to `errors`.
pub(super) fn image(
    config: &Config,
    context: &Context,
    errors: &mut Vec<PlanError>,
) -> Option<Image> {
    match config.format {
        Format::Directory => Some(Image::Directory),
        Format::Tar => Some(Image::Tar {
            strip_selinux: config.tar_strip_selinux_context,
            compression: artifacts::compression(config),
        }),
        Format::GptExt4 => {
            let disk = disk(config, context);
            let layout = disk.spec(Content::default()).and_then(|spec| {
                spec.preview().map_err(|problem| PlanError::Setting {
                    setting: "Partitions",
                    problem: problem.to_string(),
                })
            });
            match layout {
                Ok(_) => Some(Image::Disk(disk)),
                Err(problem) => {
                    errors.push(problem);
                    None
                }
            }
        }
        // `config::unsupported` has named it.
        _ => None,
    }
}

/// The disk that a configuration asks for, whatever its root file system.
#[must_use]
pub fn disk(config: &Config, context: &Context) -> Disk {
    Disk {
        architecture: config.architecture.as_str().to_owned(),
        seed: derived_uuid(context.seed, "disk"),
        first_lba: config.gpt_first_lba,
        root_size: config.root_size.map(|size| size.bytes()),
        read_only: config.read_only,
        latest: context.source_date_epoch,
        verity: config.verity,
        encrypt_root: config.encrypt == Some(Encrypt::All),
        encrypt_data: config.encrypt.is_some(),
        split: config.split_artifacts,
    }
}
