//! The image that a build begins from: its tree, and what a build changed of it.

use std::fs;
use std::path::{Path, PathBuf};

use super::site::Site;
use super::{EngineError, StepError};
use crate::config::HostSystem;
use crate::disk::{Architecture, AttachedImage, DiskError};
use crate::host::{Host, printable_path};
use crate::plan::BaseImage;
use crate::tree::{self, Root};

/// Where an archive is unpacked, or a disk image mounted, in a directory of the caller's.
const TREE: &str = "base-image";
/// What a build changed, in its scratch directory.
const CHANGES: &str = "changes";
/// Where a system says what it is.
const OS_RELEASE: [&str; 2] = ["etc/os-release", "usr/lib/os-release"];

/// The tree of an image that nothing writes to; a disk image is mounted while this value lives.
#[derive(Debug)]
pub struct BaseTree {
    path: PathBuf,
    attached: Option<AttachedImage>,
}

impl BaseTree {
    /// Opens an image: a directory as it is, an archive unpacked in `place`, a disk image mounted there,
    /// without its partitions for data.
    ///
    /// # Errors
    /// When it is missing, or none of these.
    pub fn open(base: &BaseImage, place: &Path, host: &Host) -> Result<Self, StepError> {
        let path = &base.path;
        let metadata =
            fs::metadata(path).map_err(EngineError::path("open the base image", path))?;
        if metadata.is_dir() {
            let path =
                fs::canonicalize(path).map_err(EngineError::path("open the base image", path))?;
            let place = fs::canonicalize(place).map_err(EngineError::path("look at", place))?;
            if place.starts_with(&path) {
                return Err(EngineError::InsideBase { path, place }.into());
            }
            return Ok(Self {
                path,
                attached: None,
            });
        }
        let tree = place.join(TREE);
        fs::create_dir_all(&tree).map_err(EngineError::path("create", &tree))?;
        let attached = if AttachedImage::is_image(path)? {
            let architecture = Architecture::from_name(&base.architecture);
            let architecture = architecture.unwrap_or(Architecture::X86_64);
            Some(AttachedImage::open_root(path, architecture, &tree)?)
        } else {
            let (report, cancel) = (host.report.as_ref(), &host.cancel);
            tree::extract(&Root::open(&tree)?, path, report, cancel)?;
            None
        };
        Ok(Self {
            path: tree,
            attached,
        })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Unmounts it.
    ///
    /// # Errors
    /// While something still uses it.
    pub fn close(self) -> Result<(), DiskError> {
        self.attached.map_or(Ok(()), AttachedImage::close)
    }

    /// Checks that packages of the configured distribution fit; returns what the system calls itself.
    ///
    /// # Errors
    /// When it is no system, or one of another distribution.
    pub(super) fn check(&self, base: &BaseImage, host: &Host) -> Result<String, StepError> {
        let root = Root::open(&self.path)?;
        let mut text = None;
        for path in OS_RELEASE {
            text = text.or(root.read_if_present(path)?);
        }
        let path = base.path.clone();
        let Some(text) = text else {
            return Err(EngineError::NoSystem { path }.into());
        };
        let system = HostSystem::from_text(&String::from_utf8_lossy(&text));
        let found = match &system.release {
            Some(release) => format!("{} {release}", system.id),
            None => system.id.clone(),
        };
        let found = found.escape_debug().to_string();
        if system.exact != Some(base.distribution) {
            return Err(EngineError::OtherSystem {
                path,
                found,
                distribution: base.distribution.shown(),
            }
            .into());
        }
        if system.release.as_ref().is_some_and(|r| *r != base.release) {
            host.report.warn(&format!(
                "the base image {} is {found}, and packages of {} are added to it: set Release= if \
                 that is not meant",
                printable_path(&base.path),
                base.release
            ));
        }
        Ok(found)
    }
}

/// Checks that packages can be added to the tree.
pub(super) fn check_packages(site: &Site<'_>) -> Result<(), StepError> {
    if tree::has_package_database(&Root::open(&site.tree)?)? {
        return Ok(());
    }
    let base = site.build.plan.base_image();
    let path = base.map(|base| base.path.clone()).unwrap_or_default();
    Err(EngineError::NoPackageDatabase { path }.into())
}

/// Makes the tree one of what differs from the base image.
pub(super) fn keep_changes(
    docs: bool,
    site: &mut Site<'_>,
    host: &Host,
) -> Result<String, StepError> {
    let Some(base) = site.base.clone() else {
        return Ok(String::new());
    };
    let target = site.scratch.join(CHANGES);
    fs::create_dir(&target).map_err(EngineError::path("create", &target))?;
    let root = Root::open(&target)?;
    let (report, cancel) = (host.report.as_ref(), &host.cancel);
    let changes = tree::copy_changes(&base, &site.tree, &root, report, cancel)?;
    if !docs {
        tree::remove_docs(&root, cancel)?;
    }
    site.tree = target;
    site.movable = true;
    Ok(match changes.removed {
        0 => format!("{} files", changes.entries),
        removed => format!("{} files, {removed} removed", changes.entries),
    })
}
