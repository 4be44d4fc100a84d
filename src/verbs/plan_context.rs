//! What besides the settings decides a build: its directory, its time, and what identifiers are derived
//! from.

use uuid::Uuid;

use super::VerbError;
use crate::config::{Config, Context as ConfigContext};
use crate::plan::Context;

/// What besides the settings decides a build.
pub(super) fn of(config: &Config, context: &ConfigContext) -> Result<Context, VerbError> {
    let epoch = match context.variable("SOURCE_DATE_EPOCH") {
        None => None,
        Some(text) => Some(
            text.trim()
                .parse::<u64>()
                .map_err(|_| VerbError::Epoch(text))?,
        ),
    };
    Ok(Context {
        directory: context.directory.clone(),
        source_date_epoch: epoch,
        seed: match epoch {
            Some(_) => reproducible_seed(config),
            None => Uuid::new_v4(),
        },
    })
}

/// A seed that is the same for every build of one image, wherever it is built, and different for
/// images that may meet in one machine.
fn reproducible_seed(config: &Config) -> Uuid {
    let name = [
        config.distribution.to_string(),
        config.release.clone(),
        config.architecture.to_string(),
        config.format.to_string(),
        config.image_id.clone().unwrap_or_default(),
        config.image_version.clone().unwrap_or_default(),
        config
            .output
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default(),
    ]
    .join("\n");
    let space = Uuid::new_v5(&Uuid::NAMESPACE_URL, b"mkosi reproducible build");
    Uuid::new_v5(&space, name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::Fixture;

    #[test]
    fn images_that_differ_have_identifiers_that_differ() {
        let seed = |flags: &str| {
            let fixture = Fixture::new().args("-d debian -r bookworm -t gpt_ext4");
            reproducible_seed(&fixture.args(flags).config())
        };
        assert_eq!(seed(""), seed("--hostname=other"));
        assert_eq!(seed("--output=a/image.raw"), seed("--output=b/image.raw"));
        for other in [
            "--output=other.raw",
            "--image-id=other",
            "--image-version=2",
            "-r trixie",
            "-t gpt_xfs",
        ] {
            assert_ne!(seed(""), seed(other), "{other}");
        }
    }
}
