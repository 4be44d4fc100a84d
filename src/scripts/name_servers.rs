//! Leaves no trace of the host's name servers in a tree that had none.

use std::path::Path;

use super::ScriptError;
use crate::tree::Root;

/// Binding the host's name servers into a tree that has no /etc/resolv.conf leaves an empty file
/// there, which would keep the image from ever getting its own.
pub(super) struct NameServers {
    root: Root,
    missing: bool,
}

const RESOLV_CONF: &str = "etc/resolv.conf";

impl NameServers {
    pub(super) fn remember(root: &Path) -> Result<Self, ScriptError> {
        let root = Root::open(root)?;
        let missing = !root.exists(RESOLV_CONF)?;
        Ok(Self { root, missing })
    }

    /// The tree.
    pub(super) fn root(&self) -> &Root {
        &self.root
    }

    pub(super) fn restore(&self) -> Result<(), ScriptError> {
        if self.missing
            && self
                .root
                .read_if_present(RESOLV_CONF)?
                .is_some_and(|c| c.is_empty())
        {
            self.root.remove_file(RESOLV_CONF)?;
        }
        Ok(())
    }
}
