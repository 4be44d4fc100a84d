//! `mkosi check`: everything that is wrong with a project, at once, before anything is built.

mod findings;
mod packages;
mod scripts;

use std::path::{Path, PathBuf};

use super::lacking::lacking;
use super::{VerbError, build, exit, plan_context, terminal};
use crate::boot::check_pair;
use crate::cli::Invocation;
use crate::config::{self, Config, Context, Errors, Loaded, Request};
use crate::host::{Cancel, Host, HostRunner, Quiet, signals};
use crate::installer;
use crate::plan::{self, Plan};

use findings::{Area, Findings, Level};

/// Probably somebody is in another directory than they think.
const NO_SETTINGS: &str = "there is no mkosi.default here: what was checked is the image that is built without one; \
     mkosi init begins a project, --all checks those of mkosi.files/";

/// Prints all that is wrong with the project, with `--all` with that of every settings file. Changes
/// nothing but lists of packages in the cache.
pub fn run(invocation: &Invocation, context: &Context) -> u8 {
    let cancel = Cancel::default();
    if let Err(error) = signals::install(&cancel) {
        terminal::complain_about(&VerbError::Signals(error));
        return exit::FAILED;
    }
    let globals = &invocation.globals;
    let mut findings = Findings::default();
    if globals.all {
        match config::all_settings_files(&globals.all_directory, context) {
            Ok(files) => {
                for file in files {
                    let request = Request {
                        settings_file: Some(file.clone()),
                        ..invocation.request.clone()
                    };
                    let mut of_file = Findings::default();
                    one(
                        config::load(&request, context),
                        context,
                        &cancel,
                        &mut of_file,
                    );
                    findings.add_all(&file, of_file);
                }
            }
            Err(error) => findings.add(Level::Error, Area::Settings, error.to_string()),
        }
    } else {
        one(
            super::load(invocation, context),
            context,
            &cancel,
            &mut findings,
        );
    }
    if cancel.is_cancelled() {
        terminal::complain("interrupted");
        return exit::INTERRUPTED;
    }
    let answer = if globals.json {
        format!("{:#}\n", findings.json())
    } else {
        findings.text(terminal::width().min(80))
    };
    terminal::answer(&answer).max(findings.status())
}

/// Checks one configuration.
fn one(
    loaded: Result<Loaded, Errors>,
    context: &Context,
    cancel: &Cancel,
    findings: &mut Findings,
) {
    let (config, warnings) = match loaded {
        Ok(loaded) => (Some(loaded.config), loaded.warnings),
        Err(errors) => {
            for error in &errors.errors {
                findings.add(Level::Error, Area::Settings, error.to_string());
            }
            (errors.config.map(|config| *config), errors.warnings)
        }
    };
    for warning in warnings {
        findings.add(Level::Warning, Area::Settings, warning.to_string());
    }
    // With settings that could not be read, what follows from them would be guesswork.
    let Some(config) = config else { return };
    if config.project.settings_files.is_empty() && config.project.shell.is_none() {
        findings.add(Level::Note, Area::Settings, NO_SETTINGS.to_owned());
    }
    for missing in config::missing_inputs(&config) {
        findings.add(Level::Error, Area::Files, missing.to_string());
    }
    scripts::check(&config, findings);
    let host = Host::new(
        std::sync::Arc::new(HostRunner),
        std::sync::Arc::new(Quiet),
        cancel.clone(),
    )
    .with_extra_search_paths(config.extra_search_paths.as_slice().to_vec());
    planned(&config, context, &host, findings);
}

/// What a build would do: whether it can, and what it lacks.
fn planned(config: &Config, settings: &Context, host: &Host, findings: &mut Findings) {
    let context = match plan_context::of(config, settings) {
        Ok(context) => context,
        Err(error) => return findings.add_error(Area::Settings, &error),
    };
    let plan = match Plan::new(config, &context) {
        Ok(plan) => plan,
        Err(errors) => {
            for error in errors {
                findings.add_error(Area::Settings, &VerbError::Plan(error));
            }
            return;
        }
    };
    let installer = installer::choose(config.distribution, host);
    let signer = config.sign.then(|| build::signer(config, settings));
    let missing = lacking(config, &plan, installer.as_ref(), signer.as_ref(), host);
    if let (true, Some(pair)) = (missing.is_empty(), plan::signing(&plan)) {
        if let Err(error) = check_pair(pair, host) {
            findings.add_error(Area::Files, &VerbError::Boot(error));
        }
    }
    for error in &missing {
        findings.add_error(Area::Host, error);
    }
    packages::check(config, &plan, installer.as_ref(), host, findings);
}

/// A path of the project as its user would name it.
fn shown(path: &Path, config: &Config) -> PathBuf {
    path.strip_prefix(&config.project.directory)
        .unwrap_or(path)
        .to_owned()
}

#[cfg(test)]
mod tests;
