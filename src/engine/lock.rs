//! The lock of a build: kept to, or written.

use std::path::Path;

use rustix::fs::{AtFlags, CWD, Gid, Uid, chownat};

use super::site::Site;
use super::whole_file::write_whole;
use super::{EngineError, StepError};
use crate::distro::provenance::Provenance;
use crate::installer::InstallError;
use crate::installer::lock::{LockError, System, fit_together, text};

/// What this is called where it fails.
pub(super) const TITLE: &str = "Comparing the packages with the lock";

/// Makes sure that the lock, if there is one, has no more than was taken; returns the text of the lock
/// that is to be written, if one is.
pub(super) fn settle(site: &Site<'_>) -> Result<Option<String>, StepError> {
    let build = site.build;
    let request = build.plan.request();
    let Some(request) = request.filter(|r| build.lock.is_some() || r.lock.is_some()) else {
        return Ok(None);
    };
    let known = site.provenance.iter().map(|(_, known)| known.as_ref());
    let known: Option<Vec<&Provenance>> = known.collect();
    let known = known.ok_or(InstallError::Lock(LockError::Unknown))?;
    let mut all = Provenance::default();
    for one in &known {
        all.add(one);
    }
    if let Some(lock) = &request.lock {
        lock.is_used_up(&all).map_err(InstallError::Lock)?;
    }
    if build.lock.is_some() {
        fit_together(&known).map_err(InstallError::Lock)?;
    }
    let system = System {
        distribution: request.distribution.to_string(),
        release: request.release.clone(),
        architecture: request.architecture.clone(),
    };
    Ok(build.lock.map(|_| text(&system, &all)))
}

/// Writes the lock, for its owner.
pub(super) fn write(path: &Path, text: &str, owner: Option<(u32, u32)>) -> Result<(), EngineError> {
    write_whole(path, text.as_bytes())
        .and_then(|()| match owner {
            Some((uid, gid)) => {
                let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
                Ok(chownat(CWD, path, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?)
            }
            None => Ok(()),
        })
        .map_err(EngineError::path("write", path))
}
