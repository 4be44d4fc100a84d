//! `mkosi.postinst` and `mkosi.prepare`: inside the image, with the scripts themselves out of it.

use std::path::Path;

use super::{Script, ScriptError, failed};
use crate::host::{Container, Host};
use crate::tree::Root;

/// Where the script is shown inside; `/run` is the container's own, so nothing of it stays.
const INSIDE: &str = "/run/mkosi/script";

/// Runs the post-installation script in a container on the tree, after everything is in it.
///
/// # Errors
/// When it ends with a failure.
pub fn postinst(script: &Script, root: &Path, host: &Host) -> Result<(), ScriptError> {
    inside("PostInstallationScript", script, root, host)
}

/// Runs the prepare script in a container on the tree, right after packages were installed.
///
/// # Errors
/// When it ends with a failure.
pub fn prepare(script: &Script, root: &Path, host: &Host) -> Result<(), ScriptError> {
    inside("PrepareScript", script, root, host)
}

fn inside(
    setting: &'static str,
    script: &Script,
    root: &Path,
    host: &Host,
) -> Result<(), ScriptError> {
    let name_servers = NameServers::remember(root)?;
    let mut container = Container::new(root)
        .network(script.network)
        .bind_read_only(&script.path, Path::new(INSIDE))
        .current_dir("/root");
    for (name, value) in &script.environment {
        container = container.env(name, value);
    }
    let result = host.run(container.command(INSIDE, [script.argument]));
    name_servers.restore()?;
    result.map_err(|e| failed(setting, script, e))?;
    Ok(())
}

/// Binding the host's name servers into a tree that has no /etc/resolv.conf leaves an empty file
/// there, which would keep the image from ever getting its own.
struct NameServers {
    root: Root,
    missing: bool,
}

const RESOLV_CONF: &str = "etc/resolv.conf";

impl NameServers {
    fn remember(root: &Path) -> Result<Self, ScriptError> {
        let root = Root::open(root)?;
        let missing = !root.exists(RESOLV_CONF)?;
        Ok(Self { root, missing })
    }

    fn restore(&self) -> Result<(), ScriptError> {
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
