//! `mkosi.prepare`: inside the image, with network, once its packages are installed.

use std::path::Path;

use super::inside::Inside;
use super::{Script, ScriptError, packages_of};
use crate::host::Host;

/// Runs the script in a container on the tree. It is what brings in software that is in no package:
/// its result is kept with the packages when images are cached, so that it sees no sources, whose
/// every change would make it run again.
///
/// # Errors
/// The script cannot be started or fails; its last lines are told.
pub fn prepare(script: &Script, root: &Path, host: &Host) -> Result<(), ScriptError> {
    let inside = Inside {
        setting: "PrepareScript",
        packages: packages_of(script),
        name: "prepare",
        argument: Some(script.argument),
        script,
        root,
    };
    inside.run(|container| container, host)
}
