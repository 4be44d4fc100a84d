//! Keeps services from being started in a tree that is only being put together.

use crate::tree::{Root, TreeError};

/// Asked by invoke-rc.d(8) before it starts anything; 101 means no.
const POLICY: &str = "usr/sbin/policy-rc.d";
/// Scripts that start a daemon themselves do it with this program.
const START: &str = "usr/sbin/start-stop-daemon";
/// Where the program is meanwhile. The name is the one that others who do this use.
const KEPT: &str = "usr/sbin/start-stop-daemon.REAL";

/// Services are refused until [`Refusal::end`].
#[derive(Debug)]
pub(super) struct Refusal {
    policy: Option<Vec<u8>>,
}

impl Refusal {
    /// Begins to refuse services. The tree must have its first packages.
    ///
    /// # Errors
    /// When the tree cannot be changed.
    pub fn begin(root: &Root) -> Result<Self, TreeError> {
        let policy = root.read_if_present(POLICY)?;
        root.write(POLICY, "#!/bin/sh\nexit 101\n", 0o755)?;
        if root.is_file(START)? && !root.exists(KEPT)? {
            rename(root, START, KEPT)?;
            root.write(START, "#!/bin/sh\nexit 0\n", 0o755)?;
        }
        Ok(Self { policy })
    }

    /// Puts everything back.
    ///
    /// # Errors
    /// When the tree cannot be changed.
    pub fn end(self, root: &Root) -> Result<(), TreeError> {
        match self.policy {
            Some(content) => root.write(POLICY, content, 0o755)?,
            None => drop(root.remove_file(POLICY)?),
        }
        if !root.exists(KEPT)? {
            return Ok(());
        }
        // A package that was unpacked meanwhile has brought the program again.
        if root
            .read(START)
            .is_ok_and(|content| content.starts_with(b"#!/bin/sh\nexit 0\n"))
        {
            rename(root, KEPT, START)
        } else {
            root.remove_file(KEPT).map(drop)
        }
    }
}

fn rename(root: &Root, from: &str, to: &str) -> Result<(), TreeError> {
    let (old, new) = (root.spot(from.as_ref())?, root.spot(to.as_ref())?);
    rustix::fs::renameat(&old.dir, &old.name, &new.dir, &new.name)
        .map_err(|e| root.failed("rename", from.as_ref(), e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_as_before_afterwards() {
        for (policy, replaced) in [(None, false), (Some("#!/bin/sh\nexit 0\n"), true)] {
            let dir = tempfile::tempdir().unwrap();
            let root = Root::open(dir.path()).unwrap();
            root.write(START, "program", 0o755).unwrap();
            if let Some(policy) = policy {
                root.write(POLICY, policy, 0o755).unwrap();
            }
            let refusal = Refusal::begin(&root).unwrap();
            assert!(root.read(POLICY).unwrap().ends_with(b"exit 101\n"));
            assert!(root.read(START).unwrap().starts_with(b"#!"));
            if replaced {
                root.write(START, "newer", 0o755).unwrap();
            }
            refusal.end(&root).unwrap();
            let expected: &[u8] = if replaced { b"newer" } else { b"program" };
            assert_eq!(root.read(START).unwrap(), expected);
            assert!(!root.exists(KEPT).unwrap());
            let left = root.read_if_present(POLICY).unwrap();
            assert_eq!(left.as_deref(), policy.map(str::as_bytes));
        }
    }
}
