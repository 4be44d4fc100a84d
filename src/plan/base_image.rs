//! The image that a build begins from in place of an empty tree.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::inputs::Input;
use super::{PlanError, source_trees};
use crate::config::Config;
use crate::config::values::Distribution;
use crate::disk::data_extents;
use crate::host::Cancel;
use crate::host::hex;
use crate::installer::Request;
use crate::tree;

/// An image that a build begins from, and what it should be.
#[derive(Clone, Debug, Serialize)]
pub struct BaseImage {
    /// A directory, an archive, or a disk image.
    pub path: PathBuf,
    /// The distribution that packages come from.
    pub distribution: Distribution,
    /// Its release, by the name in the repositories.
    pub release: String,
    /// The kernel's name of the architecture.
    pub architecture: String,
}

impl BaseImage {
    /// The base image of a configuration, if it has one.
    pub(super) fn of(config: &Config, request: &Request) -> Option<Self> {
        Some(Self {
            path: config.base_image.clone()?,
            distribution: config.distribution,
            release: request.release.clone(),
            architecture: config.architecture.as_str().to_owned(),
        })
    }

    /// What is shown while it is opened.
    #[must_use]
    pub fn title(&self) -> String {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str());
        let name = source_trees::shown(Path::new(name));
        format!("Opening the base image {name}")
    }

    /// What stands for its content in the name of a layer on top of it.
    pub(super) fn input(&self) -> Result<Input, PlanError> {
        let failed = |source| PlanError::Read {
            path: self.path.clone(),
            source,
        };
        let value = if fs::metadata(&self.path).map_err(failed)?.is_dir() {
            directory(&self.path)?
        } else {
            file(&self.path).map_err(failed)?
        };
        Ok(Input::new("BaseImage", value))
    }
}

/// Names, kinds, owners, modes and times, and contents: times alone do not tell where they are clamped.
fn directory(path: &Path) -> Result<String, PlanError> {
    let survey = tree::survey(path, &Cancel::default()).map_err(|error| PlanError::Read {
        path: path.to_owned(),
        source: io::Error::other(error.to_string()),
    })?;
    let mut hash = Sha256::new();
    hash.update(survey.digest);
    for (path, text) in source_trees::describe(path)? {
        for text in [path, text] {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
    }
    let digest = hex(&hash.finalize());
    Ok(format!("directory of {} entries, {digest}", survey.entries))
}

/// The data of a file and where it is: the holes of a disk image are not read.
fn file(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    for extent in data_extents(&file, 0, size)? {
        hash.update(extent.start.to_le_bytes());
        hash.update(extent.end.to_le_bytes());
        let mut at = extent.start;
        while at < extent.end {
            let length = usize::try_from(extent.end - at).unwrap_or(usize::MAX);
            let part = &mut buffer[..length.min(1 << 20)];
            file.read_exact_at(part, at)?;
            hash.update(&*part);
            at += part.len() as u64;
        }
    }
    let digest = hex(&hash.finalize());
    Ok(format!("file of {size} bytes, {digest}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn value(path: &Path) -> String {
        let base = BaseImage {
            path: path.to_owned(),
            distribution: Distribution::Debian,
            release: "bookworm".into(),
            architecture: "x86_64".into(),
        };
        base.input().unwrap().value
    }

    #[test]
    fn a_change_that_keeps_the_time_shows() {
        let dir = tempfile::tempdir().unwrap();
        let name = dir.path().join("etc/hostname");
        fs::create_dir(dir.path().join("etc")).unwrap();
        let write = |text: &str, mode| {
            fs::write(&name, text).unwrap();
            fs::set_permissions(&name, fs::Permissions::from_mode(mode)).unwrap();
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
            File::options()
                .write(true)
                .open(&name)
                .and_then(|file| file.set_modified(time))
                .unwrap();
            value(dir.path())
        };
        let first = write("one", 0o644);
        assert!(first.starts_with("directory of 3 entries, "), "{first}");
        assert_eq!(first, write("one", 0o644));
        assert_ne!(first, write("two", 0o644));
        assert_ne!(first, write("one", 0o600));
    }

    #[test]
    fn a_file_is_its_bytes_and_its_length() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image.raw");
        fs::write(&path, "one").unwrap();
        let one = value(&path);
        fs::write(&path, "two").unwrap();
        assert_ne!(one, value(&path));
        fs::write(&path, "one").unwrap();
        assert_eq!(one, value(&path));
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(1 << 20)
            .unwrap();
        assert_ne!(one, value(&path));
    }
}
