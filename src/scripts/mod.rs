//! A project's own scripts: where they run and what they see.

mod finalize;
mod postinst;

use std::path::PathBuf;

use serde::Serialize;

use crate::host::{CommandError, printable_path};

pub use finalize::finalize;
pub use postinst::{postinst, prepare};

/// A script of the project and what it is given.
#[derive(Clone, Debug, Serialize)]
pub struct Script {
    /// The executable file on the host.
    pub path: PathBuf,
    /// Its one argument, the phase: `build` or `final`.
    pub argument: &'static str,
    /// Variables that the settings ask for, then those that this program sets.
    pub environment: Vec<(String, String)>,
    /// Whether it may use the network.
    pub network: bool,
}

/// A script that did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// It ended with a failure.
    #[error("{name}={} {argument}", printable_path(path))]
    Failed {
        /// The setting that names it.
        name: &'static str,
        /// The script.
        path: PathBuf,
        /// Its argument.
        argument: &'static str,
        /// How it ended.
        #[source]
        source: CommandError,
    },
    /// The tree could not be made ready for it.
    #[error(transparent)]
    Tree(#[from] crate::tree::TreeError),
}

fn failed(name: &'static str, script: &Script, source: CommandError) -> ScriptError {
    ScriptError::Failed {
        name,
        path: script.path.clone(),
        argument: script.argument,
        source,
    }
}
