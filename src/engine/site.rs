//! What a build is given, and what its steps work on.

use std::path::{Path, PathBuf};

use super::{PublishOptions, Staging};
use crate::installer::Installer;
use crate::output::Artifacts;
use crate::plan::{Context, Plan};

/// Everything that a build of one image is given.
pub struct Build<'a> {
    /// What to do.
    pub plan: &'a Plan,
    /// What the plan was made for.
    pub context: &'a Context,
    /// Fills the tree with packages.
    pub installer: &'a dyn Installer,
    /// The artifacts' names.
    pub names: &'a Artifacts,
    /// Where trees are put together.
    pub workspace: &'a Path,
    /// How artifacts are published.
    pub publish: PublishOptions,
}

/// What the steps of a build work on.
pub(super) struct Site<'a> {
    pub build: &'a Build<'a>,
    /// The tree that becomes the image.
    pub tree: PathBuf,
    /// For what must not be in the tree.
    pub scratch: PathBuf,
    /// Where artifacts are made.
    pub staging: Staging,
}
