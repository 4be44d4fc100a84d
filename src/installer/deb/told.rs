//! Tells the tree's own dpkg what apt would have told the host's.

use std::path::PathBuf;

use super::decided;
use super::expand::expand;
use super::inside::{DPKG, deb_inside};
use super::session::{self, Session};
use super::settings::Settings;
use crate::host::{Host, shell_quote};
use crate::installer::apt::make_directory;
use crate::installer::{InstallError, Request, Site};

/// Runs dpkg inside the tree, as often and with the words that apt has noted.
///
/// # Errors
/// When a package is damaged, or dpkg fails.
pub(super) fn tell_dpkg(
    request: &Request,
    site: &Site,
    settings: &Settings,
    host: &Host,
) -> Result<(), InstallError> {
    let mut debs = Vec::new();
    let mut script = String::from("set -e\n");
    for words in decided::calls(&decided::read(&settings.calls)?) {
        script.push_str(DPKG);
        for word in words {
            script.push(' ');
            script.push_str(&shell_quote(seen_inside(word, &mut debs).as_ref()));
        }
        script.push('\n');
    }
    let expanded = session::directory(site).join("packages");
    make_directory(&expanded)?;
    expand(&debs, &expanded, &host.cancel)?;
    let result = Session::begin(request, site, host)?.run("installing packages failed", &script);
    std::fs::remove_dir_all(&expanded).map_err(|source| InstallError::Prepare {
        path: expanded,
        source,
    })?;
    result
}

/// A word of a call with the host's path of a package as the tree sees it.
fn seen_inside(word: String, debs: &mut Vec<PathBuf>) -> String {
    if !word.starts_with('/') {
        return word;
    }
    debs.push(PathBuf::from(word));
    deb_inside(debs.len() - 1)
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
        assert_eq!(debs[0], Path::new("/c/a b.deb"));
        assert_eq!(seen_inside("--pending".into(), &mut debs), "--pending");
    }
}
