//! Lists of available packages with those alone that apt's choice can depend on: of Debian's 63,000 it
//! looks at each several times, and most can neither be chosen nor be in the way.
//!
//! The lists that were verified stay as they are. Beside them, in a directory of the build's own, are
//! lists of the same names, with some of the same stanzas in the same order and byte for byte, and what
//! was signed. Where there is any doubt whether apt would choose the same, all lists are used.

use std::fs::{self, DirBuilder};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Path, PathBuf};

use super::reach::reach;
use super::settings::Settings;
use super::stanzas::{Followed, Stanza, is_name_of_package, read};
use super::{DPKG_STATUS, fill};
use crate::host::{Command, Host, Stdout};
use crate::installer::{InstallError, Request};
use crate::tree::Root;

/// How the names of lists of packages end.
const PACKAGES: &str = "_Packages";

/// Larger lists are not read into memory. Debian's with all of its areas are 52 to 70 MB.
const LARGEST: u64 = 192 * 1024 * 1024;

/// Lists to choose from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fewer {
    /// The directory they are in.
    pub lists: PathBuf,
    /// Whether the tree is a new one. A place-holder may be in it, which is replaced.
    pub for_new_tree: bool,
}

/// Makes the lists that these names need in a tree. Nothing where all lists have to be used, or most of them
/// would be.
///
/// # Errors
/// When the lists or the tree cannot be read, or the directory cannot be written.
pub(super) fn make(
    settings: &Settings,
    names: &[String],
    patterns: &[String],
    root: &Root,
    request: &Request,
    host: &Host,
) -> Result<Option<Fewer>, InstallError> {
    let asked = || names.iter().filter(|name| !patterns.contains(name));
    if !asked().all(|name| is_name_of_package(name.as_bytes())) {
        return Ok(None);
    }
    let from = settings.lists();
    let failed = |source| InstallError::Prepare {
        path: from.clone(),
        source,
    };
    let Some(followed) = followed(settings, request, host) else {
        return Ok(None);
    };
    let Some(found) = Found::beneath(&from).map_err(failed)? else {
        return Ok(None);
    };
    let stanzas = found
        .lists
        .iter()
        .map(|(_, list)| read(list, &request.architecture));
    let Some(stanzas) = stanzas.collect::<Option<Vec<Vec<Stanza>>>>() else {
        return Ok(None);
    };
    let asked: Vec<&str> = asked().map(String::as_str).collect();
    let status = root.read_if_present(DPKG_STATUS)?.unwrap_or_default();
    let status = String::from_utf8_lossy(&status);
    let there = status
        .lines()
        .filter_map(|line| line.strip_prefix("Package: "));
    let there: Vec<&str> = there.map(str::trim).collect();
    let Some(parts) = reach(&stanzas, &asked, &there, followed) else {
        return Ok(None);
    };
    // Then apt's digest of all of them is better kept for the next time.
    let few: usize = parts.iter().map(Vec::len).sum();
    if 2 * few > stanzas.iter().map(Vec::len).sum() {
        return Ok(None);
    }
    let directory = settings.file.with_file_name("fewer");
    write(&directory, &found, &stanzas, &parts).map_err(|source| InstallError::Prepare {
        path: directory.clone(),
        source,
    })?;
    Ok(Some(Fewer {
        lists: directory,
        for_new_tree: fill::is_empty(root)?,
    }))
}

/// What has to be in apt's way of choosing for fewer lists to do, and which recommendations it follows.
fn followed(settings: &Settings, request: &Request, host: &Host) -> Option<Followed> {
    let command = Command::new("apt-config")
        .env("APT_CONFIG", &settings.file)
        .arg("--config-file")
        .arg(&settings.last)
        .arg("dump")
        .stdout(Stdout::Capture);
    // What is wrong with the settings apt-get says better.
    let output = host.run(command).ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    understood(&text, &settings.lists(), &request.architecture)
}

fn understood(text: &str, lists: &Path, architecture: &str) -> Option<Followed> {
    let mut followed = Followed::default();
    let mut known = (false, false, false);
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    let counts = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.starts_with("apt::") || name.starts_with("dir::")
    };
    for (name, value) in lines.filter(|(name, _)| counts(name)) {
        let value = value.strip_prefix('"')?.strip_suffix("\";")?;
        let is_off = matches!(
            value,
            "" | "0" | "no" | "false" | "off" | "without" | "disable"
        );
        match &*name.to_ascii_lowercase() {
            "apt::architecture" => known.0 = value == architecture,
            "apt::architectures::" if value == architecture => known.1 = true,
            "apt::architectures" if value.is_empty() => {}
            name if name.starts_with("apt::architectures") => return None,
            "dir::state::lists" => known.2 = Path::new(value) == lists,
            "apt::install-recommends" => followed.recommends |= !is_off,
            // With these, of which many contradict each other, apt always has something to repair.
            "apt::install-suggests" if is_off => {}
            name if name.starts_with("apt::install-suggests") => return None,
            name if name.starts_with("apt::install-recommends-sections::") => {
                followed.recommends = true;
            }
            _ => {}
        }
    }
    (known == (true, true, true)).then_some(followed)
}

/// The files that apt has of the repositories.
struct Found {
    /// Names and contents of lists of packages.
    lists: Vec<(PathBuf, Vec<u8>)>,
    /// All others, above all what was signed.
    others: Vec<PathBuf>,
}

impl Found {
    /// Nothing if some list is compressed, or they are too large.
    fn beneath(directory: &Path) -> io::Result<Option<Self>> {
        let mut found = Self {
            lists: Vec::new(),
            others: Vec::new(),
        };
        let mut size = 0;
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let path = entry.path();
            let state = entry.metadata()?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !state.is_file() || name == "lock" {
                continue;
            }
            if name.ends_with(PACKAGES) {
                size += state.len();
                if size > LARGEST {
                    return Ok(None);
                }
                found.lists.push((path.clone(), fs::read(&path)?));
            } else if name.contains(PACKAGES) {
                return Ok(None);
            } else {
                found.others.push(path);
            }
        }
        Ok(Some(found))
    }
}

/// Writes parts of the lists into a directory that nobody else may enter, beside links to the other files.
fn write(
    directory: &Path,
    found: &Found,
    stanzas: &[Vec<Stanza>],
    parts: &[Vec<usize>],
) -> io::Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory)?;
    }
    DirBuilder::new().mode(0o700).create(directory)?;
    fs::create_dir(directory.join("partial"))?;
    let beneath = |path: &Path| directory.join(path.file_name().unwrap_or_default());
    for path in &found.others {
        symlink(path, beneath(path))?;
    }
    for (((path, _), stanzas), part) in found.lists.iter().zip(stanzas).zip(parts) {
        let mut file = io::BufWriter::new(fs::File::create_new(beneath(path))?);
        for number in part {
            file.write_all(stanzas[*number].text)?;
            file.write_all(b"\n")?;
        }
        file.flush()?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "fewer_tests.rs"]
mod tests;
