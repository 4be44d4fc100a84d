//! Files of packages: found by the package's name, and copied once it is known what they are.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use walkdir::WalkDir;

use crate::distro::provenance::Archive;
use crate::host::hex;

/// Read at once.
const BUFFER: usize = 256 * 1024;

/// The files below `directory` whose names begin with one of `names` and a hyphen, and have `end` in them.
/// A directory that is not there has none.
pub(super) fn named(directory: &Path, names: &HashSet<&str>, end: &str) -> Vec<PathBuf> {
    let is_one = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let hyphens = name.match_indices('-');
        name.contains(end)
            && hyphens
                .into_iter()
                .any(|(at, _)| names.contains(&name[..at]))
    };
    let found = WalkDir::new(directory)
        .follow_links(true)
        .sort_by_file_name();
    found
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file() && is_one(entry.path()))
        .map(walkdir::DirEntry::into_path)
        .collect()
}

/// The names of packages, each once.
pub(super) fn names<'a>(packages: impl IntoIterator<Item = &'a Archive>) -> HashSet<&'a str> {
    packages.into_iter().map(|one| one.name.as_str()).collect()
}

/// The SHA-256 of a file, in hexadecimal.
///
/// # Errors
/// When it cannot be read.
pub(super) fn sha256(path: &Path) -> io::Result<String> {
    hashed(File::open(path)?, io::sink())
}

/// Copies a file to `to`, which must not be there, if it is what is expected; whether it was. What is
/// compared is what was written, whatever happens to the file meanwhile.
///
/// # Errors
/// When it cannot be read or written.
pub(super) fn copy_verified(from: &Path, to: &Path, sha256: &str) -> io::Result<bool> {
    let fits = hashed(File::open(from)?, File::create_new(to)?)? == sha256;
    if !fits {
        fs::remove_file(to)?;
    }
    Ok(fits)
}

fn hashed(mut from: File, mut to: impl io::Write) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            to.flush()?;
            return Ok(hex(&hash.finalize()));
        }
        hash.update(&buffer[..read]);
        to.write_all(&buffer[..read])?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_what_was_expected_or_is_not_there() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        fs::write(at("a-1.rpm"), "one").unwrap();
        let sum = sha256(&at("a-1.rpm")).unwrap();
        assert_eq!(sum, hex(&Sha256::digest("one")));
        assert!(copy_verified(&at("a-1.rpm"), &at("copy"), &sum).unwrap());
        fs::write(at("a-1.rpm"), "two").unwrap();
        assert!(!copy_verified(&at("a-1.rpm"), &at("other"), &sum).unwrap());
        assert!(!at("other").exists());
        // Nothing that is there is written to.
        copy_verified(&at("a-1.rpm"), &at("copy"), &sum).unwrap_err();
        assert_eq!(fs::read_to_string(at("copy")).unwrap(), "one");
    }

    #[test]
    fn files_are_found_by_the_names_of_packages() {
        let place = tempfile::tempdir().unwrap();
        for name in ["x/lib-a-1.rpm", "lib-1.rpm", "liba-1.rpm", "lib-1.txt"] {
            let path = place.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let found = |name| named(place.path(), &HashSet::from([name]), ".rpm").len();
        assert_eq!((found("lib"), found("lib-a"), found("li")), (2, 1, 0));
        assert!(named(&place.path().join("nosuch"), &HashSet::from(["a"]), ".rpm").is_empty());
    }
}
