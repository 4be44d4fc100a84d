//! Partition type UUIDs.
//!
//! Source: the UAPI Group's Discoverable Partitions Specification
//! (<https://uapi-group.org/specifications/specs/discoverable_partitions_specification/>) for all
//! but the BIOS boot partition, whose type is GRUB's (its manual, "BIOS installation").

use uuid::{Uuid, uuid};

use super::PartitionKind;

/// The EFI system partition.
const ESP: Uuid = uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
/// Where GRUB keeps its core image; the bytes spell `Hah!IdontNeedEFI`.
const BIOS_BOOT: Uuid = uuid!("21686148-6449-6e6f-744e-656564454649");
/// Kernels outside the EFI system partition.
const XBOOTLDR: Uuid = uuid!("bc13c2ff-59e6-4262-a352-b275fd6f7172");
const SWAP: Uuid = uuid!("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f");
const HOME: Uuid = uuid!("933ac7e1-2eb4-4f13-b844-0e14e2aef915");
const SRV: Uuid = uuid!("3b8f8425-20e0-4f3b-907f-1a25a76f98e8");

/// Defines the architectures from one table, so that none can lack a type or a name.
macro_rules! architectures {
    ($($(#[$doc:meta])* $name:ident, [$($spelling:literal),+], $root:literal, $verity:literal;)+) => {
        /// A processor architecture that has partition types of its own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Architecture {
            $($(#[$doc])* $name,)+
        }

        impl Architecture {
            /// Every architecture.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Finds an architecture by the kernel's, RPM's or Debian's name of it.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($($spelling)|+ => Some(Self::$name),)+
                    _ => None,
                }
            }

            /// The type of a root partition.
            #[must_use]
            pub const fn root(self) -> Uuid {
                match self {
                    $(Self::$name => uuid!($root),)+
                }
            }

            /// The type of the partition that holds a root partition's hash tree.
            #[must_use]
            pub const fn root_verity(self) -> Uuid {
                match self {
                    $(Self::$name => uuid!($verity),)+
                }
            }
        }
    };
}

architectures! {
    /// 64-bit x86.
    X86_64, ["x86_64", "x86-64", "amd64"],
        "4f68bce3-e8cd-4db1-96e7-fbcaf984b709", "2c7357ed-ebd2-46d9-aec1-23d437ec2bf5";
    /// 32-bit x86.
    X86, ["x86", "i386", "i486", "i586", "i686"],
        "44479540-f297-41b2-9af7-d131d5f0458a", "d13c5d3b-b5d1-422a-b29f-9454fdc89d76";
    /// 64-bit Arm.
    Aarch64, ["aarch64", "arm64"],
        "b921b045-1df0-41c3-af44-4c6f280d3fae", "df3300ce-d69f-4c92-978c-9bfb0f38d820";
    /// 32-bit Arm.
    Arm, ["arm", "armv6l", "armv7l", "armv7hl", "armhf", "armel", "armhfp"],
        "69dad710-2ce4-4e3c-b16c-21a1d49abed3", "7386cdf2-203c-47a9-a498-f2ecce45a2d6";
    /// 64-bit RISC-V.
    Riscv64, ["riscv64"],
        "72ec70a6-cf74-40e6-bd49-4bda08e8f224", "b6ed5582-440b-4209-b8da-5ff7c419ea3d";
    /// 32-bit RISC-V.
    Riscv32, ["riscv32"],
        "60d5a7fe-8e7d-435c-b714-3dd8162144e1", "ae0253be-1167-4007-ac68-43926c14c5de";
    /// 64-bit PowerPC, little-endian.
    Ppc64le, ["ppc64le", "ppc64-le", "ppc64el", "powerpc64le"],
        "c31c45e6-3f39-412e-80fb-4809c4980599", "906bd944-4589-4aae-a4e4-dd983917446a";
    /// 64-bit PowerPC, big-endian.
    Ppc64, ["ppc64", "powerpc64"],
        "912ade1d-a839-4913-8964-a10eee08fbd2", "9225a9a3-3c19-4d89-b4f6-eeff88f17631";
    /// 32-bit PowerPC.
    Ppc, ["ppc", "powerpc"],
        "1de3f1ef-fa98-47b5-8dcd-4a860a654d78", "98cfe649-1588-46dc-b2f0-add147424925";
    /// 64-bit IBM Z.
    S390x, ["s390x"],
        "5eead9a9-fe09-4a1e-a1d7-520d00531306", "b325bfbe-c7be-4ab8-8357-139e652d2f6b";
    /// 31-bit IBM Z.
    S390, ["s390"],
        "08a7acea-624c-4a20-91e8-6e0fa67d23f9", "7ac63b47-b25c-463b-8df8-b4a94e6c90e1";
    /// 64-bit LoongArch.
    LoongArch64, ["loongarch64", "loong64"],
        "77055800-792c-4f94-b39a-98c91b762bb6", "f3393b22-e9af-4613-a948-9d3bfbd0c535";
    /// 64-bit MIPS, little-endian.
    Mips64le, ["mips64le", "mips64-le", "mips64el"],
        "700bda43-7a34-4507-b179-eeb93d7a7ca3", "16b417f8-3e06-4f57-8dd2-9b5232f41aa6";
    /// 32-bit MIPS, little-endian.
    MipsLe, ["mipsle", "mips-le", "mipsel"],
        "37c58c8a-d913-4156-a25f-48b1b64e07f0", "d7d150d2-2a04-4a33-8f12-16651205ff7b";
    /// Itanium.
    Ia64, ["ia64"],
        "993d8d3d-f80e-4225-855a-9daf8ed7ea97", "86ed10d5-b607-45bb-8957-d350f23d0571";
    /// Alpha.
    Alpha, ["alpha"],
        "6523f8ae-3eb1-4e2a-a05a-18b695ae656f", "fc56d9e9-e6e5-4c06-be32-e74407ce09a5";
    /// ARC.
    Arc, ["arc"],
        "d27f46ed-2919-4cb8-bd25-9531f3c16534", "24b2d975-0f97-4521-afa1-cd531e421b8d";
}

/// The partition type of `kind` on `architecture`.
#[must_use]
pub const fn type_uuid(kind: PartitionKind, architecture: Architecture) -> Uuid {
    match kind {
        PartitionKind::Esp => ESP,
        PartitionKind::BiosBoot => BIOS_BOOT,
        PartitionKind::Xbootldr => XBOOTLDR,
        PartitionKind::Swap => SWAP,
        PartitionKind::Home => HOME,
        PartitionKind::Srv => SRV,
        PartitionKind::Root => architecture.root(),
        PartitionKind::RootVerity => architecture.root_verity(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_type_is_used_once() {
        let mut seen = HashSet::new();
        for uuid in [ESP, BIOS_BOOT, XBOOTLDR, SWAP, HOME, SRV] {
            assert!(seen.insert(uuid), "{uuid}");
        }
        for architecture in Architecture::ALL {
            assert!(seen.insert(architecture.root()), "{architecture:?}");
            assert!(seen.insert(architecture.root_verity()), "{architecture:?}");
        }
    }

    #[test]
    fn bios_boot_type_spells_its_name_on_disk() {
        assert_eq!(&BIOS_BOOT.to_bytes_le(), b"Hah!IdontNeedEFI");
    }

    #[test]
    fn names_of_kernel_and_debian_are_known() {
        for (name, architecture) in [
            ("x86_64", Architecture::X86_64),
            ("amd64", Architecture::X86_64),
            ("i386", Architecture::X86),
            ("arm64", Architecture::Aarch64),
            ("armhf", Architecture::Arm),
            ("ppc64el", Architecture::Ppc64le),
            ("s390x", Architecture::S390x),
            ("riscv64", Architecture::Riscv64),
        ] {
            assert_eq!(Architecture::from_name(name), Some(architecture), "{name}");
        }
        assert_eq!(Architecture::from_name("vax"), None);
    }
}
