//! What files beside an `IMGBUILD` tell package managers.

use std::path::PathBuf;

use serde::Serialize;

/// Files for package managers, as far as the project has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InstallerFiles {
    /// `pacman.conf`.
    pub pacman: Option<PacmanConf>,
    /// Lines of `repositories`, for apk.
    pub apk_repositories: Option<Vec<String>>,
    /// The keys in the directory `keys`, for apk. No other keys count then.
    pub apk_keys: Option<Vec<PathBuf>>,
}

/// What a `pacman.conf` says that decides what is installed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PacmanConf {
    /// Its repositories, in the order in which packages are looked for.
    pub repositories: Vec<PacmanSection>,
    /// The architectures of packages; none, and `auto`, mean the image's.
    pub architectures: Vec<String>,
    /// Lines of its options that pacman gets as they are.
    pub options: Vec<String>,
    /// A directory of pacman's keys that are trusted besides those of keyrings.
    pub key_directory: Option<PathBuf>,
    /// Where it asks for packages to be installed without checking who signed them, with what is said.
    pub unsigned: Vec<String>,
}

/// A repository of a `pacman.conf`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PacmanSection {
    /// Its name.
    pub name: String,
    /// Its servers, the best first.
    pub servers: Vec<String>,
    /// It includes the host's list of the distribution's servers.
    pub uses_host_list: bool,
    /// Its database must be signed, too.
    pub signed_database: bool,
}
