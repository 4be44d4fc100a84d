//! What the functions and lists of a project's shell file do to a tree.

use std::fs;
use std::path::Path;

use super::site::Site;
use super::{EngineError, StepError};
use crate::host::{Host, HostError, remove};
use crate::plan::{CopyFiles, Custom, InstallImage, Passwords};
use crate::scripts::ScriptError;
use crate::scripts::secrets::Secrets;
use crate::tree::{self, CopyOptions, Root};

/// Runs `do_install`.
pub(super) fn install_image(
    install: &InstallImage,
    site: &Site<'_>,
    host: &Host,
) -> Result<(), StepError> {
    let InstallImage {
        function,
        source,
        tree,
    } = install;
    function.run_confined(source, &site.tree, tree, &site.scratch, host)?;
    Ok(())
}

/// Copies single files and directories of the project into the tree.
pub(super) fn copy_files(
    copy: &CopyFiles,
    site: &Site<'_>,
    host: &Host,
) -> Result<String, StepError> {
    let root = Root::open(&site.tree)?;
    let (report, cancel) = (host.report.as_ref(), &host.cancel);
    let options = CopyOptions::default();
    for (from, to) in &copy.files {
        tree::copy_one(&root, &copy.source, from, to, &options, report, cancel)?;
    }
    Ok(match copy.files.len() {
        1 => "1 entry".to_owned(),
        count => format!("{count} entries"),
    })
}

/// Gives users their passwords.
pub(super) fn set_passwords(
    passwords: &Passwords,
    site: &Site<'_>,
    host: &Host,
) -> Result<(), StepError> {
    let root = Root::open(&site.tree)?;
    let context = site.build.context;
    let epoch = context.source_date_epoch;
    let secrets = Secrets::new(&passwords.secrets, host);
    for password in &passwords.users {
        let value = secrets.get(&password.secret).map_err(ScriptError::from)?;
        let line = value.strip_suffix(b"\n").unwrap_or(&value);
        // Equal passwords of several users shall not look equal.
        let seed = [&context.seed.into_bytes()[..], password.user.as_bytes()].concat();
        tree::set_user_password(
            &root,
            &password.user,
            tree::RootPassword::Plain(line),
            epoch.map(|_| seed.as_slice()),
            epoch,
        )?;
    }
    Ok(())
}

/// Lets the project's functions make the output: `setup` readies the directory `$BUILDROOT`, such as by
/// mounting something there; the tree is copied into it; `cleanup` makes of it what it wants. What
/// `setup` began, `cleanup` ends also when something goes wrong in between.
pub(super) fn custom(
    custom: &Custom,
    site: &mut Site<'_>,
    host: &Host,
) -> Result<String, StepError> {
    let place = site.scratch.join("custom");
    fs::create_dir(&place).map_err(EngineError::path("create", &place))?;
    custom.setup.run_on_host(&place, host)?;
    let filled = fill(&place, site, host);
    if filled.is_err() && site.build.keep {
        return filled.map(|()| String::new());
    }
    let cleaned = custom.cleanup.run_on_host(&place, host);
    filled?;
    cleaned?;
    match remove(&place) {
        Err(HostError::MountPoint { .. }) => host
            .report
            .warn("cleanup left something mounted on $BUILDROOT; it is gone when the build ends"),
        removed => removed.map_err(EngineError::Host)?,
    }
    Ok(String::new())
}

fn fill(place: &Path, site: &Site<'_>, host: &Host) -> Result<(), StepError> {
    let options = CopyOptions::faithful(site.build.context.source_date_epoch);
    let (report, cancel) = (host.report.as_ref(), &host.cancel);
    let root = Root::open(place)?;
    tree::copy_tree(&root, &site.tree, Path::new(""), &options, report, cancel)?;
    Ok(())
}
