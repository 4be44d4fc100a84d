//! Runs a plan: each step in order, with what it needs, reported as it goes.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use super::site::{Build, Site};
use super::{
    Artifact, EngineError, Progress, Staging, StepError, Workspace, lock, observe, phases, ssh,
    steps,
};
use crate::host::{self, Host, fail_point};
use crate::plan::{Action, Phase};

/// Why a build ended without an image.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A step failed.
    #[error("{title} failed")]
    Step {
        /// What it was doing.
        title: String,
        /// Why.
        #[source]
        source: StepError,
    },
    /// The frame around the steps failed.
    #[error(transparent)]
    Frame(#[from] EngineError),
    /// Somebody asked it to stop.
    #[error("interrupted")]
    Cancelled,
}

/// Builds an image and publishes its artifacts. On failure nothing of it stays.
///
/// # Errors
/// The step that failed, and why.
pub fn run(
    build: &Build<'_>,
    host: &Host,
    progress: &Progress,
) -> Result<Vec<Artifact>, BuildError> {
    let result = run_steps(build, host, progress);
    if host.cancel.is_cancelled() && result.is_err() {
        return Err(BuildError::Cancelled);
    }
    result
}

fn run_steps(
    build: &Build<'_>,
    host: &Host,
    progress: &Progress,
) -> Result<Vec<Artifact>, BuildError> {
    let output = build.names.directory();
    if build.plan.has_ssh_key() {
        // A key that cannot be used is told of before any work.
        ssh::is_there(build.names)?;
    }
    fs::create_dir_all(output).map_err(EngineError::path("create", output))?;
    let workspace = Workspace::create(build.workspace, host.report.as_ref())?;
    let reach = |name| fail_point::reach(name, "").map_err(EngineError::path("write", output));
    reach("workspace-made")?;
    let staging = Staging::create(output, build.publish, host.report.as_ref())?;
    reach("staging-made")?;
    let mut site = Site {
        build,
        tree: PathBuf::new(),
        base: None,
        movable: false,
        scratch: workspace.directory("scratch")?,
        staging,
        image: PathBuf::new(),
        digests: HashMap::new(),
        boot: None,
        file_lists: None,
        provenance: Vec::new(),
        materials: None,
    };
    let is_final = build.plan.phase(Phase::Final).next().is_some();
    for name in build.former.iter().filter(|_| is_final) {
        if let Some(name) = name.file_name() {
            site.staging.retire(name)?;
        }
    }
    if let Err(error) = phases::run(&workspace, &mut site, host, progress) {
        if build.keep && !host.cancel.is_cancelled() {
            drop(site);
            let kept = host::printable_path(workspace.keep());
            host.report.warn(&format!(
                "--keep: the working directory of the build is {kept}"
            ));
        }
        return Err(error);
    }
    let lock = lock::settle(&site).map_err(|source| BuildError::Step {
        title: lock::TITLE.to_owned(),
        source,
    })?;
    reach("steps-done")?;
    let step = progress.begin("Publishing");
    let artifacts = site.staging.publish(host)?;
    if let (Some(path), Some(text)) = (build.lock, lock) {
        lock::write(path, &text, build.publish.owner)?;
    }
    workspace.close()?;
    step.finish("");
    progress.build_finished(artifacts.clone());
    Ok(artifacts)
}

/// Does one thing on the site's tree.
pub(super) fn perform(
    action: &Action,
    site: &mut Site<'_>,
    host: &Host,
    progress: &Progress,
) -> Result<(), BuildError> {
    if host.cancel.is_cancelled() {
        return Err(BuildError::Cancelled);
    }
    if site.build.observe {
        observe::before(action, site, host, progress);
    }
    let title = action.title();
    let step = progress.begin(&title);
    let host = host.clone().with_report(step.report());
    let reach =
        |name| fail_point::reach(name, &title).map_err(EngineError::path("write", &site.scratch));
    reach("step-begun")?;
    let done = site
        .note(|| action.material(&host.cancel))
        .map_err(StepError::Plan)
        .and_then(|()| steps::perform(action, site, &host));
    let note = done.map_err(|source| BuildError::Step {
        title: title.clone(),
        source,
    })?;
    fail_point::reach("step-done", &title).map_err(EngineError::path("write", &site.scratch))?;
    step.finish(&note);
    Ok(())
}
