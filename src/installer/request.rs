//! What a package manager is asked for.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use super::InstallError;
use super::lock::PackageLock;
use crate::config::values::Distribution;
use crate::distro::{AptRepositories, Repositories, RpmRepositories};

/// What shall be in the tree and where it comes from. Complete: an installer looks at nothing else.
#[derive(Clone, Debug, Serialize)]
pub struct Request {
    /// The distribution.
    pub distribution: Distribution,
    /// The release's name in the repository: for Debian a codename, elsewhere mostly a number.
    pub release: String,
    /// The distribution's name of the architecture.
    pub architecture: String,
    /// Every package that was asked for, base packages included.
    pub packages: Vec<String>,
    /// Packages that must not come in, even where others recommend them.
    pub excluded: Vec<String>,
    /// Where packages come from.
    pub repositories: Repositories,
    /// Whether documentation is installed.
    pub with_docs: bool,
    /// Whether change logs are installed even if documentation is not.
    pub with_changelogs: bool,
    /// Kernel packages make no initrds when they are installed: the build makes its own.
    pub skip_initrds: bool,
    /// Where downloaded packages are kept.
    pub cache: Option<PathBuf>,
    /// The packages that it must be, if that is settled.
    #[serde(skip)]
    pub lock: Option<Arc<PackageLock>>,
}

impl Request {
    /// The repositories, for package managers of Debian and its like.
    ///
    /// # Errors
    /// When they are of another kind, which is a mistake of this program.
    pub fn apt(&self) -> Result<&AptRepositories, InstallError> {
        match &self.repositories {
            Repositories::Apt(apt) => Ok(apt),
            _ => Err(self.other_kind("apt")),
        }
    }

    /// The repositories, for package managers that use rpm.
    ///
    /// # Errors
    /// When they are of another kind, which is a mistake of this program.
    pub fn rpm(&self) -> Result<&RpmRepositories, InstallError> {
        match &self.repositories {
            Repositories::Rpm(rpm) => Ok(rpm),
            _ => Err(self.other_kind("dnf")),
        }
    }

    pub(super) fn other_kind(&self, manager: &'static str) -> InstallError {
        InstallError::OtherKind {
            manager,
            distribution: self.distribution.shown().to_owned(),
        }
    }
}
