//! Keeps the development image's header files on the host, for editors to look things up in.

use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use crate::host::Host;
use crate::tree::{CopyOptions, Root, TreeError, copy_tree};

/// Where a system keeps its headers.
const HEADERS: &str = "/usr/include";

/// Copies the headers of the image `root` over what `directory` of the host holds; headers that are
/// gone from the image stay there. All of it is given to `owner` (user and group), if there is one.
///
/// # Errors
/// The first file that cannot be copied.
pub fn keep_headers(
    root: &Root,
    directory: &Path,
    owner: Option<(u32, u32)>,
    host: &Host,
) -> Result<(), TreeError> {
    if !root.is_dir(HEADERS)? {
        host.report
            .warn("the development image has no header files: IncludeDirectory stays as it is");
        return Ok(());
    }
    // Opened beneath the image's root: a link in the image could lead to the host's files.
    let headers = root.open_dir(HEADERS)?;
    let source = PathBuf::from(format!("/proc/self/fd/{}", headers.as_raw_fd()));
    let kept = Root::open(directory)?;
    let (report, cancel) = (host.report.as_ref(), &host.cancel);
    let options = CopyOptions::default();
    copy_tree(&kept, &source, Path::new("/"), &options, report, cancel)?;
    match owner {
        Some(owner) => kept.give(0, owner),
        None => Ok(()),
    }
}
