//! Versions of the programs that install packages.

use super::InstallError;
use crate::host::{Command, Host, Stdout};

/// A home directory in which nothing can be made.
const NO_HOME: &str = "/proc";

/// The first line of what `program --version` prints, with what it is the version of. dnf looks at the host's
/// packages for it, and Debian's rpm would make a database for that in the home directory.
pub(super) fn of(name: &str, program: &str, host: &Host) -> Result<(String, String), InstallError> {
    let command = Command::new(program)
        .arg("--version")
        .env("HOME", NO_HOME)
        .stdout(Stdout::Capture);
    let output = host.run(command).map_err(|source| InstallError::Command {
        what: format!("asking {program} for its version failed"),
        hint: String::new(),
        source,
    })?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok((
        name.to_owned(),
        text.lines().next().unwrap_or("").to_owned(),
    ))
}
