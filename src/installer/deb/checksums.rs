//! Whether packages in the package cache are those that the signed lists of packages describe: of what
//! is there already, apt looks at the size alone.
//!
//! What was read once is not read again while the file is the same, by its number, size and the time of
//! its last change of any kind, which nobody can set.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use sha2::{Digest, Sha256, Sha512};

use super::decided::Chosen;
use super::filling::about;
use super::settings::Settings;
use crate::distro::provenance::Archive;
use crate::host::Cancel;
use crate::installer::InstallError;
use crate::tree::archive::Fault;

/// Where sums of packages are noted, beside the lists of packages.
const NOTES: &str = "checksums";

/// Read at once.
const BUFFER: usize = 256 * 1024;

/// A digest of a package: the algorithm as fields of lists name it, and hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sum {
    kind: &'static str,
    digits: String,
}

/// Those that apt takes for good; the first one that a list has counts.
const KINDS: [&str; 2] = ["SHA256", "SHA512"];

/// What was found out about packages that apt chose.
#[derive(Debug, Default)]
pub(super) struct Examined<'a> {
    /// Those of the cache that are not what the lists describe.
    pub wrong: Vec<&'a Chosen>,
    /// What all others are.
    pub archives: Vec<Archive>,
}

/// Reads the packages of the cache, and what the lists in this directory say of all.
///
/// # Errors
/// When a file cannot be read, or no list has a checksum of a package.
pub(super) fn examine<'a>(
    settings: &Settings,
    lists: &Path,
    packages: &'a [Chosen],
    cancel: &Cancel,
) -> Result<Examined<'a>, InstallError> {
    if packages.is_empty() {
        return Ok(Examined::default());
    }
    let notes = settings.state.with_file_name(NOTES);
    let mut known = read_notes(&notes);
    let described = described(lists, packages)?;
    let check = |(one, described): (&'a Chosen, Described)| -> Result<_, InstallError> {
        if cancel.is_cancelled() {
            return Err(InstallError::Cancelled);
        }
        let prepare = |source| InstallError::Prepare {
            path: one.path.clone(),
            source,
        };
        let (stamp, sum, fits) = if one.path.parent() == Some(&settings.archives) {
            let first = described.sums.first().ok_or_else(|| {
                about(
                    &one.name,
                    Fault::new("no list of packages has its checksum"),
                )
            })?;
            let stamp = stamp(&one.path).map_err(prepare)?;
            let sum = match known.get(&stamp).filter(|sum| sum.kind == first.kind) {
                Some(sum) => sum.clone(),
                None => sum_of(&one.path, first.kind).map_err(prepare)?,
            };
            let fits = described.sums.contains(&sum);
            (Some(stamp), sum, fits)
        } else {
            // What a repository on the disk has is used where it is, and apt has read it.
            let sum = match described.sums.as_slice() {
                [sum] => sum.clone(),
                _ => sum_of(&one.path, KINDS[0]).map_err(prepare)?,
            };
            (None, sum, true)
        };
        let sha256 = match sum.kind {
            "SHA256" => sum.digits.clone(),
            _ => sum_of(&one.path, "SHA256").map_err(prepare)?.digits,
        };
        let archive = Archive {
            name: one.name.clone(),
            version: one.version.clone(),
            architecture: one.architecture.clone(),
            sha256,
            required: described.required,
            repository: None,
        };
        Ok((one, stamp, sum, fits.then_some(archive)))
    };
    let all: Vec<_> = packages
        .iter()
        .zip(described)
        .collect::<Vec<_>>()
        .into_par_iter()
        .map(check)
        .collect();
    let mut examined = Examined::default();
    let before = known.len();
    for result in all {
        let (one, stamp, sum, archive) = result?;
        match archive {
            None => examined.wrong.push(one),
            Some(archive) => {
                if let Some(stamp) = stamp {
                    known.insert(stamp, sum);
                }
                examined.archives.push(archive);
            }
        }
    }
    if known.len() > before {
        write_notes(&notes, &known, &settings.archives)?;
    }
    Ok(examined)
}

/// Which of these archives the lists have: by each its SHA-256, where one of its name, version and
/// architecture is there at all.
///
/// # Errors
/// When a list cannot be read.
pub(super) fn offered(
    settings: &Settings,
    archives: &[Archive],
) -> Result<Vec<Offer>, InstallError> {
    let packages: Vec<Chosen> = archives
        .iter()
        .map(|one| Chosen {
            name: one.name.clone(),
            version: one.version.clone(),
            architecture: one.architecture.clone(),
            path: PathBuf::new(),
        })
        .collect();
    let described = described(&settings.lists(), &packages)?;
    let offers = archives.iter().zip(described).map(|(one, described)| {
        let is_it = |sum: &Sum| sum.kind != "SHA256" || sum.digits == one.sha256;
        match described.sums.as_slice() {
            [] => Offer::Nothing,
            // What is of another kind is compared once it is here.
            sums if sums.iter().all(is_it) => Offer::This,
            _ => Offer::Another,
        }
    });
    Ok(offers.collect())
}

/// What repositories have of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    Nothing,
    This,
    /// One of the same name, version and architecture with other content.
    Another,
}

/// Whether the file at `path` is this archive; what was read once is taken from the notes. A file that
/// is not there is none.
pub(super) fn is_archive(settings: &Settings, path: &Path, archive: &Archive) -> bool {
    let Ok(stamp) = stamp(path) else {
        return false;
    };
    let notes = read_notes(&settings.state.with_file_name(NOTES));
    let noted = notes.get(&stamp).filter(|sum| sum.kind == "SHA256");
    match noted {
        Some(sum) => sum.digits == archive.sha256,
        None => sum_of(path, "SHA256").is_ok_and(|sum| sum.digits == archive.sha256),
    }
}

/// What lists say of a package.
#[derive(Clone, Debug, Default)]
struct Described {
    sums: Vec<Sum>,
    /// Whether its priority is "required".
    required: bool,
}

/// What the lists say of each of these packages. Repositories may disagree: each of them is one that
/// the request names, and that is signed with a key that counts for it.
fn described(lists: &Path, packages: &[Chosen]) -> Result<Vec<Described>, InstallError> {
    let mut numbers: HashMap<&[u8], Vec<usize>> = HashMap::new();
    for (number, one) in packages.iter().enumerate() {
        numbers.entry(one.name.as_bytes()).or_default().push(number);
    }
    let mut found = vec![Described::default(); packages.len()];
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| InstallError::Prepare { path, source }
    };
    for entry in fs::read_dir(lists).map_err(failed(lists))? {
        let path = entry.map_err(failed(lists))?.path();
        if path.to_string_lossy().ends_with("_Packages") {
            let file = File::open(&path).map_err(failed(&path))?;
            read_list(file, &numbers, packages, &mut found).map_err(failed(&path))?;
        }
    }
    Ok(found)
}

/// Adds what one list says.
fn read_list(
    list: impl io::Read,
    numbers: &HashMap<&[u8], Vec<usize>>,
    packages: &[Chosen],
    found: &mut [Described],
) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(BUFFER, list);
    let mut line = Vec::new();
    let mut named: &[usize] = &[];
    let (mut version, mut architecture) = (Vec::new(), Vec::new());
    let mut required = false;
    let mut sums: [Option<String>; KINDS.len()] = Default::default();
    loop {
        line.clear();
        let is_end = reader.read_until(b'\n', &mut line)? == 0;
        let text = line.trim_ascii_end();
        if is_end || text.is_empty() {
            for &number in named {
                let one = &packages[number];
                if version == one.version.as_bytes() && architecture == one.architecture.as_bytes()
                {
                    let first = KINDS.iter().zip(&sums).find_map(|(kind, digits)| {
                        digits.clone().map(|digits| Sum { kind, digits })
                    });
                    let found = &mut found[number];
                    found
                        .sums
                        .extend(first.filter(|sum| !found.sums.contains(sum)));
                    found.required |= required;
                }
            }
            (named, sums, required) = (&[], Default::default(), false);
            version.clear();
            architecture.clear();
            if is_end {
                return Ok(());
            }
        } else if let Some(name) = text.strip_prefix(b"Package:") {
            named = numbers.get(name.trim_ascii()).map_or(&[], Vec::as_slice);
        } else if named.is_empty() || text.starts_with(b" ") {
            // Of no interest.
        } else if let Some(value) = text.strip_prefix(b"Version:") {
            version = value.trim_ascii().to_vec();
        } else if let Some(value) = text.strip_prefix(b"Architecture:") {
            architecture = value.trim_ascii().to_vec();
        } else if let Some(value) = text.strip_prefix(b"Priority:") {
            required = value.trim_ascii() == b"required";
        } else {
            for (kind, sum) in KINDS.iter().zip(&mut sums) {
                let value = text.strip_prefix(kind.as_bytes());
                if let Some(digits) = value.and_then(|value| value.strip_prefix(b":")) {
                    let digits = String::from_utf8_lossy(digits.trim_ascii());
                    *sum = Some(digits.to_ascii_lowercase());
                }
            }
        }
    }
}

/// A file and its state, as one word and a name.
pub(super) fn stamp(path: &Path) -> io::Result<String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(format!("{} {name}", state(&fs::metadata(path)?)))
}

/// The state of a file, as one word: its number, size and the time of its last change of any kind.
pub(super) fn state(found: &Metadata) -> String {
    format!(
        "{}:{}:{}.{:09}",
        found.ino(),
        found.size(),
        found.ctime(),
        found.ctime_nsec()
    )
}

fn sum_of(path: &Path, kind: &'static str) -> io::Result<Sum> {
    let file = File::open(path)?;
    let digits = if kind == "SHA512" {
        digest::<Sha512>(file)?
    } else {
        digest::<Sha256>(file)?
    };
    Ok(Sum { kind, digits })
}

fn digest<D: Digest>(mut file: File) -> io::Result<String> {
    use std::fmt::Write as _;
    let mut hash = D::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            n => hash.update(&buffer[..n]),
        }
    }
    let mut digits = String::new();
    for byte in hash.finalize() {
        let _ = write!(digits, "{byte:02x}");
    }
    Ok(digits)
}

/// Notes of earlier builds, by stamp; none where they cannot be read.
fn read_notes(path: &Path) -> HashMap<String, Sum> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let entry = |line: &str| {
        let (kind, rest) = line.split_once(' ')?;
        let (digits, stamp) = rest.split_once(' ')?;
        let kind = KINDS.into_iter().find(|known| *known == kind)?;
        let digits = digits.to_owned();
        Some((stamp.to_owned(), Sum { kind, digits }))
    };
    text.lines().filter_map(entry).collect()
}

/// Writes notes of files that are still there. The cache is locked.
fn write_notes(
    path: &Path,
    known: &HashMap<String, Sum>,
    archives: &Path,
) -> Result<(), InstallError> {
    let is_there = |key: &str| {
        let name = key.split_once(' ').map_or("", |(_, name)| name);
        stamp(&archives.join(name)).is_ok_and(|now| now == key)
    };
    let mut lines: Vec<String> = known
        .iter()
        .filter(|(stamp, _)| is_there(stamp))
        .map(|(stamp, Sum { kind, digits })| format!("{kind} {digits} {stamp}\n"))
        .collect();
    lines.sort();
    let new: PathBuf = path.with_extension("new");
    fs::write(&new, lines.concat())
        .and_then(|()| fs::rename(&new, path))
        .map_err(|source| InstallError::Prepare { path: new, source })
}

#[cfg(test)]
#[path = "checksums_tests.rs"]
mod tests;
