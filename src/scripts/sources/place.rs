//! Copies sources into an image's tree.

use std::path::Path;

use super::exclusions::Exclusions;
use super::{SOURCES, Sources, SourcesError, git};
use crate::config::values::SourceTransfer;
use crate::host::Host;
use crate::tree::{Copied, CopyOptions, Kind, Owner, Root, Select, TreeError, copy_tree};

/// Copies the sources to [`SOURCES`] in the image. All of it belongs to root there; modes, times and
/// links are kept, and no symbolic link of the source tree is followed. Sockets and devices are left
/// out. Sources that are only shown ([`SourceTransfer::Mount`]) are not copied: their place is made.
///
/// # Errors
/// When git cannot tell what the sources are, and the first file that cannot be copied.
pub fn place(sources: &Sources, root: &Root, host: &Host) -> Result<Copied, SourcesError> {
    let source = &sources.path;
    std::fs::read_dir(source).map_err(|e| SourcesError::Unreadable {
        path: source.clone(),
        source: e,
    })?;
    // As in every system; the directory is nobody else's business.
    root.create_dir_all("/root", 0o700)?;
    root.create_dir_all(SOURCES, 0o755)?;
    let others = match sources.transfer {
        SourceTransfer::Mount => return Ok(Copied::default()),
        SourceTransfer::CopyAll => None,
        SourceTransfer::CopyGitCached => Some(false),
        SourceTransfer::CopyGitOthers => Some(true),
    };
    let list = others
        .map(|others| git::list(source, others, host))
        .transpose()?;
    let exclusions = Exclusions::new(source, &sources.left_out);
    let select = |path: &Path, kind: Kind| {
        let chosen = list.as_ref().is_none_or(|list| list.has(path, kind));
        if chosen && !exclusions.leave_out(path) {
            Select::Copy
        } else {
            Select::Skip
        }
    };
    let options = CopyOptions {
        owner: Owner::Root,
        select: &select,
        ..CopyOptions::default()
    };
    let (report, cancel) = (host.report.as_ref(), &host.cancel);
    copy_tree(root, source, Path::new(SOURCES), &options, report, cancel).map_err(|e| match e {
        TreeError::Cancelled => SourcesError::Cancelled,
        e => e.into(),
    })
}
