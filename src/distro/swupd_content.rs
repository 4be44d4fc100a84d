//! The content of Clear Linux.

use std::path::PathBuf;

use serde::Serialize;

/// What swupd is told of content.
#[derive(Clone, Debug, Serialize)]
pub struct SwupdContent {
    /// The address of versions and content; none for the one that swupd was built with.
    pub url: Option<String>,
    /// The same for the image.
    pub image_url: Option<String>,
    /// Certificates of the host that may sign the content; the first that is there counts.
    pub certificates: Vec<PathBuf>,
    /// Signatures are checked.
    pub check_keys: bool,
}

impl SwupdContent {
    /// As [`super::Repositories::described`].
    pub(super) fn described(&self) -> Vec<(String, String)> {
        let check = if self.check_keys { "yes" } else { "no" };
        [
            ("content", self.url.clone().unwrap_or_default()),
            (
                "content of the image",
                self.image_url.clone().unwrap_or_default(),
            ),
            ("signatures are checked", check.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}
