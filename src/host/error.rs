//! What can go wrong between this program and the operating system, commands aside.

use std::io;
use std::path::{Path, PathBuf};

use super::printable_path;

/// Why something could not be done to the host.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A file, directory or device could not be used.
    #[error("cannot {action} {}", printable_path(path))]
    Path {
        /// What was being done, as a verb: `open`.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A root directory without what every system has, as a chroot that nobody prepared.
    #[error(
        "{missing} is not mounted here; in a chroot, `mount --rbind {missing} DIRECTORY{missing}` does it, \
         before it is entered"
    )]
    Bare {
        /// The directory.
        missing: &'static str,
    },
    /// Programs of another architecture do not run here.
    #[error(
        "Architecture={architecture}: programs of the image run while it is built, and this {own} host \
         cannot run them: {reason}; install qemu-user-static (and, on Debian, binfmt-support)"
    )]
    Foreign {
        /// The architecture, by the kernel's name.
        architecture: String,
        /// This host's.
        own: String,
        /// Why not.
        reason: String,
    },
    /// Programs that the work needs are not installed.
    #[error("{0}")]
    ToolsMissing(String),
    /// A directory to be removed has something mounted on it.
    #[error(
        "not removing {}: something is mounted there; unmount it first",
        printable_path(path)
    )]
    MountPoint {
        /// Where the mount is.
        path: PathBuf,
    },
    /// A file to be removed is protected by an attribute that could not be cleared.
    #[error(
        "cannot remove {}: it has the immutable or append-only attribute (chattr -ia clears it)",
        printable_path(path)
    )]
    Immutable {
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A path leads out of the directory it has to stay in, or through a symbolic link.
    #[error(
        "not using {} in {}: a part of it is a symbolic link, or it leaves the directory",
        printable_path(path),
        printable_path(root)
    )]
    Escapes {
        /// The path, relative to `root`.
        path: PathBuf,
        /// The directory to stay in.
        root: PathBuf,
    },
    /// Somebody else holds the lock.
    #[error(
        "{} is in use by another run ({holder}); wait for it to end (--wait does), or stop it",
        printable_path(path)
    )]
    Locked {
        /// What is locked.
        path: PathBuf,
        /// Who holds it, since when.
        holder: String,
    },
    /// No namespace of its own for a build.
    #[error("cannot {action}{hint}")]
    Namespace {
        /// What was being done.
        action: &'static str,
        /// What to do, in parentheses, or nothing.
        hint: &'static str,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The process that did the work ended without a word.
    #[error("the build process was killed by {signal}{hint}")]
    Killed {
        /// The signal's name.
        signal: String,
        /// Its number.
        number: i32,
        /// What may have happened, or nothing.
        hint: &'static str,
    },
    /// The work was interrupted.
    #[error("interrupted")]
    Cancelled,
}

impl HostError {
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
