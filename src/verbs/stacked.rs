//! An image that holds only what differs from its base image, together with that: a whole system.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::{VerbError, terminal};
use crate::config::Config;
use crate::engine::BuildError;
use crate::engine::base_image::BaseTree;
use crate::host::{Host, Mount, Overlay, printable_path};
use crate::plan::BaseImage;

/// Both trees as one. What is written to it goes with it, and to neither.
pub(super) struct Stacked {
    // In the order in which they go.
    mount: Mount,
    base: BaseTree,
    image: PathBuf,
}

impl Stacked {
    /// Puts the tree `image` on the base image of the configuration, if that has one. `place` is a
    /// directory in memory.
    ///
    /// # Errors
    /// When the base image cannot be opened, or the kernel has no overlays.
    pub fn open(
        config: &Config,
        image: &Path,
        place: &Path,
        host: &Host,
    ) -> Result<Option<Self>, VerbError> {
        let Some(path) = &config.base_image else {
            return Ok(None);
        };
        let base = BaseImage {
            path: path.clone(),
            distribution: config.distribution,
            release: config.release.clone(),
            architecture: config.architecture.as_str().to_owned(),
        };
        let title = base.title();
        let base = BaseTree::open(&base, place, host)
            .map_err(|source| VerbError::Build(BuildError::Step { title, source }))?;
        let make = |name: &str, mode: u32| -> Result<PathBuf, VerbError> {
            let path = place.join(name);
            let made = DirBuilder::new().mode(mode).create(&path);
            made.map_err(|source| VerbError::Directory {
                path: path.clone(),
                source,
            })?;
            Ok(path)
        };
        // The top of the whole has what the uppermost directory has.
        let metadata = fs::metadata(image).map_err(|source| VerbError::File {
            path: image.to_owned(),
            source,
        })?;
        let (target, upper, work) = (
            make("mkosi-stacked", 0o755)?,
            make("mkosi-changes", metadata.mode() & 0o777)?,
            make("mkosi-work", 0o700)?,
        );
        let overlay = Overlay {
            lower: &[image, base.path()],
            upper: &upper,
            work: &work,
            options: "",
        };
        let mount = Mount::overlay(&overlay, &target).map_err(VerbError::Host)?;
        terminal::complain(format_args!(
            "note: the image is shown on top of {}; what is changed now is gone afterwards",
            printable_path(path)
        ));
        Ok(Some(Self {
            mount,
            base,
            image: path.clone(),
        }))
    }

    /// Where the whole is.
    pub fn path(&self) -> &Path {
        self.mount.target()
    }

    /// Unmounts it.
    ///
    /// # Errors
    /// While something still uses it.
    pub fn close(self) -> Result<(), VerbError> {
        self.mount.unmount().map_err(VerbError::Host)?;
        self.base.close().map_err(|source| VerbError::Attach {
            path: self.image,
            source: Box::new(source),
        })
    }
}
