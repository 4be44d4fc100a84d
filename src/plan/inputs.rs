//! Everything that decides what is in a layer, by name.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Action, Layer, PlanError, source_trees};
use crate::host::hex;
use crate::installer::Request;
use crate::scripts::Script;

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

/// The inputs of a layer, in the order in which they count.
///
/// # Errors
/// When a file that goes into the layer cannot be read.
pub(super) fn inputs(layer: &Layer) -> Result<Vec<Input>, PlanError> {
    let mut inputs = Vec::new();
    if let Some(base) = &layer.from {
        inputs.push(base.input()?);
    }
    let mut skeletons = 0;
    for action in &layer.actions {
        match action {
            // Described with the installation.
            Action::PrepareTree(_) => {}
            Action::CopySkeleton(tree) => {
                skeletons += 1;
                inputs.push(Input {
                    name: format!("SkeletonTrees, number {skeletons}"),
                    value: tree.shown(),
                    files: source_trees::describe(&tree.path)?,
                });
            }
            // They are among the files of the skeleton trees; that they count is one more input.
            Action::ApplyPatches(_) => inputs.push(Input::new("patches", "applied")),
            Action::RenderTemplates(templates) => {
                inputs.push(Input::new("templates", "rendered"));
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
            Action::Prepare(script) => prepare(script, &mut inputs)?,
            // Nothing else is done before a tree is kept; what is described here in full is right
            // also when that changes.
            other => inputs.push(Input::new(
                other.title(),
                serde_json::to_string(other).unwrap_or_default(),
            )),
        }
    }
    Ok(inputs)
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
        add(&name, content(keyring)?);
    }
    Ok(())
}

fn prepare(script: &Script, inputs: &mut Vec<Input>) -> Result<(), PlanError> {
    inputs.push(Input::new("PrepareScript", content(&script.path)?));
    environment(&script.environment, inputs);
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
fn content(path: &Path) -> Result<String, PlanError> {
    match fs::read(path) {
        Ok(bytes) => Ok(format!("sha256 {}", hex(&Sha256::digest(bytes)))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok("missing".to_owned()),
        Err(source) => Err(PlanError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}
