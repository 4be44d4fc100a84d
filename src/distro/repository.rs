//! What is true of a distribution's repositories, whichever way packages are installed from them.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use super::RpmRepositories;
use super::{ApkRepositories, PacmanRepositories, SwupdContent};

/// Where packages come from, as the distribution's package manager understands it.
#[derive(Clone, Debug, Serialize)]
pub enum Repositories {
    /// For apt.
    Apt(AptRepositories),
    /// For dnf, yum and zypper.
    Rpm(RpmRepositories),
    /// For pacman.
    Pacman(PacmanRepositories),
    /// For apk.
    Apk(ApkRepositories),
    /// For swupd.
    Swupd(SwupdContent),
}

impl Repositories {
    /// Everything about them that decides what is installed, as pairs of a name and its value; files
    /// that count by their content are [`Repositories::key_files`].
    #[must_use]
    pub fn described(&self) -> Vec<(String, String)> {
        match self {
            Self::Apt(apt) => {
                let all = [("", &apt.sources), (" of the image", &apt.image_sources)];
                let numbered = all.into_iter().flat_map(|(whose, sources)| {
                    let line = move |(nth, source): (usize, &Source)| {
                        (format!("repository {}{whose}", nth + 1), source.line(true))
                    };
                    sources.iter().enumerate().map(line)
                });
                let merged = ("merged /usr".to_owned(), format!("{:?}", apt.merged_usr));
                numbered.chain([merged]).collect()
            }
            Self::Rpm(rpm) => rpm.described(),
            Self::Pacman(pacman) => pacman.described(),
            Self::Apk(apk) => apk.described(),
            Self::Swupd(swupd) => swupd.described(),
        }
    }

    /// What the host lacks of the keys that sign packages or repositories, if anything.
    #[must_use]
    pub fn missing_key(&self) -> Option<PathBuf> {
        match self {
            Self::Apt(apt) => apt.keyrings.iter().find(|path| !path.exists()).cloned(),
            // Only one of the places where hosts may have them counts.
            Self::Pacman(PacmanRepositories {
                key_files: files, ..
            })
            | Self::Swupd(SwupdContent {
                certificates: files,
                ..
            }) => {
                let has_any = files.iter().any(|path| path.exists());
                files.first().filter(|_| !has_any).cloned()
            }
            // They can be fetched, and only the tree tells which it brings.
            Self::Rpm(_) => None,
            // Only those that are there are known.
            Self::Apk(apk) => {
                let lacks = apk.check_keys && apk.key_files.is_empty();
                lacks.then(|| PathBuf::from(super::alpine::KEYS))
            }
        }
    }

    /// Files of the host with the keys that sign packages or repositories.
    #[must_use]
    pub fn key_files(&self) -> &[PathBuf] {
        match self {
            Self::Apt(apt) => &apt.keyrings,
            Self::Rpm(rpm) => &rpm.key_files,
            Self::Pacman(pacman) => &pacman.key_files,
            Self::Apk(apk) => &apk.key_files,
            Self::Swupd(swupd) => &swupd.certificates,
        }
    }
}

/// Repositories of Debian and its like.
#[derive(Clone, Debug, Serialize)]
pub struct AptRepositories {
    /// Those that are used while building.
    pub sources: Vec<Source>,
    /// Those that the image itself is set up with.
    pub image_sources: Vec<Source>,
    /// Keyrings of the host that sign them.
    pub keyrings: Vec<PathBuf>,
    /// How `/bin` and its like become links into `/usr`.
    pub merged_usr: MergedUsr,
}

/// One line of sources.list(5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Base address of the repository.
    pub uri: String,
    /// Suite, for instance `bookworm-updates`.
    pub suite: String,
    /// Components, for instance `main`.
    pub components: Vec<String>,
    /// Keyring inside the image that the repository must be signed with, when not any trusted one.
    pub signed_by: Option<String>,
    /// Signatures are not checked.
    pub trusted: bool,
}

impl Source {
    /// The line, with the keyring only where `with_keyring` says so: while building, the keys come
    /// from the host under another path.
    #[must_use]
    pub fn line(&self, with_keyring: bool) -> String {
        let mut options = Vec::new();
        if self.trusted {
            options.push("trusted=yes".to_owned());
        }
        if let (true, Some(keyring)) = (with_keyring, &self.signed_by) {
            options.push(format!("signed-by={keyring}"));
        }
        let mut line = String::from("deb ");
        if !options.is_empty() {
            let _ = write!(line, "[{}] ", options.join(" "));
        }
        let _ = write!(
            line,
            "{} {} {}",
            self.uri,
            self.suite,
            self.components.join(" ")
        );
        line
    }
}

/// How a release gets `/bin`, `/sbin` and `/lib*` as links into `/usr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum MergedUsr {
    /// Its packages bring the links.
    Packages,
    /// The installer makes them, as debootstrap does for this release.
    Links,
    /// The installer makes them, and the package `usr-is-merged` says so. Without it apt installs
    /// `usrmerge` with perl and its modules only to convert a tree that needs no conversion.
    LinksAndPackage,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_lines() {
        let mut source = Source {
            uri: "http://deb.debian.org/debian".into(),
            suite: "bookworm".into(),
            components: vec!["main".into(), "contrib".into()],
            signed_by: Some("/usr/share/keyrings/debian-archive-keyring.gpg".into()),
            trusted: false,
        };
        assert_eq!(
            source.line(true),
            "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] \
             http://deb.debian.org/debian bookworm main contrib"
        );
        assert_eq!(
            source.line(false),
            "deb http://deb.debian.org/debian bookworm main contrib"
        );
        source.trusted = true;
        assert!(source.line(false).starts_with("deb [trusted=yes] http"));
    }
}
