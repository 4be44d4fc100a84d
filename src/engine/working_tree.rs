//! A directory tree on top of others that are never written to.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{EngineError, StepError};
use crate::host::{self, Host, HostError, Mount, Overlay, fail_point};
use crate::tree::{self, CopyOptions, Root, Select};

/// How an overlay behaves like any other file system: names of one file stay names of one file when
/// it is changed, directories can be renamed, files are copied whole. What is in it is thrown away
/// after a crash, so that nothing needs to be synced when it is unmounted (`volatile`, Linux 5.10).
const OPTIONS: [&str; 2] = [
    "index=on,redirect_dir=on,metacopy=off,volatile",
    "index=on,redirect_dir=on,metacopy=off",
];

/// A tree that can be changed while those below it stay as they are. Gone, with its mount, when dropped.
#[derive(Debug)]
pub(super) struct WorkingTree {
    path: PathBuf,
    overlay: Option<Mount>,
}

impl WorkingTree {
    /// Makes a tree that begins as `lowers`, the uppermost first: each holds what it changes of those
    /// below it. Where the kernel has no overlays, or cannot have one in this place, a single tree is
    /// copied instead. `place` is an empty directory, in which the changes are kept, too.
    pub fn over(lowers: &[&Path], place: &Path, host: &Host) -> Result<Self, StepError> {
        match Self::overlay(lowers, place, host) {
            Err(StepError::Frame(EngineError::Host(error))) if lowers.len() == 1 => {
                host.report.line(&format!(
                    "no overlay here, so that everything is copied: {error}"
                ));
                host::remove_contents(place).map_err(EngineError::Host)?;
                Self::copied(lowers, place, host)
            }
            made => made,
        }
    }

    /// Whether trees in `place`, an empty directory, can be overlays.
    pub fn can_be_overlay(place: &Path, host: &Host) -> Result<bool, StepError> {
        let lower = place.join("lower");
        fs::create_dir(&lower).map_err(EngineError::path("create", &lower))?;
        let made = match Self::overlay(&[&lower], place, host) {
            Ok(tree) => {
                tree.close()?;
                true
            }
            Err(StepError::Frame(EngineError::Host(_))) => false,
            Err(e) => return Err(e),
        };
        host::remove(place).map_err(EngineError::Host)?;
        Ok(made)
    }

    fn overlay(lowers: &[&Path], place: &Path, host: &Host) -> Result<Self, StepError> {
        let [path, upper, work] = ["tree", "changes", "work"].map(|name| place.join(name));
        for directory in [&path, &upper, &work] {
            fs::create_dir(directory).map_err(EngineError::path("create", directory))?;
        }
        if let Some(lower) = lowers.first() {
            copy_top(lower, &upper, host)?;
        }
        let mut result = Err(HostError::Cancelled);
        for options in OPTIONS {
            let overlay = Overlay {
                lower: lowers,
                upper: &upper,
                work: &work,
                options,
            };
            result = Mount::overlay(&overlay, &path);
            // What a kernel says that does not know an option; for all else, the first reason counts.
            if !matches!(&result, Err(HostError::Path { source, .. }) if is_invalid(source)) {
                break;
            }
        }
        let mount = result.map_err(EngineError::Host)?;
        fail_point::reach("overlay-mounted", "").map_err(EngineError::path("write", place))?;
        Ok(Self {
            path,
            overlay: Some(mount),
        })
    }

    /// As [`over`](Self::over), but always a copy, of one tree that holds everything.
    pub fn copied(lowers: &[&Path], place: &Path, host: &Host) -> Result<Self, StepError> {
        let path = place.join("tree");
        fs::create_dir(&path).map_err(EngineError::path("create", &path))?;
        let options = CopyOptions::faithful(None);
        let (report, cancel) = (host.report.as_ref(), &host.cancel);
        let root = Root::open(&path)?;
        for lower in lowers {
            tree::copy_tree(&root, lower, Path::new(""), &options, report, cancel)?;
        }
        Ok(Self {
            path,
            overlay: None,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where only the changes are, if they are kept apart.
    pub fn changes(place: &Path) -> PathBuf {
        place.join("changes")
    }

    /// Whether it is an overlay.
    pub const fn is_overlay(&self) -> bool {
        self.overlay.is_some()
    }

    /// Unmounts it; the changes stay.
    pub fn close(self) -> Result<(), EngineError> {
        match self.overlay {
            Some(mount) => Ok(mount.unmount()?),
            None => Ok(()),
        }
    }
}

fn is_invalid(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidInput
}

/// Gives an overlay's upper directory, which decides for the top of the tree, what the lower one has.
fn copy_top(lower: &Path, upper: &Path, host: &Host) -> Result<(), StepError> {
    let options = CopyOptions {
        select: &|_, _| Select::Skip,
        ..CopyOptions::faithful(None)
    };
    let (report, cancel) = (host.report.as_ref(), &host.cancel);
    let root = Root::open(upper)?;
    tree::copy_tree(&root, lower, Path::new(""), &options, report, cancel)?;
    // What was an overlay's upper directory once is marked as belonging to the one below it.
    root.forget_overlay()?;
    Ok(())
}
