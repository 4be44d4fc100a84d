//! The trees of both phases: which lies on which, and what is done to each.

use std::path::Path;

use super::run::{BuildError, perform};
use super::site::Site;
use super::working_tree::WorkingTree;
use super::{EngineError, Progress, StepError, Workspace};
use crate::host::{self, Host};
use crate::plan::Phase;

/// Runs everything that the plan holds.
pub(super) fn run(
    workspace: &Workspace,
    site: &mut Site<'_>,
    host: &Host,
    progress: &Progress,
) -> Result<(), BuildError> {
    let plan = site.build.plan;
    // Publishing is a step, too.
    progress.build_begun(plan.actions().count() + 1);
    let mut layers = plan.layers.iter();
    let base = workspace.directory("tree")?;
    site.tree.clone_from(&base);
    for action in layers.next().into_iter().flat_map(|base| &base.actions) {
        perform(action, site, host, progress)?;
    }
    if plan.phase(Phase::Development).next().is_some() || plan.layers.len() > 1 {
        let place = workspace.directory("development")?;
        let tree = working_tree("development", &[&base], &place, host)?;
        site.tree = tree.path().to_owned();
        for action in layers.flat_map(|layer| &layer.actions) {
            perform(action, site, host, progress)?;
        }
        steps(Phase::Development, site, host, progress)?;
        tree.close()?;
        // Its space may be needed.
        host::remove(&place).map_err(EngineError::Host)?;
        site.tree = base;
    }
    // The base is this build's own, and nothing comes after.
    site.movable = true;
    steps(Phase::Final, site, host, progress)
}

/// Does what a phase does to its tree.
fn steps(
    phase: Phase,
    site: &mut Site<'_>,
    host: &Host,
    progress: &Progress,
) -> Result<(), BuildError> {
    for step in site.build.plan.phase(phase) {
        perform(&step.action, site, host, progress)?;
    }
    Ok(())
}

fn working_tree(
    name: &str,
    lowers: &[&Path],
    place: &Path,
    host: &Host,
) -> Result<WorkingTree, BuildError> {
    WorkingTree::over(lowers, place, host).map_err(|source| failed(name, source))
}

fn failed(name: &str, source: StepError) -> BuildError {
    BuildError::Step {
        title: format!("Making the {name} tree"),
        source,
    }
}
