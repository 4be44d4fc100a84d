//! Repositories of Arch Linux and its like.

use std::path::PathBuf;

use serde::Serialize;

/// What pacman is told of repositories.
#[derive(Clone, Debug, Serialize)]
pub struct PacmanRepositories {
    /// Those that are used while building, in the order in which packages are looked for.
    pub repositories: Vec<PacmanRepository>,
    /// The distribution's server that the image is set up with; none when packages come from a disk.
    pub image_server: Option<String>,
    /// The name of the keyring that signs the distribution's packages.
    pub keyring: &'static str,
    /// The files of that keyring, wherever hosts have it.
    pub key_files: Vec<PathBuf>,
    /// Signatures are checked.
    pub check_keys: bool,
}

/// One section of pacman.conf(5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PacmanRepository {
    /// Its name, which is also that of its database.
    pub name: String,
    /// Its address, in which `$repo` and `$arch` stand for its name and the architecture.
    pub server: String,
}

impl PacmanRepositories {
    /// As [`super::Repositories::described`].
    pub(super) fn described(&self) -> Vec<(String, String)> {
        let numbered = self.repositories.iter().enumerate();
        let mut all: Vec<(String, String)> = numbered
            .map(|(nth, repository)| {
                let value = format!("[{}] {}", repository.name, repository.server);
                (format!("repository {}", nth + 1), value)
            })
            .collect();
        let check = if self.check_keys { "yes" } else { "no" };
        let server = self.image_server.clone().unwrap_or_default();
        all.push(("repositories of the image".to_owned(), server));
        all.push(("signatures are checked".to_owned(), check.to_owned()));
        all
    }
}
