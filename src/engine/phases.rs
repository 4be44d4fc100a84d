//! The trees of both phases: which lies on which, and what is done to each.

use std::path::{Path, PathBuf};

use super::base_image::BaseTree;
use super::layers::{self, Layers};
use super::run::{BuildError, perform};
use super::site::Site;
use super::working_tree::WorkingTree;
use super::{Caching, EngineError, Progress, StepError, Workspace, observe};
use crate::host::{self, Host};
use crate::plan::{Action, LayerKind, Phase, add_material};

/// Runs everything that the plan holds.
pub(super) fn run(
    workspace: &Workspace,
    site: &mut Site<'_>,
    host: &Host,
    progress: &Progress,
) -> Result<(), BuildError> {
    match site.build.caching {
        Some(caching) if !site.build.plan.layers.is_empty() => {
            on_cached_layers(caching, workspace, site, host, progress)
        }
        _ => on_new_layers(workspace, site, host, progress),
    }
}

/// Both trees lie on layers that are never written to.
fn on_cached_layers(
    caching: &Caching,
    workspace: &Workspace,
    site: &mut Site<'_>,
    host: &Host,
    progress: &Progress,
) -> Result<(), BuildError> {
    let build = site.build;
    let plan = build.plan;
    let identities = layers::identities(plan, build.context, build.installer, host)
        .map_err(|source| failed("Looking at what the image is made from", source))?;
    caching.store.prepare(host.report.as_ref())?;
    let layer_steps = layers::expected_steps(&caching.store, &plan.layers, &identities);
    let opening = usize::from(plan.base_image().is_some());
    let others = opening + observe::steps(build) + 1;
    progress.build_begun(layer_steps + plan.steps.len() + others);
    if build.observe {
        observe::layers(&caching.store, &identities, build, host, progress);
    }
    let base = open_base(workspace, site, host, progress)?;
    let overlays = WorkingTree::can_be_overlay(&workspace.directory("overlay")?, host)
        .map_err(|source| failed("Trying an overlay", source))?;
    let layers = Layers::obtain(caching, &identities, overlays, site, host, progress)?;
    if plan.names_materials() {
        let mut materials = Vec::new();
        for material in identities.into_iter().flat_map(|layer| layer.materials) {
            add_material(material, &mut materials);
        }
        site.materials = Some(materials);
    }
    for phase in [Phase::Development, Phase::Final] {
        if plan.phase(phase).next().is_some() {
            let lowers = layers.lowers(phase.layers(&plan.layers));
            on_top(&lowers, phase, &[], workspace, site, host, progress)?;
        }
    }
    close_base(base)
}

/// The base is made where the final image is, and has the development tree on top of it until that
/// has done its work.
fn on_new_layers(
    workspace: &Workspace,
    site: &mut Site<'_>,
    host: &Host,
    progress: &Progress,
) -> Result<(), BuildError> {
    let plan = site.build.plan;
    let opening = usize::from(plan.base_image().is_some());
    let others = opening + observe::steps(site.build) + 1;
    progress.build_begun(plan.actions().count() + others);
    site.materials = plan.names_materials().then(Vec::new);
    let base = open_base(workspace, site, host, progress)?;
    let on_base = match &base {
        Some(base) => Some(
            WorkingTree::over(&[base.path()], &workspace.directory("on-base")?, host)
                .map_err(|source| failed("Making a tree on top of the base image", source))?,
        ),
        None => None,
    };
    let tree = match &on_base {
        Some(tree) => tree.path().to_owned(),
        None => workspace.directory("tree")?,
    };
    site.tree.clone_from(&tree);
    progress.phase(LayerKind::Base.name());
    let (lowest, above) = plan.layers.split_at(plan.layers.len().min(1));
    for action in lowest.iter().flat_map(|layer| &layer.actions) {
        perform(action, site, host, progress)?;
    }
    let above: Vec<&Action> = above.iter().flat_map(|layer| &layer.actions).collect();
    let phase = Phase::Development;
    if !above.is_empty() || plan.phase(phase).next().is_some() {
        let lowers = std::slice::from_ref(&tree);
        on_top(lowers, phase, &above, workspace, site, host, progress)?;
    }
    site.tree = tree;
    site.movable = on_base.as_ref().is_none_or(|tree| !tree.is_overlay());
    steps(Phase::Final, site, host, progress)?;
    if let Some(tree) = on_base {
        tree.close()?;
    }
    close_base(base)
}

/// Opens the base image, if the build begins from one.
fn open_base(
    workspace: &Workspace,
    site: &mut Site<'_>,
    host: &Host,
    progress: &Progress,
) -> Result<Option<BaseTree>, BuildError> {
    let Some(base) = site.build.plan.base_image() else {
        return Ok(None);
    };
    let title = base.title();
    let step = progress.begin(&title);
    let host = host.clone().with_report(step.report());
    let opened = BaseTree::open(base, workspace.path(), &host)
        .and_then(|tree| Ok((tree.check(base, &host)?, tree)))
        .and_then(|opened| {
            site.note(|| base.material(&host.cancel).map(Some))?;
            Ok(opened)
        });
    let (note, tree) = opened.map_err(|source| BuildError::Step { title, source })?;
    step.finish(&note);
    site.base = Some(tree.path().to_owned());
    Ok(Some(tree))
}

fn close_base(base: Option<BaseTree>) -> Result<(), BuildError> {
    let closed = base.map_or(Ok(()), BaseTree::close);
    closed.map_err(|source| failed("Closing the base image", source.into()))
}

/// Does `first` and then the steps of a phase in a tree on top of others, which goes afterwards.
fn on_top(
    lowers: &[PathBuf],
    phase: Phase,
    first: &[&Action],
    workspace: &Workspace,
    site: &mut Site<'_>,
    host: &Host,
    progress: &Progress,
) -> Result<(), BuildError> {
    let place = workspace.directory("on-top")?;
    let paths: Vec<&Path> = lowers.iter().map(PathBuf::as_path).collect();
    let tree = WorkingTree::over(&paths, &place, host)
        .map_err(|source| failed("Making a tree on top of the packages", source))?;
    site.tree = tree.path().to_owned();
    site.movable = !tree.is_overlay();
    progress.phase(phase.name());
    for action in first {
        perform(action, site, host, progress)?;
    }
    steps(phase, site, host, progress)?;
    tree.close()?;
    // Its space may be needed.
    host::remove(&place).map_err(EngineError::Host)?;
    Ok(())
}

/// Does what a phase does to its tree.
fn steps(
    phase: Phase,
    site: &mut Site<'_>,
    host: &Host,
    progress: &Progress,
) -> Result<(), BuildError> {
    progress.phase(phase.name());
    for step in site.build.plan.phase(phase) {
        perform(&step.action, site, host, progress)?;
    }
    Ok(())
}

fn failed(title: &str, source: StepError) -> BuildError {
    BuildError::Step {
        title: title.to_owned(),
        source,
    }
}
