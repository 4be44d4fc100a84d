//! What names a layer: a hash over everything that decides what is in it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::inputs::{Input, inputs};
use super::texts::Texts;
use super::{Layer, LayerKind, Material, PlanError};
use crate::host::Cancel;

/// Changes when this program makes other trees of the same inputs, or keeps them in another way.
pub const LAYER_FORMAT: u32 = 1;

/// SHA-256 over the inputs of a layer and of those below it, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Reads what [`Display`](fmt::Display) shows; `None` for any other text.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (text.len() == 64 && text.bytes().all(hex)).then(|| Self(text.to_owned()))
    }

    /// The 64 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a layer is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerIdentity {
    /// Which tree it makes.
    pub kind: LayerKind,
    /// Its name.
    pub fingerprint: Fingerprint,
    /// The layer that it lies on.
    pub parent: Option<Fingerprint>,
    /// What its name comes from, besides the layer that it lies on.
    pub inputs: Vec<Input>,
    /// Those of the inputs that are the project's or the host's files, in the order in which they go in.
    pub materials: Vec<Material>,
}

/// What each of `layers`, the lowest first, is made from. `common` are inputs of all of them that
/// the host decides, such as the package manager's version.
///
/// # Errors
/// When a file that goes into a layer cannot be read.
pub fn identify(
    layers: &[Layer],
    common: &[Input],
    cancel: &Cancel,
) -> Result<Vec<LayerIdentity>, PlanError> {
    let mut identities: Vec<LayerIdentity> = Vec::with_capacity(layers.len());
    for layer in layers {
        let (mut its, materials) = inputs(layer, cancel)?;
        its.extend(common.iter().cloned());
        its.push(Input::new(
            "format of cached images",
            LAYER_FORMAT.to_string(),
        ));
        let parent = identities.last().map(|below| below.fingerprint.clone());
        identities.push(LayerIdentity {
            kind: layer.kind,
            fingerprint: fingerprint(layer.kind, parent.as_ref(), &its),
            parent,
            inputs: its,
            materials,
        });
    }
    Ok(identities)
}

fn fingerprint(kind: LayerKind, parent: Option<&Fingerprint>, inputs: &[Input]) -> Fingerprint {
    let mut texts = Texts::default();
    let mut add = |text: &str| texts.add(text);
    add(kind.name());
    add(parent.map_or("", Fingerprint::as_str));
    for input in inputs {
        add(&input.name);
        add(&input.value);
        add(&input.files.len().to_string());
        for (path, file) in &input.files {
            add(path);
            add(file);
        }
    }
    Fingerprint(texts.finish())
}

#[cfg(test)]
#[path = "fingerprint_tests.rs"]
mod tests;
