//! Installs further packages into a tree that holds packages already, with apt and dpkg.
//!
//! apt on the host chooses and fetches; what it would have told dpkg is noted and then told to the
//! tree's own dpkg, inside the tree. So the image needs no apt, no network and no keys.

use std::path::PathBuf;

use super::expand::expand;
use super::inside::{DPKG, run};
use super::leavings;
use super::resolve;
use super::services::Refusal;
use super::settings::Settings;
use crate::host::{Host, shell_quote};
use crate::installer::apt::{self, make_directory};
use crate::installer::{InstallError, Request, Site};
use crate::tree::Root;

/// Where packages are seen inside the tree.
const INSIDE: &str = "/run/mkosi/packages";
/// As in `leavings`.
const EXTENDED_STATES: &str = "var/lib/apt/extended_states";

/// Installs what is requested and not there.
///
/// # Errors
/// When packages cannot be chosen or fetched, or dpkg fails.
pub(super) fn install(
    request: &Request,
    site: &Site,
    root: &Root,
    settings: &Settings,
    host: &Host,
) -> Result<(), InstallError> {
    if let Some(states) = root.read_if_present(EXTENDED_STATES)? {
        let path = &settings.extended_states;
        std::fs::write(path, states).map_err(|source| InstallError::Prepare {
            path: path.clone(),
            source,
        })?;
    }
    resolve::update(settings, request, host)?;
    let chosen = resolve::choose(settings, &request.packages, Some(request), host)?;
    if chosen.is_empty() && !settings.calls.exists() {
        return Ok(());
    }
    let calls = resolve::calls(&resolve::read(&settings.calls)?);
    let refusal = Refusal::begin(root)?;
    let mut debs = Vec::new();
    let mut script = String::from("set -e\n");
    for words in calls {
        script.push_str(DPKG);
        for word in words {
            script.push(' ');
            script.push_str(&shell_quote(seen_inside(word, &mut debs).as_ref()));
        }
        script.push('\n');
    }
    let packages: Vec<PathBuf> = debs.iter().map(|(path, _)| path.clone()).collect();
    let expanded = site.scratch.join("expanded");
    make_directory(&expanded)?;
    let files = expand(&packages, &expanded, &host.cancel)?;
    for ((path, _), file) in debs.iter_mut().zip(files) {
        *path = file;
    }
    let result = run(request, site, &script, &debs, host);
    std::fs::remove_dir_all(&expanded).map_err(|source| InstallError::Prepare {
        path: expanded,
        source,
    })?;
    result.map_err(|e| apt::explain("installing packages failed", Some(request), e))?;
    refusal.end(root)?;
    leavings::extended_states(root, settings, |_| false)?;
    leavings::clean(root)?;
    Ok(())
}

/// A word of a call with the host's path of a package as the tree sees it.
fn seen_inside(word: String, debs: &mut Vec<(PathBuf, PathBuf)>) -> String {
    if !word.starts_with('/') {
        return word;
    }
    let inside = format!("{INSIDE}/{}.deb", debs.len());
    debs.push((PathBuf::from(word), PathBuf::from(&inside)));
    inside
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn packages_are_seen_inside_the_tree() {
        let mut debs = Vec::new();
        let inside = seen_inside("/c/a b.deb".into(), &mut debs);
        assert_eq!(inside, "/run/mkosi/packages/0.deb");
        assert_eq!(debs[0].0, Path::new("/c/a b.deb"));
        assert_eq!(seen_inside("--pending".into(), &mut debs), "--pending");
    }
}
