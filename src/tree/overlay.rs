//! Skeleton and extra trees: a directory or a tar archive, put over an image.

use std::path::{Path, PathBuf};

use super::archive::extract;
use super::copy::{CopyOptions, copy_tree};
use super::error::TreeError;
use super::root::Root;
use super::shown::shown;
use crate::host::{Cancel, Report};

/// Puts a tree over the image: a directory is copied by `options`, anything else is extracted as a
/// tar archive, which has owners of its own. Returns what the options left for later.
///
/// # Errors
/// When the source cannot be read, or the image not be written.
pub fn add_tree(
    root: &Root,
    source: &Path,
    options: &CopyOptions<'_>,
    report: &dyn Report,
    cancel: &Cancel,
) -> Result<Vec<PathBuf>, TreeError> {
    let meta = std::fs::metadata(source).map_err(|e| TreeError::io("read", shown(source), e))?;
    if meta.is_dir() {
        let copied = copy_tree(root, source, Path::new("/"), options, report, cancel)?;
        return Ok(copied.later);
    }
    extract(root, source, report, cancel)?;
    Ok(Vec::new())
}
