//! Runs a plan: events, a workspace, publishing what was made.

mod artifacts;
pub mod base_image;
mod boot;
mod disk_image;
mod error;
pub mod events;
mod file_systems;
mod holes;
pub mod initrds;
pub mod layers;
mod lock;
mod observe;
pub mod opened;
mod phases;
mod placing;
mod project;
mod publication;
mod publish;
mod run;
mod scratch;
mod shell;
mod site;
mod ssh;
mod steps;
mod whole_file;
mod working_tree;
mod workspace;

pub use error::EngineError;
pub use events::{Artifact, Display, Event, Progress, Sink, Step};
pub use layers::Caching;
pub use publish::{Durability, PublishOptions, Staging};
pub use run::{BuildError, run};
pub use scratch::sweep;
pub use site::Build;
pub use steps::StepError;
pub use workspace::Workspace;
