//! Which package a path belongs to, while many are unpacked at once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a package has at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Directory,
    /// Anything but a directory, which only one package may have.
    Single,
}

/// The answer to a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claimed {
    /// Nobody had it.
    First,
    /// The same package, or another one where both have a directory.
    Shared,
    /// Another package's.
    Taken { by: usize, shape: Shape },
}

/// Owner, mode and time of a directory, and the number of the package that says so.
#[derive(Clone, Copy, Debug)]
pub(super) struct DirectoryClaim {
    pub package: usize,
    pub owner: (u32, u32),
    pub mode: u32,
    pub mtime: (i64, u32),
}

#[derive(Debug)]
struct Claim {
    package: usize,
    shape: Shape,
    /// What the first of its packages wants it to be.
    wanted: Option<DirectoryClaim>,
    /// Whether it was made for them. A directory that was there keeps its attributes.
    made: bool,
}

/// As many parts as keep a few threads from waiting for each other.
const PARTS: usize = 64;

/// Paths without symbolic links in their directories, and who has them.
#[derive(Debug)]
pub(super) struct Claims(Vec<Mutex<HashMap<Vec<u8>, Claim>>>);

impl Claims {
    pub fn new() -> Self {
        Self((0..PARTS).map(|_| Mutex::default()).collect())
    }

    fn part(&self, path: &[u8]) -> MutexGuard<'_, HashMap<Vec<u8>, Claim>> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(path);
        let index = usize::try_from(hash % PARTS as u64).unwrap_or(0);
        // A thread that panicked ends the program's work anyway.
        self.0[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims a path for a package. Of a directory that several have, the attributes are those of
    /// the package with the lowest number, which dpkg would have unpacked first.
    pub fn claim(&self, path: &[u8], package: usize, shape: Shape) -> Claimed {
        match self.part(path).entry(path.to_vec()) {
            Entry::Vacant(vacant) => {
                vacant.insert(Claim {
                    package,
                    shape,
                    wanted: None,
                    made: false,
                });
                Claimed::First
            }
            Entry::Occupied(held) => {
                let held = held.get();
                let both = held.shape == shape;
                if both && (held.package == package || shape == Shape::Directory) {
                    Claimed::Shared
                } else {
                    Claimed::Taken {
                        by: held.package,
                        shape: held.shape,
                    }
                }
            }
        }
    }

    /// Notes what a package wants a directory to be; `made` when it did not exist before.
    pub fn directory(&self, path: &[u8], wanted: DirectoryClaim, made: bool) {
        if let Some(claim) = self.part(path).get_mut(path) {
            claim.made |= made;
            if claim
                .wanted
                .is_none_or(|other| wanted.package < other.package)
            {
                claim.wanted = Some(wanted);
            }
        }
    }

    /// Whose single thing this is.
    pub fn owner(&self, path: &[u8]) -> Option<usize> {
        let part = self.part(path);
        let claim = part.get(path)?;
        (claim.shape == Shape::Single).then_some(claim.package)
    }

    /// The directories that were made since the last time, each after those above it.
    pub fn take_directories(&self) -> Vec<(Vec<u8>, DirectoryClaim)> {
        let mut all = Vec::new();
        for part in &self.0 {
            let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
            for (path, claim) in part.iter_mut() {
                if std::mem::take(&mut claim.made) {
                    all.extend(claim.wanted.map(|wanted| (path.clone(), wanted)));
                }
            }
        }
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_directories_are_shared() {
        use Claimed::{First, Shared, Taken};
        use Shape::{Directory, Single};
        let claims = Claims::new();
        let taken = |by, shape| Taken { by, shape };
        for (path, package, shape, expected) in [
            ("usr", 1, Directory, First),
            ("usr", 2, Directory, Shared),
            ("usr", 2, Single, taken(1, Directory)),
            ("usr/x", 2, Single, First),
            ("usr/x", 2, Single, Shared),
            ("usr/x", 1, Single, taken(2, Single)),
            ("usr/x", 1, Directory, taken(2, Single)),
        ] {
            let claimed = claims.claim(path.as_bytes(), package, shape);
            assert_eq!(claimed, expected, "{path} {package}");
        }
        assert_eq!(claims.owner(b"usr/x"), Some(2));
        assert_eq!(claims.owner(b"usr"), None);
    }

    #[test]
    fn a_directory_is_as_the_first_package_wants_it() {
        let claims = Claims::new();
        let wanted = |package, mode| DirectoryClaim {
            package,
            owner: (0, 0),
            mode,
            mtime: (0, 0),
        };
        for path in [&b"srv"[..], b"old"] {
            claims.claim(path, 5, Shape::Directory);
        }
        claims.directory(b"srv", wanted(3, 0o700), false);
        claims.directory(b"srv", wanted(5, 0o755), true);
        claims.directory(b"srv", wanted(9, 0o777), false);
        claims.directory(b"old", wanted(5, 0o700), false);
        let directories = claims.take_directories();
        assert_eq!(directories.len(), 1);
        assert_eq!(directories[0].1.mode, 0o700);
        assert!(claims.take_directories().is_empty());
    }
}
