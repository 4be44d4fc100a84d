//! `mkosi clean`: removes what builds of a configuration left.

use std::fs;
use std::path::Path;

use super::{VerbError, build, exit, terminal};
use crate::config::Config;
use crate::engine::initrds;
use crate::host::{HostError, Lock, is_root, printable_path, remove, remove_contents};

/// Removes artifacts; with `-f` also kept initrds and what is in the build directory, with `-ff` also the package
/// cache.
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
        for path in build::artifacts(config)? {
            if fs::symlink_metadata(&path).is_ok() {
                told(&path, remove(&path))?;
            }
        }
    }
    if config.force.0 >= 1 {
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

fn told(path: &Path, result: Result<(), HostError>) -> Result<(), VerbError> {
    result.map_err(VerbError::Host)?;
    terminal::tell(&format!("removed {}\n", printable_path(path)));
    Ok(())
}
