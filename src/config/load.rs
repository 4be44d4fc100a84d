//! The whole way from files and flags to a configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::error::{Errors, Findings, Warning};
use super::layers::{self, FlagValue};
use super::settings::Layer;
use super::{Config, Context, Preset, Project, ShellProject, files, project, resolve};

/// What is asked for on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The settings file; `mkosi.default` when none is named.
    pub settings_file: Option<PathBuf>,
    /// What the flags say, in order.
    pub flags: Vec<FlagValue>,
}

/// A configuration, and what the user should know about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Everything that is set.
    pub config: Config,
    /// In the order in which they were noticed.
    pub warnings: Vec<Warning>,
}

/// Reads settings files and makes the configuration of a project. Creates nothing and runs nothing.
///
/// # Errors
/// Everything that is wrong with any of the files, the flags, or what they say together.
pub fn load(request: &Request, context: &Context) -> Result<Loaded, Errors> {
    let mut found = Findings::default();
    let from_flags = layers::from_flags(&request.flags, context, &mut found);
    let files = files::read(request.settings_file.as_deref(), context, &mut found);
    let from_files = layers::from_files(&files, context, &mut found);
    let names = files.into_iter().map(|file| file.name).collect();
    complete(from_flags.over(from_files), names, None, context, found)
}

/// As [`load`], with what a shell file of the project says in place of settings files.
///
/// # Errors
/// As [`load`], and what is wrong with that file.
pub fn load_preset(preset: Preset, request: &Request, context: &Context) -> Result<Loaded, Errors> {
    let mut found = Findings::default();
    let from_flags = layers::from_flags(&request.flags, context, &mut found);
    found.errors.extend(preset.errors);
    found.warnings.extend(preset.warnings);
    let from_file = layers::from_preset(&preset.values, context, &mut found);
    complete(
        from_flags.over(from_file),
        Vec::new(),
        preset.shell,
        context,
        found,
    )
}

fn complete(
    mut layer: Layer,
    settings_files: Vec<PathBuf>,
    shell: Option<ShellProject>,
    context: &Context,
    mut found: Findings,
) -> Result<Loaded, Errors> {
    project::detect(&mut layer, context, &mut found);
    let project = Project {
        directory: context.directory.clone(),
        settings_files,
        passphrase: project::passphrase(context, &mut found),
        shell,
    };
    let mut config = layer.with_defaults(context, project);
    resolve::resolve(&mut config, context, &mut found);
    project::check(&config, &mut found);
    let Findings {
        mut errors,
        file_errors,
        warnings,
    } = found;
    if errors.is_empty() && file_errors.is_empty() {
        return Ok(Loaded { config, warnings });
    }
    let config = errors.is_empty().then(|| Box::new(config));
    errors.extend(file_errors);
    Err(Errors {
        errors,
        warnings,
        config,
    })
}

/// What holds where nothing is set, on a host of which nothing is known.
#[must_use]
pub fn defaults() -> Config {
    // Nothing is beneath this path, so that nothing of the host is read.
    let nowhere = Context::new("/dev/null", BTreeMap::new(), "/dev/null");
    Layer::default().with_defaults(&nowhere, Project::default())
}
