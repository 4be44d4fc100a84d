//! The project's own software: its sources, its build script, and what that made.

use std::fs;
use std::path::{Path, PathBuf};

use super::site::Site;
use super::{EngineError, StepError};
use crate::host::Host;
use crate::plan::{BuildRun, Material};
use crate::scripts::sources::{self, Sources};
use crate::scripts::{self, Workplace};
use crate::tree::Root;

/// What the build script installs is kept here, in the scratch directory.
const DESTINATION: &str = "destination";
/// Changes to sources that are only shown go here, in the scratch directory.
const SOURCES: &str = "sources";

const EPOCH: &str = "SOURCE_DATE_EPOCH";

/// Copies the sources into the tree.
pub(super) fn copy_sources(
    sources: &Sources,
    site: &mut Site<'_>,
    host: &Host,
) -> Result<String, StepError> {
    let root = Root::open(&site.tree)?;
    let copied = sources::place(sources, &root, host)?;
    // Where git tracks nothing of them, its commit says nothing of them.
    if sources.by_git() && copied.entries > 0 {
        site.note(|| {
            let commit = sources::commit(&sources.path, host)?;
            let inside = Path::new(sources::SOURCES);
            let material =
                Material::of_sources(&sources.path, commit, &root, inside, &host.cancel)?;
            Ok::<_, StepError>(Some(material))
        })?;
    }
    Ok(entries(copied.entries))
}

/// Runs the build script in the tree.
pub(super) fn build(run: &BuildRun, site: &Site<'_>, host: &Host) -> Result<(), StepError> {
    let destination = destination(run.destination.as_deref(), site);
    fs::create_dir_all(&destination).map_err(EngineError::path("create", &destination))?;
    let mut script = run.script.clone();
    if let Some(epoch) = site.build.context.source_date_epoch {
        let environment = &mut script.script.environment;
        if !environment.iter().any(|(name, _)| name == EPOCH) {
            environment.push((EPOCH.to_owned(), epoch.to_string()));
        }
    }
    let scratch = site.scratch.join(SOURCES);
    let shown = run.shown.as_deref().map(|path| {
        fs::create_dir_all(&scratch).map_err(EngineError::path("create", &scratch))?;
        Ok::<_, StepError>(sources::show(path, &scratch, host)?)
    });
    let shown = shown.transpose()?;
    let place = Workplace {
        root: &site.tree,
        sources: shown.as_ref().map(sources::Shown::path),
        read_only: shown.as_ref().is_some_and(sources::Shown::is_read_only),
        destination: &destination,
        owner: site.build.publish.owner,
    };
    scripts::build(&script, &place, host)?;
    let empty = scripts::is_empty(&destination);
    if empty.map_err(EngineError::path("read", &destination))? {
        host.report
            .warn("the build script put nothing into $DESTDIR: nothing of it will be in the image");
    }
    Ok(())
}

/// Copies what the build script made into the tree.
pub(super) fn install(
    from: Option<&Path>,
    site: &Site<'_>,
    host: &Host,
) -> Result<String, StepError> {
    let destination = destination(from, site);
    let copied = scripts::install(&destination, &Root::open(&site.tree)?, host)?;
    Ok(entries(copied.entries))
}

/// Keeps the tree's header files on the host.
pub(super) fn keep_headers(
    directory: &Path,
    site: &Site<'_>,
    host: &Host,
) -> Result<(), StepError> {
    let owner = site.build.publish.owner;
    scripts::keep_headers(&Root::open(&site.tree)?, directory, owner, host)?;
    Ok(())
}

/// `$DESTDIR`, on the host.
fn destination(kept: Option<&Path>, site: &Site<'_>) -> PathBuf {
    kept.map_or_else(|| site.scratch.join(DESTINATION), Path::to_owned)
}

fn entries(count: u64) -> String {
    match count {
        1 => "1 file".to_owned(),
        count => format!("{count} files"),
    }
}
