//! Which images are meant: by their paths, or by their names in the project.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::super::VerbError;
use crate::cli::Invocation;
use crate::config::{self, Config, Context, Request};
use crate::frontend::{self, Depth};
use crate::output::Artifacts;

pub(super) const USAGE: &str = "mkosi diff A B compares two images: name both, by path or by their names in \
     this project; with one alone, it is compared with the project's image";

/// The images that the words after the verb name.
///
/// # Errors
/// When they are not two, or one is not there.
pub(super) fn two(invocation: &Invocation, context: &Context) -> Result<[PathBuf; 2], VerbError> {
    let words = &invocation.arguments;
    if words.iter().any(|word| word.is_empty()) {
        return Err(VerbError::Words(USAGE));
    }
    match words.as_slice() {
        [a, b] => Ok([one(a, invocation, context)?, one(b, invocation, context)?]),
        [a] => {
            let a = one(a, invocation, context)?;
            let loaded = frontend::load(&invocation.request, None, Depth::Files, context);
            let config = loaded.ok().map(|loaded| loaded.config);
            let output = config.map(|config| config.output);
            match output.filter(|output| output.exists()) {
                Some(output) => Ok([a, output]),
                None => Err(VerbError::Words(USAGE)),
            }
        }
        _ => Err(VerbError::Words(USAGE)),
    }
}

fn one(word: &OsStr, invocation: &Invocation, context: &Context) -> Result<PathBuf, VerbError> {
    let path = Path::new(word);
    let Err(missing) = path.metadata() else {
        return Ok(path.to_owned());
    };
    let configs = configs(invocation, context);
    let named = configs.iter().find(|(name, config)| {
        let output = config.output.file_name().unwrap_or_default();
        let artifacts = Artifacts::new(&config.output);
        let manifest = artifacts.manifest();
        name.as_deref() == Some(word) || output == word || manifest.file_stem() == Some(word)
    });
    let Some((_, config)) = named else {
        let path = path.to_owned();
        return Err(match missing.kind() {
            ErrorKind::NotFound => VerbError::NoImage { path },
            _ => VerbError::File {
                path,
                source: missing,
            },
        });
    };
    match config.output.metadata() {
        Ok(_) => Ok(config.output.clone()),
        Err(_) => Err(VerbError::NotBuilt {
            path: config.output.clone(),
        }),
    }
}

/// The configurations of the project: its own, and those that `--all` builds, by their names.
fn configs(
    invocation: &Invocation,
    context: &Context,
) -> Vec<(Option<std::ffi::OsString>, Config)> {
    let load = |request: &Request| {
        let loaded = frontend::load(request, None, Depth::Files, context);
        loaded.ok().map(|loaded| loaded.config)
    };
    let mut configs: Vec<_> = load(&invocation.request)
        .map(|config| (None, config))
        .into_iter()
        .collect();
    let directory = &invocation.globals.all_directory;
    for file in config::all_settings_files(directory, context).unwrap_or_default() {
        let request = Request {
            settings_file: Some(file.clone()),
            ..invocation.request.clone()
        };
        let name = file.extension().map(OsStr::to_owned);
        configs.extend(load(&request).map(|config| (name, config)));
    }
    configs
}
