//! Files with several names, in a layer that holds only what differs from the one below it.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, openat};

use crate::engine::EngineError;
use crate::host::{Cancel, HostError};

/// Sees to it that a file of `lower` which was changed under one of its names is in `changes` under all
/// of them. As long as the overlay `merged` is mounted, its names are one file; once `changes` is a
/// layer of another overlay, those names that are only in `lower` would show the old file.
pub(super) fn complete(
    lower: &Path,
    merged: &Path,
    changes: &Path,
    cancel: &Cancel,
) -> Result<(), EngineError> {
    let mut files: HashMap<u64, Vec<PathBuf>> = HashMap::new();
    for entry in walkdir::WalkDir::new(lower).same_file_system(true) {
        if cancel.is_cancelled() {
            return Err(HostError::Cancelled.into());
        }
        let failed =
            |e: walkdir::Error| EngineError::path("look at", lower)(std::io::Error::from(e));
        let entry = entry.map_err(failed)?;
        if !entry.file_type().is_file() {
            continue;
        }
        let meta = entry.metadata().map_err(failed)?;
        if meta.nlink() > 1 {
            let inside = entry.path().strip_prefix(lower).unwrap_or(entry.path());
            files.entry(meta.ino()).or_default().push(inside.to_owned());
        }
    }
    for names in files.into_values() {
        let number = |name: &PathBuf| identity(&merged.join(name));
        let changed = |name: &&PathBuf| {
            let meta = changes.join(name).symlink_metadata();
            meta.is_ok_and(|meta| meta.is_file())
        };
        let Some(file) = names.iter().find(changed).and_then(number) else {
            continue;
        };
        for name in &names {
            if changed(&name) || number(name) != Some(file) {
                continue;
            }
            // The kernel brings a name up when it is opened for writing.
            let path = merged.join(name);
            let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            openat(rustix::fs::CWD, &path, flags, Mode::empty())
                .map_err(EngineError::path("keep the names together of", &path))?;
        }
    }
    Ok(())
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let meta = path.symlink_metadata().ok()?;
    Some((meta.dev(), meta.ino()))
}
