//! Runs a script of the project in a container on an image's tree.

use std::path::Path;

use super::name_servers::NameServers;
use super::{Script, ScriptError, failed, interpreter};
use crate::host::{Container, Host};

/// Where scripts are shown inside; `/run` is the container's own, so nothing of it stays.
const SCRIPTS: &str = "/run/mkosi";

/// A script to run, and as what.
pub(super) struct Inside<'a> {
    /// The setting that names it.
    pub setting: &'static str,
    /// The setting that brings packages into the tree that it runs in.
    pub packages: &'static str,
    /// What it is called inside.
    pub name: &'static str,
    /// What it is told on its command line.
    pub argument: Option<&'static str>,
    /// The script.
    pub script: &'a Script,
    /// The tree.
    pub root: &'a Path,
}

impl Inside<'_> {
    /// Runs it. `arrange` adds to the container what this kind of script needs; what it sets wins over
    /// the environment that the settings ask for.
    pub fn run(
        &self,
        arrange: impl FnOnce(Container) -> Container,
        host: &Host,
    ) -> Result<(), ScriptError> {
        let Self { script, root, .. } = self;
        let name_servers = NameServers::remember(root)?;
        interpreter::check(&script.path, name_servers.root(), self.packages)?;
        let shown = Path::new(SCRIPTS).join(self.name);
        let mut container = Container::new(*root)
            .walled()
            .network(script.network)
            .bind_read_only(&script.path, &shown)
            .current_dir("/root");
        for (name, value) in &script.environment {
            container = container.env(name, value);
        }
        let command = arrange(container).command(&shown, self.argument);
        let result = host.run(command);
        name_servers.restore()?;
        result.map_err(|e| failed(self.setting, self.packages, script, e))?;
        Ok(())
    }
}
