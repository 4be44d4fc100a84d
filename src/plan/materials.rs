//! What of a project's and the host's files goes into an image, for its manifest.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::{Action, Plan, PlanError, source_trees};
use crate::host::{Cancel, hex};
use crate::output::{self, MaterialKind};
use crate::scripts::{Function, Text};
use crate::tree::{Root, TreeError};

/// A file or a tree of files. What merely differs from host to host does not count: places, times, who
/// built. Secrets are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Material {
    /// What it is for.
    pub kind: MaterialKind,
    /// Where it is.
    pub path: PathBuf,
    /// The SHA-256 of a file, or over everything that counts of a tree, in hexadecimal.
    pub sha256: String,
    /// The git commit that was checked out.
    pub commit: Option<String>,
}

impl Material {
    pub(super) fn new(kind: MaterialKind, path: &Path, sha256: String) -> Self {
        Self {
            kind,
            path: path.to_owned(),
            sha256,
            commit: None,
        }
    }

    fn of_tree(kind: MaterialKind, path: &Path, cancel: &Cancel) -> Result<Self, PlanError> {
        let files = source_trees::describe(path, cancel)?;
        Ok(Self::new(kind, path, source_trees::digest(&files)))
    }

    fn of_file(kind: MaterialKind, path: &Path) -> Result<Option<Self>, PlanError> {
        Ok(file_digest(path)?.map(|digest| Self::new(kind, path, digest)))
    }

    /// Sources of a git working tree in `path`, which were copied to `inside` in an image.
    ///
    /// # Errors
    /// When the copy cannot be read.
    pub fn of_sources(
        path: &Path,
        commit: Option<String>,
        root: &Root,
        inside: &Path,
        cancel: &Cancel,
    ) -> Result<Self, TreeError> {
        let files = source_trees::describe_checked_out(root, inside, cancel)?;
        let digest = source_trees::digest(&files);
        Ok(Self {
            commit,
            ..Self::new(MaterialKind::Sources, path, digest)
        })
    }

    /// As the manifest has it, with a name that is the same wherever the directory `project` is.
    #[must_use]
    pub fn named(&self, project: &Path) -> output::Material {
        let is_above = |path: &Path| path.components().any(|part| part == Component::ParentDir);
        let inside = self.path.strip_prefix(project).ok();
        let name = match inside.filter(|path| !is_above(path)) {
            Some(path) if path.as_os_str().is_empty() => Path::new("."),
            Some(path) => path,
            None => {
                let last = self.path.components().next_back();
                last.map_or(Path::new(""), |part| Path::new(part.as_os_str()))
            }
        };
        output::Material {
            kind: self.kind,
            name: source_trees::shown(name),
            sha256: self.sha256.clone(),
            commit: self.commit.clone(),
        }
    }
}

/// Adds what is not there yet: a script of both phases is one.
pub fn add_material(material: Material, to: &mut Vec<Material>) {
    if !to.contains(&material) {
        to.push(material);
    }
}

impl Action {
    /// What it brings into the image, if it is known beforehand.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn material(&self, cancel: &Cancel) -> Result<Option<Material>, PlanError> {
        use MaterialKind as Kind;
        let (kind, file) = match self {
            Self::CopySkeleton(tree) => {
                return Material::of_tree(Kind::SkeletonTree, &tree.path, cancel).map(Some);
            }
            Self::CopyExtra(tree) => {
                return Material::of_tree(Kind::ExtraTree, &tree.path, cancel).map(Some);
            }
            Self::Prepare(script) => (Kind::PrepareScript, &script.path),
            Self::Build(run) => (Kind::BuildScript, &run.script.script.path),
            Self::Postinst(script) => (Kind::PostinstScript, &script.path),
            Self::Finalize(script) => (Kind::FinalizeScript, &script.path),
            Self::RunFunction(Function {
                text: Text::File(path),
                ..
            }) => (Kind::ShellFile, path),
            Self::RenderTemplates(templates) => match &templates.shell_file {
                Some(path) => (Kind::ShellFile, path),
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        Material::of_file(kind, file)
    }
}

impl Plan {
    /// Whether somebody wants to know what went in.
    #[must_use]
    pub fn names_materials(&self) -> bool {
        let mut actions = self.steps.iter().map(|step| &step.action);
        actions.any(|action| matches!(action, Action::WriteManifest(_)))
    }
}

/// SHA-256 of a file, in hexadecimal; nothing of a file that is missing: who needs it says so.
pub(super) fn file_digest(path: &Path) -> Result<Option<String>, PlanError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(hex(&Sha256::digest(bytes)))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(PlanError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

#[cfg(test)]
#[path = "materials_tests.rs"]
mod tests;
