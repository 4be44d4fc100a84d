//! The image that a build begins from in place of an empty tree.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::inputs::Input;
use super::texts::Texts;
use super::{Material, PlanError, source_trees};
use crate::config::Config;
use crate::config::values::Distribution;
use crate::host::{Cancel, hex};
use crate::installer::Request;
use crate::output::MaterialKind;
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

    /// What is in it, wherever it is kept.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn material(&self, cancel: &Cancel) -> Result<Material, PlanError> {
        let files = source_trees::describe_owned(&self.path, cancel)?;
        let digest = source_trees::digest(&files);
        Ok(Material::new(MaterialKind::BaseImage, &self.path, digest))
    }

    /// What stands for it in the name of a layer on top of it, where `material` is in it.
    pub(super) fn input(&self, material: &Material, cancel: &Cancel) -> Result<Input, PlanError> {
        let meta = fs::metadata(&self.path).map_err(|source| PlanError::Read {
            path: self.path.clone(),
            source,
        })?;
        let content = &material.sha256;
        let value = if meta.is_dir() {
            directory(&self.path, content, cancel)?
        } else {
            format!("file of {} bytes, {content}", meta.len())
        };
        Ok(Input::new("BaseImage", value))
    }
}

/// Times, too, and the content: times alone do not tell where they are clamped.
fn directory(path: &Path, content: &str, cancel: &Cancel) -> Result<String, PlanError> {
    let survey = tree::survey(path, cancel).map_err(|error| PlanError::Read {
        path: path.to_owned(),
        source: io::Error::other(error.to_string()),
    })?;
    let mut texts = Texts::default();
    texts.add(&hex(&survey.digest));
    texts.add(content);
    let digest = texts.finish();
    Ok(format!("directory of {} entries, {digest}", survey.entries))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn value(path: &Path) -> String {
        let base = BaseImage {
            path: path.to_owned(),
            distribution: Distribution::Debian,
            release: "bookworm".into(),
            architecture: "x86_64".into(),
        };
        let cancel = Cancel::default();
        let material = base.material(&cancel).unwrap();
        base.input(&material, &cancel).unwrap().value
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
