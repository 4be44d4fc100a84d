//! Everything about each file of trees that packages made, and where two such trees differ.
#![allow(dead_code, clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use mkosi::config::values::Distribution;
use mkosi::distro::{AptRepositories, MergedUsr, Repositories, Source};
use mkosi::installer::Request;
use sha2::{Digest as _, Sha256};

/// Which times of files are compared; those of an installation itself are never the same.
#[derive(Clone, Copy)]
pub enum Times {
    None,
    /// Times of last change before this one, of everything but directories.
    Before(SystemTime),
}

/// Everything about each file that must be the same.
fn tree(root: &Path, times: Times) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for entry in walkdir::WalkDir::new(root).min_depth(1) {
        let entry = entry.unwrap();
        let meta = entry.metadata().unwrap();
        let kind = meta.file_type();
        let content = if kind.is_file() {
            let content = fs::read(entry.path()).unwrap();
            format!("{} links, {:x}", meta.nlink(), Sha256::digest(content))
        } else if kind.is_symlink() {
            format!("-> {}", fs::read_link(entry.path()).unwrap().display())
        } else if kind.is_char_device() || kind.is_block_device() {
            format!("device {}", meta.rdev())
        } else {
            String::new()
        };
        let mut names = vec![0; 4096];
        let length = rustix::fs::llistxattr(entry.path(), &mut names).unwrap_or(0);
        let mut attributes: Vec<String> = names[..length]
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty())
            .map(|name| {
                let name = String::from_utf8_lossy(name).into_owned();
                let mut value = vec![0; 4096];
                let length = rustix::fs::lgetxattr(entry.path(), &name, &mut value).unwrap();
                format!("{name}={:?}", &value[..length])
            })
            .collect();
        attributes.sort();
        // Written again or not, triggers are the same.
        let is_note = entry.path().parent().unwrap().ends_with("dpkg/triggers");
        let time = match times {
            Times::Before(then)
                if !kind.is_dir() && !is_note && meta.modified().unwrap() < then =>
            {
                format!(" at {}", meta.mtime())
            }
            _ => String::new(),
        };
        found.insert(
            entry.path().strip_prefix(root).unwrap().to_owned(),
            format!(
                "{:o} {}:{} {content} {attributes:?}{time}",
                meta.mode(),
                meta.uid(),
                meta.gid()
            ),
        );
    }
    found
}

/// Where trees differ, but for these paths; one star in a path stands for anything.
pub fn differences(ours: &Path, theirs: &Path, times: Times, but_for: &[&str]) -> Vec<String> {
    let excused = |path: &Path| {
        let path = path.to_string_lossy();
        but_for.iter().any(|entry| match entry.split_once('*') {
            Some((start, end)) => path
                .strip_prefix(start)
                .is_some_and(|rest| rest.ends_with(end)),
            None => path == *entry,
        })
    };
    let (ours, theirs) = (tree(ours, times), tree(theirs, times));
    let mut differences = Vec::new();
    for path in ours.keys().chain(theirs.keys()) {
        let (a, b) = (ours.get(path), theirs.get(path));
        if a != b && !excused(path) {
            differences.push(format!(
                "{}\n  ours   {a:?}\n  theirs {b:?}",
                path.display()
            ));
        }
    }
    differences.sort();
    differences.dedup();
    differences
}

/// Packages of bookworm, from Debian's servers.
pub fn bookworm(packages: &[&str]) -> Request {
    let source = Source {
        uri: "http://deb.debian.org/debian".to_owned(),
        suite: "bookworm".to_owned(),
        components: vec!["main".to_owned()],
        signed_by: None,
        trusted: false,
    };
    Request {
        distribution: Distribution::Debian,
        release: "bookworm".to_owned(),
        architecture: "amd64".to_owned(),
        packages: packages.iter().map(|name| (*name).to_owned()).collect(),
        excluded: Vec::new(),
        repositories: Repositories::Apt(AptRepositories {
            sources: vec![source],
            image_sources: Vec::new(),
            keyrings: vec!["/usr/share/keyrings/debian-archive-keyring.gpg".into()],
            merged_usr: MergedUsr::LinksAndPackage,
        }),
        with_docs: false,
        with_changelogs: false,
        skip_initrds: false,
        cache: Some(crate::support::package_cache()),
        lock: None,
    }
}
