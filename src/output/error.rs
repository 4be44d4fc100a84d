//! What can go wrong while artifacts are made.

use std::io;
use std::path::{Path, PathBuf};

use crate::host::CommandError;

/// Why an artifact was not made.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The operating system refused something.
    #[error("cannot {doing} {path}")]
    Io {
        /// What was being done: `create`, `write`.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The disk that holds the artifact is full.
    #[error(
        "no space is left where {path} is written; free some, or choose another OutputDirectory="
    )]
    HostFull {
        /// The artifact.
        path: PathBuf,
    },
    /// A program failed.
    #[error("cannot {doing}")]
    Command {
        /// What it was to do: `pack the tree`.
        doing: &'static str,
        /// What it said.
        #[source]
        source: CommandError,
    },
    /// A path in the image leads where it must not.
    #[error("{path} in the image is not a regular file")]
    NotAFile {
        /// The path, as seen inside the image.
        path: PathBuf,
    },
    /// The build was interrupted.
    #[error("interrupted")]
    Cancelled,
}

impl OutputError {
    /// Wraps the reason of the operating system, a full disk in plain words.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::HostFull { path },
            _ => Self::Io {
                doing,
                path,
                source,
            },
        }
    }
}
