//! Trees with packages, kept from one build to the next.

mod identities;
mod limit;
mod links;
mod obtain;
mod record;
mod store;
pub mod why;

use std::path::Path;
use std::time::SystemTime;

pub use identities::identities;
pub use record::{Record, Uses};
pub use store::{Entry, STORE, Store};

pub(super) use obtain::{Layers, expected_steps};

/// How a build uses cached trees.
#[derive(Clone, Debug)]
pub struct Caching {
    /// Where they are.
    pub store: Store,
    /// Where images that are built in the same run keep theirs: a tree of these is copied rather than
    /// made once more.
    pub others: Vec<Store>,
    /// How many bytes they may take together, once the build is done.
    pub limit: u64,
    /// Only those made at this time or later are used (`-ff`): the time when this run began, the same
    /// for all images of a run.
    pub not_before: Option<SystemTime>,
}

/// The name under which layers remember what was built from them: the same wherever the output
/// directory is.
#[must_use]
pub fn output_name(output: &Path) -> String {
    let name = output.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
