//! `mkosi.postinst`: inside the image, after everything is in it.

use std::path::Path;

use super::inside::Inside;
use super::{Script, ScriptError, packages_of};
use crate::host::Host;

/// Runs the script in a container on the tree.
///
/// # Errors
/// The script cannot be started or fails; its last lines are told.
pub fn postinst(script: &Script, root: &Path, host: &Host) -> Result<(), ScriptError> {
    let inside = Inside {
        setting: "PostInstallationScript",
        packages: packages_of(script),
        name: "postinst",
        argument: Some(script.argument),
        script,
        root,
    };
    inside.run(|container| container, host)
}
