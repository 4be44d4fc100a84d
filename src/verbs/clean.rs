//! `mkosi clean`: removes what builds of a configuration left.

use std::fs;
use std::path::Path;

use super::{VerbError, exit, outputs, terminal};
use crate::config::Config;
use crate::engine::layers::{self, Store};
use crate::engine::{BuildError, initrds, sweep};
use crate::host::{HostError, Lock, Quiet, is_root, printable_path, remove, remove_contents};

/// Removes artifacts; with `-f` also the cached images, kept initrds and what is in the build
/// directory, with `-ff` also the package cache.
pub fn run(config: &Config) -> u8 {
    match clean(config) {
        Ok(()) => exit::DONE,
        Err(error) => {
            terminal::complain_about(&error);
            match error {
                VerbError::NotRoot { .. } => exit::USAGE,
                _ => exit::FAILED,
            }
        }
    }
}

fn clean(config: &Config) -> Result<(), VerbError> {
    if !is_root() {
        return Err(VerbError::NotRoot { verb: "clean" });
    }
    // Without the directory there is nothing to remove, and nowhere to put the lock.
    let directory = config.output.parent().unwrap_or(Path::new("/"));
    if directory.is_dir() {
        let _lock = Lock::acquire(&config.output, "mkosi clean").map_err(VerbError::Host)?;
        sweep(directory, &terminal::Warnings);
        for path in outputs::artifacts(config)? {
            if fs::symlink_metadata(&path).is_ok() {
                told(&path, remove(&path))?;
            }
        }
    }
    if config.force.0 >= 1 {
        clean_layers(&Store::in_directory(directory), config)?;
        for path in initrds::kept(&config.output) {
            told(&path, remove(&path))?;
        }
    }
    let emptied = [
        (config.force.0 >= 1, &config.build_directory),
        (config.force.0 >= 2, &config.cache),
    ];
    for (asked, path) in emptied {
        if let (true, Some(path)) = (asked, path.as_ref().filter(|path| path.is_dir())) {
            told(path, remove_contents(path))?;
        }
    }
    Ok(())
}

/// Removes the cached images that this configuration was built from, and what cannot be used any more.
fn clean_layers(store: &Store, config: &Config) -> Result<(), VerbError> {
    let failed = |error| VerbError::Build(BuildError::Frame(error));
    sweep(store.path(), &Quiet);
    let removed = store
        .remove_of(&layers::output_name(&config.output), &Quiet)
        .map_err(failed)?;
    for (path, gone) in removed {
        let path = printable_path(path);
        terminal::tell(&if gone {
            format!("removed {path}\n")
        } else {
            format!("kept {path}: a build uses it\n")
        });
    }
    // Where others have layers there, it stays.
    let _ = fs::remove_dir(store.path());
    Ok(())
}

fn told(path: &Path, result: Result<(), HostError>) -> Result<(), VerbError> {
    result.map_err(VerbError::Host)?;
    terminal::tell(&format!("removed {}\n", printable_path(path)));
    Ok(())
}
