//! Whether the distribution has the packages that are asked for.

use std::fs;
use std::path::Path;

use super::super::terminal;
use super::findings::{Area, Findings, Level};
use crate::config::Config;
use crate::host::{Host, is_root, printable};
use crate::installer::{InstallError, Installer, Request, Site, Unknown};
use crate::plan::{Action, Plan};

/// Asks for every package of the plan. What cannot be asked is a note: nobody has to be online.
pub(super) fn check(
    config: &Config,
    plan: &Plan,
    installer: &dyn Installer,
    host: &Host,
    findings: &mut Findings,
) {
    let requests = plan.actions().filter_map(|action| match action {
        Action::Install(request) | Action::AddPackages(request) | Action::ExtendBase(request) => {
            Some(request)
        }
        _ => None,
    });
    let mut all: Option<Request> = None;
    for request in requests {
        match &mut all {
            None => all = Some(request.clone()),
            Some(all) => all.packages.extend(request.packages.iter().cloned()),
        }
    }
    let Some(mut request) = all.filter(|all| !all.packages.is_empty()) else {
        return;
    };
    request.packages.sort();
    request.packages.dedup();
    if !is_root() {
        // The cache is root's, mostly.
        request.cache = None;
    }
    let not_looked_up = |why: &str| format!("packages could not be looked up: {why}");
    match ask(&request, installer, host) {
        Ok(Some(unknown)) => {
            let level = if own_repositories(&config.skeleton_trees) {
                Level::Warning
            } else {
                Level::Error
            };
            for package in unknown {
                findings.add(level, Area::Packages, said(&package, config, level));
            }
        }
        Ok(None) => {
            let why = format!(
                "{} says which packages there are only during an installation",
                installer.name()
            );
            findings.add(Level::Note, Area::Packages, not_looked_up(&why));
        }
        Err(error) => {
            let why = terminal::chain(&error);
            let why = why.lines().next().unwrap_or_default();
            findings.add(Level::Note, Area::Packages, not_looked_up(why));
        }
    }
}

fn ask(
    request: &Request,
    installer: &dyn Installer,
    host: &Host,
) -> Result<Option<Vec<Unknown>>, InstallError> {
    let place = tempfile::tempdir().map_err(|source| InstallError::Prepare {
        path: std::env::temp_dir(),
        source,
    })?;
    let site = Site {
        root: place.path().join("tree"),
        scratch: place.path().join("scratch"),
    };
    for path in [&site.root, &site.scratch] {
        fs::create_dir(path).map_err(|source| InstallError::Prepare {
            path: path.clone(),
            source,
        })?;
    }
    installer.unknown(request, &site, host)
}

/// Whether a skeleton tree may bring repositories that are not looked at here.
fn own_repositories(trees: &[impl AsRef<Path>]) -> bool {
    trees.iter().any(|tree| {
        let tree = tree.as_ref();
        tree.is_file() || tree.join("etc/apt").is_dir()
    })
}

fn said(package: &Unknown, config: &Config, level: Level) -> String {
    let near = package.nearest.as_deref().map(|near| {
        let near = printable(near);
        format!("; did you mean {near}?")
    });
    let own = match level {
        Level::Warning => ", unless a repository of the skeleton tree has it",
        _ => "",
    };
    format!(
        "{} {} has no package {}{own}{}",
        config.distribution.shown(),
        printable(&config.release),
        printable(&package.name),
        near.unwrap_or_default()
    )
}
