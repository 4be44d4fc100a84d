//! What is made of a finished image, and beside it.

use std::path::PathBuf;

use serde::Serialize;

use super::{Action, Plan};
use crate::config::Config;
use crate::config::values::CompressOutput;
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
    })
}

/// What follows once the image is written. Checksums come last, so that they cover everything, and
/// their signature after them.
pub(super) fn actions(config: &Config) -> Vec<Action> {
    let mut actions = Vec::new();
    let disk = config.format.is_disk();
    let one_file = !config.format.is_tree() && config.format != crate::config::values::Format::Tar;
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
        actions.any(|action| matches!(action, Action::WriteImage(_)))
    }

    /// Whether the image is compressed by a step of its own.
    #[must_use]
    pub fn compresses_image(&self) -> bool {
        self.steps.iter().any(
            |step| matches!(&step.action, Action::ReadImage(reading) if reading.compression.is_some()),
        )
    }

    /// Whether checksums are written.
    #[must_use]
    pub fn has_checksums(&self) -> bool {
        let mut actions = self.steps.iter().map(|step| &step.action);
        actions.any(|action| matches!(action, Action::WriteChecksums))
    }

    /// The files that the plan writes.
    #[must_use]
    pub fn outputs(&self, names: &Artifacts) -> Vec<PathBuf> {
        let output = |action: &Action| match action {
            Action::WriteImage(_) => Some(names.image().to_owned()),
            Action::WriteManifest(_) => Some(names.manifest()),
            Action::WriteChangelog(_) => Some(names.changelog()),
            Action::ReadImage(reading) => reading.map.then(|| names.bmap()),
            Action::WriteNspawnSettings(_) => Some(names.nspawn()),
            Action::WriteChecksums => Some(names.checksums()),
            Action::SignChecksums(_) => Some(names.signature()),
            _ => None,
        };
        self.steps
            .iter()
            .filter_map(|step| output(&step.action))
            .collect()
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
    fn settings_beside_the_image_stay() {
        let written = |args: &str| {
            let fixture = Fixture::new().project_file("mkosi.nspawn", "[Exec]\n", 0o644);
            !actions(&fixture.args(args).config()).is_empty()
        };
        assert!(written(""));
        assert!(!written("-o mkosi.raw"));
    }
}
