//! What happens during a build, as data; how it is shown is a matter of the [`Sink`].

mod board;
mod display;
mod json;
mod observation;
mod paint;
mod plain;
mod progress;
mod row;
mod screen;
mod terminal;
mod wire;
mod wrap;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

pub use board::Board;
pub use display::{Display, Shown, shortened};
pub use json::Json;
pub use observation::Observation;
pub(crate) use paint::Paint;
pub use plain::Plain;
pub use progress::{Progress, Step};
pub use screen::columns;
pub use terminal::Terminal;
pub use wire::{Message, Wire};
pub use wrap::wrapped;

/// A file or tree that a build published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Where it is.
    #[serde(serialize_with = "lossy")]
    pub path: PathBuf,
    /// Its length in bytes, of a tree the sum of its files'.
    pub size: u64,
    /// What it takes on the disk, in bytes.
    pub allocated: u64,
}

fn lossy<S: Serializer>(path: &std::path::Path, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&path.to_string_lossy())
}

/// Something that happened in the build of one image. Steps are numbered from 1.
///
/// As JSON, an object with the member `event` (the variant's name in kebab-case) beside the
/// variant's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The build cannot begin before another image's has made what both are based on.
    Waiting {
        /// The other image.
        builder: String,
    },
    /// The build of an image begins.
    BuildBegun {
        /// How many steps it will take.
        steps: usize,
    },
    /// A tree of packages is there, on which this image and others can be based.
    LayerReady {
        /// Which one: `base` or `development`.
        layer: String,
        /// Whether it was there before.
        reused: bool,
    },
    /// The steps that follow work on another tree.
    PhaseBegun {
        /// Which one: `base` (the packages), `development` or `final`.
        phase: String,
    },
    /// A step begins.
    StepBegun {
        /// Its number.
        step: usize,
        /// How many there are; 0 when that is not known.
        steps: usize,
        /// What it does: `Installing packages`.
        title: String,
    },
    /// How far a step has come.
    Progress {
        /// The step.
        step: usize,
        /// Units done.
        done: u64,
        /// Units to do.
        total: u64,
    },
    /// A line that a command printed.
    Line {
        /// The step, 0 outside of one.
        step: usize,
        /// The line, without control characters.
        line: String,
    },
    /// A command is about to be run.
    Command {
        /// The step, 0 outside of one.
        step: usize,
        /// The command line, as for a shell.
        line: String,
    },
    /// Something the user should know.
    Warning {
        /// The step, 0 outside of one.
        step: usize,
        /// What it is.
        message: String,
    },
    /// A step has done its work.
    StepFinished {
        /// Its number.
        step: usize,
        /// What it did.
        title: String,
        /// How long it took.
        seconds: f64,
        /// More about it, such as `cache hit` or a size.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// A step could not do its work.
    StepFailed {
        /// Its number.
        step: usize,
        /// What it should have done.
        title: String,
        /// How long it tried.
        seconds: f64,
    },
    /// The image is complete.
    BuildFinished {
        /// How long the build took.
        seconds: f64,
        /// What it published.
        artifacts: Vec<Artifact>,
    },
    /// The build ended without an image.
    Failed {
        /// What went wrong, and why: each entry is the cause of the one before.
        errors: Vec<String>,
    },
}

/// Shows events, or passes them on. Several images may be built at once.
pub trait Sink: Send + Sync {
    /// `event` happened in the build of `image`, this long after it began.
    fn event(&self, image: &str, at: Duration, event: &Event);

    /// What a command is still rewriting on its current line; for display only.
    fn transient(&self, _image: &str, _step: usize, _line: &str) {}

    /// What is of use only afterwards: most sinks pass over it.
    fn observed(&self, _image: &str, _observation: &Observation) {}
    /// Does `work`, which uses the terminal itself (a question, say), while nothing is drawn.
    fn suspend(&self, work: &mut dyn FnMut()) {
        work();
    }
}
