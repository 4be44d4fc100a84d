//! What a partition is for, and what follows from it.

use serde::Serialize;

/// The partitions an image can have, in their order on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum PartitionKind {
    /// The EFI system partition.
    Esp,
    /// GRUB's core image, for BIOS machines.
    BiosBoot,
    /// The extended boot loader partition.
    Xbootldr,
    /// Swap space.
    Swap,
    /// `/home`.
    Home,
    /// `/srv`.
    Srv,
    /// The root file system.
    Root,
    /// The hash tree over the root file system.
    RootVerity,
}

impl PartitionKind {
    /// Every kind, in order.
    pub const ALL: [Self; 8] = [
        Self::Esp,
        Self::BiosBoot,
        Self::Xbootldr,
        Self::Swap,
        Self::Home,
        Self::Srv,
        Self::Root,
        Self::RootVerity,
    ];

    /// The partition's name in the partition table: at most 36 UTF-16 units.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Esp => "EFI System Partition",
            Self::BiosBoot => "BIOS Boot Partition",
            Self::Xbootldr => "Extended Boot Loader Partition",
            Self::Swap => "Swap Partition",
            Self::Home => "Home Partition",
            Self::Srv => "Server Data Partition",
            Self::Root => "Root Partition",
            Self::RootVerity => "Verity Partition",
        }
    }

    /// A short name: the label of the file system inside, and what messages and drawings say.
    #[must_use]
    pub const fn short_name(self) -> &'static str {
        match self {
            Self::Esp => "esp",
            Self::BiosBoot => "bios",
            Self::Xbootldr => "xbootldr",
            Self::Swap => "swap",
            Self::Home => "home",
            Self::Srv => "srv",
            Self::Root => "root",
            Self::RootVerity => "verity",
        }
    }

    /// The directory of a tree that gets this partition of its own, and at which it is mounted.
    #[must_use]
    pub const fn mount_point(self) -> Option<&'static str> {
        match self {
            Self::Home => Some("home"),
            Self::Srv => Some("srv"),
            _ => None,
        }
    }

    /// The setting that sets the partition's size, where there is one.
    #[must_use]
    pub const fn size_setting(self) -> Option<&'static str> {
        match self {
            Self::Esp => Some("ESPSize"),
            Self::Xbootldr => Some("XBootldrSize"),
            Self::Swap => Some("SwapSize"),
            Self::Home => Some("HomeSize"),
            Self::Srv => Some("SrvSize"),
            Self::Root => Some("RootSize"),
            Self::BiosBoot | Self::RootVerity => None,
        }
    }
}
