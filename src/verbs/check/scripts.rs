//! Whether the project's scripts can start.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::findings::{Area, Findings, Level};
use super::shown;
use crate::config::Config;
use crate::host::printable_path;
use crate::scripts::first_line_problem;

/// Looks at every script of the configuration.
pub(super) fn check(config: &Config, findings: &mut Findings) {
    let scripts = [
        (&config.prepare_script, false),
        (&config.build_script, false),
        (&config.post_installation_script, false),
        (&config.finalize_script, true),
    ];
    for (script, on_host) in scripts {
        if let Some(script) = script {
            for problem in problems(script, on_host) {
                let name = printable_path(shown(script, config));
                findings.add(Level::Error, Area::Scripts, format!("{name}: {problem}"));
            }
        }
    }
}

fn problems(script: &Path, on_host: bool) -> Vec<String> {
    let metadata = match fs::metadata(script) {
        Ok(metadata) => metadata,
        // That it is missing is said of the setting.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => return vec![format!("cannot be looked at: {error}")],
    };
    if !metadata.is_file() {
        return vec!["a script has to be a file".to_owned()];
    }
    let mut problems = Vec::new();
    if metadata.permissions().mode() & 0o111 == 0 {
        problems.push("it is not executable; chmod +x makes it so".to_owned());
    }
    match first_line_problem(script, on_host) {
        Ok(problem) => problems.extend(problem),
        Err(error) => problems.push(format!("cannot be read: {error}")),
    }
    problems
}
