//! The directory with downloaded packages.

use super::{InstallError, Request};
use crate::host::{Host, HostError, Lock};

/// Makes the package cache if needed, and waits until no other build uses it: package managers' own
/// locks would fail instead.
///
/// # Errors
/// When the cache cannot be made, or the build was interrupted.
pub(super) fn lock(request: &Request, host: &Host) -> Result<Option<Lock>, InstallError> {
    let Some(cache) = &request.cache else {
        return Ok(None);
    };
    super::confined::make_directory(cache)?;
    match Lock::wait(cache, "mkosi build", host) {
        Ok(lock) => Ok(Some(lock)),
        Err(HostError::Cancelled) => Err(InstallError::Cancelled),
        Err(error) => Err(error.into()),
    }
}
