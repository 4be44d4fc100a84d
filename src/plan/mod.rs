//! What a build will do, as data: made from the configuration alone, run by the engine.

mod action;
mod adapt;
mod artifacts;
mod base_image;
mod boot;
mod fingerprint;
mod functions;
mod image;
mod inputs;
mod installer_files;
mod layer;
mod materials;
mod missing;
mod packages;
mod partitions;
mod phases;
mod repository_files;
mod requirements;
mod source_trees;
mod sources;
mod texts;

use std::path::PathBuf;

use uuid::Uuid;

use crate::config::{Config, ConfigError};
use crate::host::printable_path;
use crate::installer::Request;
use crate::installer::lock::LockError;

pub use action::{
    Action, BuildRun, CleanUp, CopyFiles, Identity, InstallImage, Manifest, Passwords, Patches,
    RootPassword, TreeSource,
};
pub use adapt::secret_source;
pub use artifacts::Reading;
pub use base_image::BaseImage;
pub use boot::{BiosFiles, Boot, Encrypted};
pub use fingerprint::{Fingerprint, LayerIdentity, identify};
pub use image::{Custom, Disk, Image};
pub use inputs::Input;
pub use layer::{Layer, LayerKind};
pub use materials::{Material, add_material};
pub use missing::Missing;
pub use partitions::preview;
pub use phases::{Phase, Step};
pub use requirements::{encrypts, signing, tools, tools_of};

/// Everything that the build of one image does.
#[derive(Debug)]
pub struct Plan {
    /// The trees with the packages, which the phases begin from: each on top of the one before.
    pub layers: Vec<Layer>,
    /// What is done on top of them, in the order in which it is done.
    pub steps: Vec<Step>,
    /// What the settings count on and the host does not have, besides programs and keys.
    pub missing: Vec<Missing>,
}

/// What besides the settings decides a build.
#[derive(Clone, Debug)]
pub struct Context {
    /// The directory in which the project's host scripts run.
    pub directory: PathBuf,
    /// `SOURCE_DATE_EPOCH`: seconds since 1970 that no time stamp may exceed.
    pub source_date_epoch: Option<u64>,
    /// What identifiers are derived from: fixed for reproducible builds, else random.
    pub seed: Uuid,
}

/// Why a configuration cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A setting that this version knows but cannot build.
    #[error("{0}")]
    Unsupported(String),
    /// A setting whose value no build can use.
    #[error("{setting}: {problem}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The lock cannot be followed.
    #[error(transparent)]
    Lock(LockError),
    /// A file that goes into the image cannot be read.
    #[error("cannot read {}", printable_path(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
}

impl Plan {
    /// Plans the build of one image.
    ///
    /// # Errors
    /// Everything in the configuration that keeps it from being built.
    pub fn new(config: &Config, context: &Context) -> Result<Self, Vec<PlanError>> {
        let unsupported = crate::config::unsupported(config)
            .into_iter()
            .map(|u| PlanError::Unsupported(ConfigError::from(u).to_string()))
            .collect();
        Self::with_errors(config, context, unsupported)
    }

    /// The plan, unless there are errors already, or more are found.
    fn with_errors(
        config: &Config,
        context: &Context,
        mut errors: Vec<PlanError>,
    ) -> Result<Self, Vec<PlanError>> {
        let requests = packages::requests(config, &mut errors);
        let image = image::image(config, context, &mut errors);
        let boot = boot::boot(config, context, &mut errors);
        let (Some(mut requests), Some(image), true) = (requests, image, errors.is_empty()) else {
            return Err(errors);
        };
        let missing = std::mem::take(&mut requests.missing);
        let steps = phases::steps(config, &requests.base, boot, image);
        let layers = layer::layers(config, requests);
        Ok(Self {
            layers,
            steps,
            missing,
        })
    }

    /// The steps of one phase.
    pub fn phase(&self, phase: Phase) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(move |step| step.phase == phase)
    }

    /// What the build begins from in place of an empty tree.
    #[must_use]
    pub fn base_image(&self) -> Option<&BaseImage> {
        self.layers.iter().find_map(|layer| layer.from.as_ref())
    }

    /// What the final image's package manager is asked for, if one is asked for anything.
    #[must_use]
    pub fn request(&self) -> Option<&Request> {
        self.actions().find_map(|action| match action {
            Action::Install(request) | Action::ExtendBase(request) => Some(request),
            _ => None,
        })
    }

    /// Everything that is done in whatever order.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        let layers = self.layers.iter().flat_map(|layer| &layer.actions);
        layers.chain(self.steps.iter().map(|step| &step.action))
    }
}

/// An identifier for `purpose` that only the seed decides.
#[must_use]
pub fn derived_uuid(seed: Uuid, purpose: &str) -> Uuid {
    Uuid::new_v5(&seed, purpose.as_bytes())
}
