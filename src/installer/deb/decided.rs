//! Reads what apt has noted of its decision: the packages, and what dpkg would have been told.

use std::fs;
use std::path::{Path, PathBuf};

use super::settings::Settings;
use crate::distro::provenance::Archive;
use crate::installer::InstallError;

/// A package that apt has chosen and fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    pub name: String,
    pub version: String,
    pub architecture: String,
    /// Where it is on the host.
    pub path: PathBuf,
}

/// What apt has decided.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Choice {
    /// The packages that dpkg would unpack, in that order.
    pub packages: Vec<Chosen>,
    /// Whether something that is in the tree is replaced, removed or configured.
    pub changes_others: bool,
    /// What the packages are.
    pub archives: Vec<Archive>,
}

/// The packages that apt would have had dpkg configure by name, in that order. Those that are left
/// dpkg would have configured at the end, in an order of its own.
///
/// # Errors
/// When apt's notes cannot be read.
pub(super) fn configured(settings: &Settings) -> Result<Vec<String>, InstallError> {
    let mut names = Vec::new();
    for call in calls(&read(&settings.calls)?) {
        let mut words = call.into_iter().skip_while(|word| word != "--configure");
        words.next();
        names.extend(words.filter(|word| !word.starts_with('-')));
    }
    Ok(names)
}

/// The calls that apt would have made of dpkg, without those that only ask what dpkg can do, and
/// without the words that tell dpkg how to report to apt.
pub(super) fn calls(text: &[u8]) -> Vec<Vec<String>> {
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

pub(super) fn chosen(settings: &Settings) -> Result<Choice, InstallError> {
    if !settings.list.exists() {
        // Everything is there already.
        return Ok(Choice::default());
    }
    let text = read(&settings.list)?;
    Ok(parse(&String::from_utf8_lossy(&text)))
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, InstallError> {
    fs::read(path).map_err(|source| InstallError::Prepare {
        path: path.to_owned(),
        source,
    })
}

/// Reads the third version of what apt tells programs before it installs (apt.conf(5),
/// `DPkg::Tools::options`): after an empty line, one line for each step of each package.
pub(super) fn parse(text: &str) -> Choice {
    let steps = text.split_once("\n\n").map_or("", |(_, steps)| steps);
    let mut choice = Choice::default();
    for line in steps.lines() {
        let words: Vec<&str> = line.splitn(9, ' ').collect();
        let [name, before, _, _, _, version, architecture, _, path] = words.as_slice() else {
            continue;
        };
        choice.changes_others |= *before != "-";
        if path.starts_with('/') {
            choice.packages.push(Chosen {
                name: (*name).to_owned(),
                version: (*version).to_owned(),
                architecture: (*architecture).to_owned(),
                path: PathBuf::from(path),
            });
        }
    }
    choice
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_apt_tells() {
        let choice = parse(
            "VERSION 3\nAPT::Architecture=amd64\n\n\
             libc6 - - none < 2.36-9 amd64 same /cache/with space/libc6.deb\n\
             libc6 - - none < 2.36-9 amd64 same **CONFIGURE**\n\
             old 1 amd64 none > - - none **REMOVE**\n",
        );
        assert!(choice.changes_others);
        assert_eq!(
            choice.packages,
            [Chosen {
                name: "libc6".into(),
                version: "2.36-9".into(),
                architecture: "amd64".into(),
                path: "/cache/with space/libc6.deb".into(),
            }]
        );
    }

    #[test]
    fn reads_what_apt_would_have_told_dpkg() {
        let calls = calls(
            b"--assert-multi-arch\0\n--status-fd\09\0--no-triggers\0--unpack\0/c/a b.deb\0\n\
              --status-fd\09\0--configure\0--pending\0\n",
        );
        assert_eq!(calls.len(), 2);
        assert_eq!(calls[0], ["--no-triggers", "--unpack", "/c/a b.deb"]);
        assert_eq!(calls[1], ["--configure", "--pending"]);
    }
}
