//! What is made of the finished tree.

use serde::Serialize;
use uuid::Uuid;

use super::partitions::{Wanted, wanted};
use super::{Context, PlanError, artifacts, derived_uuid, functions};
use crate::config::Config;
use crate::config::values::{Compression, Format};
use crate::disk::btrfs::{self, Btrfs};
use crate::disk::squashfs::{self, Squashfs};
use crate::disk::{Architecture, DiskSpec, FileSystem, Seed};
use crate::output;
use crate::scripts::Function;

/// The output's form.
#[derive(Clone, Debug, Serialize)]
pub enum Image {
    /// The tree itself.
    Directory,
    /// A btrfs subvolume.
    Subvolume {
        /// What compresses its files.
        compress: Option<btrfs::Algorithm>,
        /// It is marked read-only.
        read_only: bool,
    },
    /// An archive of it.
    Tar {
        /// Leaves `security.selinux` out.
        strip_selinux: bool,
        /// What it is compressed with.
        compression: Option<output::Compression>,
    },
    /// What the project's own functions make of it.
    Custom(Custom),
    /// A disk image.
    Disk(Disk),
    /// A file system without a partition table.
    Plain {
        /// Which one.
        file_system: FileSystem,
        /// Its identifier, where it has any.
        uuid: Uuid,
    },
}

/// The functions `setup` and `cleanup` of a shell file.
#[derive(Clone, Debug, Serialize)]
pub struct Custom {
    /// Prepares a place for the tree.
    pub setup: Function,
    /// Makes the output of it, and tidies up.
    pub cleanup: Function,
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
    /// Its partitions.
    partitions: Vec<Wanted>,
    /// Seconds since 1970 that no time stamp exceeds.
    latest: Option<u64>,
    /// A hash tree protects the root partition.
    verity: bool,
    /// Partitions are written as files of their own, too.
    split: bool,
}

impl Image {
    /// What is shown while it is made.
    #[must_use]
    pub fn title(&self) -> &'static str {
        match self {
            Self::Directory => "Finishing the directory",
            Self::Custom(_) => "Running setup and cleanup",
            Self::Subvolume { .. } => "Making the subvolume",
            Self::Tar { .. } => "Writing the archive",
            Self::Disk(_) => "Writing the disk image",
            Self::Plain { .. } => "Writing the file system",
        }
    }

    /// Whether making it takes a passphrase.
    pub(super) fn encrypts(&self) -> bool {
        match self {
            Self::Disk(disk) => disk.spec().is_ok_and(|spec| spec.encrypts()),
            _ => false,
        }
    }

    /// The programs that making it takes.
    pub(super) fn tools(&self) -> Vec<String> {
        match self {
            Self::Directory | Self::Subvolume { .. } => Vec::new(),
            Self::Custom(custom) => vec![custom.setup.shell.program().to_owned()],
            Self::Tar { .. } => vec!["tar".to_owned()],
            // An architecture without partition types was refused when the plan was made.
            Self::Disk(disk) => disk.spec().map(|spec| spec.tools()).unwrap_or_default(),
            Self::Plain { file_system, .. } => file_system.tools(),
        }
    }
}

impl Disk {
    /// The image, with nothing known of what its file systems will hold.
    ///
    /// # Errors
    /// When partition tables have no type for this architecture.
    pub fn spec(&self) -> Result<DiskSpec, PlanError> {
        let architecture =
            Architecture::from_name(&self.architecture).ok_or_else(|| PlanError::Setting {
                setting: "Architecture",
                problem: format!(
                    "the Discoverable Partitions Specification has no root partition for {}; \
                     Format=directory and tar work",
                    self.architecture
                ),
            })?;
        let mut spec = DiskSpec::new(architecture, Seed::new(self.seed));
        spec.first_lba = self.first_lba;
        spec.latest = self.latest;
        spec.partitions = self.partitions.iter().map(Wanted::partition).collect();
        spec.verity = self.verity;
        Ok(spec)
    }

    /// Whether a hash tree protects the root partition.
    #[must_use]
    pub const fn verity(&self) -> bool {
        self.verity
    }

    /// Whether partitions are written as files of their own, too.
    #[must_use]
    pub const fn split(&self) -> bool {
        self.split
    }
}

/// The image that a configuration asks for. Problems are added to `errors`.
pub(super) fn image(
    config: &Config,
    context: &Context,
    errors: &mut Vec<PlanError>,
) -> Option<Image> {
    let image = match config.format {
        Format::Directory => Image::Directory,
        Format::Custom => Image::Custom(custom(config)),
        Format::Subvolume => Image::Subvolume {
            compress: in_btrfs(config.compress),
            read_only: config.read_only,
        },
        Format::Tar => Image::Tar {
            strip_selinux: config.tar_strip_selinux_context,
            compression: artifacts::compression(config),
        },
        Format::PlainSquashfs => Image::Plain {
            file_system: file_system(config),
            uuid: derived_uuid(context.seed, "image"),
        },
        Format::GptExt4 | Format::GptXfs | Format::GptBtrfs | Format::GptSquashfs => {
            Image::Disk(disk(config, context))
        }
    };
    if let Image::Disk(disk) = &image {
        let layout = disk.spec().and_then(|spec| {
            spec.preview().map_err(|problem| PlanError::Setting {
                setting: "Partitions",
                problem: problem.to_string(),
            })
        });
        if let Err(problem) = layout {
            errors.push(problem);
            return None;
        }
    }
    Some(image)
}

fn custom(config: &Config) -> Custom {
    let function = |name| functions::of_imgbuild(config, name);
    Custom {
        setup: function("setup"),
        cleanup: function("cleanup"),
    }
}

fn disk(config: &Config, context: &Context) -> Disk {
    Disk {
        architecture: config.architecture.as_str().to_owned(),
        seed: derived_uuid(context.seed, "disk"),
        first_lba: config.gpt_first_lba,
        partitions: wanted(config),
        latest: context.source_date_epoch,
        verity: config.verity,
        split: config.split_artifacts,
    }
}

/// The root file system.
pub(super) fn file_system(config: &Config) -> FileSystem {
    match config.format {
        Format::GptXfs => FileSystem::Xfs,
        Format::GptBtrfs | Format::Subvolume => FileSystem::Btrfs(Btrfs {
            compress: in_btrfs(config.compress),
        }),
        Format::GptSquashfs | Format::PlainSquashfs => FileSystem::Squashfs(Squashfs {
            compress: in_squashfs(config.compress),
            program: config.mksquashfs.clone(),
        }),
        Format::GptExt4 | Format::Directory | Format::Tar | Format::Custom => FileSystem::Ext4,
    }
}

fn in_btrfs(compression: Compression) -> Option<btrfs::Algorithm> {
    match compression {
        // `config` refuses the last two here.
        Compression::Off | Compression::Lz4 | Compression::Xz => None,
        Compression::On | Compression::Zstd => Some(btrfs::Algorithm::Zstd),
        Compression::Zlib => Some(btrfs::Algorithm::Zlib),
        Compression::Lzo => Some(btrfs::Algorithm::Lzo),
    }
}

fn in_squashfs(compression: Compression) -> Option<squashfs::Algorithm> {
    match compression {
        Compression::Off => None,
        Compression::On => Some(squashfs::Algorithm::Quick),
        Compression::Zlib => Some(squashfs::Algorithm::Gzip),
        Compression::Lzo => Some(squashfs::Algorithm::Lzo),
        Compression::Lz4 => Some(squashfs::Algorithm::Lz4),
        Compression::Xz => Some(squashfs::Algorithm::Xz),
        Compression::Zstd => Some(squashfs::Algorithm::Zstd),
    }
}
