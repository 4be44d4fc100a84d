//! Where a build puts its trees and parts together.

use std::fs;
use std::path::{Path, PathBuf};

use super::EngineError;
use super::scratch::{Scratch, WORK};
use crate::host::Report;

/// A private directory of one build, `.mkosi-work-XXXXXX`. It goes, with everything in it, when this
/// value does; after a SIGKILL, when the next build begins.
///
/// Mounts inside it have to be gone by then: their guards must be dropped first.
#[derive(Debug)]
pub struct Workspace {
    scratch: Scratch,
}

impl Workspace {
    /// Makes the workspace in `parent` (the output directory, or WorkspaceDirectory) and removes
    /// what builds that were killed left there.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn create(parent: &Path, report: &dyn Report) -> Result<Self, EngineError> {
        let scratch = Scratch::create(parent, WORK, report)?;
        Ok(Self { scratch })
    }

    /// The workspace itself, mode 0700.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.scratch.path()
    }

    /// A directory in the workspace, mode 0755, made if it is not there: the name is this program's
    /// own (`tree`), never a user's.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn directory(&self, name: &str) -> Result<PathBuf, EngineError> {
        let path = self.path().join(name);
        fs::create_dir_all(&path).map_err(EngineError::path("create", &path))?;
        Ok(path)
    }

    /// A path in the workspace at which nothing has been made yet.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Leaves the workspace where it is, under a name that no other build removes; returns that.
    #[must_use]
    pub fn keep(self) -> PathBuf {
        self.scratch.keep()
    }

    /// Removes the workspace now. Dropping does the same but cannot say what went wrong.
    ///
    /// # Errors
    /// Something in it cannot be removed.
    pub fn close(self) -> Result<(), EngineError> {
        self.scratch.remove()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Quiet;

    #[test]
    fn a_workspace_comes_and_goes() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = Workspace::create(dir.path(), &Quiet).unwrap();
        let tree = workspace.directory("tree").unwrap();
        assert_eq!(tree, workspace.directory("tree").unwrap());
        fs::write(workspace.file("part"), "x").unwrap();
        workspace.close().unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let error = Workspace::create(&dir.path().join("missing"), &Quiet).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot create a working directory in /")
        );
    }
}
