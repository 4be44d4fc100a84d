//! What the host lacks for a build: looked for before any work begins, and named by `mkosi plan`.

use std::path::Path;

use super::VerbError;
use crate::config::Config;
use crate::config::values::Architecture;
use crate::host::{Host, check_runs};
use crate::installer::Installer;
use crate::output::Signer;
use crate::plan::{self, Action, Plan};

/// Everything that is not there.
pub(super) fn lacking(
    config: &Config,
    plan: &Plan,
    installer: &dyn Installer,
    signer: Option<&Signer>,
    host: &Host,
) -> Vec<VerbError> {
    let own = Architecture::host();
    let runs = check_runs(config.architecture.as_str(), own.as_str());
    let mut lacking: Vec<VerbError> = runs.err().map(VerbError::Host).into_iter().collect();
    let needed = plan::tools(plan);
    let mut tools: Vec<&str> = needed.iter().map(String::as_str).collect();
    // Without layers, no package manager is asked for anything.
    if !plan.layers.is_empty() {
        tools.extend(installer.tools());
    }
    if let Some(signer) = signer {
        tools.extend(signer.tools());
    }
    lacking.extend(host.require(&tools).err().map(VerbError::Host));
    lacking.extend(plan.missing.iter().cloned().map(VerbError::Missing));
    let passwords = plan.actions().filter_map(|action| match action {
        Action::SetPasswords(passwords) => Some(passwords),
        _ => None,
    });
    lacking.extend(passwords.flat_map(|passwords| {
        let names = passwords.users.iter().map(|user| &user.secret);
        let missing = names.filter_map(|name| passwords.secrets.check(name).err());
        missing.map(VerbError::Secret)
    }));
    // A skeleton tree may bring another keyring.
    if config.skeleton_trees.is_empty() {
        let installations = plan.actions().filter_map(|action| match action {
            Action::Install(request) | Action::ExtendBase(request) => Some(request),
            _ => None,
        });
        let keys = installations.filter_map(|request| request.repositories.missing_key());
        lacking.extend(keys.map(|path| VerbError::Keyring {
            package: keyring_package(&path),
            path,
        }));
    }
    lacking
}

/// The package with a keyring, by the names that Debian and the distributions themselves use.
fn keyring_package(keyring: &Path) -> &'static str {
    let name = keyring.to_string_lossy();
    let packages = [
        ("debian", "debian-archive-keyring"),
        (
            "ubuntu",
            "ubuntu-archive-keyring (on Ubuntu: ubuntu-keyring)",
        ),
        ("archlinux", "archlinux-keyring"),
        ("apk", "alpine-keys"),
    ];
    let known = packages.iter().find(|(part, _)| name.contains(part));
    known.map_or("the package that has it", |(_, package)| package)
}
