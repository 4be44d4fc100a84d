//! `mkosi.finalize`: on the host, with the tree's path in `$BUILDROOT`.

use std::path::Path;

use super::{Script, ScriptError, failed};
use crate::host::{Command, Host};

/// Runs the script in `directory`, the project's, with the host's files and programs at hand.
///
/// # Errors
/// The script cannot be started or fails; its last lines are told.
pub fn finalize(
    script: &Script,
    root: &Path,
    directory: &Path,
    host: &Host,
) -> Result<(), ScriptError> {
    let mut command = Command::new(&script.path)
        .arg(script.argument)
        .current_dir(directory);
    for (name, value) in &script.environment {
        command = command.env(name, value);
    }
    host.run(command.env("BUILDROOT", root))
        .map_err(|e| failed("FinalizeScript", "", script, e))?;
    Ok(())
}
