//! What can go wrong while artifacts are made.

use std::io;
use std::path::{Path, PathBuf};

use crate::host::{CommandError, FullDisk, HostError, printable, printable_path};

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
    #[error("{0}; free some, or choose another OutputDirectory= or WorkspaceDirectory=")]
    HostFull(FullDisk),
    /// A program failed.
    #[error("cannot {doing}")]
    Command {
        /// What it was to do: `pack the tree`.
        doing: &'static str,
        /// What it said.
        #[source]
        source: CommandError,
    },
    /// The host's rpm does not read the database of the image.
    #[error("cannot list the packages of the image")]
    Rpm(#[source] CommandError),
    /// gpg has no key to sign with.
    #[error(
        "{}gpg has no {} in {}; \"gpg --list-secret-keys\" shows the keys that there are",
        key.as_ref().map_or_else(String::new, |key| format!("Key={}: ", printable(key))),
        if key.is_some() { "such secret key" } else { "secret key to sign with" },
        printable_path(home)
    )]
    NoKey {
        /// The key that was asked for.
        key: Option<String>,
        /// Where gpg keeps its keys.
        home: PathBuf,
    },
    /// The key to sign with is protected by a passphrase, and nobody could be asked for it.
    #[error(
        "cannot sign: gpg could not ask for the passphrase of the key; unlock the key first, by signing something with gpg"
    )]
    KeyLocked {
        /// What gpg said.
        #[source]
        source: CommandError,
    },
    /// A path in the image leads where it must not.
    #[error("{path} in the image is not a regular file")]
    NotAFile {
        /// The path, as seen inside the image.
        path: PathBuf,
    },
    /// A program is missing.
    #[error(transparent)]
    Host(HostError),
    /// The build was interrupted.
    #[error("interrupted")]
    Cancelled,
}

impl OutputError {
    /// Wraps the reason of the operating system, a full disk in plain words.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::HostFull(FullDisk::of(&path))
            }
            _ => Self::Io {
                doing,
                path,
                source,
            },
        }
    }
}
