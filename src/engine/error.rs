//! Why a build could not go on, outside its steps' own work.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::host::{HostError, printable, printable_path};

/// Why the frame of a build (working directory, publishing) failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A file or directory could not be used.
    #[error("cannot {action} {}", printable_path(path))]
    Path {
        /// What was being done, as a verb.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// Something stands where an artifact belongs.
    #[error("{} exists already; -f replaces it", printable_path(path))]
    Exists {
        /// What stands there.
        path: PathBuf,
    },
    /// An artifact was announced but nothing wrote it.
    #[error("the build did not make {}", printable(&name.to_string_lossy()))]
    NotMade {
        /// The artifact's name.
        name: OsString,
    },
    /// An artifact's name is no plain file name.
    #[error("{} is no file name for an artifact", printable(&name.to_string_lossy()))]
    BadName {
        /// The name.
        name: OsString,
    },
    /// Publishing failed, and so did putting back what had been replaced.
    #[error(
        "what stood in {} before could not be put back; it is kept in {}",
        printable_path(directory),
        printable_path(kept)
    )]
    NotPutBack {
        /// The output directory.
        directory: PathBuf,
        /// Where the former artifacts are.
        kept: PathBuf,
        /// Why publishing failed.
        #[source]
        source: Box<EngineError>,
    },
    /// The directory of cached images belongs to somebody else, or others can write to it.
    #[error(
        "{} must be a directory of root's with mode 0700; remove it, or run `chmod 0700` and `chown root` on it",
        printable_path(path)
    )]
    NotOurStore {
        /// The directory.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The build was interrupted.
    #[error("interrupted")]
    Cancelled,
}

impl EngineError {
    /// For `map_err`: that `action` (a verb) failed on `path`.
    pub(crate) fn path<E: Into<io::Error>>(
        action: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(E) -> Self {
        move |source| Self::Path {
            action,
            path: path.as_ref().to_owned(),
            source: source.into(),
        }
    }
}
