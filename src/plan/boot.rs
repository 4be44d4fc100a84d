//! What makes an image boot.

use serde::Serialize;
use uuid::Uuid;

use super::{Context, PlanError, derived_uuid, image};
use crate::boot::{SigningKey, efi_suffix};
use crate::config::values::{BootProtocol, Encrypt};
use crate::config::{Config, Origin};
use crate::disk::{FileSystem, PartitionKind, Seed, fat};
use crate::distro;

/// What makes an image boot.
#[derive(Clone, Debug, Serialize)]
pub struct Boot {
    /// systemd starts the system, and finds its root partition.
    pub systemd: bool,
    /// UEFI's name of the architecture, where firmware of that kind shall boot it.
    pub uefi: Option<&'static str>,
    /// A BIOS shall boot it.
    pub bios: bool,
    /// Kernel, initrd and command line are one file.
    pub unified: bool,
    /// The initrd is for the hardware of this host only.
    pub hostonly: bool,
    /// Initrds are kept for the next build.
    pub cache: bool,
    /// There is an extended boot loader partition.
    pub xbootldr: bool,
    /// A hash tree protects the root partition.
    pub verity: bool,
    /// Which partitions are encrypted.
    pub encrypted: Encrypted,
    /// The root file system is only ever read.
    pub read_only: bool,
    /// The kernel's name of the root file system.
    pub root_file_system: &'static str,
    /// The kernel's command line, as far as the configuration decides it.
    pub command_line: String,
    /// What programs for the firmware are signed with.
    pub signing: Option<SigningKey>,
    /// What files on boot partitions are named by.
    pub token: String,
    /// A fixed machine id.
    pub machine_id: Option<String>,
    /// What the disk's identifiers come from.
    seed: Uuid,
    /// Seconds since 1970 that no time stamp exceeds.
    pub latest: Option<u64>,
}

/// Which partitions are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Encrypted {
    /// None.
    Nothing,
    /// Others than that of the root file system.
    Data,
    /// The root file system's.
    Root,
}

/// Where a BIOS' boot loader finds kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BiosFiles {
    /// On this partition of boot loaders.
    On(PartitionKind),
    /// In `/boot` of the root file system.
    InRoot,
}

impl Boot {
    /// The command line for a loader that tells the system which disk it is on, or for one that does
    /// not.
    #[must_use]
    pub fn command_line(&self, found: bool, root_hash: Option<&str>) -> String {
        let has_root = |word: &str| word.starts_with("root=");
        let mut line = self.command_line.clone();
        let mut add = |words: &str| {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(words);
        };
        let seed = Seed::new(self.seed);
        if let Some(hash) = root_hash {
            // Names both partitions, by their identifiers.
            add(&format!("roothash={hash}"));
        } else if (found && self.systemd) || self.command_line.split_whitespace().any(has_root) {
            // systemd finds the root partition by its type, on the disk that the loader came from.
        } else if self.encrypted == Encrypted::Root {
            let id = seed.encrypted(PartitionKind::Root);
            add(&format!("rd.luks.uuid={id} root=/dev/mapper/luks-{id}"));
        } else {
            let id = seed.partition(PartitionKind::Root);
            add(&format!("root=PARTUUID={id}"));
        }
        line
    }

    /// Whether unified kernel images are made: a BIOS cannot start them.
    #[must_use]
    pub const fn makes_unified(&self) -> bool {
        self.unified && self.uefi.is_some()
    }

    /// Where a BIOS' boot loader finds kernels.
    #[must_use]
    pub const fn bios_files(&self) -> BiosFiles {
        if self.xbootldr {
            BiosFiles::On(PartitionKind::Xbootldr)
        } else if self.uefi.is_some() {
            BiosFiles::On(PartitionKind::Esp)
        } else {
            BiosFiles::InRoot
        }
    }

    /// The identifier, as udev and GRUB write it, of the file system that has a BIOS' kernels.
    #[must_use]
    pub fn bios_identifier(&self) -> String {
        let seed = Seed::new(self.seed);
        match self.bios_files() {
            BiosFiles::On(kind) => fat::identifier(seed.file_system(kind)),
            BiosFiles::InRoot => seed.file_system(PartitionKind::Root).to_string(),
        }
    }

    /// The partition whose loader entries are looked at.
    #[must_use]
    pub const fn entries(&self) -> PartitionKind {
        if self.xbootldr {
            PartitionKind::Xbootldr
        } else {
            PartitionKind::Esp
        }
    }
}

/// What makes the image of a configuration boot, if anything shall. Problems are added to `errors`.
pub(super) fn boot(
    config: &Config,
    context: &Context,
    errors: &mut Vec<PlanError>,
) -> Option<Boot> {
    if !config.bootable || !config.format.is_disk() {
        return None;
    }
    let mut problem =
        |setting, problem: String| errors.push(PlanError::Setting { setting, problem });
    let wants = |protocol| config.boot_protocols.contains(&protocol);
    let architecture = config.architecture.as_str();
    let uefi = wants(BootProtocol::Uefi).then(|| efi_suffix(architecture));
    if uefi == Some(None) {
        problem(
            "BootProtocols",
            format!("there is no UEFI firmware for {architecture}"),
        );
    }
    if config.secure_boot && uefi.is_none() {
        problem(
            "SecureBoot",
            "a BIOS checks no signatures; add uefi to BootProtocols=".to_owned(),
        );
    }
    let signing = signing(config, &mut problem);
    let root = image::file_system(config);
    let encrypted = match config.encrypt {
        None => Encrypted::Nothing,
        Some(Encrypt::All) => Encrypted::Root,
        Some(Encrypt::Data) => Encrypted::Data,
    };
    let origins = config.origins.of("CacheInitrd");
    let asked = origins.first().is_some_and(Origin::is_explicit);
    let systemd = distro::facts(config.distribution).has_systemd();
    let boot = Boot {
        systemd,
        uefi: uefi.flatten(),
        bios: wants(BootProtocol::Bios),
        unified: config.with_unified_kernel_images,
        hostonly: config.hostonly_initrd,
        cache: config.cache_initrd && (config.incremental || asked),
        xbootldr: config.xbootldr_size.is_some(),
        verity: config.verity,
        encrypted,
        read_only: config.read_only,
        root_file_system: root.name(),
        command_line: command_line(&config.kernel_command_line, config.read_only, systemd),
        signing,
        token: token(config),
        machine_id: config.machine_id.clone(),
        seed: derived_uuid(context.seed, "disk"),
        latest: context.source_date_epoch,
    };
    if boot.bios && boot.bios_files() == BiosFiles::InRoot {
        let what = match (&root, encrypted, config.verity) {
            (_, Encrypted::Root, _) => Some("an encrypted root partition"),
            (_, _, true) => Some("a root partition whose hash it would have to hold itself"),
            (FileSystem::Squashfs(_), ..) => Some("squashfs"),
            _ => None,
        };
        if let Some(what) = what {
            problem(
                "BootProtocols",
                format!(
                    "GRUB cannot start from {what}; set XBootldrSize=128M or so, for a partition that \
                     it reads kernels from"
                ),
            );
        }
    }
    Some(boot)
}

fn signing(config: &Config, problem: &mut impl FnMut(&'static str, String)) -> Option<SigningKey> {
    if !config.secure_boot {
        return None;
    }
    let advice = "; `mkosi genkey` makes a key and its certificate";
    match (&config.secure_boot_key, &config.secure_boot_certificate) {
        (Some(key), Some(certificate)) => Some(SigningKey {
            key: key.clone(),
            certificate: certificate.clone(),
        }),
        (key, certificate) => {
            if key.is_none() {
                let text =
                    format!("SecureBoot=yes needs mkosi.secure-boot.key, or this setting{advice}");
                problem("SecureBootKey", text);
            }
            if certificate.is_none() {
                let text =
                    format!("SecureBoot=yes needs mkosi.secure-boot.crt, or this setting{advice}");
                problem("SecureBootCertificate", text);
            }
            None
        }
    }
}

/// Says once, and truly, whether the root file system is mounted writable.
fn command_line(text: &str, read_only: bool, systemd: bool) -> String {
    let mut words: Vec<&str> = text.split_whitespace().collect();
    if read_only {
        words.retain(|word| *word != "rw");
    }
    if !words.iter().any(|word| matches!(*word, "rw" | "ro")) {
        words.push(if read_only { "ro" } else { "rw" });
    }
    // Services want to write below /var: what they write is in memory, and gone in the end.
    let decides = |word: &&str| word.starts_with("systemd.volatile");
    if read_only && systemd && !words.iter().any(decides) {
        words.push("systemd.volatile=overlay");
    }
    words.join(" ")
}

/// A name for files on boot partitions: the image's own where it has one.
fn token(config: &Config) -> String {
    let mut token = config
        .image_id
        .clone()
        .unwrap_or_else(|| "linux".to_owned());
    if let Some(version) = &config.image_version {
        token.push('-');
        token.push_str(version);
    }
    // FAT, and mtools' patterns, allow less than image names do.
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    token
        .chars()
        .map(|c| if fits(c) { c } else { '_' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot() -> Boot {
        Boot {
            systemd: true,
            uefi: Some("x64"),
            bios: true,
            unified: true,
            hostonly: false,
            cache: false,
            xbootldr: false,
            verity: false,
            encrypted: Encrypted::Nothing,
            read_only: false,
            root_file_system: "ext4",
            command_line: "quiet rw".into(),
            signing: None,
            token: "linux".into(),
            machine_id: None,
            seed: Uuid::from_u128(7),
            latest: None,
        }
    }

    #[test]
    fn root_is_named_only_where_nobody_finds_it() {
        let seed = Seed::new(Uuid::from_u128(7));
        let partition = seed.partition(PartitionKind::Root);
        let luks = seed.encrypted(PartitionKind::Root);
        let plain = boot();
        let encrypted = Boot {
            encrypted: Encrypted::Root,
            ..boot()
        };
        let other = Boot {
            systemd: false,
            ..boot()
        };
        let own = Boot {
            command_line: "root=/dev/sda1 rw".into(),
            ..boot()
        };
        for (boot, found, hash, expected) in [
            (&plain, true, None, "quiet rw".to_owned()),
            (
                &plain,
                false,
                None,
                format!("quiet rw root=PARTUUID={partition}"),
            ),
            (
                &other,
                true,
                None,
                format!("quiet rw root=PARTUUID={partition}"),
            ),
            (&plain, true, Some("ab"), "quiet rw roothash=ab".to_owned()),
            (&plain, false, Some("ab"), "quiet rw roothash=ab".to_owned()),
            (&encrypted, true, None, "quiet rw".to_owned()),
            (
                &encrypted,
                false,
                None,
                format!("quiet rw rd.luks.uuid={luks} root=/dev/mapper/luks-{luks}"),
            ),
            (&own, false, None, "root=/dev/sda1 rw".to_owned()),
        ] {
            assert_eq!(boot.command_line(found, hash), expected);
        }
    }

    #[test]
    fn a_bios_reads_kernels_from_fat_where_there_is_any() {
        let mut boot = boot();
        let file_system = |kind| Seed::new(Uuid::from_u128(7)).file_system(kind);
        assert_eq!(boot.bios_files(), BiosFiles::On(PartitionKind::Esp));
        assert_eq!(
            boot.bios_identifier(),
            fat::identifier(file_system(PartitionKind::Esp))
        );
        boot.uefi = None;
        assert_eq!(boot.bios_files(), BiosFiles::InRoot);
        assert_eq!(
            boot.bios_identifier(),
            file_system(PartitionKind::Root).to_string()
        );
        boot.xbootldr = true;
        assert_eq!(boot.bios_files(), BiosFiles::On(PartitionKind::Xbootldr));
        assert_eq!(boot.entries(), PartitionKind::Xbootldr);
    }

    #[test]
    fn the_command_line_says_whether_root_is_writable() {
        for (text, read_only, expected) in [
            ("quiet rw", false, "quiet rw"),
            ("quiet", false, "quiet rw"),
            ("a\n b  ro", false, "a b ro"),
            ("quiet rw", true, "quiet ro systemd.volatile=overlay"),
            ("rw systemd.volatile=no", true, "systemd.volatile=no ro"),
            ("", true, "ro systemd.volatile=overlay"),
        ] {
            assert_eq!(command_line(text, read_only, true), expected, "{text}");
        }
        assert_eq!(command_line("quiet rw", true, false), "quiet ro");
    }
}
