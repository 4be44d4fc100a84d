//! How much an existing result may be replaced.

use serde_json::Value as Json;

use super::{BadValue, Place, Shape, Value, boolean};
use crate::config::Context;

/// How often `-f` was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Force(pub u32);

impl Force {
    /// Whether an existing output may be replaced (`-f`).
    #[must_use]
    pub const fn replaces_output(self) -> bool {
        self.0 >= 1
    }

    /// Whether a build drops the cached images first (`-ff`).
    #[must_use]
    pub const fn drops_cached_images(self) -> bool {
        self.0 >= 2
    }

    /// Whether a build drops the package cache first (`-fff`).
    #[must_use]
    pub const fn drops_package_cache(self) -> bool {
        self.0 >= 3
    }
}

impl Value for Force {
    const SHAPE: Shape = Shape::Switch;

    fn metavar() -> String {
        "BOOL|NUMBER".into()
    }

    fn parse(text: &str, place: Place, context: &Context) -> Result<Self, BadValue> {
        match boolean(text) {
            Some(yes) => Ok(Self(yes.into())),
            None => u32::parse(text, place, context)
                .map(Self)
                .map_err(|_| BadValue::expected("yes, no or a number of times")),
        }
    }

    fn add(&mut self, later: Self, place: Place) {
        *self = match (place, later) {
            (Place::CommandLine, Self(times)) if times > 0 => Self(self.0.saturating_add(times)),
            _ => later,
        };
    }

    fn to_json(&self) -> Json {
        self.0.into()
    }
}
