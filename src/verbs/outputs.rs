//! Where a build's artifacts go: what is in the way there, what can be there, and what was left there.

use std::fs;
use std::path::{Path, PathBuf};

use super::VerbError;
use crate::config::Config;
use crate::config::values::Format;
use crate::host::is_btrfs;
use crate::output::{Artifacts, checksums};
use crate::plan::Plan;

/// An output that is in the way, the image before any other.
pub(super) fn existing_output(
    config: &Config,
    plan: Option<&Plan>,
    names: &Artifacts,
) -> Option<VerbError> {
    if config.force.replaces_output() {
        return None;
    }
    let mut outputs = Vec::new();
    if plan.is_none_or(Plan::makes_image) {
        outputs.push(names.image().to_owned());
    }
    outputs.extend(plan.into_iter().flat_map(|plan| plan.outputs(names)));
    if plan.is_some_and(Plan::has_ssh_key) && !names.ssh_key().exists() {
        // A key that is there is used; half of one is in the way.
        outputs.push(names.ssh_public_key());
    }
    outputs
        .into_iter()
        .find(|path| fs::symlink_metadata(path).is_ok())
        .map(|path| VerbError::Exists { path })
}

/// An output directory that cannot hold a subvolume.
pub(super) fn unfit_output(config: &Config, names: &Artifacts) -> Option<VerbError> {
    if config.format != Format::Subvolume {
        return None;
    }
    // What is not there yet will be on the file system of what is.
    let directory = names.directory().ancestors().find(|path| path.exists())?;
    match is_btrfs(directory) {
        Ok(true) => None,
        Ok(false) => Some(VerbError::NotBtrfs {
            path: names.directory().to_owned(),
        }),
        Err(error) => Some(VerbError::Host(error)),
    }
}

/// Makes the output directory and the package cache, for the calling user.
pub(super) fn make_directories(
    config: &Config,
    names: &Artifacts,
    owner: Option<(u32, u32)>,
) -> Result<(), VerbError> {
    let of_scripts = [
        &config.build_directory,
        &config.install_directory,
        &config.include_directory,
    ];
    let of_scripts = of_scripts
        .into_iter()
        .filter(|_| config.build_script.is_some());
    let wanted = [&config.cache, &config.workspace_directory]
        .into_iter()
        .chain(of_scripts)
        .filter_map(Option::as_deref);
    let wanted = std::iter::once(names.directory()).chain(wanted);
    for path in wanted {
        make_owned(path, owner).map_err(|source| VerbError::Directory {
            path: path.to_owned(),
            source,
        })?;
    }
    Ok(())
}

fn make_owned(path: &Path, owner: Option<(u32, u32)>) -> std::io::Result<()> {
    let mut missing = Vec::new();
    let mut next = Some(path);
    while let Some(directory) = next.filter(|d| !d.exists()) {
        missing.push(directory.to_owned());
        next = directory.parent();
    }
    for directory in missing.iter().rev() {
        fs::create_dir(directory)?;
        if let Some((uid, gid)) = owner {
            std::os::unix::fs::lchown(directory, Some(uid), Some(gid))?;
        }
    }
    Ok(())
}

/// The artifacts that a configuration's build may have left, without files that are its inputs, and
/// without checksums of other images in the same directory.
///
/// # Errors
/// When the checksums cannot be read.
pub(super) fn artifacts(config: &Config) -> Result<Vec<PathBuf>, VerbError> {
    let names = Artifacts::new(&config.output);
    let mut paths = names.all();
    let sums = names.checksums();
    let ours = checksums::cover(&sums, &paths).map_err(|source| VerbError::File {
        path: sums.clone(),
        source,
    })?;
    paths.retain(|path| {
        let of_others = !ours && (*path == sums || *path == names.signature());
        !of_others && config.nspawn_settings.as_ref() != Some(path)
    });
    Ok(paths)
}
