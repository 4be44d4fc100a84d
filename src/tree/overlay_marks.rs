//! What overlayfs notes on the directories that it keeps changes in.

use std::path::Path;

use super::error::TreeError;
use super::root::Root;
use super::xattrs::{self, Of};

impl Root {
    /// Removes overlayfs' notes from the top directory, so that it can be a part of another overlay:
    /// the kernel refuses one whose upper directory says that it belongs to other layers.
    ///
    /// # Errors
    /// When an attribute cannot be removed.
    pub(crate) fn forget_overlay(&self) -> Result<(), TreeError> {
        let failed = |e| self.failed("change the attributes of", Path::new(""), e);
        for name in xattrs::names(Of::fd(self.fd())).map_err(failed)? {
            if xattrs::is_of_overlay(&name) {
                xattrs::remove(self.fd(), &name).map_err(failed)?;
            }
        }
        Ok(())
    }
}
