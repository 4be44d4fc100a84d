//! The directory with downloaded packages.

use std::io;
use std::path::Path;

use walkdir::WalkDir;

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

/// Makes sure that neither this directory nor anything beneath it is a symbolic link: a cache may come with a
/// project, and what is written or removed there must be its own. apt alone makes links there, to lists of
/// repositories on the disk, and never writes through them.
///
/// # Errors
/// When there is one, or a directory cannot be read.
pub(super) fn refuse_links(directory: &Path) -> Result<(), InstallError> {
    if directory.symlink_metadata().is_err() {
        return Ok(());
    }
    let failed = |path: &Path, source| InstallError::Prepare {
        path: path.to_owned(),
        source,
    };
    for entry in WalkDir::new(directory) {
        let entry = entry.map_err(|e| failed(directory, e.into()))?;
        if entry.path_is_symlink() && !is_list(entry.path()) {
            let why = "it is a symbolic link, which does not belong in a package cache: remove it";
            return Err(failed(entry.path(), io::Error::other(why)));
        }
    }
    Ok(())
}

/// Whether this is a list that apt has by the address of a directory, in which `_` stands for each `/`.
fn is_list(path: &Path) -> bool {
    let parent = path.parent().and_then(Path::file_name);
    let name = path.file_name().unwrap_or_default();
    parent.is_some_and(|parent| parent == "lists") && name.as_encoded_bytes().starts_with(b"_")
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_found_wherever_they_are() {
        let directory = tempfile::tempdir().unwrap();
        let cache = directory.path().join("apt");
        refuse_links(&cache).unwrap();
        fs::create_dir_all(cache.join("state/lists")).unwrap();
        fs::write(cache.join("state/lists/x"), "").unwrap();
        symlink("/nowhere", cache.join("state/lists/_srv_x_Packages")).unwrap();
        refuse_links(&cache).unwrap();
        for place in ["link", "_link", "state/chosen", "state/lists/link"] {
            let link = cache.join(place);
            symlink("/nowhere", &link).unwrap();
            let error = refuse_links(&cache).unwrap_err();
            assert!(error.to_string().contains(place), "{error}");
            let source = error.source().unwrap().to_string();
            assert!(source.contains("remove it"), "{source}");
            fs::remove_file(link).unwrap();
        }
        let link = directory.path().join("itself");
        symlink(&cache, &link).unwrap();
        refuse_links(&link).unwrap_err();
    }
}
