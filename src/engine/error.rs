//! Why a build could not go on, outside its steps' own work.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::host::{CommandError, HostError, printable, printable_path};

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
    /// Others can read the key that opens the image's machines.
    #[error(
        "{} must be a private key that nobody else can read, and has mode {mode:04o}; run `chmod 600` \
         on it, or remove it for a new one",
        printable_path(path)
    )]
    OpenKey {
        /// The key.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Somebody else has the key that opens the image's machines.
    #[error(
        "{path} belongs to user {uid}, who could log in with it; remove it for a new one, or take it over \
         with `chown root {path}`",
        path = printable_path(path)
    )]
    KeyOfAnother {
        /// The key.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// No key for ssh could be made or read.
    #[error("cannot get a key for ssh: remove the one beside the image if it is damaged")]
    SshKey {
        /// What ssh-keygen says.
        #[source]
        source: CommandError,
    },
    /// A file that is no image.
    #[error(
        "{} is no image: neither a directory, a tar archive, a disk image nor a file system, plain or \
         compressed with gzip, bzip2, xz or zstd{hint}",
        printable_path(path)
    )]
    NoImage {
        /// The file.
        path: PathBuf,
        /// What it is, if that is known, or what to do.
        hint: &'static str,
    },
    /// An image that is not all in its file.
    #[error(
        "{} keeps a part of its content in another file, which it may name at will; \
         `qemu-img convert -O raw` makes an image of it that is complete",
        printable_path(path)
    )]
    Incomplete {
        /// The image.
        path: PathBuf,
    },
    /// An image could not be converted.
    #[error("cannot read the QCOW2 image {}", printable_path(path))]
    Convert {
        /// The image.
        path: PathBuf,
        /// What qemu-img says.
        #[source]
        source: CommandError,
    },
    /// A base image that would hold what is built from it.
    #[error(
        "the base image {} holds {}, where this image is put together, and is never written to; choose \
         another OutputDirectory= or WorkspaceDirectory=",
        printable_path(path),
        printable_path(place)
    )]
    InsideBase {
        /// The base image.
        path: PathBuf,
        /// The directory of the build.
        place: PathBuf,
    },
    /// A base image without an operating system.
    #[error(
        "the base image {} has no os-release: it must be a whole system, not one that holds only what \
         differs from another one",
        printable_path(path)
    )]
    NoSystem {
        /// The base image.
        path: PathBuf,
    },
    /// A base image that does not know its packages.
    #[error(
        "the base image {} has no package database, so that no package can be added to it; build it with \
         CleanPackageMetadata=no",
        printable_path(path)
    )]
    NoPackageDatabase {
        /// The base image.
        path: PathBuf,
    },
    /// A base image of another distribution than packages come from.
    #[error(
        "the base image {} is {found}, and packages of {distribution} cannot be added to it: set \
         Distribution= and Release= to what it is",
        printable_path(path)
    )]
    OtherSystem {
        /// The base image.
        path: PathBuf,
        /// What it says that it is, printable.
        found: String,
        /// The configured distribution.
        distribution: &'static str,
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
