//! Why a verb could not do its work.

use std::path::PathBuf;

use super::PassphraseError;
use crate::boot::BootError;
use crate::config::ConfigError;
use crate::disk::DiskError;
use crate::engine::{BuildError, EngineError, StepError};
use crate::host::{AskError, CommandError, HostError, printable, printable_path};
use crate::installer::InstallError;
use crate::output::OutputError;
use crate::plan::{Missing, PlanError};
use crate::scripts::secrets::SecretError;
use crate::tree::TreeError;

/// Why a verb could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum VerbError {
    /// Only root can do this.
    #[error("{verb} needs root; run it again with sudo")]
    NotRoot {
        /// The verb.
        verb: &'static str,
    },
    /// Something stands where an artifact belongs.
    #[error(
        "the output {} already exists; --force (-f) replaces it",
        printable_path(path)
    )]
    Exists {
        /// The artifact.
        path: PathBuf,
    },
    /// A subvolume cannot be where the output shall be.
    #[error(
        "Format=subvolume needs an output directory on btrfs, and {} is on another file system; \
         choose another OutputDirectory=, or Format=directory",
        printable_path(path)
    )]
    NotBtrfs {
        /// The output directory.
        path: PathBuf,
    },
    /// A file that the configuration names cannot be used.
    #[error(transparent)]
    Config(ConfigError),
    /// The configuration cannot be built.
    #[error(transparent)]
    Plan(PlanError),
    /// The host does not have what the configuration counts on.
    #[error(transparent)]
    Missing(Missing),
    /// There can be no lock, or not like this.
    #[error("{0}")]
    Lock(&'static str),
    /// `SOURCE_DATE_EPOCH` is no time.
    #[error(
        "SOURCE_DATE_EPOCH={} is no number of seconds since 1970; unset it or correct it",
        printable(.0)
    )]
    Epoch(String),
    /// An image of this kind cannot be run like this.
    #[error("{verb} cannot run this image: {reason}")]
    NotHere {
        /// The verb.
        verb: &'static str,
        /// Why, and what to do.
        reason: String,
    },
    /// A directory could not be made.
    #[error("cannot create the directory {}", printable_path(path))]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The page that `--timings=` names cannot be there.
    #[error(
        "--timings={}: name a file in a directory that is there",
        printable_path(path)
    )]
    TimingsPath {
        /// What was named.
        path: PathBuf,
    },
    /// A file could not be used.
    #[error("cannot use {}", printable_path(path))]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// There is no way for `mkosi ssh` to a machine.
    #[error("cannot make a way for `mkosi ssh`")]
    Access(#[source] std::io::Error),
    /// Signals cannot be handled.
    #[error("cannot handle signals")]
    Signals(#[source] std::io::Error),
    /// Partitions shall be encrypted, and there is nothing to encrypt them with.
    #[error(transparent)]
    Passphrase(PassphraseError),
    /// The image's partitions cannot be mounted.
    #[error("cannot open the image {}", printable_path(path))]
    Attach {
        /// The image.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<DiskError>,
    },
    /// An image cannot be looked into.
    #[error("cannot open the image {}", printable_path(path))]
    Open {
        /// The image.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<StepError>,
    },
    /// An image that a verb is to look at has not been built.
    #[error("the image {} is not there: build it first", printable_path(path))]
    NotBuilt {
        /// The image.
        path: PathBuf,
    },
    /// What is to be looked at is neither a path nor a name.
    #[error(
        "there is no {}, and no image of this project is called so",
        printable_path(path)
    )]
    NoImage {
        /// The word.
        path: PathBuf,
    },
    /// Nothing on this host tells whose packages can be trusted.
    #[error(
        "the keyring {} that signs the distribution's packages is missing; install {package}, or put the \
         key into mkosi.skeleton/ (see DISTRIBUTIONS in mkosi(1))",
        printable_path(path)
    )]
    Keyring {
        /// Where it should be.
        path: PathBuf,
        /// The package that has it.
        package: &'static str,
    },
    /// The operating system refused.
    #[error(transparent)]
    Host(HostError),
    /// A program could not be run.
    #[error(transparent)]
    Command(CommandError),
    /// The checksums could not be signed.
    #[error(transparent)]
    Sign(OutputError),
    /// The words after a verb are wrong.
    #[error("{0}")]
    Words(&'static str),
    /// A secret has no value.
    #[error(transparent)]
    Secret(SecretError),
    /// Modes of files could not be recorded or applied.
    #[error(transparent)]
    Tree(TreeError),
    /// Something about booting.
    #[error(transparent)]
    Boot(BootError),
    /// Packages could not be installed.
    #[error(transparent)]
    Install(InstallError),
    /// The build failed.
    #[error(transparent)]
    Build(BuildError),
}

impl VerbError {
    /// Whether the user asked for the end.
    #[must_use]
    pub fn is_interruption(&self) -> bool {
        if let Self::Attach { source, .. } = self {
            return matches!(**source, DiskError::Cancelled);
        }
        if let Self::Open { source, .. } = self {
            return matches!(
                **source,
                StepError::Tree(TreeError::Cancelled)
                    | StepError::Disk(DiskError::Cancelled)
                    | StepError::Frame(EngineError::Host(HostError::Cancelled))
            );
        }
        matches!(
            self,
            Self::Tree(TreeError::Cancelled)
                | Self::Build(BuildError::Cancelled)
                | Self::Host(HostError::Cancelled)
                | Self::Command(CommandError::Cancelled)
                | Self::Sign(OutputError::Cancelled)
                | Self::Boot(BootError::Cancelled)
                | Self::Secret(SecretError::Cancelled)
                | Self::Passphrase(PassphraseError::Ask(AskError::Interrupted))
        )
    }
}
