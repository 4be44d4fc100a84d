//! Trees with more holes than whoever reads them to the end ever could.

use std::path::Path;

use super::StepError;
use crate::disk::{DiskSpec, FileSystem, Filling, size_text};
use crate::host::Host;
use crate::plan::Image;
use crate::tree::{self, Root, TreeError};

/// Of all holes together. Programs read two or three gigabytes of zeros in a second.
const MOST: u64 = 1 << 40;

/// Refuses a tree whose holes would take hours, or all of the disk, to be read or written as zeros.
///
/// # Errors
/// [`TreeError::Holes`], with the largest file.
pub(super) fn refuse(
    tree: &Path,
    image: &Image,
    epoch: Option<u64>,
    host: &Host,
) -> Result<(), StepError> {
    let why = match image {
        Image::Tar { .. } if epoch.is_some() => {
            "an archive that is the same each time (SOURCE_DATE_EPOCH) holds its holes as zeros"
        }
        Image::Plain { file_system, .. } if is_squashfs(file_system) => SQUASHFS,
        Image::Disk(disk) if has_squashfs(&disk.spec()?) => SQUASHFS,
        _ => return Ok(()),
    };
    let mut holes = 0_u64;
    let mut largest = (0, Path::new("").to_owned());
    for directory in tree::inventory(&Root::open(tree)?, &host.cancel)?.directories {
        for file in directory.files {
            holes = holes.saturating_add(file.holes);
            if file.holes > largest.0 {
                largest = (file.holes, directory.path.join(file.name));
            }
        }
    }
    if holes <= MOST {
        return Ok(());
    }
    Err(TreeError::Holes {
        path: tree::shown_path(largest.1),
        size: size_text(largest.0),
        why,
        most: size_text(MOST),
    }
    .into())
}

const SQUASHFS: &str = "mksquashfs reads holes from their first byte to their last";

fn is_squashfs(file_system: &FileSystem) -> bool {
    matches!(file_system, FileSystem::Squashfs(_))
}

fn has_squashfs(spec: &DiskSpec) -> bool {
    spec.partitions.iter().any(|partition| {
        matches!(&partition.filling, Filling::Files(files) if is_squashfs(&files.file_system))
    })
}
