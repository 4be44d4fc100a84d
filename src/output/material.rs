//! What of a project's and the host's files an image was made from.

use serde::Serialize;

/// What a file or a tree of files was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MaterialKind {
    /// The image that it begins from.
    BaseImage,
    /// A tree below the packages.
    SkeletonTree,
    /// Runs when packages are installed.
    PrepareScript,
    /// What the build script builds.
    Sources,
    /// Builds them.
    BuildScript,
    /// A tree on top of the packages.
    ExtraTree,
    /// Runs in the image when everything is in it.
    PostinstScript,
    /// Runs on the host after that.
    FinalizeScript,
    /// The project's shell file, for functions and variables.
    ShellFile,
}

/// A file or a tree of files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Material {
    /// What it was for.
    pub kind: MaterialKind,
    /// Its path in the project; of what is elsewhere the last part.
    pub name: String,
    /// The SHA-256 of a file, or over everything that counts of a tree, in hexadecimal.
    pub sha256: String,
    /// The git commit that was checked out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}
