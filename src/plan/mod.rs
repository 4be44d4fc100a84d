//! What a build will do, as data: made from the configuration alone, run by the engine.

mod artifacts;
mod boot;
mod image;
mod packages;
mod partitions;
mod requirements;
mod step;

use std::path::PathBuf;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::config::{Config, ConfigError};

pub use artifacts::Reading;
pub use boot::{BiosFiles, Boot, Encrypted};
pub use image::{Disk, Image};
pub use partitions::preview;
pub use requirements::{encrypts, tools};
pub use step::{Action, CleanUp, Identity, Manifest, Phase, RootPassword, Step, TreeSource};

/// The steps of one image, in the order in which they run.
#[derive(Debug)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
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
}

impl Plan {
    /// Plans the build of one image.
    pub fn new(config: &Config, context: &Context) -> Result<Self, Vec<PlanError>> {
        let mut errors: Vec<PlanError> = crate::config::unsupported(config)
            .into_iter()
            .map(|u| PlanError::Unsupported(ConfigError::from(u).to_string()))
            .collect();
        let request = packages::request(config, &mut errors);
        let image = image::image(config, context, &mut errors);
        let boot = boot::boot(config, context, &mut errors);
        let (Some(request), Some(image), true) = (request, image, errors.is_empty()) else {
            return Err(errors);
        };
        let steps = step::final_phase(config, context, request, boot, image);
        Ok(Self { steps })
    }
}

/// An identifier for `purpose` that only the seed decides.
#[must_use]
pub fn derived_uuid(seed: Uuid, purpose: &str) -> Uuid {
    Uuid::new_v5(&seed, purpose.as_bytes())
}

/// Hashes a step's description on top of everything before it.
fn fingerprint(before: &[u8], description: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update(description.as_bytes());
    hash.finalize().into()
}
