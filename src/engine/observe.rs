//! What a build notes for whoever looks at it afterwards. Nothing of it can fail the build.

use super::events::Observation;
use super::layers::{self, Store, why};
use super::site::{Build, Site};
use super::{Progress, StepError};
use crate::host::{Host, printable};
use crate::output::{Contents, file_lists};
use crate::plan::{Action, Image, LayerIdentity};

/// How many steps it takes.
pub(super) fn steps(build: &Build<'_>) -> usize {
    let measures = build.observe && build.plan.makes_image();
    usize::from(measures)
}

/// Notes which cached trees are used and why not the others, before any is made.
pub(super) fn layers(
    store: &Store,
    identities: &[LayerIdentity],
    build: &Build<'_>,
    host: &Host,
    progress: &Progress,
) {
    let output = layers::output_name(build.names.image());
    match why::explain(store, identities, &output, &host.cancel) {
        Ok(verdicts) => progress.observed(&Observation::Layers(verdicts)),
        Err(error) => unknown("why cached trees are made again", &error, host),
    }
}

/// Looks at the tree as it is before an action.
pub(super) fn before(action: &Action, site: &mut Site<'_>, host: &Host, progress: &Progress) {
    match action {
        // It may take the databases away.
        Action::CleanUp(_) => read_lists(site, host),
        Action::WriteImage(image) if !matches!(image, Image::Custom(_)) => {
            let step = progress.begin("Measuring what takes space");
            if site.file_lists.is_none() {
                read_lists(site, host);
            }
            let lists = site.file_lists.take().unwrap_or_default();
            match Contents::measure(&site.tree, &lists, &host.cancel) {
                Ok(contents) => {
                    let note = format!("{} files", contents.files);
                    progress.observed(&Observation::Contents(contents));
                    step.finish(&note);
                }
                Err(error) => {
                    unknown(
                        "what takes how much of the image",
                        &StepError::from(error),
                        host,
                    );
                    step.finish("not known");
                }
            }
        }
        _ => {}
    }
}

fn read_lists(site: &mut Site<'_>, host: &Host) {
    match file_lists::read(&site.tree, host) {
        Ok(lists) => site.file_lists = Some(lists),
        Err(error) => unknown("which package has which files", &error, host),
    }
}

fn unknown(what: &str, error: &dyn std::error::Error, host: &Host) {
    let mut text = format!("--timings cannot tell {what}: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    host.report.warn(&printable(&text));
}
