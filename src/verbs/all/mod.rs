//! `mkosi --all`: a verb for every settings file of `mkosi.files/`.

mod collisions;
mod complaints;
mod run;
mod schedule;
mod shared;
mod table;
mod targets;

use std::path::PathBuf;
use std::thread::available_parallelism;

use super::build::{self, Asked, Prepared};
use super::timings::{self, Notes};
use super::{VerbError, clean, exit, terminal};
use crate::cli::{Globals, Invocation, Progress, Verb};
use crate::config::Context;
use crate::host::{Cancel, SilentSignals, is_root, set_umask, signals};
use crate::output::Artifacts;

pub use complaints::Complaints;
use run::{Job, Report, Workers};
use shared::{Layers, Shared};
use table::{Outcome, Row};
use targets::Target;

/// The page about all images, beside the first one.
const PAGE: &str = "mkosi.timings.html";

/// Runs the invocation's verb for every settings file; the exit status is the program's.
pub fn run(invocation: &Invocation, context: &Context) -> u8 {
    if let Some(file) = &invocation.request.settings_file {
        terminal::complain(format_args!(
            "error: --all reads every settings file, --default={} reads one: use either",
            crate::host::printable_path(file)
        ));
        return exit::USAGE;
    }
    let verb = invocation.verb;
    match verb {
        Verb::Build | Verb::Clean => {}
        _ => {
            let directory = crate::host::printable_path(&invocation.globals.all_directory);
            terminal::complain(format_args!(
                "error: {verb} is for one image, --all for build, clean and summary; name the \
                 image as in --default={directory}/mkosi.NAME"
            ));
            return exit::USAGE;
        }
    }
    if !is_root() {
        let verb = verb.as_str();
        terminal::complain_about(&VerbError::NotRoot { verb });
        return exit::USAGE;
    }
    let targets = match targets::read(invocation, context) {
        Ok(targets) => targets,
        Err(complaints) => return refuse(&complaints),
    };
    if verb == Verb::Clean {
        // Each says itself what is wrong.
        let statuses = targets.iter().map(|target| clean::run(&target.config));
        return statuses.max().unwrap_or(exit::DONE);
    }
    match prepare(&targets, context, &invocation.globals) {
        Ok((prepared, layers)) => build(invocation, &targets, prepared, layers),
        Err(status) => status,
    }
}

fn refuse(complaints: &Complaints) -> u8 {
    for line in complaints.lines() {
        terminal::complain(format_args!("error: {line}"));
    }
    exit::USAGE
}

/// Checks every configuration, and all of them together; then asks what only the user knows.
///
/// # Errors
/// The exit status, after everything that is wrong was said.
fn prepare(
    targets: &[Target],
    context: &Context,
    globals: &Globals,
) -> Result<(Vec<Prepared>, Vec<Layers>), u8> {
    let mut wrong = Complaints::default();
    let mut builds = Vec::new();
    for target in targets {
        match build::check(&target.config, context) {
            Ok(mut prepared) => {
                prepared.wait = globals.wait;
                if let Err(errors) = prepared.set_lock(&target.config, globals) {
                    for error in errors {
                        wrong.add(&target.file, terminal::chain(&error));
                    }
                }
                builds.push(prepared);
            }
            Err(errors) => {
                for error in errors {
                    wrong.add(&target.file, terminal::chain(&error));
                }
            }
        }
    }
    if builds.len() == targets.len() {
        let plans = builds.iter().map(|prepared| &prepared.plan);
        let planned: Vec<_> = targets.iter().zip(plans).collect();
        for collision in collisions::collisions(&planned) {
            wrong.add_common(collision);
        }
    }
    if !wrong.is_empty() {
        return Err(refuse(&wrong));
    }
    let outputs: Vec<PathBuf> = targets
        .iter()
        .flat_map(|target| Artifacts::new(&target.config.output).all())
        .collect();
    for build in &mut builds {
        build.plan.leave_out(&outputs);
    }
    let layers = match shared::layers(targets, &builds) {
        Ok(layers) => layers.map_err(|wrong| refuse(&wrong))?,
        Err(error) => {
            terminal::complain_about(&VerbError::Host(error));
            return Err(exit::FAILED);
        }
    };
    let mut asked = Asked::default();
    for (target, prepared) in targets.iter().zip(&mut builds) {
        match prepared.ask(&target.config, Some(&target.name), &mut asked) {
            Ok(()) => {}
            Err(error) if error.is_interruption() => {
                terminal::complain("interrupted");
                return Err(exit::INTERRUPTED);
            }
            Err(error) => wrong.add(&target.file, terminal::chain(&error)),
        }
    }
    if wrong.is_empty() {
        Ok((builds, layers))
    } else {
        Err(refuse(&wrong))
    }
}

/// Makes what the images have in common ready: caches that shall go, directories.
fn make_ready(targets: &[Target], builds: &mut [Prepared]) -> Result<(), VerbError> {
    let mut dropped: Vec<&PathBuf> = Vec::new();
    for (target, prepared) in targets.iter().zip(builds) {
        prepared.make_directories(&target.config)?;
        prepared.caches_dropped = true;
        if let Some(cache) = &target.config.cache {
            if !dropped.contains(&cache) {
                build::drop_caches(&target.config)?;
                dropped.push(cache);
            }
        }
    }
    Ok(())
}

fn build(
    invocation: &Invocation,
    targets: &[Target],
    mut builds: Vec<Prepared>,
    layers: Vec<Layers>,
) -> u8 {
    set_umask();
    let globals = &invocation.globals;
    let page = || {
        let beside = targets.first().map(|target| &target.config.output);
        beside.map_or_else(|| PAGE.into(), |output| output.with_file_name(PAGE))
    };
    let timings = match timings::target(globals, page) {
        Ok(timings) => timings,
        Err(error) => {
            terminal::complain_about(&error);
            return exit::USAGE;
        }
    };
    for prepared in &mut builds {
        prepared.timings.clone_from(&timings);
    }
    let ready = make_ready(targets, &mut builds)
        .and_then(|()| Shared::decide(targets, &mut builds, layers));
    let (shared, bases) = match ready {
        Ok(shared) => shared,
        Err(error) => {
            terminal::complain_about(&error);
            return exit::FAILED;
        }
    };
    let jobs: Vec<Job<'_>> = targets
        .iter()
        .zip(&builds)
        .zip(bases)
        .map(|((target, prepared), bases)| Job {
            target,
            prepared,
            bases,
        })
        .collect();
    let cancel = Cancel::default();
    let workers = match Workers::hire(&jobs) {
        Ok(workers) => workers,
        Err(error) => {
            terminal::complain_about(&VerbError::Host(error));
            return exit::FAILED;
        }
    };
    if let Err(error) = signals::install(&cancel) {
        terminal::complain_about(&VerbError::Signals(error));
        return exit::FAILED;
    }
    let names: Vec<String> = targets.iter().map(|target| target.name.clone()).collect();
    let mut sink = build::display(globals).sink_of_several(&names, build::shown(globals));
    let notes = timings.map(|to| {
        let caches = targets.iter().filter_map(|t| t.config.cache.clone());
        let owner = builds.first().and_then(|build| build.owner);
        Notes::begin(to, owner, caches, sink.clone())
    });
    if let Some(notes) = &notes {
        sink = notes.sink();
    }
    let limit = globals
        .jobs
        .or_else(|| available_parallelism().ok())
        .map_or(1, usize::from);
    let silent = build::display(globals).is_live().then(SilentSignals::begin);
    let reports = workers.run(&jobs, limit, sink, &cancel);
    drop(silent);
    if let Err(error) = shared.close() {
        terminal::complain(format_args!("warning: {}", terminal::chain(&error)));
    }
    let people = globals.progress != Progress::Json;
    let status = conclude(&reports, people);
    if let Some(notes) = notes {
        timings::finish(notes, people);
    }
    status
}

/// Says what became of the images; returns the exit status.
fn conclude(reports: &[Report], with_table: bool) -> u8 {
    if with_table {
        let rows: Vec<Row> = reports.iter().map(|report| report.row.clone()).collect();
        let width = terminal::columns().unwrap_or(usize::MAX);
        terminal::tell(&format!("\n{}", table::table(&rows, width)));
    }
    let with = |outcome: Outcome| {
        reports
            .iter()
            .filter(move |report| report.row.outcome == outcome)
    };
    for report in with(Outcome::Failed) {
        let name = crate::host::printable(&report.row.image);
        let errors = report.errors.join("\n").replace('\n', "\n  ");
        terminal::complain(format_args!("error: {name}: {errors}"));
    }
    let stopped = with(Outcome::Interrupted)
        .chain(with(Outcome::NotBegun))
        .count();
    if stopped > 0 {
        terminal::complain(
            "interrupted; of the images that are not built, nothing was left behind",
        );
        exit::INTERRUPTED
    } else if with(Outcome::Failed).next().is_some() {
        exit::FAILED
    } else {
        exit::DONE
    }
}
