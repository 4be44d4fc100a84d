//! The partitions that a configuration asks for, before anything is known of what goes into them.

use uuid::Uuid;

use crate::config::Config;
use crate::config::values::{BootProtocol, Encrypt, Format};
use crate::disk::layout::{Attributes, BIOS_BOOT_SIZE, Request};
use crate::disk::verity::hash_size;
use crate::disk::{Architecture, LUKS_HEADER, Layout, LayoutError, PartitionKind};

/// Root file systems get this much unless their tree needs more or `RootSize` says otherwise.
const ROOT_SIZE: u64 = 1 << 30;
/// The same for XFS, whose log alone takes a good part of that.
const XFS_ROOT_SIZE: u64 = 1300 << 20;
/// squashfs holds what it holds: nothing is known before it is made.
const UNKNOWN: u64 = 1 << 20;

/// Where the partitions of an image would lie, with sizes that depend on the tree at the least they
/// can be. Only for people: nothing is built from it.
///
/// # Errors
/// When the partitions cannot be laid out.
pub fn preview(config: &Config) -> Option<Result<Layout, LayoutError>> {
    if !config.format.is_disk() {
        return None;
    }
    let architecture = Architecture::from_name(config.architecture.as_str())?;
    let requests: Vec<Request> = sizes(config)
        .into_iter()
        .map(|(kind, size, size_is_minimum)| Request {
            kind,
            size,
            size_is_minimum,
            uuid: Uuid::nil(),
            attributes: Attributes::default(),
        })
        .collect();
    Some(Layout::new(architecture, &requests, config.gpt_first_lba))
}

/// Each partition with its size in bytes, and whether it may become larger.
fn sizes(config: &Config) -> Vec<(PartitionKind, u64, bool)> {
    let boots = |protocol| config.bootable && config.boot_protocols.contains(&protocol);
    let size = |size: Option<crate::config::values::Size>| size.map(|size| size.bytes());
    let mut partitions = Vec::new();
    let fixed = [
        (
            PartitionKind::Esp,
            boots(BootProtocol::Uefi).then(|| config.esp_size.bytes()),
        ),
        (
            PartitionKind::BiosBoot,
            boots(BootProtocol::Bios).then_some(BIOS_BOOT_SIZE),
        ),
        (PartitionKind::Xbootldr, size(config.xbootldr_size)),
        (PartitionKind::Swap, size(config.swap_size)),
        (PartitionKind::Home, size(config.home_size)),
        (PartitionKind::Srv, size(config.srv_size)),
    ];
    for (kind, size) in fixed {
        partitions.extend(size.map(|size| (kind, size, false)));
    }
    let root = size(config.root_size).filter(|_| config.format.has_root_size());
    let least = match config.format {
        Format::GptXfs => XFS_ROOT_SIZE,
        Format::GptSquashfs => UNKNOWN,
        _ => ROOT_SIZE,
    };
    let header = match config.encrypt {
        Some(Encrypt::All) => LUKS_HEADER,
        _ => 0,
    };
    let size = root.unwrap_or(least + header);
    partitions.push((PartitionKind::Root, size, root.is_none()));
    if config.verity {
        partitions.push((PartitionKind::RootVerity, hash_size(size), root.is_none()));
    }
    partitions
}
