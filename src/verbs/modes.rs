//! `mkosi modes`: writes down the modes of the files that go into images, and sets them again after a
//! checkout.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::{VerbError, exit, terminal};
use crate::config::Config;
use crate::host::{calling_user, printable_path};
use crate::tree::modes;

/// Where modes are written down; the first that is there counts.
const RECORDS: [&str; 2] = [".makeimg.modes", ".mkosi.modes"];

/// Records the modes of the project's trees, or applies those that were recorded.
pub fn run(config: &Config, words: &[OsString]) -> u8 {
    let result = match words {
        [word] if word == "record" => record(config),
        [word] if word == "apply" => apply(config),
        _ => Err(VerbError::Words(
            "expected mkosi modes record, or mkosi modes apply",
        )),
    };
    match result {
        Ok(()) => exit::DONE,
        Err(error) => {
            terminal::complain_about(&error);
            match error {
                VerbError::Words(_) => exit::USAGE,
                _ => exit::FAILED,
            }
        }
    }
}

/// The directories whose files' modes matter.
fn trees(config: &Config) -> Vec<PathBuf> {
    let trees = config.skeleton_trees.iter().chain(&config.extra_trees);
    trees.cloned().collect()
}

fn present(config: &Config) -> Option<PathBuf> {
    let mut paths = RECORDS
        .iter()
        .map(|name| config.project.directory.join(name));
    paths.find(|path| fs::symlink_metadata(path).is_ok())
}

fn record(config: &Config) -> Result<(), VerbError> {
    let project = &config.project.directory;
    let text = modes::record(project, &trees(config)).map_err(VerbError::Tree)?;
    let path = present(config).unwrap_or_else(|| project.join(own_record(config)));
    let failed = |source: io::Error| VerbError::File {
        path: path.clone(),
        source,
    };
    let mut file = tempfile::NamedTempFile::new_in(project).map_err(failed)?;
    let open = fs::Permissions::from_mode(0o644);
    io::Write::write_all(&mut file, &text)
        .and_then(|()| file.as_file().set_permissions(open))
        .map_err(failed)?;
    if let Some(user) = calling_user().filter(|_| !config.no_chown) {
        std::os::unix::fs::fchown(file.as_file(), Some(user.uid), Some(user.gid))
            .map_err(failed)?;
    }
    file.persist(&path).map_err(|error| failed(error.error))?;
    let count = text.iter().filter(|b| **b == b'\n').count();
    terminal::tell(&format!(
        "recorded the modes of {count} files in {}\n",
        printable_path(&path)
    ));
    Ok(())
}

/// What a record is called where there is none yet.
fn own_record(config: &Config) -> &'static str {
    let imgbuild = config.project.directory.join("IMGBUILD");
    RECORDS[usize::from(!imgbuild.is_file())]
}

fn apply(config: &Config) -> Result<(), VerbError> {
    let Some(path) = present(config) else {
        let path = config.project.directory.join(own_record(config));
        return Err(VerbError::File {
            path,
            source: io::Error::new(
                io::ErrorKind::NotFound,
                "no modes have been recorded; mkosi modes record does that",
            ),
        });
    };
    let text = fs::read(&path).map_err(|source| VerbError::File {
        path: path.clone(),
        source,
    })?;
    let applied = modes::apply(&config.project.directory, &text, &path).map_err(VerbError::Tree)?;
    for missing in &applied.missing {
        terminal::complain(format_args!(
            "warning: {} is recorded in {}, and is not there",
            printable_path(missing),
            printable_path(&path)
        ));
    }
    terminal::tell(&format!("changed the modes of {} files\n", applied.changed));
    Ok(())
}
