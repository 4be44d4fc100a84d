//! Installs further packages into a tree that holds packages already, with apt and dpkg.
//!
//! apt on the host chooses and fetches; what it would have told dpkg is noted and then told to the
//! tree's own dpkg, inside the tree. So the image needs no apt, no network and no keys.

use std::path::PathBuf;

use super::inside::dpkg;
use super::leavings;
use super::resolve;
use super::services::Refusal;
use super::settings::Settings;
use crate::host::Host;
use crate::installer::apt;
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
    let calls = parse(&resolve::read(&settings.calls)?);
    let refusal = Refusal::begin(root)?;
    for words in calls {
        let mut debs = Vec::new();
        let words: Vec<String> = words
            .into_iter()
            .map(|word| seen_inside(word, &mut debs))
            .collect();
        host.run(dpkg(site, &words, &debs))
            .map_err(|e| apt::explain("installing packages failed", Some(request), e))?;
    }
    refusal.end(root)?;
    leavings::extended_states(root, settings, |_| false)?;
    leavings::clean(root)?;
    Ok(())
}

/// The calls that apt would have made of dpkg, without those that only ask what dpkg can do, and
/// without the words that tell dpkg how to report to apt.
fn parse(text: &[u8]) -> Vec<Vec<String>> {
    let mut calls = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        let mut words = line
            .split(|byte| *byte == 0)
            .filter(|word| !word.is_empty())
            .map(|word| String::from_utf8_lossy(word).into_owned());
        let mut call = Vec::new();
        while let Some(word) = words.next() {
            if word == "--status-fd" {
                words.next();
            } else if !word.starts_with("--assert-") {
                call.push(word);
            }
        }
        if !call.is_empty() {
            calls.push(call);
        }
    }
    calls
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
    fn tells_dpkg_what_apt_would_have_told_it() {
        let calls = parse(
            b"--assert-multi-arch\0\n--status-fd\09\0--no-triggers\0--unpack\0/c/a b.deb\0\n\
              --status-fd\09\0--configure\0--pending\0\n",
        );
        assert_eq!(calls.len(), 2);
        assert_eq!(calls[0], ["--no-triggers", "--unpack", "/c/a b.deb"]);
        assert_eq!(calls[1], ["--configure", "--pending"]);
        let mut debs = Vec::new();
        let inside = seen_inside(calls[0][2].clone(), &mut debs);
        assert_eq!(inside, "/run/mkosi/packages/0.deb");
        assert_eq!(debs[0].0, Path::new("/c/a b.deb"));
        assert_eq!(seen_inside("--pending".into(), &mut debs), "--pending");
    }
}
