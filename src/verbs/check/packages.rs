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
    match ask(&request, config, installer, host) {
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
            findings.add(
                Level::Note,
                Area::Packages,
                not_looked_up(&in_a_line(&error)),
            );
        }
    }
}

fn ask(
    request: &Request,
    config: &Config,
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
    bring_keys(&config.skeleton_trees, &site.root)?;
    installer.unknown(request, &site, host)
}

/// Where projects have keys of repositories in their skeleton trees.
const KEYS: [&str; 4] = [
    "etc/apt/trusted.gpg.d",
    "etc/pki/rpm-gpg",
    "usr/share/keyrings",
    "usr/share/pacman/keyrings",
];

/// Copies the keys in directories of skeleton trees: lists of packages may be signed with them.
fn bring_keys(trees: &[impl AsRef<Path>], root: &Path) -> Result<(), InstallError> {
    for (tree, directory) in trees.iter().flat_map(|tree| KEYS.map(|keys| (tree, keys))) {
        let to = root.join(directory);
        let failed = |source| InstallError::Prepare {
            path: to.clone(),
            source,
        };
        let entries = fs::read_dir(tree.as_ref().join(directory));
        for entry in entries.into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_file()) {
                fs::create_dir_all(&to).map_err(failed)?;
                fs::copy(entry.path(), to.join(entry.file_name())).map_err(failed)?;
            }
        }
    }
    Ok(())
}

/// What failed and what to do about it; where nobody knows what to do, the last that was said.
fn in_a_line(error: &InstallError) -> String {
    let own = error.to_string();
    let mut lines: Vec<&str> = own.lines().map(str::trim).collect();
    let all = terminal::chain(error);
    if let [_] = lines[..] {
        lines.extend(all.lines().skip(1).last().map(str::trim));
    }
    lines.join(": ")
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
