//! apt decides which packages come in, fetches and verifies them, and says in which order dpkg would
//! get them.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::fewer::Fewer;
use super::filling::about;
use super::heard::{Heard, without_surprise};
use super::remembered::Remembered;
use super::settings::{Settings, in_quotes};
use super::{checksums, fewer, locked};
use crate::distro::MergedUsr;
use crate::distro::provenance::Archive;
use crate::host::{Command, CommandError, Host, Output};
use crate::installer::apt::{self, USR_IS_MERGED};
use crate::installer::{InstallError, Request, Site};
use crate::tree::Root;
use crate::tree::archive::Fault;

/// A package that apt has chosen and fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    pub name: String,
    pub version: String,
    pub architecture: String,
    /// Where it is on the host.
    pub path: PathBuf,
}

/// What apt has decided.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Choice {
    /// The packages that dpkg would unpack, in that order.
    pub packages: Vec<Chosen>,
    /// Whether something that is in the tree is replaced, removed or configured.
    pub changes_others: bool,
    /// What the packages are.
    pub archives: Vec<Archive>,
}

/// Tells that the lists of available packages are complete.
const COMPLETE: &str = "complete";

/// Brings the lists of available packages up to date, once in a build: all its trees are made of one
/// state of the repositories. Where they are complete from an earlier build
/// and no repository can be reached, that build's are used.
///
/// # Errors
/// When the lists cannot be fetched or verified.
pub(super) fn update(
    settings: &Settings,
    request: &Request,
    host: &Host,
) -> Result<(), InstallError> {
    let state = settings.state.as_os_str().as_bytes();
    if fs::read(&settings.fresh).is_ok_and(|known| known == state) {
        return Ok(());
    }
    fetch(settings, request, host)?;
    fs::write(&settings.fresh, state).map_err(|source| InstallError::Prepare {
        path: settings.fresh.clone(),
        source,
    })
}

/// Brings the lists up to date unless that was done less than `age` ago, in whichever build.
///
/// # Errors
/// As [`update`].
pub(super) fn update_if_older(
    age: Duration,
    settings: &Settings,
    request: &Request,
    host: &Host,
) -> Result<(), InstallError> {
    let made = fs::metadata(settings.state.join(COMPLETE)).and_then(|mark| mark.modified());
    let is_young = made.is_ok_and(|made| made.elapsed().is_ok_and(|elapsed| elapsed < age));
    if is_young {
        return Ok(());
    }
    update(settings, request, host)
}

fn fetch(settings: &Settings, request: &Request, host: &Host) -> Result<(), InstallError> {
    let mark = settings.state.join(COMPLETE);
    match run_patiently(host, &|| update_command(settings))? {
        Ok(_) => {
            fs::write(&mark, "").map_err(|source| InstallError::Prepare { path: mark, source })
        }
        Err(CommandError::Failed { tail, .. }) if mark.exists() && is_out_of_reach(&tail) => {
            host.report.warn(
                "no repository can be reached: the lists of packages of an earlier build are used",
            );
            Ok(())
        }
        Err(e) => {
            let what = "reading the lists of packages failed";
            Err(apt::explain(what, Some(request), e))
        }
    }
}

/// How often a server is asked that is too busy to answer, and how long it is left alone meanwhile.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(2);

/// Runs apt, and again when a server was too busy: apt itself tries again only when a connection breaks
/// off. What was fetched by then is kept.
fn run_patiently(
    host: &Host,
    command: &dyn Fn() -> Result<Command, InstallError>,
) -> Result<Result<Output, CommandError>, InstallError> {
    let mut attempt = 1;
    loop {
        match host.run(command()?) {
            Err(CommandError::Failed { tail, .. }) if attempt < ATTEMPTS && is_busy(&tail) => {
                host.report
                    .warn("a server is too busy to answer: it is asked again");
                std::thread::sleep(PAUSE);
                if host.cancel.is_cancelled() {
                    return Err(InstallError::Cancelled);
                }
                attempt += 1;
            }
            result => return Ok(result),
        }
    }
}

/// Whether a server said that it cannot answer now (RFC 9110, section 15.6).
fn is_busy(tail: &str) -> bool {
    let fetches = tail
        .lines()
        .filter(|line| line.contains("E: Failed to fetch "));
    let mut answers = fetches.filter_map(|line| line.split_whitespace().nth(5));
    answers.any(|answer| matches!(answer, "500" | "502" | "503" | "504"))
}

/// Whether apt failed for the network alone.
fn is_out_of_reach(tail: &str) -> bool {
    let network = [
        "Could not resolve",
        "Temporary failure resolving",
        "Could not connect",
        "Cannot initiate the connection",
        "Connection refused",
        "Connection timed out",
        "Connection failed",
        "Network is unreachable",
        "Unable to connect",
    ];
    let trust = [
        "NO_PUBKEY",
        "BADSIG",
        "EXPKEYSIG",
        "not signed",
        "signature",
        "Hash Sum",
    ];
    network.iter().any(|sign| tail.contains(sign)) && !trust.iter().any(|sign| tail.contains(sign))
}

/// What a tree begins with: essential packages and those of priority "required".
fn base_patterns(request: &Request) -> Vec<String> {
    let release = request.release.replace('.', "\\.");
    let architecture = &request.architecture;
    ["?essential", "?and(?priority(required),?not(?essential))"]
        .iter()
        .map(|what| {
            format!(
                "?narrow(?or(?archive(^{release}$),?codename(^{release}$)),\
                 ?architecture({architecture}),{what})"
            )
        })
        .collect()
}

/// The packages that apt would have had dpkg configure by name, in that order. Those that are left
/// dpkg would have configured at the end, in an order of its own.
///
/// # Errors
/// When apt's notes cannot be read.
pub(super) fn configured(settings: &Settings) -> Result<Vec<String>, InstallError> {
    let mut names = Vec::new();
    for call in calls(&read(&settings.calls)?) {
        let mut words = call.into_iter().skip_while(|word| word != "--configure");
        words.next();
        names.extend(words.filter(|word| !word.starts_with('-')));
    }
    Ok(names)
}

/// The calls that apt would have made of dpkg, without those that only ask what dpkg can do, and
/// without the words that tell dpkg how to report to apt.
pub(super) fn calls(text: &[u8]) -> Vec<Vec<String>> {
    let mut calls = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        let mut words = line
            .split(|byte| *byte == 0)
            .filter(|word| !word.is_empty())
            .map(|word| String::from_utf8_lossy(word).into_owned());
        let mut call = Vec::new();
        while let Some(word) = words.next() {
            if word == "--status-fd" {
                words.next();
            } else if !word.starts_with("--assert-") {
                call.push(word);
            }
        }
        if !call.is_empty() {
            calls.push(call);
        }
    }
    calls
}

/// Has apt choose and fetch what a new tree gets, in the order in which dpkg would unpack it; or says what
/// it chose the last time, if all is the same.
///
/// # Errors
/// When a package cannot be found, fetched or verified, or packages contradict each other.
pub(super) fn choose_for_new_tree(
    settings: &Settings,
    request: &Request,
    site: &Site,
    host: &Host,
) -> Result<Choice, InstallError> {
    let names = names_for_new_tree(request)?;
    // A lock decides what there is to choose from, and that is not among what a choice is remembered by.
    let remembered = match (&request.cache, &request.lock) {
        (Some(_), None) => Remembered::of(settings, &names, site, host)?,
        _ => None,
    };
    if let Some(remembered) = &remembered {
        if let Some(choice) = remembered.recall(settings)? {
            return Ok(choice);
        }
    }
    let choice = choose(settings, &names, request, site, host)?;
    if let Some(remembered) = &remembered {
        remembered.keep(settings, &choice);
    }
    Ok(choice)
}

/// What apt is told to install into a new tree.
pub(super) fn names_for_new_tree(request: &Request) -> Result<Vec<String>, InstallError> {
    let mut names = base_patterns(request);
    names.extend(request.packages.iter().cloned());
    if request.apt()?.merged_usr == MergedUsr::LinksAndPackage {
        names.push(USR_IS_MERGED.to_owned());
    }
    Ok(names)
}

pub(super) fn update_command(settings: &Settings) -> Result<Command, InstallError> {
    // It would make its digest of all packages anew, although the lists are often the same: choosing makes
    // one when there is none that fits.
    Ok(settings.command()?.args([
        "--option=pkgCacheFile::Generate=false",
        "--error-on=any",
        "update",
    ]))
}

pub(super) fn install_command(
    settings: &Settings,
    names: &[String],
) -> Result<Command, InstallError> {
    Ok(settings.command()?.args(["install", "--"]).args(names))
}

/// The same with the lists in this directory, of which apt keeps no digest, and with a word on whether it had
/// to repair what it chose at first.
fn install_from(
    lists: &Path,
    settings: &Settings,
    names: &[String],
) -> Result<Command, InstallError> {
    let lists = format!("--option=Dir::State::Lists={}", in_quotes(lists)?);
    let command = settings.command()?.arg(lists).args([
        "--option=Dir::Cache::srcpkgcache=",
        "--option=Debug::pkgProblemResolver=true",
    ]);
    Ok(command.args(["install", "--"]).args(names))
}

/// Has apt choose and fetch these packages and what they need. What was changed in the package cache
/// is fetched again.
///
/// # Errors
/// As [`choose_for_new_tree`], or when a package that was fetched is not what the lists describe.
pub(super) fn choose(
    settings: &Settings,
    names: &[String],
    request: &Request,
    site: &Site,
    host: &Host,
) -> Result<Choice, InstallError> {
    let root = Root::open(&site.root)?;
    let fewer = fewer::make(
        settings,
        names,
        &base_patterns(request),
        &root,
        request,
        host,
    )?;
    let (mut choice, fewer) = choose_once(settings, names, fewer, request, host)?;
    let lists = lists_of(fewer.as_ref(), settings);
    let examined = checksums::examine(settings, &lists, &choice.packages, &host.cancel)?;
    if examined.wrong.is_empty() {
        choice.archives = examined.archives;
        return locked::admit(request, choice);
    }
    for one in examined.wrong {
        host.report.warn(&format!(
            "the package {} in the package cache is not what the repository describes: it is fetched \
             again",
            one.name
        ));
        fs::remove_file(&one.path).map_err(failed(&one.path))?;
    }
    let (mut choice, fewer) = choose_once(settings, names, fewer, request, host)?;
    let lists = lists_of(fewer.as_ref(), settings);
    let examined = checksums::examine(settings, &lists, &choice.packages, &host.cancel)?;
    if let Some(one) = examined.wrong.first() {
        return Err(about(
            &one.name,
            Fault::new("what was fetched is not what the repository describes"),
        ));
    }
    choice.archives = examined.archives;
    locked::admit(request, choice)
}

/// Has apt choose from fewer lists, if there are any that do, or else from all. Returns the lists, too, if
/// they were fewer.
fn choose_once(
    settings: &Settings,
    names: &[String],
    fewer: Option<Fewer>,
    request: &Request,
    host: &Host,
) -> Result<(Choice, Option<Fewer>), InstallError> {
    if let Some(fewer) = fewer {
        let path = &settings.extended_states;
        let states = fs::read(path).ok();
        if let Some(choice) = choose_from(&fewer, settings, names, request, host)? {
            return Ok((choice, Some(fewer)));
        }
        match states {
            Some(states) => fs::write(path, states).map_err(failed(path))?,
            None => remove_if_there(path)?,
        }
    }
    Ok((choose_from_all(settings, names, request, host)?, None))
}

fn choose_from_all(
    settings: &Settings,
    names: &[String],
    request: &Request,
    host: &Host,
) -> Result<Choice, InstallError> {
    forget(settings)?;
    let host = host
        .clone()
        .with_report(without_surprise(Arc::clone(&host.report)));
    run_patiently(&host, &|| install_command(settings, names))?
        .map_err(|e| locked::explain(request, e))?;
    chosen(settings)
}

/// What apt chooses from fewer lists; nothing if it might choose otherwise from all of them: where it did
/// not come to a choice, had to repair one, in an order that depends on how many packages there are, or
/// would change what is in the tree, which it looks at from all sides.
fn choose_from(
    fewer: &Fewer,
    settings: &Settings,
    names: &[String],
    request: &Request,
    host: &Host,
) -> Result<Option<Choice>, InstallError> {
    forget(settings)?;
    let (heard, listener) = Heard::begin(Arc::clone(&host.report));
    let host = host.clone().with_report(without_surprise(listener));
    let result = run_patiently(&host, &|| install_from(&fewer.lists, settings, names))?;
    match result {
        Err(CommandError::Cancelled) => return Err(InstallError::Cancelled),
        _ if !heard.is_whole() => return Ok(None),
        result => result.map_err(|e| locked::explain(request, e))?,
    };
    let choice = chosen(settings)?;
    Ok((fewer.for_new_tree || !choice.changes_others).then_some(choice))
}

fn lists_of(fewer: Option<&Fewer>, settings: &Settings) -> PathBuf {
    fewer.map_or_else(|| settings.lists(), |fewer| fewer.lists.clone())
}

/// Removes what apt said before.
fn forget(settings: &Settings) -> Result<(), InstallError> {
    remove_if_there(&settings.list)?;
    remove_if_there(&settings.calls)
}

fn remove_if_there(path: &Path) -> Result<(), InstallError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(failed(path)(e)),
        _ => Ok(()),
    }
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> InstallError {
    let path = path.to_owned();
    move |source| InstallError::Prepare { path, source }
}

fn chosen(settings: &Settings) -> Result<Choice, InstallError> {
    if !settings.list.exists() {
        // Everything is there already.
        return Ok(Choice::default());
    }
    let text = read(&settings.list)?;
    Ok(parse(&String::from_utf8_lossy(&text)))
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, InstallError> {
    fs::read(path).map_err(|source| InstallError::Prepare {
        path: path.to_owned(),
        source,
    })
}

/// Reads the third version of what apt tells programs before it installs (apt.conf(5),
/// `DPkg::Tools::options`): after an empty line, one line for each step of each package.
pub(super) fn parse(text: &str) -> Choice {
    let steps = text.split_once("\n\n").map_or("", |(_, steps)| steps);
    let mut choice = Choice::default();
    for line in steps.lines() {
        let words: Vec<&str> = line.splitn(9, ' ').collect();
        let [name, before, _, _, _, version, architecture, _, path] = words.as_slice() else {
            continue;
        };
        choice.changes_others |= *before != "-";
        if path.starts_with('/') {
            choice.packages.push(Chosen {
                name: (*name).to_owned(),
                version: (*version).to_owned(),
                architecture: (*architecture).to_owned(),
                path: PathBuf::from(path),
            });
        }
    }
    choice
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_apt_tells() {
        let choice = parse(
            "VERSION 3\nAPT::Architecture=amd64\n\n\
             libc6 - - none < 2.36-9 amd64 same /cache/with space/libc6.deb\n\
             libc6 - - none < 2.36-9 amd64 same **CONFIGURE**\n\
             old 1 amd64 none > - - none **REMOVE**\n",
        );
        assert!(choice.changes_others);
        assert_eq!(
            choice.packages,
            [Chosen {
                name: "libc6".into(),
                version: "2.36-9".into(),
                architecture: "amd64".into(),
                path: "/cache/with space/libc6.deb".into(),
            }]
        );
    }

    #[test]
    fn reads_what_apt_would_have_told_dpkg() {
        let calls = calls(
            b"--assert-multi-arch\0\n--status-fd\09\0--no-triggers\0--unpack\0/c/a b.deb\0\n\
              --status-fd\09\0--configure\0--pending\0\n",
        );
        assert_eq!(calls.len(), 2);
        assert_eq!(calls[0], ["--no-triggers", "--unpack", "/c/a b.deb"]);
        assert_eq!(calls[1], ["--configure", "--pending"]);
    }

    #[test]
    fn busy_servers_are_told_by_their_answer() {
        for (tail, expected) in [
            (
                "E: Failed to fetch http://m/pool/a_503_all.deb  503  Busy [IP: ::1 80]",
                true,
            ),
            (
                "E: Failed to fetch http://m/503  404  Not Found [IP: ::1 80]",
                false,
            ),
            ("Get:503 http://m 502 [1 B]", false),
        ] {
            assert_eq!(is_busy(tail), expected, "{tail}");
        }
    }

    #[test]
    fn only_the_network_makes_old_lists_good_enough() {
        for (tail, expected) in [
            ("Err:1 Temporary failure resolving 'deb.debian.org'", true),
            ("W: GPG error: NO_PUBKEY 1\nCould not connect to x", false),
            ("404 Not Found", false),
        ] {
            assert_eq!(is_out_of_reach(tail), expected, "{tail}");
        }
    }
}

#[cfg(test)]
#[path = "choice_tests.rs"]
mod choice_tests;
