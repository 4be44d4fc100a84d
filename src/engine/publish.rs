//! Artifacts are written under a hidden name and appear, all of them or none, when complete.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid, chownat, fdatasync, fsync, openat};

use super::placing::Placing;
use super::publication::Publication;
use super::scratch::{OUT, Scratch};
use super::{Artifact, EngineError};
use crate::host::{Host, Report, clear_subvolume_read_only, fail_point, set_subvolume_read_only};

/// Where artifacts are made, in the hidden directory.
pub(super) const NEW: &str = "new";
/// Where what they replace goes, in the hidden directory.
pub(super) const OLD: &str = "old";

/// What a power failure right after a build may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Image files are on the disk before they get their names: what carries an artifact's name is
    /// complete even after a power failure. Trees of the directory formats are left to the file
    /// system: syncing each of their files would take longer than installing them.
    #[default]
    Synced,
    /// Nothing is waited for; the file system decides.
    Unsynced,
}

/// How artifacts are published.
#[derive(Clone, Copy, Debug, Default)]
pub struct PublishOptions {
    /// Whether artifacts replace what has their names (`-f`).
    pub replace: bool,
    /// User and group that files shall belong to; root keeps the trees of directory formats, whose
    /// owner is part of their content.
    pub owner: Option<(u32, u32)>,
    /// Whether to wait for the disk.
    pub durability: Durability,
}

/// The artifacts of one build, in `.mkosi-out-XXXXXX` inside the output directory until they are
/// published. Dropped before that, nothing stays.
#[derive(Debug)]
pub struct Staging {
    scratch: Scratch,
    output: PathBuf,
    options: PublishOptions,
    artifacts: Vec<OsString>,
    retired: Vec<OsString>,
    frozen: Vec<OsString>,
}

impl Staging {
    /// Makes the hidden directory in `output`, the output directory, and removes what builds that
    /// were killed left there.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn create(
        output: &Path,
        options: PublishOptions,
        report: &dyn Report,
    ) -> Result<Self, EngineError> {
        let scratch = Scratch::create(output, OUT, report)?;
        for name in [NEW, OLD] {
            let path = scratch.path().join(name);
            fs::create_dir(&path).map_err(EngineError::path("create", &path))?;
        }
        Ok(Self {
            scratch,
            output: output.to_owned(),
            options,
            artifacts: Vec::new(),
            retired: Vec::new(),
            frozen: Vec::new(),
        })
    }

    /// Announces the artifact `name` and returns where it has to be made: a path at which nothing
    /// is yet, on the file system of the output directory.
    ///
    /// # Errors
    /// It is no plain file name.
    pub fn add(&mut self, name: impl AsRef<OsStr>) -> Result<PathBuf, EngineError> {
        let name = checked(name.as_ref())?;
        if !self.artifacts.contains(&name) {
            self.artifacts.push(name.clone());
        }
        self.retired.retain(|retired| *retired != name);
        Ok(self.path(&name))
    }

    /// The names of the artifacts announced so far, in that order.
    #[must_use]
    pub fn names(&self) -> &[OsString] {
        &self.artifacts
    }

    /// Where the artifact `name`, which was announced, is made.
    #[must_use]
    pub fn path(&self, name: &OsStr) -> PathBuf {
        self.scratch.path().join(NEW).join(name)
    }

    /// Announces that `name`, an artifact that a former build may have left, goes when this build's
    /// artifacts appear. An artifact of this build is not retired.
    ///
    /// # Errors
    /// It is no plain file name.
    pub fn retire(&mut self, name: impl AsRef<OsStr>) -> Result<(), EngineError> {
        let name = checked(name.as_ref())?;
        if !self.artifacts.contains(&name) && !self.retired.contains(&name) {
            self.retired.push(name);
        }
        Ok(())
    }

    /// Announces that the artifact `artifact`, a btrfs subvolume, gets the read-only flag as soon as
    /// it is in place: with it, it could not be put there.
    ///
    /// # Errors
    /// It has no plain file name.
    pub fn freeze(&mut self, artifact: &Path) -> Result<(), EngineError> {
        let name = artifact.file_name().unwrap_or(artifact.as_os_str());
        self.frozen.push(checked(name)?);
        Ok(())
    }

    /// Gives all artifacts their names, in the order in which they were announced. When one cannot
    /// have its name, those before it are taken back, and what they replaced stands there again.
    ///
    /// # Errors
    /// An artifact was not made, or cannot be given its name or its owner; or an interruption. The artifacts of before
    /// are there then.
    pub fn publish(self, host: &Host) -> Result<Vec<Artifact>, EngineError> {
        let root = self.scratch.path().to_owned();
        let (new, old) = (root.join(NEW), root.join(OLD));
        let reach = |name, about: &OsStr| {
            fail_point::reach(name, about.to_string_lossy())
                .map_err(EngineError::path("write", &self.output))
        };
        let mut published = Vec::with_capacity(self.artifacts.len());
        for name in &self.artifacts {
            published.push(self.complete(&new, name)?);
            reach("artifact-completed", name)?;
        }
        // From here on it takes a moment only.
        if host.cancel.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
        let publication = Publication::of(&self.artifacts, &self.retired, &root, &self.output);
        publication
            .note(&root, self.options.durability == Durability::Synced)
            .map_err(EngineError::path("write", &root))?;
        reach("publication-noted", OsStr::new(""))?;
        // A subvolume with the read-only flag cannot be moved away either.
        let thawed: Vec<PathBuf> = self
            .artifacts
            .iter()
            .chain(&self.retired)
            .map(|name| self.output.join(name))
            .filter(|path| self.options.replace && clear_subvolume_read_only(path))
            .collect();
        let mut placing = Placing::new(&self.output, &new, &old);
        let placed = self
            .artifacts
            .iter()
            .try_for_each(|name| {
                placing.place(name, self.options.replace)?;
                reach("artifact-placed", name)
            })
            .and_then(|()| {
                self.retired.iter().try_for_each(|name| {
                    placing.retire(name)?;
                    reach("artifact-retired", name)
                })
            })
            .and_then(|()| {
                self.frozen.iter().try_for_each(|name| {
                    set_subvolume_read_only(&self.output.join(name), true)
                        .map_err(EngineError::Host)
                })
            })
            .and_then(|()| reach("artifacts-placed", OsStr::new("")))
            .and_then(|()| self.sync_names())
            // With this it is decided: whoever finds the directory from now on only removes it.
            .and_then(|()| {
                Publication::forget(&root)
                    .map_err(EngineError::path("decide to keep what is in", &root))
            });
        if let Err(error) = placed {
            for name in &self.frozen {
                clear_subvolume_read_only(&self.output.join(name));
            }
            let taken_back = placing.take_back();
            for path in &thawed {
                // Nobody is left to tell; what failed before says what matters.
                let _ = set_subvolume_read_only(path, true);
            }
            if taken_back.is_err() {
                return Err(EngineError::NotPutBack {
                    directory: self.output,
                    kept: self.scratch.keep(),
                    source: Box::new(error),
                });
            }
            return Err(error);
        }
        fail_point::pass("publication-decided");
        // The artifacts are in place: what is left of the old ones is no reason to fail.
        if let Err(error) = self.scratch.remove() {
            host.report.warn(&error.to_string());
        }
        Ok(published)
    }

    /// Checks that an artifact was made, and gives it its owner.
    fn complete(&self, new: &Path, name: &OsStr) -> Result<Artifact, EngineError> {
        let path = new.join(name);
        let Ok(metadata) = path.symlink_metadata() else {
            return Err(EngineError::NotMade { name: name.into() });
        };
        if !metadata.is_dir() {
            if let Some((uid, gid)) = self.options.owner {
                let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
                chownat(CWD, &path, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(EngineError::path("change the owner of", &path))?;
            }
        }
        if metadata.is_file() && self.options.durability == Durability::Synced {
            let file = File::open(&path).map_err(EngineError::path("open", &path))?;
            fdatasync(&file).map_err(EngineError::path("write to the disk", &path))?;
        }
        let (size, allocated) = match metadata.is_dir() {
            true => tree_size(&path),
            false => (metadata.len(), metadata.blocks() * 512),
        };
        Ok(Artifact {
            path: self.output.join(name),
            size,
            allocated,
        })
    }

    fn sync_names(&self) -> Result<(), EngineError> {
        if self.options.durability == Durability::Unsynced {
            return Ok(());
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(CWD, &self.output, flags, Mode::empty())
            .and_then(fsync)
            .map_err(EngineError::path("write to the disk", &self.output))
    }
}

/// A plain file name, so that an artifact cannot end up elsewhere.
fn checked(name: &OsStr) -> Result<OsString, EngineError> {
    let plain = Path::new(name).file_name() == Some(name);
    if plain {
        Ok(name.to_owned())
    } else {
        Err(EngineError::BadName { name: name.into() })
    }
}

/// Lengths and disk usage of a tree's files, in bytes, hard links counted once.
fn tree_size(path: &Path) -> (u64, u64) {
    let mut seen = HashSet::new();
    let mut total = (0, 0);
    // Subvolumes inside look like other file systems.
    for metadata in walkdir::WalkDir::new(path)
        .into_iter()
        .flatten()
        .filter_map(|e| e.metadata().ok())
    {
        let counted = metadata.nlink() > 1
            && !metadata.is_dir()
            && !seen.insert((metadata.dev(), metadata.ino()));
        if !counted {
            total.0 += if metadata.is_file() {
                metadata.len()
            } else {
                0
            };
            total.1 += metadata.blocks() * 512;
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Cancel, HostRunner, Quiet};
    use std::sync::Arc;

    fn host() -> Host {
        Host::new(Arc::new(HostRunner), Arc::new(Quiet), Cancel::default())
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap().flatten();
        let mut names: Vec<_> = entries
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn staging(output: &Path, replace: bool) -> Staging {
        let options = PublishOptions {
            replace,
            ..PublishOptions::default()
        };
        Staging::create(output, options, &Quiet).unwrap()
    }

    #[test]
    fn artifacts_appear_together_and_nothing_else_does() {
        let dir = tempfile::tempdir().unwrap();
        let mut staging = staging(dir.path(), false);
        fs::write(staging.add("image.raw").unwrap(), "12345").unwrap();
        let tree = staging.add("image").unwrap();
        fs::create_dir_all(tree.join("etc")).unwrap();
        fs::write(tree.join("etc/passwd"), "123").unwrap();
        fs::hard_link(tree.join("etc/passwd"), tree.join("etc/twin")).unwrap();
        assert_eq!(names(dir.path()).len(), 1);
        let published = staging.publish(&host()).unwrap();
        assert_eq!(names(dir.path()), ["image", "image.raw"]);
        assert_eq!(published[0].path, dir.path().join("image.raw"));
        assert_eq!((published[0].size, published[1].size), (5, 3));
    }

    #[test]
    fn a_failure_puts_everything_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let mut staging = staging(dir.path(), false);
        for name in ["first", "second", "third"] {
            fs::write(staging.add(name).unwrap(), "new").unwrap();
        }
        fs::write(path("second"), "somebody else's").unwrap();
        let error = staging.publish(&host()).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("second exists already; -f replaces it")
        );
        assert_eq!(names(dir.path()), ["second"]);
        assert_eq!(
            fs::read_to_string(path("second")).unwrap(),
            "somebody else's"
        );
    }

    #[test]
    fn replacing_takes_the_old_ones_and_the_retired_ones_away() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::create_dir_all(path("image/old")).unwrap();
        fs::write(path("image.roothash"), "old").unwrap();
        fs::write(path("image.nspawn"), "old").unwrap();
        let mut staging = staging(dir.path(), true);
        for name in ["image", "image.roothash", "image.nspawn"] {
            staging.retire(name).unwrap();
        }
        fs::write(staging.add("image").unwrap(), "new").unwrap();
        fs::write(staging.add("image.nspawn").unwrap(), "new").unwrap();
        staging.publish(&host()).unwrap();
        assert_eq!(names(dir.path()), ["image", "image.nspawn"]);
        assert_eq!(fs::read_to_string(path("image")).unwrap(), "new");
    }

    #[test]
    fn what_was_not_made_is_not_published() {
        let dir = tempfile::tempdir().unwrap();
        let mut staging = staging(dir.path(), false);
        fs::write(staging.add("made").unwrap(), "").unwrap();
        staging.add("not-made").unwrap();
        let error = staging.publish(&host()).unwrap_err();
        assert_eq!(error.to_string(), "the build did not make not-made");
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn cancelled_means_nothing_stays() {
        let dir = tempfile::tempdir().unwrap();
        let mut staging = staging(dir.path(), false);
        fs::write(staging.add("image").unwrap(), "").unwrap();
        let host = host();
        host.cancel.cancel();
        assert!(matches!(
            staging.publish(&host),
            Err(EngineError::Cancelled)
        ));
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn artifacts_cannot_leave_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let mut staging = staging(dir.path(), false);
        for name in ["", ".", "..", "a/b", "/etc/passwd", "a/", "../x"] {
            assert!(staging.add(name).is_err(), "{name}");
            assert!(staging.retire(name).is_err(), "{name}");
        }
    }
}
