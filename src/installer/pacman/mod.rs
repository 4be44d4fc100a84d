//! Arch Linux through pacman.

mod conf;
mod database;
mod hints;
mod keyring;
mod locked;
mod provenance;

use std::path::Path;

use self::conf::Signatures;
use self::hints::explain;
use self::locked::Keeping;
use super::confined::{Confined, TREE, WORK};
use super::{InstallError, Installer, Request, Site, Unknown, cache, escapes, lookup};
use crate::distro::{PacmanRepositories, Repositories};
use crate::host::{Command, CommandError, Host, Lock, Stdout};
use crate::tree::Root;

/// The program, and its directory in a build's scratch space.
const NAME: &str = "pacman";
/// The address of this build's own repositories: `CACHE`, which is shown already.
const OWN: &str = "file:///run/mkosi/cache";
/// Where the tree has pacman's database.
const DATABASE: &str = "var/lib/pacman";
/// Servers that pacman in the image asks; the package pacman-mirrorlist has a list with none chosen.
const MIRRORS: &str = "etc/pacman.d/mirrorlist";
const LOCALE: &str = "etc/locale.conf";
const FAILED: &str = "installing packages failed";
const REFRESH: [&str; 2] = ["--sync", "--refresh"];
const INSTALL: [&str; 3] = ["--sync", "--sysupgrade", "--needed"];
const ALL_AT_ONCE: [&str; 4] = ["--sync", "--sysupgrade", "--needed", "--refresh"];

/// Installs with the host's pacman.
#[derive(Clone, Copy, Debug)]
pub struct Pacman;

impl Installer for Pacman {
    fn name(&self) -> &'static str {
        "pacman"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["pacman", "pacman-key", "gpg", "systemd-nspawn"]
    }

    fn install(&self, request: &Request, site: &Site, host: &Host) -> Result<(), InstallError> {
        escapes::refuse(&site.root)?;
        work(request, site, host)?;
        let (pacman, root) = (repositories(request)?, Root::open(&site.root)?);
        if pacman.installs_keyring {
            keyring::install(&site.scratch.join(NAME), &root)?;
        }
        finish(pacman, &root)
    }

    fn add(&self, request: &Request, site: &Site, host: &Host) -> Result<(), InstallError> {
        work(request, site, host)
    }

    fn identity(&self, host: &Host) -> Result<Vec<(String, String)>, InstallError> {
        let command = Command::new("pacman")
            .arg("--version")
            .stdout(Stdout::Capture);
        let output = host
            .run(command)
            .map_err(|e| explain("asking pacman for its version failed", None, e))?;
        // The version is in the middle of a drawing.
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = text.find("Pacman v").map_or("", |at| &text[at..]);
        let version = version.lines().next().unwrap_or("").trim();
        Ok(vec![("pacman".to_owned(), version.to_owned())])
    }

    fn commands(
        &self,
        request: &Request,
        _site: &Site,
        _filled: bool,
    ) -> Result<Vec<Command>, InstallError> {
        let pacman =
            |words: &[&str], names: &[String]| Command::new("pacman").args(arguments(words, names));
        Ok(if request.excluded.is_empty() {
            vec![pacman(&ALL_AT_ONCE, &request.packages)]
        } else {
            vec![pacman(&REFRESH, &[]), pacman(&INSTALL, &request.packages)]
        })
    }

    fn unknown(
        &self,
        request: &Request,
        site: &Site,
        host: &Host,
    ) -> Result<Option<Vec<Unknown>>, InstallError> {
        let mut pacman = repositories(request)?.clone();
        // Nothing is installed: only databases that must be signed are checked.
        pacman.check_keys &= pacman.repositories.iter().any(|one| one.signed_database);
        let manager = Manager::prepare(request, &pacman, site, host)?;
        manager.run(&REFRESH, &[], false)?;
        let mut names = manager.run(&["--sync", "--list", "--quiet"], &[], true)?;
        names += &manager
            .run(&["--sync", "--groups", "--quiet"], &[], true)
            .or_else(no_groups)?;
        let print = [
            "--sync",
            "--nodeps",
            "--nodeps",
            "--print",
            "--print-format=%n",
        ];
        let unknown = lookup::unknown(&request.packages, &names, |word| {
            let words = [word.to_owned()];
            let printed = manager.run(&print, &words, true).or_else(no_groups)?;
            Ok(!printed.trim().is_empty())
        })?;
        Ok(Some(unknown))
    }

    fn keeps_to_locks(&self) -> bool {
        true
    }

    fn remove(&self, packages: &[String], site: &Site, host: &Host) -> Result<(), InstallError> {
        let place = Confined::new(site, NAME, None)?;
        place.write("remove.conf", &conf::for_removal())?;
        let config = format!("--config={WORK}/remove.conf");
        let words = [
            "--noconfirm",
            "--noprogressbar",
            "--remove",
            "--recursive",
            "--nosave",
            "--",
        ];
        let words = std::iter::once(config)
            .chain(words.map(str::to_owned))
            .chain(packages.iter().cloned());
        host.run(place.command("pacman", words, host)?)
            .map_err(|e| explain("removing packages failed", None, e))?;
        Ok(())
    }
}

fn repositories(request: &Request) -> Result<&PacmanRepositories, InstallError> {
    match &request.repositories {
        Repositories::Pacman(pacman) => Ok(pacman),
        _ => Err(request.other_kind("pacman")),
    }
}

/// pacman's words, as it gets them in its container.
fn arguments(words: &[&str], names: &[String]) -> Vec<String> {
    let mut all = vec![format!("--config={WORK}/pacman.conf")];
    all.extend(["--noconfirm", "--noprogressbar"].map(str::to_owned));
    all.extend(words.iter().map(|word| (*word).to_owned()));
    all.push("--".to_owned());
    all.extend(names.iter().cloned());
    all
}

/// pacman with everything that it needs for a tree.
struct Manager<'a> {
    request: &'a Request,
    place: Confined,
    host: &'a Host,
    /// Held while the package cache is used.
    _lock: Option<Lock>,
}

impl<'a> Manager<'a> {
    fn prepare(
        request: &'a Request,
        pacman: &PacmanRepositories,
        site: &Site,
        host: &'a Host,
    ) -> Result<Self, InstallError> {
        let lock = cache::lock(request, host)?;
        let cache = request.cache.as_deref();
        let signatures = Signatures::AsAsked;
        let manager = Self::at(request, pacman, (site, site), cache, signatures, host)?;
        Ok(manager.holding(lock))
    }

    /// As [`Manager::prepare`], with the tree and the cache of its own; keyrings are those of the second
    /// site's tree.
    fn at(
        request: &'a Request,
        pacman: &PacmanRepositories,
        (site, of_keyrings): (&Site, &Site),
        cache: Option<&Path>,
        signatures: Signatures,
        host: &'a Host,
    ) -> Result<Self, InstallError> {
        Root::open(&site.root)?.create_dir_all(DATABASE, 0o755)?;
        let mut place = Confined::new(site, NAME, cache)?;
        if pacman.check_keys || pacman.installs_keyring {
            keyring::prepare(pacman, of_keyrings, &mut place, host)?;
        }
        let mut used = pacman.clone();
        for server in used.repositories.iter_mut().flat_map(|r| &mut r.servers) {
            if server != OWN {
                *server = place.address(server);
            }
        }
        place.write("pacman.conf", &conf::text(request, &used, signatures)?)?;
        Ok(Self {
            request,
            place,
            host,
            _lock: None,
        })
    }

    fn holding(mut self, lock: Option<Lock>) -> Self {
        self._lock = lock;
        self
    }

    /// Runs it; returns what it prints, if that is asked for.
    fn run(&self, words: &[&str], names: &[String], capture: bool) -> Result<String, InstallError> {
        let arguments = arguments(words, names);
        let mut command = self.place.command("pacman", arguments, self.host)?;
        if capture {
            command = command.stdout(Stdout::Capture);
        }
        let text = |e| explain(FAILED, Some(self.request), e);
        let output = self.host.run(command).map_err(text)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Fills an empty tree, or adds to a filled one, which is brought up to date then: packages of a
/// rolling distribution fit together only as of one day.
fn work(request: &Request, site: &Site, host: &Host) -> Result<(), InstallError> {
    let pacman = repositories(request)?;
    let before = provenance::installed(site)?;
    let keeping = request.lock.as_deref().map(|lock| Keeping {
        lock,
        request,
        pacman,
        site,
        host,
    });
    let manager = match &keeping {
        None => Manager::prepare(request, pacman, site, host)?,
        Some(keeping) => keeping.manager()?,
    };
    install(request, &manager)?;
    let cache = manager.place.cache();
    provenance::note(&before, request, pacman, cache, site, host)?;
    keeping.map_or(Ok(()), |keeping| keeping.finish(&Root::open(&site.root)?))
}

fn install(request: &Request, manager: &Manager<'_>) -> Result<(), InstallError> {
    let run = |words: &[&str], names: &[String], capture| manager.run(words, names, capture);
    if request.excluded.is_empty() {
        run(&ALL_AT_ONCE, &request.packages, false)?;
        return Ok(());
    }
    run(&REFRESH, &[], false)?;
    let groups = run(&["--sync", "--groups", "--groups"], &[], true).or_else(no_groups)?;
    let packages = without_excluded(request, &groups);
    // What was taken out is avoided where something else can stand in; where nothing can, pacman
    // would install it all the same.
    let words = [&INSTALL[..], &["--print", "--print-format", "%n"]].concat();
    // When it fails, what it said went with the list.
    let chosen = match run(&words, &packages, true) {
        Err(error) => return run(&words, &packages, false).and(Err(error)),
        Ok(chosen) => chosen,
    };
    if let Some(name) = chosen
        .lines()
        .find(|name| request.excluded.iter().any(|e| e == name))
    {
        return Err(InstallError::Excluded {
            package: name.to_owned(),
        });
    }
    run(&INSTALL, &packages, false)?;
    Ok(())
}

/// pacman fails when there is no group at all, or nothing of that name.
fn no_groups(error: InstallError) -> Result<String, InstallError> {
    match error {
        InstallError::Command {
            source: CommandError::Failed { code: Some(1), .. },
            ..
        } => Ok(String::new()),
        other => Err(other),
    }
}

/// What was asked for, with groups that have excluded members taken apart. `groups` has lines of a
/// group and a member.
fn without_excluded(request: &Request, groups: &str) -> Vec<String> {
    let members = |group: &str| -> Vec<&str> {
        let pairs = groups.lines().filter_map(|line| line.split_once(' '));
        pairs
            .filter(|(name, _)| *name == group)
            .map(|(_, member)| member.trim())
            .collect()
    };
    let excluded = |name: &str| request.excluded.iter().any(|e| e == name);
    let mut packages = Vec::new();
    for name in &request.packages {
        let members = members(name);
        if members.iter().any(|member| excluded(member)) {
            let rest = members.into_iter().filter(|member| !excluded(member));
            packages.extend(rest.map(str::to_owned));
        } else {
            packages.push(name.clone());
        }
    }
    packages.sort();
    packages.dedup();
    packages
}

/// Sets up what the image needs to go on by itself.
fn finish(pacman: &PacmanRepositories, root: &Root) -> Result<(), InstallError> {
    if !root.exists(LOCALE)? {
        // Compiled into glibc, for programs in every language.
        root.write(LOCALE, "LANG=C.UTF-8\n", 0o644)?;
    }
    let Some(server) = &pacman.image_server else {
        return Ok(());
    };
    let list = root.read_if_present(MIRRORS)?;
    let has_server = |text: &Vec<u8>| {
        let text = String::from_utf8_lossy(text);
        text.lines()
            .any(|line| line.trim_start().starts_with("Server"))
    };
    // Skeleton files may have chosen servers.
    if root.exists("etc/pacman.conf")? && !list.as_ref().is_some_and(has_server) {
        root.write(MIRRORS, format!("Server = {server}\n"), 0o644)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
