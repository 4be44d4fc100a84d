//! The partitions that a configuration asks for, before anything is known of what goes into them.

use serde::Serialize;
use uuid::Uuid;

use super::image::file_system;
use crate::config::Config;
use crate::config::values::{BootProtocol, Encrypt, Size as ConfigSize};
use crate::disk::{
    Architecture, Content, DiskError, DiskSpec, FileSystem, Files, Filling, Layout, Partition,
    PartitionKind, Seed, Size,
};

/// A partition that is asked for.
#[derive(Clone, Debug, Serialize)]
pub struct Wanted {
    kind: PartitionKind,
    size: Size,
    /// What is in it, unless it is something else than files.
    file_system: Option<FileSystem>,
    read_only: bool,
    encrypted: bool,
}

impl Wanted {
    const fn new(kind: PartitionKind, size: Size) -> Self {
        Self {
            kind,
            size,
            file_system: None,
            read_only: false,
            encrypted: false,
        }
    }

    /// The partition, with nothing known of its content.
    pub(super) fn partition(&self) -> Partition {
        let filling = match (&self.file_system, self.kind) {
            (Some(file_system), _) => Filling::Files(Files {
                file_system: file_system.clone(),
                directory: None,
                content: Content::default(),
            }),
            (None, PartitionKind::Swap) => Filling::Swap,
            (None, _) => Filling::Nothing,
        };
        let mut partition = Partition::new(self.kind, self.size, filling);
        partition.read_only = self.read_only;
        partition.encrypted = self.encrypted;
        partition
    }
}

/// Where the partitions of an image would lie, with sizes that depend on the tree at the least they
/// can be. Only for people: nothing is built from it.
///
/// # Errors
/// When the partitions cannot be laid out.
pub fn preview(config: &Config) -> Option<Result<Layout, DiskError>> {
    if !config.format.is_disk() {
        return None;
    }
    let architecture = Architecture::from_name(config.architecture.as_str())?;
    let mut spec = DiskSpec::new(architecture, Seed::new(Uuid::nil()));
    spec.first_lba = config.gpt_first_lba;
    spec.partitions = wanted(config).iter().map(Wanted::partition).collect();
    spec.verity = config.verity;
    Some(spec.preview())
}

/// The partitions of a disk image, but for that of a hash tree.
pub(super) fn wanted(config: &Config) -> Vec<Wanted> {
    let boots = |protocol| config.bootable && config.boot_protocols.contains(&protocol);
    let fixed = |size: ConfigSize| Size::Fixed(size.bytes());
    let mut partitions = Vec::new();
    if boots(BootProtocol::Uefi) {
        // As large as it has to be, unless somebody said otherwise.
        let size = match config.origins.of("ESPSize").first() {
            Some(origin) if origin.is_explicit() => fixed(config.esp_size),
            _ => Size::Automatic,
        };
        partitions.push(Wanted {
            file_system: Some(FileSystem::Fat),
            ..Wanted::new(PartitionKind::Esp, size)
        });
    }
    if boots(BootProtocol::Bios) {
        partitions.push(Wanted::new(PartitionKind::BiosBoot, Size::Automatic));
    }
    if let Some(size) = config.xbootldr_size.filter(|_| config.bootable) {
        partitions.push(Wanted {
            file_system: Some(FileSystem::Fat),
            ..Wanted::new(PartitionKind::Xbootldr, fixed(size))
        });
    }
    if let Some(size) = config.swap_size {
        partitions.push(Wanted::new(PartitionKind::Swap, fixed(size)));
    }
    let root = file_system(config);
    for (kind, size) in [
        (PartitionKind::Home, config.home_size),
        (PartitionKind::Srv, config.srv_size),
    ] {
        let file_system = match &root {
            // Subvolumes of the root file system, which share its room.
            FileSystem::Btrfs(_) => continue,
            // What is in them is there to be written.
            FileSystem::Squashfs(_) => FileSystem::Ext4,
            other => other.clone(),
        };
        if let Some(size) = size {
            partitions.push(Wanted {
                file_system: Some(file_system),
                encrypted: config.encrypt.is_some(),
                ..Wanted::new(kind, fixed(size))
            });
        }
    }
    let size = match config.root_size {
        _ if config.minimize => Size::Minimal,
        Some(size) if config.format.has_root_size() => fixed(size),
        _ => Size::Automatic,
    };
    partitions.push(Wanted {
        file_system: Some(root),
        read_only: config.read_only,
        encrypted: config.encrypt == Some(Encrypt::All),
        ..Wanted::new(PartitionKind::Root, size)
    });
    partitions
}
