//! What a build script put into `$DESTDIR`, on its way into the final image.

use std::fs;
use std::io;
use std::path::Path;

use crate::host::Host;
use crate::tree::{Copied, CopyOptions, Owner, Root, TreeError, copy_tree};

/// Whether the script put nothing there.
///
/// # Errors
/// When the directory cannot be read.
pub fn is_empty(destination: &Path) -> io::Result<bool> {
    Ok(fs::read_dir(destination)?.next().is_none())
}

/// Copies everything over the image: with its owners, modes, times, hard links and attributes, but
/// without devices and sockets. Nothing in it can write outside the image, and directories that the
/// image has already keep what they are.
///
/// # Errors
/// The first thing that cannot be copied.
pub fn install(destination: &Path, root: &Root, host: &Host) -> Result<Copied, TreeError> {
    let options = CopyOptions {
        owner: Owner::Keep,
        ..CopyOptions::default()
    };
    let (report, cancel) = (host.report.as_ref(), &host.cancel);
    copy_tree(root, destination, Path::new("/"), &options, report, cancel)
}
