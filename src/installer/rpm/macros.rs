//! rpm's settings for one installation.

use std::fmt::Write as _;

use super::{Work, write as write_file};
use crate::distro::RpmRepositories;
use crate::distro::rpm::{DatabaseFormat, RpmDatabase};
use crate::host::{Command, Host};
use crate::installer::apt::make_directory;
use crate::installer::{InstallError, Request};
use crate::tree::Root;

/// Languages whose files are installed: programs speak English in every locale of a plain image.
const LANGUAGES: &str = "C:C.UTF-8:en:en_US:en_GB";
/// Plugins of the host's rpm that would speak of the tree's packages to the host's services, or label
/// files by the host's policy.
const PLUGINS: [&str; 9] = [
    "audit",
    "dbus_announce",
    "fapolicyd",
    "fsverity",
    "ima",
    "selinux",
    "syslog",
    "systemd_inhibit",
    "unshare",
];

/// Writes them for a tree that packages are going to be installed into. Returns whether the database
/// will have the format that the image's own rpm reads.
pub(super) fn write(
    work: &Work,
    request: &Request,
    rpm: &RpmRepositories,
    host: &Host,
) -> Result<bool, InstallError> {
    let mut text = common(rpm.database.path);
    let _ = writeln!(text, "%_install_langs {LANGUAGES}");
    let _ = writeln!(text, "%_excludedocs {}", u8::from(!request.with_docs));
    let ndb = rpm.database.format == DatabaseFormat::Ndb && writes_ndb(work, host)?;
    if ndb {
        text.push_str("%_db_backend ndb\n");
    }
    place(work, &text)?;
    Ok(ndb || rpm.database.format == DatabaseFormat::Sqlite)
}

/// Writes them for a tree that packages are going to be taken out of.
pub(super) fn write_for_removal(work: &Work, root: &Root) -> Result<(), InstallError> {
    let (path, format) = installed(root)?;
    let mut text = common(path);
    if format == DatabaseFormat::Ndb {
        text.push_str("%_db_backend ndb\n");
    }
    place(work, &text)
}

fn common(database: &str) -> String {
    let mut text = format!("%_dbpath {database}\n%_netsharedpath %{{nil}}\n");
    for plugin in PLUGINS {
        let _ = writeln!(text, "%__transaction_{plugin} %{{nil}}");
    }
    text
}

/// rpm looks into one file or the other, by its version.
fn place(work: &Work, text: &str) -> Result<(), InstallError> {
    write_file(&work.home.join(".rpmmacros"), text)?;
    let directory = work.home.join(".config/rpm");
    make_directory(&directory)?;
    write_file(&directory.join("macros"), text)
}

/// Whether the host's rpm was made with the format that SUSE uses.
fn writes_ndb(work: &Work, host: &Host) -> Result<bool, InstallError> {
    let probe = work.settings.join("probe");
    make_directory(&probe)?;
    let mut directory = std::ffi::OsString::from("--dbpath=");
    directory.push(&probe);
    let command = Command::new("rpmdb")
        .args(["--define", "_db_backend ndb", "--initdb"])
        .arg(directory);
    // An rpm without it says so and makes another one, or fails.
    let made = host.run(command).is_ok();
    Ok(made && probe.join("Packages.db").exists())
}

/// Where a tree has its database, or would have it, and in which format.
pub(super) fn installed(root: &Root) -> Result<(&'static str, DatabaseFormat), InstallError> {
    Ok(database(root)?.unwrap_or((RpmDatabase::NEW_PATH, DatabaseFormat::Sqlite)))
}

/// Where a tree has its database, if it has one, and in which format.
pub(super) fn database(
    root: &Root,
) -> Result<Option<(&'static str, DatabaseFormat)>, InstallError> {
    for path in [RpmDatabase::NEW_PATH, RpmDatabase::OLD_PATH] {
        for (file, format) in [
            ("rpmdb.sqlite", DatabaseFormat::Sqlite),
            ("Packages.db", DatabaseFormat::Ndb),
            ("Packages", DatabaseFormat::Bdb),
        ] {
            if root.is_file(format!("{path}/{file}").trim_start_matches('/'))? {
                return Ok(Some((path, format)));
            }
        }
    }
    Ok(None)
}
