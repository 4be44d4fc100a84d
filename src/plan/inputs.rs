//! Everything that decides what is in a layer, by name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::materials::file_digest;
use super::{Action, Layer, Material, PlanError, source_trees};
use crate::host::Cancel;
use crate::installer::Request;
use crate::output::MaterialKind;

/// One thing that decides what is in a layer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// What it is, unique in its layer.
    pub name: String,
    /// Its value, or what stands for it.
    pub value: String,
    /// Of a tree of files: what each of them is, by its path in the tree.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
}

impl Input {
    /// An input that one text describes.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
            files: BTreeMap::new(),
        }
    }
}

/// The inputs of a layer, in the order in which they count, and those of them that are the project's or the
/// host's files.
///
/// # Errors
/// When a file that goes into the layer cannot be read.
pub(super) fn inputs(
    layer: &Layer,
    cancel: &Cancel,
) -> Result<(Vec<Input>, Vec<Material>), PlanError> {
    let mut inputs = Vec::new();
    let mut materials = Vec::new();
    if let Some(base) = &layer.from {
        let material = base.material(cancel)?;
        inputs.push(base.input(&material, cancel)?);
        materials.push(material);
    }
    let mut skeletons = 0;
    for action in &layer.actions {
        match action {
            // Described with the installation.
            Action::PrepareTree(_) => {}
            Action::CopySkeleton(tree) => {
                skeletons += 1;
                let files = source_trees::describe(&tree.path, cancel)?;
                materials.push(Material::new(
                    MaterialKind::SkeletonTree,
                    &tree.path,
                    source_trees::digest(&files),
                ));
                inputs.push(Input {
                    name: format!("SkeletonTrees, number {skeletons}"),
                    value: tree.shown(),
                    files,
                });
            }
            // They are among the files of the skeleton trees; that they count is one more input.
            Action::ApplyPatches(_) => inputs.push(Input::new("patches", "applied")),
            Action::RenderTemplates(templates) => {
                inputs.push(Input::new("templates", "rendered"));
                if let Some(path) = &templates.shell_file {
                    // What it sets is theirs, whether it is a setting or not.
                    let digest = file_digest(path)?;
                    inputs.push(Input::new("shell file", content(digest.as_deref())));
                    let material = |sum| Material::new(MaterialKind::ShellFile, path, sum);
                    materials.extend(digest.map(material));
                }
                environment(&templates.environment, &mut inputs);
            }
            Action::Install(request) | Action::ExtendBase(request) => {
                inputs.push(Input::new("Packages", request.packages.join(" ")));
                installation(request, &mut inputs)?;
            }
            Action::AddPackages(request) => {
                inputs.push(Input::new("BuildPackages", request.packages.join(" ")));
                installation(request, &mut inputs)?;
            }
            Action::Prepare(script) => {
                let digest = file_digest(&script.path)?;
                inputs.push(Input::new("PrepareScript", content(digest.as_deref())));
                environment(&script.environment, &mut inputs);
                let material = |sum| Material::new(MaterialKind::PrepareScript, &script.path, sum);
                materials.extend(digest.map(material));
            }
            // Nothing else is done before a tree is kept; what is described here in full is right
            // also when that changes.
            other => inputs.push(Input::new(
                other.title(),
                serde_json::to_string(other).unwrap_or_default(),
            )),
        }
    }
    Ok((inputs, materials))
}

/// What the package manager is asked for, besides the packages.
fn installation(request: &Request, inputs: &mut Vec<Input>) -> Result<(), PlanError> {
    let mut add = |name: &str, value: String| inputs.push(Input::new(name, value));
    add("packages left out", request.excluded.join(" "));
    add("Distribution", request.distribution.shown().to_owned());
    add("Release", request.release.clone());
    add("Architecture", request.architecture.clone());
    add("WithDocs", yes_or_no(request.with_docs));
    add("change logs", yes_or_no(request.with_changelogs));
    add(
        "initrds of kernel packages",
        yes_or_no(!request.skip_initrds),
    );
    for (name, value) in request.repositories.described() {
        add(&name, value);
    }
    if let Some(lock) = &request.lock {
        add("the lock of packages", lock.digest());
    }
    for keyring in request.repositories.key_files() {
        let name = format!("keyring {}", source_trees::shown(keyring));
        add(&name, content(file_digest(keyring)?.as_deref()));
    }
    Ok(())
}

fn environment(variables: &[(String, String)], inputs: &mut Vec<Input>) {
    for (name, value) in variables {
        let input = Input::new(format!("Environment, {name}"), value);
        // Templates and the script have the same.
        if !inputs.contains(&input) {
            inputs.push(input);
        }
    }
}

fn yes_or_no(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

/// What stands for a file's content; a missing file is one, too: who needs it says so.
fn content(digest: Option<&str>) -> String {
    digest.map_or_else(|| "missing".to_owned(), |digest| format!("sha256 {digest}"))
}
