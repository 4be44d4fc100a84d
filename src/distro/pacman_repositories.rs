//! Repositories of Arch Linux and its like.

use std::path::PathBuf;

use serde::Serialize;

/// What pacman is told of repositories.
#[derive(Clone, Debug, Serialize)]
pub struct PacmanRepositories {
    /// Those that are used while building, in the order in which packages are looked for.
    pub repositories: Vec<PacmanRepository>,
    /// The architectures of packages, the image's first; none means the image's alone.
    pub architectures: Vec<String>,
    /// Further lines of pacman's options.
    pub options: Vec<String>,
    /// The distribution's server that the image is set up with; none when packages come from a disk.
    pub image_server: Option<String>,
    /// The name of the keyring that signs the distribution's packages.
    pub keyring: &'static str,
    /// The files of that keyring, wherever hosts have it.
    pub key_files: Vec<PathBuf>,
    /// A directory of pacman's keys, with what is trusted, that is taken over.
    pub key_directory: Option<PathBuf>,
    /// Signatures are checked.
    pub check_keys: bool,
    /// The image gets the keys that they are checked with.
    pub installs_keyring: bool,
}

/// One section of pacman.conf(5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PacmanRepository {
    /// Its name, which is also that of its database.
    pub name: String,
    /// Its addresses, the best first, in which `$repo` and `$arch` stand for its name and the
    /// architecture.
    pub servers: Vec<String>,
    /// Its database must be signed, too, not only its packages.
    pub signed_database: bool,
}

impl PacmanRepository {
    /// A repository on one server.
    #[must_use]
    pub fn new(name: &str, server: &str) -> Self {
        Self {
            name: name.to_owned(),
            servers: vec![server.to_owned()],
            signed_database: false,
        }
    }
}

impl PacmanRepositories {
    /// Files of a directory of pacman's keys: those that are trusted, and how far.
    pub const KEY_DIRECTORY_FILES: [&'static str; 3] =
        ["pubring.gpg", "pubring.kbx", "trustdb.gpg"];

    /// As [`super::Repositories::described`].
    pub(super) fn described(&self) -> Vec<(String, String)> {
        let numbered = self.repositories.iter().enumerate();
        let mut all: Vec<(String, String)> = numbered
            .map(|(nth, repository)| {
                let signed = match repository.signed_database {
                    true => ", its database signed",
                    false => "",
                };
                let servers = repository.servers.join(" ");
                let value = format!("[{}] {servers}{signed}", repository.name);
                (format!("repository {}", nth + 1), value)
            })
            .collect();
        let yes_or_no = |value| if value { "yes" } else { "no" }.to_owned();
        let server = self.image_server.clone().unwrap_or_default();
        all.push(("repositories of the image".to_owned(), server));
        let checked = "signatures are checked".to_owned();
        all.push((checked, yes_or_no(self.check_keys)));
        // Only projects with a file of their own have these.
        let further = [
            ("architectures of packages", self.architectures.join(" ")),
            ("options of pacman", self.options.join("\n")),
        ];
        for (name, value) in further {
            if !value.is_empty() {
                all.push((name.to_owned(), value));
            }
        }
        if self.installs_keyring {
            all.push(("keys of the image".to_owned(), yes_or_no(true)));
        }
        all
    }
}
