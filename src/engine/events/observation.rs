//! What a build tells beyond its events to whoever looks at it afterwards.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::layers::why::Verdict;
use crate::output::Contents;

/// Something to look at afterwards. Taking notes of it costs time, so a build does that only when it was
/// told to, except for tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Observation {
    /// What the build does about each cached tree, and why.
    Layers(Vec<Verdict>),
    /// What takes how much of the image.
    Contents(Contents),
    /// A part of a step that ran beside others.
    Task {
        /// The step.
        step: usize,
        /// What it was about: a package, a file.
        name: String,
        /// When it began, since the build did.
        begun: Duration,
        /// When it ended.
        ended: Duration,
    },
}
