//! What apt and dpkg leave behind: some of it belongs into the tree, some does not.

use super::settings::Settings;
use crate::installer::InstallError;
use crate::tree::{Root, TreeError};

/// Which packages came in only because others need them.
const EXTENDED_STATES: &str = "var/lib/apt/extended_states";

/// Logs of the installation, and caches that speak of this machine.
const REMOVED: &[&str] = &[
    "var/cache/ldconfig/aux-cache",
    "var/lib/dbus/machine-id",
    "var/log/alternatives.log",
    "var/log/apt/eipp.log.xz",
    "var/log/apt/history.log",
    "var/log/apt/term.log",
    "var/log/dpkg.log",
];

/// Puts apt's notes of packages nobody asked for into the tree. The first packages of a system were
/// asked for, in a way.
///
/// # Errors
/// When the notes cannot be read or written.
pub(super) fn extended_states(
    root: &Root,
    settings: &Settings,
    is_first: impl Fn(&str) -> bool,
) -> Result<(), InstallError> {
    let Ok(text) = std::fs::read_to_string(&settings.extended_states) else {
        return Ok(());
    };
    let kept: String = text
        .split_inclusive("\n\n")
        .filter(|entry| {
            let name = entry.lines().find_map(|l| l.strip_prefix("Package: "));
            !name.is_some_and(&is_first)
        })
        .collect();
    root.write(EXTENDED_STATES, kept, 0o644)?;
    Ok(())
}

/// Removes what a new system has no use for.
///
/// # Errors
/// When the tree cannot be changed.
pub(super) fn clean(root: &Root) -> Result<(), TreeError> {
    // `/var/lock` leads there; scripts made it in a `/run` that is gone.
    root.create_dir_all("run/lock", 0o1777)?;
    for path in REMOVED {
        root.remove_file(path)?;
    }
    Ok(())
}
