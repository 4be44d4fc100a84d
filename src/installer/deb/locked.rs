//! Packages of a lock, and no others: what repositories still have of them comes from there, what they
//! no longer have from the package cache.
//!
//! apt decides as always, with the same names to install, but from nothing else than what the lock has:
//! all other versions are pinned away. Packages of the cache are shown to it as a repository of their
//! own. What they are has been compared with the lock byte for byte, and what is in the lock had a good
//! signature when it was written.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use sha2::{Digest as _, Sha256};

use super::checksums::{Offer, is_archive, offered};
use super::control::Package;
use super::decided::Choice;
use super::filling::about;
use super::settings::Settings;
use super::update;
use crate::distro::provenance::Archive;
use crate::host::{CommandError, Host, hex};
use crate::installer::apt::{self, make_directory};
use crate::installer::lock::{LockError, PackageLock, listed, shown};
use crate::installer::{InstallError, Request, Site};

/// Makes apt choose from the packages of the lock alone, once they are all found.
///
/// # Errors
/// [`LockError::Gone`] with all that are not to be had; when the lists cannot be fetched or verified.
pub(super) fn prepare(
    lock: &PackageLock,
    request: &Request,
    site: &Site,
    settings: &mut Settings,
    host: &Host,
) -> Result<(), InstallError> {
    let packages = &lock.provenance.packages;
    let cached: Vec<Option<PathBuf>> = packages
        .par_iter()
        .map(|one| {
            let path = settings.archives.join(file_name(one));
            is_archive(settings, &path, one).then_some(path)
        })
        .collect();
    // With all of them here, no repository need be there any more.
    let needs_lists = cached.iter().any(Option::is_none);
    let offers = if needs_lists {
        update::update(settings, request, host)?;
        offered(settings, packages)?
    } else {
        vec![Offer::Nothing; packages.len()]
    };
    let mut own = Vec::new();
    let mut missing = Vec::new();
    for ((one, path), offer) in packages.iter().zip(cached).zip(offers) {
        match (offer, path) {
            (Offer::This, _) => {}
            (_, Some(path)) => own.push((one, path)),
            (Offer::Nothing, None) => missing.push(format!("{}: gone", shown(one))),
            (Offer::Another, None) => {
                missing.push(format!("{}: there with another content", shown(one)));
            }
        }
    }
    if !missing.is_empty() {
        return Err(InstallError::Lock(LockError::Gone {
            path: lock.path.clone(),
            list: listed(&missing),
            hint: hint(lock, request),
        }));
    }
    let place = site.scratch.join("locked");
    if place.exists() {
        fs::remove_dir_all(&place).map_err(failed(&place))?;
    }
    make_directory(&place.join("no-preferences"))?;
    write(&place.join("preferences"), &preferences(packages))?;
    settings.keep_to(&place.join("preferences"), &place.join("no-preferences"))?;
    if own.is_empty() {
        return Ok(());
    }
    let repository = place.join("packages");
    make_directory(&repository)?;
    publish(&own, &repository, request)?;
    settings.add_repository(&repository, needs_lists)?;
    let update = settings.update_added()?;
    host.run(update)
        .map_err(|e| apt::explain("reading the list of cached packages failed", None, e))?;
    Ok(())
}

/// Makes sure that what apt chose is in the lock, if there is one.
///
/// # Errors
/// [`LockError::Unfit`].
pub(super) fn admit(request: &Request, choice: Choice) -> Result<Choice, InstallError> {
    if let Some(lock) = &request.lock {
        lock.admits(&choice.archives).map_err(InstallError::Lock)?;
    }
    Ok(choice)
}

/// What it means that apt could not choose or fetch.
pub(super) fn explain(request: &Request, source: CommandError) -> InstallError {
    if let (Some(lock), CommandError::Failed { tail, .. }) = (&request.lock, &source) {
        if let Err(error) = lock.has(lacking(tail)) {
            return InstallError::Lock(error);
        }
    }
    apt::explain(
        "choosing and fetching packages failed",
        Some(request),
        source,
    )
}

/// The packages that apt names as not to be had.
fn lacking(tail: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for line in tail.lines() {
        let name = if let Some((_, rest)) = line.split_once("E: Package '") {
            rest.split_once("' has no installation candidate")
                .map(|(name, _)| name)
        } else if let Some((_, name)) = line.split_once("Unable to locate package ") {
            Some(name.trim())
        } else if let Some((_, rest)) = line.split_once("Depends: ") {
            rest.split_whitespace()
                .next()
                .filter(|_| rest.contains(" but "))
        } else {
            None
        };
        names.extend(name.map(str::to_owned));
    }
    names
}

/// The name that apt gives a package in its cache.
fn file_name(one: &Archive) -> String {
    let quoted = |text: &str| text.replace('_', "%5f").replace(':', "%3a");
    format!(
        "{}_{}_{}.deb",
        quoted(&one.name),
        quoted(&one.version),
        quoted(&one.architecture)
    )
}

/// Pins all packages away, and then those of the lock to their versions (apt_preferences(5)).
fn preferences(packages: &[Archive]) -> String {
    let mut text = String::from("Package: *\nPin: release *\nPin-Priority: -1\n");
    for one in packages {
        let _ = write!(
            text,
            "\nPackage: {}\nPin: version {}\nPin-Priority: 1001\n",
            one.name, one.version
        );
    }
    text
}

/// Makes a repository of packages in the cache.
fn publish(
    packages: &[(&Archive, PathBuf)],
    directory: &Path,
    request: &Request,
) -> Result<(), InstallError> {
    let mut list = String::new();
    for (one, path) in packages {
        let package = Package::read(path.clone()).map_err(|fault| about(&one.name, fault))?;
        let name = file_name(one);
        let link = directory.join(&name);
        symlink(path, &link).map_err(failed(&link))?;
        let size = fs::metadata(path).map_err(failed(path))?.len();
        list.push_str(&entry(&package.control, one, &name, size));
    }
    let release = format!(
        "Suite: {0}\nCodename: {0}\nSHA256:\n {1} {2} Packages\n",
        request.release,
        hex(&Sha256::digest(&list)),
        list.len()
    );
    write(&directory.join("Packages"), &list)?;
    write(&directory.join("Release"), &release)
}

/// The entry of a package in a repository's list. Its own word on how important it is counts less than
/// the repository's that it came from.
fn entry(control: &str, one: &Archive, name: &str, size: u64) -> String {
    let mut text = String::new();
    let mut priority = "optional";
    for line in control.lines().filter(|line| !line.trim().is_empty()) {
        match line.split_once(':') {
            Some(("Priority", value)) if value.trim() != "required" => priority = value.trim(),
            Some(("Priority" | "Filename" | "Size" | "SHA256" | "SHA512" | "MD5sum", _)) => {}
            _ => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    if one.required {
        priority = "required";
    }
    let _ = write!(
        text,
        "Priority: {priority}\nFilename: ./{name}\nSize: {size}\nSHA256: {}\n\n",
        one.sha256
    );
    text
}

/// What to do when packages are gone.
fn hint(lock: &PackageLock, request: &Request) -> String {
    use crate::config::values::Distribution;
    let dates = lock.provenance.repositories.iter();
    let latest = dates
        .filter_map(|one| snapshot_date(one.date.as_deref()?))
        .max();
    let host = match request.distribution {
        Distribution::Debian => "snapshot.debian.org/archive/debian",
        _ => "snapshot.ubuntu.com/ubuntu",
    };
    let date = latest.unwrap_or_else(|| "DATE".to_owned());
    format!(
        "build from a mirror that keeps them, such as Mirror=http://{host}/{date}/, from a package \
         cache (Cache=) that has them, or with --update-lock from what is there now"
    )
}

/// A list's date as addresses of snapshots have it.
fn snapshot_date(date: &str) -> Option<String> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let mut words = date.split_once(',')?.1.split_whitespace();
    let day: u8 = words.next()?.parse().ok()?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let year: u16 = words.next()?.parse().ok()?;
    let time = words.next()?.replace(':', "");
    let is_time = time.len() == 6 && time.bytes().all(|b| b.is_ascii_digit());
    is_time.then(|| format!("{year:04}{month:02}{day:02}T{time}Z"))
}

fn write(path: &Path, text: &str) -> Result<(), InstallError> {
    fs::write(path, text).map_err(failed(path))
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> InstallError {
    let path = path.to_owned();
    move |source| InstallError::Prepare { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_lists_name_snapshots() {
        for (date, expected) in [
            ("Sat, 10 Feb 2024 11:07:25 UTC", Some("20240210T110725Z")),
            ("Sat, 1 Dec 2024 01:07:25 UTC", Some("20241201T010725Z")),
            ("yesterday", None),
            ("Sat, 10 Feb 2024 noon", None),
        ] {
            assert_eq!(snapshot_date(date).as_deref(), expected, "{date}");
        }
    }

    #[test]
    fn names_in_the_cache_are_those_that_apt_gives() {
        let archive = Archive {
            name: "libstdc++6".into(),
            version: "1:2.0~rc1-3+b1".into(),
            architecture: "amd64".into(),
            sha256: String::new(),
            required: false,
            repository: None,
        };
        assert_eq!(file_name(&archive), "libstdc++6_1%3a2.0~rc1-3+b1_amd64.deb");
        let control = "Package: x\nPriority: required\nDescription: y\n more\n\n";
        assert_eq!(
            entry(control, &archive, "n.deb", 7),
            "Package: x\nDescription: y\n more\nPriority: optional\nFilename: ./n.deb\nSize: 7\n\
             SHA256: \n\n"
        );
    }
}
