//! The lock file: which packages, down to the byte, an image is built from.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::distro::provenance::{Archive, Identity, Provenance, Snapshot};
use crate::host::{hex, printable, printable_path};

/// Raised when a field changes its meaning or goes away.
const VERSION: u32 = 1;
/// No lock comes near this: 100 bytes for each of 100 000 packages.
const LONGEST: u64 = 64 << 20;
/// Packages that a message names before it counts the rest.
const NAMED: usize = 20;

/// Which system the packages make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct System {
    /// The distribution.
    pub distribution: String,
    /// Its release.
    pub release: String,
    /// The architecture, by the distribution's name.
    pub architecture: String,
}

/// The packages that an image is built from, and no others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageLock {
    /// The file that it was read from.
    pub path: PathBuf,
    /// What was there when it was written.
    pub provenance: Provenance,
}

/// The file's content.
#[derive(Deserialize)]
struct Content {
    lock_version: u32,
    #[serde(flatten)]
    system: System,
    repositories: Vec<Snapshot>,
    packages: Vec<Archive>,
}

/// Why packages could not be those of a lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// There is no lock.
    #[error(
        "there is no lock {}: `mkosi --update-lock build` writes it",
        printable_path(path)
    )]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// It cannot be used.
    #[error(
        "cannot read the lock {}: {problem}; `mkosi --update-lock build` writes it anew",
        printable_path(path)
    )]
    Unreadable {
        /// The lock.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// It is another system's.
    #[error(
        "the lock {} is of {found}, and this image is {wanted}: build with --update-lock, or name \
         another LockFile=",
        printable_path(path)
    )]
    Other {
        /// The lock.
        path: PathBuf,
        /// What it is of.
        found: String,
        /// What is built.
        wanted: String,
    },
    /// Packages are not to be had any more.
    #[error(
        "packages of the lock {} are not to be had:{list}\n{hint}",
        printable_path(path)
    )]
    Gone {
        /// The lock.
        path: PathBuf,
        /// The packages, each on a line, and what is the matter with it.
        list: String,
        /// What to do.
        hint: String,
    },
    /// The settings ask for something else than the lock has.
    #[error(
        "the lock {} does not fit what is to be installed:{list}\n\
         build with --update-lock if that is meant",
        printable_path(path)
    )]
    Unfit {
        /// The lock.
        path: PathBuf,
        /// The packages, each on a line, and what is the matter with it.
        list: String,
    },
    /// Trees of one image have different versions of packages: with a lock of both, the first would get
    /// what only the second has.
    #[error(
        "the trees of this image have different versions of packages:{list}\n\
         build them again with -ff to write a lock that can be followed"
    )]
    Mixed {
        /// The packages, each on a line.
        list: String,
    },
    /// Nobody knows which packages are in a cached tree.
    #[error(
        "it is not known from which files the cached trees were made: build them again with -ff \
         to write a lock"
    )]
    Unknown,
}

impl PackageLock {
    /// Reads the lock at `path`, which must be of this system.
    ///
    /// # Errors
    /// When there is none, or it is no lock of this system.
    pub fn read(path: &Path, wanted: &System) -> Result<Self, LockError> {
        let unreadable = |problem: String| LockError::Unreadable {
            path: path.to_owned(),
            problem,
        };
        let mut text = String::new();
        match std::fs::File::open(path) {
            Ok(file) => file.take(LONGEST).read_to_string(&mut text),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(LockError::Missing {
                    path: path.to_owned(),
                });
            }
            Err(e) => Err(e),
        }
        .map_err(|e| unreadable(e.to_string()))?;
        let content: Content =
            serde_json::from_str(&text).map_err(|e| unreadable(e.to_string()))?;
        if content.lock_version != VERSION {
            let problem = format!("its version is {}, not {VERSION}", content.lock_version);
            return Err(unreadable(problem));
        }
        if content.system != *wanted {
            return Err(LockError::Other {
                path: path.to_owned(),
                found: content.system.shown(),
                wanted: wanted.shown(),
            });
        }
        let mut provenance = Provenance::default();
        provenance.add(&Provenance {
            repositories: content.repositories,
            packages: content.packages,
        });
        let is_sum = |sum: &str| sum.len() == 64 && sum.bytes().all(|b| b.is_ascii_hexdigit());
        // They become words of a package manager's files.
        let is_word = |text: &str| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"+-.:~_^@".contains(&b);
            !text.is_empty() && text.bytes().all(plain) && !text.starts_with('-')
        };
        for one in &provenance.packages {
            let words = [&one.name, &one.version, &one.architecture];
            let mut words = words.into_iter().chain(&one.repository);
            if !is_sum(&one.sha256) || !words.all(|word| is_word(word)) {
                return Err(unreadable(format!(
                    "it has no valid entry of {}",
                    shown(one)
                )));
            }
        }
        let twice = provenance.packages.windows(2).find(|two| {
            let [first, second] = two else { return false };
            first.key() == second.key()
        });
        if let Some([one, ..]) = twice {
            return Err(unreadable(format!("it has {} twice", shown(one))));
        }
        Ok(Self {
            path: path.to_owned(),
            provenance,
        })
    }

    /// The package of the lock with this name, version and architecture.
    #[must_use]
    pub fn find(&self, key: (&str, &str, &str)) -> Option<&Archive> {
        let packages = &self.provenance.packages;
        let found = packages.binary_search_by(|one| one.key().cmp(&key)).ok()?;
        packages.get(found)
    }

    /// What stands for the packages of the lock in names of cached trees.
    #[must_use]
    pub fn digest(&self) -> String {
        let text = serde_json::to_vec(&self.provenance).unwrap_or_default();
        format!("sha256 {}", hex(&Sha256::digest(text)))
    }

    /// Makes sure that packages which were chosen are those of the lock.
    ///
    /// # Errors
    /// [`LockError::Unfit`], with those that are not.
    pub fn admits(&self, chosen: &[Archive]) -> Result<(), LockError> {
        let lines = chosen.iter().filter_map(|one| match self.find(one.key()) {
            Some(locked) if locked.sha256 == one.sha256 => None,
            Some(_) => Some(format!("{}: with another content", shown(one))),
            None => Some(format!("{}: not in the lock", shown(one))),
        });
        self.fits(lines.collect())
    }

    /// Makes sure that an image that was made of `taken` takes all packages of the lock.
    ///
    /// # Errors
    /// [`LockError::Unfit`], with those that it does not take.
    pub fn is_used_up(&self, taken: &Provenance) -> Result<(), LockError> {
        let has = |one: &Archive| taken.packages.iter().any(|other| other.key() == one.key());
        let left = self.provenance.packages.iter().filter(|one| !has(one));
        let lines = left.map(|one| format!("{}: not taken any more", shown(one)));
        self.fits(lines.collect())
    }

    /// Makes sure that each package is from one of these repositories.
    ///
    /// # Errors
    /// [`LockError::Unfit`], with those that are not.
    pub(super) fn is_from(&self, repositories: &HashSet<&str>) -> Result<(), LockError> {
        let packages = self.provenance.packages.iter();
        let lines = packages.filter_map(|one| match &one.repository {
            Some(name) if repositories.contains(name.as_str()) => None,
            Some(name) => Some(format!(
                "{}: from the repository {name}, which is not asked for",
                shown(one)
            )),
            None => Some(format!("{}: from no repository", shown(one))),
        });
        self.fits(lines.collect())
    }

    /// Makes sure that what a package manager misses is not missing in the lock.
    ///
    /// # Errors
    /// [`LockError::Unfit`], with those of these names that it does not have.
    pub(super) fn has(&self, mut names: Vec<String>) -> Result<(), LockError> {
        names.retain(|name| {
            let mut packages = self.provenance.packages.iter();
            !packages.any(|one| one.name == *name)
        });
        names.sort();
        names.dedup();
        let line = |name: &String| format!("{name}: not in the lock");
        self.fits(names.iter().map(line).collect())
    }

    /// What an image was made of that took the packages with these names, versions and architectures.
    ///
    /// # Errors
    /// [`LockError::Unfit`], where one is not in the lock.
    pub(super) fn taken<'a>(
        &self,
        keys: impl IntoIterator<Item = &'a Identity>,
    ) -> Result<Provenance, LockError> {
        let (mut packages, mut others) = (Vec::new(), Vec::new());
        for (name, version, architecture) in keys {
            match self.find((name, version, architecture)) {
                Some(found) => packages.push(found.clone()),
                None => others.push(Archive {
                    name: name.clone(),
                    version: version.clone(),
                    architecture: architecture.clone(),
                    ..Archive::default()
                }),
            }
        }
        self.admits(&others)?;
        let mut taken = Provenance::default();
        taken.add(&Provenance {
            repositories: self.provenance.repositories.clone(),
            packages,
        });
        Ok(taken)
    }

    /// Makes sure that there is nothing to say against the lock.
    ///
    /// # Errors
    /// [`LockError::Unfit`], with these lines.
    pub(super) fn fits(&self, lines: Vec<String>) -> Result<(), LockError> {
        if lines.is_empty() {
            return Ok(());
        }
        Err(LockError::Unfit {
            path: self.path.clone(),
            list: listed(&lines),
        })
    }
}

/// Makes sure that what trees of one image, the lowest first, were made from is of one time.
///
/// # Errors
/// [`LockError::Mixed`], with the packages that are not.
pub(crate) fn fit_together(trees: &[&Provenance]) -> Result<(), LockError> {
    let mut known: HashMap<(&str, &str), &Archive> = HashMap::new();
    let mut lines = Vec::new();
    for tree in trees {
        for one in &tree.packages {
            let before = known.get(&(&*one.name, &*one.architecture));
            if let Some(before) = before.filter(|before| before.version != one.version) {
                let version = printable(&before.version);
                lines.push(format!("{}, and {version} below it", shown(one)));
            }
        }
        // One tree may have several versions of a kernel.
        let own = tree.packages.iter();
        known.extend(own.map(|one| ((&*one.name, &*one.architecture), one)));
    }
    match lines.is_empty() {
        true => Ok(()),
        false => Err(LockError::Mixed {
            list: listed(&lines),
        }),
    }
}

impl System {
    fn shown(&self) -> String {
        let words = [&self.distribution, &self.release, &self.architecture];
        words.map(|word| printable(word)).join(" ")
    }
}

/// A lock's text: JSON with a line for each package, so that reviewers see what changes.
#[must_use]
pub fn text(system: &System, provenance: &Provenance) -> String {
    let mut sorted = Provenance::default();
    sorted.add(provenance);
    let mut text = format!(
        "{{\n  \"lock_version\": {VERSION},\n  \"distribution\": {},\n  \"release\": {},\n  \
         \"architecture\": {},\n",
        on_one_line(&system.distribution),
        on_one_line(&system.release),
        on_one_line(&system.architecture)
    );
    lines(&mut text, "repositories", &sorted.repositories);
    text.push_str(",\n");
    lines(&mut text, "packages", &sorted.packages);
    text.push_str("\n}\n");
    text
}

/// A list whose items each have a line.
fn lines<T: Serialize>(text: &mut String, name: &str, items: &[T]) {
    let _ = write!(text, "  \"{name}\": [");
    for (number, item) in items.iter().enumerate() {
        let comma = if number == 0 { "" } else { "," };
        let _ = write!(text, "{comma}\n    {}", on_one_line(item));
    }
    text.push_str(if items.is_empty() { "]" } else { "\n  ]" });
}

fn on_one_line(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// A package, for people.
pub(super) fn shown(one: &Archive) -> String {
    let words = [&one.name, &one.version, &one.architecture];
    words.map(|word| printable(word)).join(" ")
}

/// Lines of a message, not too many.
pub(super) fn listed(lines: &[String]) -> String {
    let mut text = String::new();
    for line in lines.iter().take(NAMED) {
        let _ = write!(text, "\n  {line}");
    }
    if lines.len() > NAMED {
        let _ = write!(text, "\n  and {} more", lines.len() - NAMED);
    }
    text
}

#[cfg(test)]
#[path = "lock_tests.rs"]
mod tests;
