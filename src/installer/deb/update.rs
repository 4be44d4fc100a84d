//! Brings apt's lists of available packages up to date, and has apt ask a busy server again.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use super::settings::Settings;
use crate::host::{Command, CommandError, Host, Output};
use crate::installer::{InstallError, Request, apt};

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
pub(super) fn run_patiently(
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

pub(super) fn update_command(settings: &Settings) -> Result<Command, InstallError> {
    // It would make its digest of all packages anew, although the lists are often the same: choosing makes
    // one when there is none that fits.
    Ok(settings.command()?.args([
        "--option=pkgCacheFile::Generate=false",
        "--error-on=any",
        "update",
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

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
