//! Settings that each make sense, but not together.

use super::Config;
use super::error::{Findings, Warning};
use super::message::Excerpt;
use super::values::{Architecture, BootProtocol, Encrypt, Format, SourceTransfer};

/// Reports settings that cannot be combined, and those that are dangerous.
pub(super) fn check(config: &Config, found: &mut Findings) {
    let format = config.format;
    if format == Format::Custom && !config.project.imgbuild().is_some_and(|i| i.custom) {
        found.conflict(format!(
            "{} is for an IMGBUILD with the functions setup and cleanup",
            config.origins.quoted("Format")
        ));
    }
    if config.bootable && !format.is_disk() {
        found.conflict(format!(
            "{} needs a disk image: Format={format} has no partition for a boot loader",
            config.origins.quoted("Bootable")
        ));
    }
    if config.verity && !format.is_disk() {
        found.conflict(format!(
            "{} needs a disk image: Format={format} has no partition for the hash tree",
            config.origins.quoted("Verity")
        ));
    }
    if config.encrypt.is_some() && !format.is_disk() {
        found.conflict(format!(
            "{} needs a disk image: Format={format} has no partitions to encrypt",
            config.origins.quoted("Encrypt")
        ));
    } else if config.encrypt == Some(Encrypt::All) && config.verity {
        found.conflict(format!(
            "{} and {} cannot be combined: a verified root partition is not encrypted; Encrypt=data can be combined",
            config.origins.quoted("Encrypt"),
            config.origins.quoted("Verity")
        ));
    } else if config.encrypt == Some(Encrypt::Data) && format.is_btrfs() {
        found.conflict(format!(
            "{} cannot be combined with Format={format}: home and srv are subvolumes of its root partition; use Encrypt=all",
            config.origins.quoted("Encrypt")
        ));
    } else if config.encrypt == Some(Encrypt::Data)
        && config.home_size.is_none()
        && config.srv_size.is_none()
    {
        found.warn(Warning(format!(
            "{} encrypts nothing without HomeSize or SrvSize",
            config.origins.quoted("Encrypt")
        )));
    }
    if format == Format::GptBtrfs {
        for (setting, directory, size) in [
            ("HomeSize", "/home", config.home_size),
            ("SrvSize", "/srv", config.srv_size),
        ] {
            if size.is_some() {
                found.warn(Warning(format!(
                    "{} has no effect with Format={format}: {directory} is a subvolume of the root partition and \
                     shares its room, which RootSize sets",
                    config.origins.quoted(setting)
                )));
            }
        }
    }
    if config.minimize && config.root_size.is_some() && format.has_root_size() {
        found.warn(Warning(format!(
            "{} does not count: {} makes the root partition as small as its files allow",
            config.origins.quoted("RootSize"),
            config.origins.quoted("Minimize")
        )));
    }
    base_image(config, found);
    let pc = matches!(
        config.architecture,
        Architecture::X86_64 | Architecture::I686
    );
    if config.bootable && config.boot_protocols.contains(&BootProtocol::Bios) && !pc {
        found.conflict(format!(
            "{}: Architecture={} has no BIOS",
            config.origins.quoted("BootProtocols"),
            config.architecture
        ));
    }
    if config.bootable && config.boot_protocols.is_empty() {
        found.conflict("Bootable needs at least one of BootProtocols=uefi, bios");
    }
    if config.source_file_transfer_final == Some(SourceTransfer::Mount) {
        found.conflict(format!(
            "{}: what is only mounted is not in the image; copy-all copies every file",
            config.origins.quoted("SourceFileTransferFinal")
        ));
    }
    if config.skip_final_phase
        && config.build_script.is_some()
        && config.install_directory.is_none()
        && config.build_directory.is_none()
    {
        found.warn(Warning(format!(
            "{} keeps nothing of what the build script makes without InstallDirectory or BuildDirectory",
            config.origins.quoted("SkipFinalPhase")
        )));
    }
    if config.bootable && config.secure_boot && !config.with_unified_kernel_images {
        found.warn(Warning(format!(
            "{} leaves the initrd and the command line unsigned: Secure Boot checks them only inside of a \
             unified kernel image",
            config.origins.quoted("WithUnifiedKernelImages")
        )));
    }
    if !config.repository_key_check {
        found.warn(Warning(format!(
            "{}: SIGNATURES OF PACKAGES ARE NOT CHECKED. Whoever controls the network or a mirror controls the image",
            config.origins.quoted("RepositoryKeyCheck")
        )));
    }
}

/// What cannot be done with the changes to another image.
fn base_image(config: &Config, found: &mut Findings) {
    let Some(base) = &config.base_image else {
        return;
    };
    if config.bootable {
        found.conflict(format!(
            "{} and {} cannot be combined: the output holds only what differs from the base image, \
             and that does not boot by itself",
            config.origins.quoted("Bootable"),
            config.origins.quoted("BaseImage")
        ));
    }
    if config.output.starts_with(base) || base.starts_with(&config.output) {
        found.conflict(format!(
            "{} is in the way of the output {}: a base image is never written to",
            config.origins.quoted("BaseImage"),
            Excerpt(&config.output.to_string_lossy())
        ));
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::Fixture;

    #[test]
    fn impossible_combinations_are_refused() {
        for (args, part) in [
            ("-b -t tar", "needs a disk image: Format=tar"),
            ("-b -t directory", "needs a disk image: Format=directory"),
            ("-b -t subvolume", "needs a disk image: Format=subvolume"),
            ("-b -t plain_squashfs", "needs a disk image"),
            ("--verity -t tar", "hash tree"),
            ("--encrypt -t tar", "no partitions to encrypt"),
            ("--encrypt --verity", "cannot be combined: a verified root"),
            ("--encrypt=data -t gpt_btrfs", "are subvolumes"),
            (
                "-b --boot-protocols=bios --architecture=arm64",
                "has no BIOS",
            ),
            ("-b --boot-protocols=", "at least one"),
            ("--source-file-transfer-final=mount", "is not in the image"),
        ] {
            let errors = Fixture::new().args(args).errors();
            assert!(
                errors.len() == 1 && errors[0].contains(part),
                "{args}: {errors:?}"
            );
        }
    }

    #[test]
    fn possible_combinations_are_not() {
        for args in [
            "-b",
            "-b -t gpt_squashfs --verity",
            "--encrypt=data --home-size=1G --verity",
            "--encrypt",
            "--encrypt=no -t tar",
        ] {
            assert_eq!(Fixture::new().args(args).warnings(), [""; 0], "{args}");
        }
    }

    #[test]
    fn dangerous_settings_are_shouted_about() {
        let warnings = Fixture::new().args("--repository-key-check=no").warnings();
        assert!(warnings[0].contains("SIGNATURES OF PACKAGES ARE NOT CHECKED"));
        let warnings = Fixture::new()
            .args("-b --secure-boot --without-unified-kernel-images")
            .warnings();
        assert!(warnings[0].contains("the command line unsigned"));
        let warnings = Fixture::new().args("--encrypt=data").warnings();
        assert!(warnings[0].contains("encrypts nothing"));
    }

    #[test]
    fn a_build_that_keeps_nothing_is_pointed_out() {
        let warnings = |args: &str| {
            let fixture = Fixture::new().project_file("mkosi.build", "", 0o755);
            fixture.args(args).warnings()
        };
        assert!(warnings("--skip-final-phase")[0].contains("keeps nothing"));
        assert_eq!(warnings("--skip-final-phase --install-dir=x"), [""; 0]);
        assert_eq!(warnings("--skip-final-phase --build-dir=x"), [""; 0]);
    }

    #[test]
    fn sizes_that_do_not_count_are_pointed_out() {
        for (args, part) in [
            (
                "-t gpt_btrfs --home-size=1G",
                "/home is a subvolume of the root partition",
            ),
            (
                "-t gpt_btrfs --srv-size=1G",
                "/srv is a subvolume of the root partition",
            ),
            ("--minimize --root-size=2G", "does not count: Minimize"),
        ] {
            let warnings = Fixture::new().args(args).warnings();
            assert!(
                warnings.len() == 1 && warnings[0].contains(part),
                "{args}: {warnings:?}"
            );
        }
        for args in ["-t gpt_xfs --home-size=1G --srv-size=1G", "--minimize"] {
            assert_eq!(Fixture::new().args(args).warnings(), [""; 0], "{args}");
        }
    }
}
