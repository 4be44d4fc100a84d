//! Projects that a shell file describes: `IMGBUILD` and `image.sh`, each translated into settings.
//!
//! The files are read by their own shells, never by anything that only looks like one, and confined
//! while that is done: they can read their project and change nothing.

mod apk_files;
mod image_sh;
mod imgbuild;
mod pacman_conf;
mod shell;
mod values;

use std::fs;
use std::path::PathBuf;

use crate::cli::Makeimg;
use crate::config::{self, Context, Errors, Loaded, Origin, Preset, PresetValue, Request, Warning};

pub use shell::ShellError;

/// The settings files in whose absence a shell file counts.
const SETTINGS: [&str; 2] = ["mkosi.default", "mkosi.default.d"];

/// A shell file that describes a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Imgbuild,
    ImageSh,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Imgbuild, Self::ImageSh];

    const fn name(self) -> &'static str {
        match self {
            Self::Imgbuild => "IMGBUILD",
            Self::ImageSh => "image.sh",
        }
    }
}

/// How much of a project is to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Everything: a shell file is run.
    Everything,
    /// Where its files are: nothing of the project is run.
    Files,
}

/// The configuration of the project in the context's directory: from settings files, or, where there are
/// none, from a shell file. `makeimg` is what was said to a program of that name.
///
/// # Errors
/// Everything that is wrong with any of the files, the flags, or what they say together.
pub fn load(
    request: &Request,
    makeimg: Option<&Makeimg>,
    depth: Depth,
    context: &Context,
) -> Result<Loaded, Errors> {
    let there = |name: &str| fs::symlink_metadata(context.directory.join(name)).is_ok();
    let has_settings = request.settings_file.is_some()
        // What was called as makeimg is meant to build its files.
        || (makeimg.is_none() && SETTINGS.iter().any(|name| there(name)));
    let mut kinds = Kind::ALL.into_iter().filter(|kind| there(kind.name()));
    let kind = match kinds.next() {
        Some(kind) if !has_settings => kind,
        _ if makeimg.is_some() => {
            return Err(wrong(
                "there is neither an IMGBUILD nor an image.sh in this directory",
            ));
        }
        _ => return config::load(request, context),
    };
    let default = Makeimg::default();
    let words = makeimg.unwrap_or(&default);
    let mut preset = match (kind, depth) {
        (Kind::Imgbuild, Depth::Everything) => imgbuild::read(words, request, context),
        (Kind::ImageSh, Depth::Everything) => image_sh::read(words, context),
        (_, Depth::Files) => Ok(Preset::default()),
    }
    .map_err(|error| wrong(&chain(&error)))?;
    if kind == Kind::Imgbuild {
        preset.values.extend(input_trees(words, context));
    }
    if let Some(other) = kinds.next() {
        let (kind, other) = (kind.name(), other.name());
        preset.warnings.push(Warning(format!(
            "{kind} and {other} are both here: {kind} counts"
        )));
    }
    config::load_preset(preset, request, context)
}

/// The directories with input files.
fn input_trees(words: &Makeimg, context: &Context) -> Option<PresetValue> {
    const FILES: &str = "files";
    let quoted = |path: &PathBuf| format!("\"{}\"", path.display());
    let (text, origin) = if words.directories.is_empty() {
        let there = context.directory.join(FILES).is_dir();
        let text = there.then(|| FILES.to_owned())?;
        (text, Origin::Project(FILES.into()))
    } else {
        let paths: Vec<String> = words.directories.iter().map(quoted).collect();
        (paths.join(" "), Origin::CommandLine("DIR".to_owned()))
    };
    Some(PresetValue {
        setting: "ExtraTrees",
        text,
        origin,
    })
}

fn wrong(what: &str) -> Errors {
    Errors {
        errors: vec![config::ConfigError::Conflict(what.to_owned())],
        warnings: Vec::new(),
        config: None,
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// Reads a `pacman.conf`, for whoever tries bad ones.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_pacman_conf(directory: &std::path::Path, preset: &mut Preset) -> bool {
    pacman_conf::read(directory, preset).is_some()
}
