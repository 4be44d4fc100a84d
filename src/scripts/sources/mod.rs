//! How a project's sources reach an image: copied beneath its root, or shown to the build script.

mod exclusions;
mod git;
mod list;
mod place;
mod show;

use std::path::PathBuf;

use serde::Serialize;

use crate::config::values::SourceTransfer;
use crate::host::{CommandError, HostError, printable_path};
use crate::tree::TreeError;

pub use git::commit;
pub use place::place;
pub use show::{Shown, show};

/// Where the sources are in an image, and where the build script finds them.
pub const SOURCES: &str = "/root/src";

/// A source tree and how it is transferred.
#[derive(Clone, Debug, Serialize)]
pub struct Sources {
    /// The directory on the host.
    pub path: PathBuf,
    /// How its files are chosen.
    pub transfer: SourceTransfer,
    /// Files and directories of the host that are never copied: what builds write, and secrets.
    pub left_out: Vec<PathBuf>,
}

impl Sources {
    /// Whether git says which files they are.
    #[must_use]
    pub const fn by_git(&self) -> bool {
        match self.transfer {
            SourceTransfer::CopyGitCached | SourceTransfer::CopyGitOthers => true,
            SourceTransfer::CopyAll | SourceTransfer::Mount => false,
        }
    }

    /// The programs that the transfer takes.
    #[must_use]
    pub const fn tools(&self) -> &'static [&'static str] {
        if self.by_git() {
            &["git", "setpriv"]
        } else {
            &[]
        }
    }
}

/// Why sources could not be transferred.
#[derive(Debug, thiserror::Error)]
pub enum SourcesError {
    /// The source directory is not usable.
    #[error("cannot read the sources in {}", printable_path(path))]
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// There is no git working tree to ask.
    #[error(
        "{} is not in a git working tree, so git cannot tell which files are sources; \
         SourceFileTransfer=copy-all copies every file",
        printable_path(path)
    )]
    NotGit {
        /// The directory.
        path: PathBuf,
    },
    /// git takes the repository for somebody else's.
    #[error(
        "git does not trust {}: it and its .git belong to different users; give both to one with \
         chown, or use SourceFileTransfer=copy-all",
        printable_path(path)
    )]
    Untrusted {
        /// The directory.
        path: PathBuf,
    },
    /// git failed for another reason.
    #[error("git cannot list the sources in {}", printable_path(path))]
    Git {
        /// The directory.
        path: PathBuf,
        /// What it said.
        #[source]
        source: CommandError,
    },
    /// Repositories within repositories, without an end in sight.
    #[error(
        "{} is in more than {limit} git repositories within each other",
        printable_path(path)
    )]
    TooDeep {
        /// The innermost directory.
        path: PathBuf,
        /// How many are followed.
        limit: usize,
    },
    /// The image's tree could not be changed.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The operating system refused.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The build was interrupted.
    #[error("interrupted")]
    Cancelled,
}
