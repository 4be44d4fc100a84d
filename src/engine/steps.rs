//! What each action of a plan calls.

use std::fs;
use std::io;
use std::path::Path;

use super::file_systems::{self, content};
use super::site::Site;
use super::{EngineError, artifacts, base_image, boot, disk_image, holes, project, shell, ssh};
use crate::boot::BootError;
use crate::disk::DiskError;
use crate::host::{Host, Quiet, Report};
use crate::installer::{self, InstallError, Request, provenance};
use crate::output::{self, OutputError};
use crate::plan::{
    Action, CleanUp, Image, LayerKind, Patches, PlanError, RootPassword, TreeSource,
};
use crate::scripts::sources::SourcesError;
use crate::scripts::{self, ScriptError, templates};
use crate::tree::adapt::content_only;
use crate::tree::{self, CleanPackageMetadata, CopyOptions, Root, TreeError};

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub enum StepError {
    /// Something in the tree.
    Tree(#[from] TreeError),
    /// The package manager.
    Install(#[from] InstallError),
    /// A script of the project.
    Script(#[from] ScriptError),
    /// The project's sources.
    Sources(#[from] SourcesError),
    /// The disk image.
    Disk(#[from] DiskError),
    /// What boots it.
    Boot(#[from] BootError),
    /// Another artifact.
    Output(#[from] OutputError),
    /// The plan.
    Plan(#[from] PlanError),
    /// The workspace.
    Frame(#[from] EngineError),
}

/// Does what an action says; returns a note on what was done, or nothing.
pub(super) fn perform(
    action: &Action,
    site: &mut Site<'_>,
    host: &Host,
) -> Result<String, StepError> {
    let root = || Root::open(&site.tree);
    match action {
        Action::PrepareTree(request) => site.build.installer.prepare(request, &site.tree)?,
        Action::CopySkeleton(source) | Action::CopyExtra(source) => {
            return copy(source, &root()?, host);
        }
        Action::ApplyPatches(patches) => return apply_patches(patches, &root()?),
        Action::RenderTemplates(wanted) => {
            let count = templates::render(wanted, &root()?, &site.scratch, host)?;
            return Ok(counted(count, "template", "templates"));
        }
        Action::Install(request) => return install(request, site, host),
        Action::AddPackages(request) => {
            return add_packages(request, LayerKind::Development, site, host);
        }
        Action::ExtendBase(request) => {
            base_image::check_packages(site)?;
            return add_packages(request, LayerKind::Base, site, host);
        }
        Action::Prepare(script) => scripts::prepare(script, &site.tree, host)?,
        Action::KeepHeaders(directory) => project::keep_headers(directory, site, host)?,
        Action::CopySources(sources) => return project::copy_sources(sources, site, host),
        Action::Build(run) => project::build(run, site, host)?,
        Action::InstallResult(from) => return project::install(from.as_deref(), site, host),
        Action::Identify(identity) => {
            let (id, version) = (identity.id.as_deref(), identity.version.as_deref());
            if !tree::set_image_version(&root()?, id, version)? {
                host.report
                    .warn("the image has no os-release file to put its name and version in");
            }
        }
        Action::SetHostname(name) => tree::set_hostname(&root()?, name)?,
        Action::SetRootPassword(password) => set_password(password, &root()?, site)?,
        Action::SetAutologin => tree::set_autologin(&root()?)?,
        Action::SetUpSsh => return ssh::set_up(site, host),
        Action::Postinst(script) => scripts::postinst(script, &site.tree, host)?,
        Action::InstallImage(install) => shell::install_image(install, site, host)?,
        Action::CopyFiles(files) => return shell::copy_files(files, site, host),
        Action::RunFunction(function) => scripts::run_inside(function, &site.tree, host)?,
        Action::SetPasswords(passwords) => shell::set_passwords(passwords, site, host)?,
        Action::RemovePackages(packages) => {
            site.build
                .installer
                .remove(packages, &installer_site(site), host)?;
        }
        Action::Finalize(script) => {
            scripts::finalize(script, &site.tree, &site.build.context.directory, host)?;
        }
        Action::WriteManifest(manifest) => return artifacts::manifest(manifest, site, host),
        Action::WritePackages(manifest) => return artifacts::packages(manifest, site, host),
        Action::WriteChangelog(manifest) => return artifacts::changelog(manifest, site, host),
        Action::PrepareBoot(plan) => return boot::prepare(plan, site, host),
        Action::CleanUp(clean_up) => clean(clean_up, site, host)?,
        Action::KeepChanges { docs } => return base_image::keep_changes(*docs, site, host),
        Action::WriteImage(image) => return write_image(image, site, host),
        Action::ConvertImage => artifacts::convert(site, host)?,
        Action::ReadImage(reading) => return artifacts::read(*reading, site, host),
        Action::WriteNspawnSettings(path) => artifacts::nspawn(path, site)?,
        Action::WriteChecksums => return artifacts::checksums(site, host),
        Action::SignChecksums(_) => artifacts::sign(site, host)?,
    }
    Ok(String::new())
}

fn copy(source: &TreeSource, root: &Root, host: &Host) -> Result<String, StepError> {
    let options = CopyOptions {
        select: &content_only,
        ..CopyOptions::default()
    };
    let (report, cancel) = (host.report.as_ref(), &host.cancel);
    tree::add_tree(root, &source.path, &options, report, cancel)?;
    Ok(String::new())
}

fn apply_patches(patches: &Patches, root: &Root) -> Result<String, StepError> {
    let hint = if patches.installed {
        ""
    } else {
        " yet: packages are installed after skeleton trees; a patch of their files belongs into an extra tree"
    };
    let mut count = 0;
    for tree in &patches.trees {
        count += tree::apply_patches(root, tree, hint)?;
    }
    Ok(counted(count, "patch", "patches"))
}

fn counted(count: usize, one: &str, many: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        count => format!("{count} {many}"),
    }
}

fn installer_site(site: &Site<'_>) -> installer::Site {
    installer::Site {
        root: site.tree.clone(),
        scratch: site.scratch.clone(),
    }
}

fn install(request: &Request, site: &mut Site<'_>, host: &Host) -> Result<String, StepError> {
    site.build
        .installer
        .install(request, &installer_site(site), host)?;
    let provenance = provenance::take(&site.scratch)?;
    site.provenance.push((LayerKind::Base, provenance));
    let root = Root::open(&site.tree)?;
    forget_machine(&root, site, host)?;
    if !(request.with_docs || request.with_changelogs) {
        // What was unpacked before dpkg was told to leave it out. It would only be in the way of every
        // build that begins from this tree.
        tree::remove_docs(&root, &host.cancel)?;
    }
    Ok(format!("with {}", site.build.installer.name()))
}

fn add_packages(
    request: &Request,
    kind: LayerKind,
    site: &mut Site<'_>,
    host: &Host,
) -> Result<String, StepError> {
    site.build
        .installer
        .add(request, &installer_site(site), host)?;
    let provenance = provenance::take(&site.scratch)?;
    site.provenance.push((kind, provenance));
    let root = Root::open(&site.tree)?;
    forget_machine(&root, site, host)?;
    Ok(String::new())
}

/// Removes what packages made for one machine only: neither a cached tree nor an initrd may depend on
/// it, and no two machines may have it in common.
fn forget_machine(root: &Root, site: &Site<'_>, host: &Host) -> Result<(), StepError> {
    // With Ssh=yes each machine will make some.
    let quiet: &dyn Report = &Quiet;
    let report = if site.build.plan.has_ssh_key() {
        quiet
    } else {
        host.report.as_ref()
    };
    tree::remove_host_keys(root, report, &host.cancel)?;
    tree::set_machine_id(root, None)?;
    Ok(())
}

fn set_password(password: &RootPassword, root: &Root, site: &Site<'_>) -> Result<(), StepError> {
    let context = site.build.context;
    let password = match password {
        RootPassword::Locked => tree::RootPassword::Locked,
        RootPassword::None => tree::RootPassword::Empty,
        RootPassword::Plain(secret) => tree::RootPassword::Plain(secret.reveal().as_bytes()),
        RootPassword::Hashed(secret) => tree::RootPassword::Hashed(secret.reveal().as_bytes()),
    };
    let epoch = context.source_date_epoch;
    let seed = epoch.map(|_| context.seed.into_bytes());
    tree::set_root_password(
        root,
        password,
        seed.as_ref().map(<[u8; 16]>::as_slice),
        epoch,
    )?;
    Ok(())
}

fn clean(what: &CleanUp, site: &Site<'_>, host: &Host) -> Result<(), StepError> {
    let (root, cancel) = (Root::open(&site.tree)?, &host.cancel);
    tree::clean_up(&root, cancel)?;
    // Device nodes are the running system's business; some bootstrapping tools leave a few.
    if site.base.is_none() {
        root.remove_content("dev")?;
    }
    if !what.keep_docs {
        tree::remove_docs(&root, cancel)?;
    }
    tree::remove_files(&root, &what.remove_files, cancel)?;
    let when = match what.package_metadata {
        None => CleanPackageMetadata::Auto,
        Some(true) => CleanPackageMetadata::Yes,
        Some(false) => CleanPackageMetadata::No,
    };
    tree::remove_package_metadata(&root, when, cancel)?;
    tree::set_machine_id(&root, what.machine_id.as_deref())?;
    Ok(())
}

fn write_image(image: &Image, site: &mut Site<'_>, host: &Host) -> Result<String, StepError> {
    let epoch = site.build.context.source_date_epoch;
    if let Image::Custom(custom) = image {
        return shell::custom(custom, site, host);
    }
    let target = artifacts::image_target(site)?;
    site.image.clone_from(&target);
    holes::refuse(&site.tree, image, epoch, host)?;
    match image {
        Image::Directory => finish_directory(site, &target, host)?,
        // Written above.
        Image::Custom(_) => {}
        Image::Tar {
            strip_selinux,
            compression,
        } => {
            let options = output::tar::Options {
                compression: *compression,
                strip_selinux: *strip_selinux,
                latest: epoch,
                expected: content(&site.tree, host)?.data_bytes,
                digest: site.build.plan.has_checksums(),
            };
            let digest = output::tar::pack(&site.tree, &target, &options, host)?;
            artifacts::remember(digest, &target, site);
        }
        Image::Subvolume {
            compress,
            read_only,
        } => {
            file_systems::write_subvolume(*compress, &target, site, host)?;
            if *read_only {
                site.staging.freeze(site.build.names.image())?;
            }
        }
        Image::Disk(disk) => disk_image::write(disk, &target, site, host)?,
        Image::Plain { file_system, uuid } => {
            file_systems::write_plain(file_system, *uuid, &target, site, host)?;
        }
    }
    Ok(String::new())
}

/// Makes the tree the artifact: without copying where nothing else needs it, and both are on one file
/// system.
fn finish_directory(site: &Site<'_>, target: &Path, host: &Host) -> Result<(), StepError> {
    let tree = &site.tree;
    let epoch = site.build.context.source_date_epoch;
    if site.movable {
        if let Some(latest) = epoch {
            tree::make_no_later(tree, latest, &host.cancel)?;
        }
        match fs::rename(tree, target) {
            Ok(()) => {
                // A workspace needs a tree to remove.
                fs::create_dir(tree).map_err(EngineError::path("create", tree))?;
                return Ok(());
            }
            Err(e) if e.kind() == io::ErrorKind::CrossesDevices => {}
            Err(source) => {
                return Err(EngineError::path("move the tree to", target)(source).into());
            }
        }
    }
    fs::create_dir(target).map_err(EngineError::path("create", target))?;
    let options = CopyOptions::faithful(epoch);
    let (report, cancel) = (host.report.as_ref(), &host.cancel);
    let root = Root::open(target)?;
    tree::copy_tree(&root, tree, Path::new(""), &options, report, cancel)?;
    Ok(())
}
