//! What a project's shell file says that no setting can hold.

use std::path::PathBuf;

use serde::Serialize;

use super::ConfigError;
use super::InstallerFiles;
use super::error::Warning;
use super::origin::Origin;

/// A project described by a shell file in place of settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum ShellProject {
    /// An `IMGBUILD`.
    Imgbuild(Imgbuild),
    /// An `image.sh`.
    ImageSh(ImageSh),
}

/// An `IMGBUILD`: distribution and packages are settings, the rest is here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Imgbuild {
    /// The file.
    pub file: PathBuf,
    /// Its `format`, or what counts in its place.
    pub format: String,
    /// It has a function `provision`, which runs inside the image.
    pub provision: bool,
    /// Its functions `setup` and `cleanup` make the output.
    pub custom: bool,
    /// Users and the secrets that are their passwords.
    pub passwords: Vec<Password>,
    /// Files for the package manager, beside it.
    pub installer_files: InstallerFiles,
    /// The image gets the keys that its packages were checked with.
    pub installs_keyring: bool,
}

/// A user's password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Password {
    /// The user.
    pub user: String,
    /// The name of the secret.
    pub secret: String,
}

/// An `image.sh`: no distribution is known, its functions make everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImageSh {
    /// The file.
    pub file: PathBuf,
    /// What the tree is called within it.
    pub name: String,
    /// What is copied before `do_install` runs, with where to.
    pub preinstall: Vec<(PathBuf, PathBuf)>,
    /// What is copied after that.
    pub postinstall: Vec<(PathBuf, PathBuf)>,
    /// All functions as text, when there is a `do_postinstall`.
    pub functions: Option<String>,
}

/// What a shell file says, on its way to a configuration.
#[derive(Debug, Default)]
pub struct Preset {
    /// Settings, which flags override.
    pub values: Vec<PresetValue>,
    /// The rest.
    pub shell: Option<ShellProject>,
    /// What the user should know.
    pub warnings: Vec<Warning>,
    /// What is wrong with the file.
    pub errors: Vec<ConfigError>,
}

/// A setting's value.
#[derive(Clone, Debug)]
pub struct PresetValue {
    /// The setting's name.
    pub setting: &'static str,
    /// As a settings file would have it.
    pub text: String,
    /// Where it is said.
    pub origin: Origin,
}

impl ShellProject {
    /// The `IMGBUILD`, if it is one.
    #[must_use]
    pub fn imgbuild(&self) -> Option<&Imgbuild> {
        match self {
            Self::Imgbuild(imgbuild) => Some(imgbuild),
            Self::ImageSh(_) => None,
        }
    }

    /// The `image.sh`, if it is one.
    #[must_use]
    pub fn image_sh(&self) -> Option<&ImageSh> {
        match self {
            Self::ImageSh(image) => Some(image),
            Self::Imgbuild(_) => None,
        }
    }
}
