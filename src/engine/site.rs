//! What a build is given, and what its steps work on.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::boot::Prepared;
use super::{Caching, PublishOptions, Staging};
use crate::disk::Passphrase;
use crate::distro::provenance::Provenance;
use crate::installer::Installer;
use crate::output::file_lists::FileLists;
use crate::output::{Artifacts, Digest, Signer};
use crate::plan::{Context, LayerKind, Material, Plan, add_material};

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
    /// Where trees with packages are kept from build to build, if they are.
    pub caching: Option<&'a Caching>,
    /// What encrypted partitions are opened with, if there are any.
    pub passphrase: Option<&'a Passphrase>,
    /// How artifacts are published.
    pub publish: PublishOptions,
    /// Whether to note what somebody will look at afterwards: cached trees, the image's content.
    pub observe: bool,
    /// Whether the working directory stays when the build fails.
    pub keep: bool,
    /// Artifacts of earlier builds, which go unless this one replaces them.
    pub former: &'a [PathBuf],
    /// Who signs the checksums, where the plan says so.
    pub signer: Option<&'a Signer>,
    /// Where the packages that were taken are written down, if they are.
    pub lock: Option<&'a Path>,
}

/// What the steps of a build work on.
pub(super) struct Site<'a> {
    pub build: &'a Build<'a>,
    /// The tree that is worked on.
    pub tree: PathBuf,
    /// The tree of the base image, if there is one. It is never written to.
    pub base: Option<PathBuf>,
    /// Whether nothing else is lost when the tree is moved away.
    pub movable: bool,
    /// For what must not be in the tree.
    pub scratch: PathBuf,
    /// Where artifacts are made.
    pub staging: Staging,
    /// Where the image is: no artifact yet while something else will be made of it.
    pub image: PathBuf,
    /// Checksums of artifacts, as far as they came about while those were written.
    pub digests: HashMap<OsString, Digest>,
    /// Which package has which files, if somebody wants to know, from before databases are cleaned away.
    pub file_lists: Option<FileLists>,
    /// What the packages of each tree came from; nothing of a tree of which that is not known.
    pub provenance: Vec<(LayerKind, Option<Provenance>)>,
    /// What of the project's and the host's files went in, unless nobody asks, or not yet: what cached trees were
    /// made from is known without another look.
    pub materials: Option<Vec<Material>>,
    /// What makes the image boot, once it was collected.
    pub boot: Option<Prepared>,
}

impl Site<'_> {
    /// Notes what goes in now, where somebody wants to know: `find` looks at it.
    pub fn note<E>(&mut self, find: impl FnOnce() -> Result<Option<Material>, E>) -> Result<(), E> {
        if self.materials.is_none() {
            return Ok(());
        }
        let material = find()?;
        if let (Some(to), Some(material)) = (&mut self.materials, material) {
            add_material(material, to);
        }
        Ok(())
    }
}
