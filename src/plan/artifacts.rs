//! What is made of a finished image, and beside it.

use std::path::PathBuf;

use serde::Serialize;

use super::{Action, Disk, Image, Plan};
use crate::config::Config;
use crate::config::values::{CompressOutput, Format};
use crate::output::{Artifacts, Compression};

/// What one reading of the image yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// What the image is compressed with.
    pub compression: Option<Compression>,
    /// Whether a block map is written.
    pub map: bool,
}

impl Reading {
    pub(super) fn title(self) -> String {
        match (self.compression, self.map) {
            (None, _) => "Mapping the image's blocks".into(),
            (Some(compression), false) => {
                format!("Compressing the image with {}", compression.name())
            }
            (Some(compression), true) => {
                format!(
                    "Compressing and mapping the image with {}",
                    compression.name()
                )
            }
        }
    }
}

/// What compresses the finished image.
pub(super) fn compression(config: &Config) -> Option<Compression> {
    config.compress_output.map(|compressor| match compressor {
        CompressOutput::Xz => Compression::Xz,
        CompressOutput::Zstd => Compression::Zstd,
        CompressOutput::Gz => Compression::Gz,
        CompressOutput::Bz2 => Compression::Bz2,
    })
}

/// What follows once the image is written. Checksums come last, so that they cover everything, and
/// their signature after them.
pub(super) fn actions(config: &Config) -> Vec<Action> {
    let mut actions = Vec::new();
    let disk = config.format.is_disk();
    let one_file =
        !matches!(config.format, Format::Tar | Format::Custom) && !config.format.is_tree();
    if disk && config.qcow2 {
        actions.push(Action::ConvertImage);
    }
    let reading = Reading {
        compression: compression(config).filter(|_| one_file),
        map: disk && config.bmap && !config.qcow2,
    };
    if reading.compression.is_some() || reading.map {
        actions.push(Action::ReadImage(reading));
    }
    let settings = config.nspawn_settings.as_ref();
    // Settings that stand where they belong are left alone.
    if let Some(path) = settings.filter(|path| **path != Artifacts::new(&config.output).nspawn()) {
        actions.push(Action::WriteNspawnSettings(path.clone()));
    }
    if config.checksum {
        actions.push(Action::WriteChecksums);
    }
    if config.sign {
        actions.push(Action::SignChecksums(config.key.clone()));
    }
    actions
}

impl Plan {
    /// Whether the image is made into something else after it is written.
    #[must_use]
    pub fn image_is_draft(&self) -> bool {
        self.steps.iter().any(|step| match &step.action {
            Action::ConvertImage => true,
            Action::ReadImage(reading) => reading.compression.is_some(),
            _ => false,
        })
    }

    /// Whether an image comes of it.
    #[must_use]
    pub fn makes_image(&self) -> bool {
        let mut actions = self.steps.iter().map(|step| &step.action);
        actions.any(|action| {
            matches!(action, Action::WriteImage(image) if !matches!(image, super::Image::Custom(_)))
        })
    }

    /// Whether the image is compressed by a step of its own.
    #[must_use]
    pub fn compresses_image(&self) -> bool {
        self.steps.iter().any(
            |step| matches!(&step.action, Action::ReadImage(reading) if reading.compression.is_some()),
        )
    }

    /// Whether a key for ssh is kept beside the image.
    #[must_use]
    pub fn has_ssh_key(&self) -> bool {
        let mut actions = self.steps.iter().map(|step| &step.action);
        actions.any(|action| matches!(action, Action::SetUpSsh))
    }

    /// Whether checksums are written.
    #[must_use]
    pub fn has_checksums(&self) -> bool {
        let mut actions = self.steps.iter().map(|step| &step.action);
        actions.any(|action| matches!(action, Action::WriteChecksums))
    }

    /// The files that the plan writes besides the image.
    #[must_use]
    pub fn outputs(&self, names: &Artifacts) -> Vec<PathBuf> {
        let outputs = |action: &Action| match action {
            // Nobody knows what its functions write.
            Action::WriteImage(Image::Custom(_)) => Vec::new(),
            Action::WriteImage(Image::Disk(disk)) => self.beside_disk(disk, names),
            Action::WritePackages(_) => vec![names.packages()],
            Action::WriteManifest(_) => vec![names.manifest()],
            Action::WriteChangelog(_) => vec![names.changelog()],
            Action::ReadImage(reading) if reading.map => vec![names.bmap()],
            Action::WriteNspawnSettings(_) => vec![names.nspawn()],
            Action::WriteChecksums => vec![names.checksums()],
            Action::SignChecksums(_) => vec![names.signature()],
            _ => Vec::new(),
        };
        self.steps
            .iter()
            .flat_map(|step| outputs(&step.action))
            .collect()
    }

    /// What is written together with a disk image: its root hash, and what is split off.
    fn beside_disk(&self, disk: &Disk, names: &Artifacts) -> Vec<PathBuf> {
        let mut files = Vec::new();
        if disk.verity() {
            files.push(names.roothash());
        }
        if !disk.split() {
            return files;
        }
        files.push(names.split_root());
        if disk.verity() {
            files.push(names.split_verity());
        }
        let boot = self.actions().find_map(|action| match action {
            Action::PrepareBoot(boot) => Some(boot),
            _ => None,
        });
        if let Some(boot) = boot {
            if boot.makes_unified() {
                files.push(names.split_unified());
            }
            files.extend([names.split_kernel(), names.split_initrd()]);
        }
        files
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::Fixture;

    fn titles(args: &str) -> Vec<String> {
        let config = Fixture::new().args(args).config();
        actions(&config).iter().map(Action::title).collect()
    }

    #[test]
    fn what_follows_the_image() {
        const SUMS: &str = "Computing checksums";
        for (args, expected) in [
            ("", vec![]),
            ("--xz", vec!["Compressing the image with xz"]),
            (
                "--compress-output=gz",
                vec!["Compressing the image with gzip"],
            ),
            ("--bmap", vec!["Mapping the image's blocks"]),
            (
                "--bmap --compress-output=zstd --checksum",
                vec!["Compressing and mapping the image with zstd", SUMS],
            ),
            (
                "--qcow2 --xz",
                vec![
                    "Converting the image to QCOW2",
                    "Compressing the image with xz",
                ],
            ),
            // What a block map speaks of is the raw image.
            ("--qcow2 --bmap", vec!["Converting the image to QCOW2"]),
            ("-t tar", vec![]),
            ("-t tar --checksum", vec![SUMS]),
            ("-t directory --qcow2 --bmap", vec![]),
            (
                "--sign --settings=a.nspawn",
                vec!["Adding container settings", SUMS, "Signing the checksums"],
            ),
        ] {
            assert_eq!(titles(args), expected, "{args}");
        }
    }

    #[test]
    fn what_is_written_beside_a_disk() {
        let context = crate::plan::Context {
            directory: "/".into(),
            source_date_epoch: None,
            seed: uuid::Uuid::nil(),
        };
        for (args, expected) in [
            ("", ""),
            ("--verity", ".roothash"),
            ("--split-artifacts", ".root.raw"),
            (
                "--split-artifacts --verity",
                ".roothash .root.raw .root.verity",
            ),
            ("--split-artifacts -b", ".root.raw .efi .vmlinuz .initrd"),
            (
                "--split-artifacts -b --without-unified-kernel-images",
                ".root.raw .vmlinuz .initrd",
            ),
            (
                "--split-artifacts -b --boot-protocols=bios",
                ".root.raw .vmlinuz .initrd",
            ),
            ("-b", ""),
        ] {
            let args = format!("-d debian -o /out/a.raw --manifest-format= {args}");
            let config = Fixture::new().args(&args).config();
            let plan = Plan::new(&config, &context).unwrap();
            let names = Artifacts::new(&config.output);
            let outputs = plan.outputs(&names);
            let text: Vec<_> = outputs
                .iter()
                .map(|path| path.to_str().unwrap().strip_prefix("/out/a").unwrap())
                .collect();
            assert_eq!(text.join(" "), expected, "{args}");
            // Cleaning knows each.
            assert!(outputs.iter().all(|path| names.all().contains(path)));
        }
    }

    #[test]
    fn settings_beside_the_image_stay() {
        let written = |args: &str| {
            let fixture = Fixture::new().project_file("mkosi.nspawn", "[Exec]\n", 0o644);
            !actions(&fixture.args(args).config()).is_empty()
        };
        assert!(written(""));
        assert!(!written("-o mkosi.raw"));
    }
}
