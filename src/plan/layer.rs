//! The trees with the packages: what a build begins from, and what can be kept for the next one.

use serde::{Deserialize, Serialize};

use super::adapt;
use super::packages::Requests;
use super::phases::{script, trees};
use super::{Action, BaseImage, Phase};
use crate::config::Config;

/// Which tree a layer makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LayerKind {
    /// The one that the final image is made from.
    Base,
    /// On top of it, what only the build script needs.
    Development,
}

impl LayerKind {
    /// Its name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Development => "development",
        }
    }
}

/// A tree that depends on nothing but the inputs of its actions, and on the layer below it.
#[derive(Debug)]
pub struct Layer {
    /// Which tree it makes.
    pub kind: LayerKind,
    /// The image that it lies on; only for the lowest.
    pub from: Option<BaseImage>,
    /// What is done to make it.
    pub actions: Vec<Action>,
}

/// The layers of a configuration, the lowest first.
pub(super) fn layers(config: &Config, requests: Requests) -> Vec<Layer> {
    if config.project.image_sh().is_some() {
        // Nobody knows what its functions depend on.
        return Vec::new();
    }
    let mut layers = vec![Layer {
        kind: LayerKind::Base,
        from: BaseImage::of(config, &requests.base),
        actions: base(config, &requests),
    }];
    if let Some(request) = requests.development {
        let mut actions = Vec::new();
        if !request.packages.is_empty() {
            actions.push(Action::AddPackages(request));
        }
        actions.extend(prepare(config, "build"));
        if !actions.is_empty() {
            layers.push(Layer {
                kind: LayerKind::Development,
                from: None,
                actions,
            });
        }
    }
    layers
}

fn base(config: &Config, requests: &Requests) -> Vec<Action> {
    let request = &requests.base;
    let skeletons = trees(&config.skeleton_trees).map(Action::CopySkeleton);
    let adapted = adapt::adapt_skeleton(config);
    let mut actions = Vec::new();
    if config.base_image.is_some() {
        actions.extend(skeletons);
        actions.extend(adapted);
        if !request.packages.is_empty() {
            actions.push(Action::ExtendBase(request.clone()));
        }
    } else {
        actions.push(Action::PrepareTree(request.clone()));
        actions.extend(skeletons);
        actions.extend(adapted);
        actions.push(Action::Install(request.clone()));
    }
    actions.extend(prepare(config, "final"));
    actions
}

fn prepare(config: &Config, argument: &'static str) -> Option<Action> {
    let path = config.prepare_script.as_ref()?;
    let mut script = script(config, path, argument);
    // Its purpose is to fetch what the package manager cannot.
    script.network = true;
    Some(Action::Prepare(script))
}

impl Phase {
    /// The layers that the phase begins from, of all that a plan has.
    #[must_use]
    pub fn layers(self, layers: &[Layer]) -> usize {
        match self {
            Self::Development => layers.len(),
            Self::Final => layers.len().min(1),
        }
    }
}
