//! Shows a source tree without copying it: what is written to it goes elsewhere and is dropped.

use std::fs;
use std::path::{Path, PathBuf};

use super::SourcesError;
use crate::host::{Host, HostError, Mount, Overlay, printable_path};

/// A source tree that can be written to without being changed, until this value is dropped.
#[derive(Debug)]
pub struct Shown {
    path: PathBuf,
    // In this order: what is mounted last goes first.
    _seen: Option<Mount>,
    _memory: Option<Mount>,
}

impl Shown {
    /// Where the tree is to be found on the host.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether writing to it fails.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self._seen.is_none()
    }
}

/// Shows the directory `source`. `scratch` is an empty directory of the build's own: what is written
/// goes there; where it is in the source tree itself, which no overlay allows, to memory. Without any
/// overlay the tree can only be read.
///
/// # Errors
/// When the source directory cannot be read, or `scratch` not be written.
pub fn show(source: &Path, scratch: &Path, host: &Host) -> Result<Shown, SourcesError> {
    fs::read_dir(source).map_err(|e| SourcesError::Unreadable {
        path: source.to_owned(),
        source: e,
    })?;
    let seen = directory(scratch, "seen")?;
    if let Ok(mount) = overlay(source, &directory(scratch, "disk")?, &seen) {
        return Ok(Shown {
            path: seen,
            _seen: Some(mount),
            _memory: None,
        });
    }
    let place = directory(scratch, "memory")?;
    let memory = Mount::tmpfs(&place, "mode=0700");
    let mounted = memory.and_then(|memory| Ok((overlay(source, &place, &seen)?, memory)));
    match mounted {
        Ok((mount, memory)) => Ok(Shown {
            path: seen,
            _seen: Some(mount),
            _memory: Some(memory),
        }),
        Err(error) => {
            host.report.warn(&format!(
                "{} can only be read by the build script: {error}",
                printable_path(source)
            ));
            Ok(Shown {
                path: source.to_owned(),
                _seen: None,
                _memory: None,
            })
        }
    }
}

/// The tree `lower` at `target`; changes go to a directory of `changes`.
fn overlay(lower: &Path, changes: &Path, target: &Path) -> Result<Mount, HostError> {
    let overlay = Overlay {
        lower: &[lower],
        upper: &directory(changes, "upper")?,
        work: &directory(changes, "work")?,
        options: "",
    };
    Mount::overlay(&overlay, target)
}

fn directory(parent: &Path, name: &str) -> Result<PathBuf, HostError> {
    let path = parent.join(name);
    fs::create_dir_all(&path).map_err(HostError::path("create", &path))?;
    Ok(path)
}
