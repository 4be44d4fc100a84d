//! Repositories of Alpine Linux.

use std::path::PathBuf;

use serde::Serialize;

/// What apk is told of repositories.
#[derive(Clone, Debug, Serialize)]
pub struct ApkRepositories {
    /// Lines of `/etc/apk/repositories` that are used while building.
    pub repositories: Vec<String>,
    /// Those that the image is set up with; none leaves the file to the image.
    pub image_repositories: Vec<String>,
    /// Keys of the host that sign indexes and packages.
    pub key_files: Vec<PathBuf>,
    /// Signatures are checked.
    pub check_keys: bool,
    /// The image gets the keys that they are checked with.
    pub installs_keys: bool,
}

impl ApkRepositories {
    /// As [`super::Repositories::described`].
    pub(super) fn described(&self) -> Vec<(String, String)> {
        let all = [
            ("", &self.repositories),
            (" of the image", &self.image_repositories),
        ];
        let numbered = all.into_iter().flat_map(|(whose, lines)| {
            let named = move |(nth, line): (usize, &String)| {
                (format!("repository {}{whose}", nth + 1), line.clone())
            };
            lines.iter().enumerate().map(named)
        });
        let check = if self.check_keys { "yes" } else { "no" };
        let check = ("signatures are checked".to_owned(), check.to_owned());
        let keys = ("keys of the image".to_owned(), "yes".to_owned());
        numbered
            .chain([check])
            .chain(self.installs_keys.then_some(keys))
            .collect()
    }
}
