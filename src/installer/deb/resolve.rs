//! apt decides which packages come in, fetches and verifies them, and says in which order dpkg would
//! get them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::decided::{Choice, chosen};
use super::fewer::Fewer;
use super::filling::about;
use super::heard::{Heard, without_surprise};
use super::remembered::Remembered;
use super::settings::{Settings, in_quotes};
use super::update::run_patiently;
use super::{checksums, fewer, locked};
use crate::distro::MergedUsr;
use crate::host::{Command, CommandError, Host};
use crate::installer::apt::USR_IS_MERGED;
use crate::installer::{InstallError, Request, Site};
use crate::tree::Root;
use crate::tree::archive::Fault;

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

#[cfg(test)]
#[path = "choice_tests.rs"]
mod choice_tests;
