//! The steps that exist.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Boot, Context, Image, Reading, artifacts, fingerprint};
use crate::config::Config;
use crate::config::values::{ManifestFormat, Secret, Tristate};
use crate::installer::Request;
use crate::scripts::Script;

/// Which image a step works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Phase {
    /// The image that the user gets.
    Final,
}

/// One thing to do.
#[derive(Debug)]
pub struct Step {
    /// The image it works on.
    pub phase: Phase,
    /// What to do.
    pub action: Action,
    /// SHA-256 of this step's description and of every step before it.
    pub fingerprint: [u8; 32],
}

/// Everything a build can do, with all that is needed to do it.
#[derive(Debug, Serialize)]
pub enum Action {
    /// Makes an empty tree, ready for skeleton files.
    PrepareTree(Request),
    /// Copies a skeleton tree in.
    CopySkeleton(TreeSource),
    /// Installs the packages.
    Install(Request),
    /// Copies an extra tree in.
    CopyExtra(TreeSource),
    /// Says in os-release which image this is.
    Identify(Identity),
    /// Sets the host name.
    SetHostname(String),
    /// Sets or locks root's password.
    SetRootPassword(RootPassword),
    /// Makes root log in by itself.
    SetAutologin,
    /// Runs the post-installation script inside.
    Postinst(Script),
    /// Takes packages out again.
    RemovePackages(Vec<String>),
    /// Runs the finalize script on the host.
    Finalize(Script),
    /// Writes the list of packages.
    WriteManifest(Manifest),
    /// Writes the latest changes of the packages.
    WriteChangelog(Manifest),
    /// Makes initrds, and collects what boots the image.
    PrepareBoot(Boot),
    /// Removes what an image must not carry.
    CleanUp(CleanUp),
    /// Makes the output of the finished tree.
    WriteImage(Image),
    /// Makes a QCOW2 image of the raw one.
    ConvertImage,
    /// Compresses the image, maps it, or both.
    ReadImage(Reading),
    /// Places container settings beside the image.
    WriteNspawnSettings(PathBuf),
    /// Writes the checksums of everything else.
    WriteChecksums,
    /// Signs the checksums, with this key or gpg's default.
    SignChecksums(Option<String>),
}

/// A tree to copy: a directory, or a tar file.
#[derive(Clone, Debug, Serialize)]
pub struct TreeSource {
    /// Its path on the host.
    pub path: PathBuf,
}

/// What os-release and the manifest say about the image.
#[derive(Clone, Debug, Serialize)]
pub struct Identity {
    /// `ImageId=`.
    pub id: Option<String>,
    /// `ImageVersion=`.
    pub version: Option<String>,
}

/// How root logs in.
#[derive(Debug, Serialize)]
pub enum RootPassword {
    /// Not with a password.
    Locked,
    /// Without being asked for one.
    None,
    /// With this one. Its value belongs neither into fingerprints nor into messages.
    Plain(#[serde(skip)] Secret),
    /// With one of which only the hash is known.
    Hashed(#[serde(skip)] Secret),
}

/// The head of the manifest.
#[derive(Clone, Debug, Serialize)]
pub struct Manifest {
    /// The image's name.
    pub name: Option<String>,
    /// The image's version.
    pub version: Option<String>,
    /// The distribution.
    pub distribution: String,
    /// Its release.
    pub release: String,
    /// The architecture.
    pub architecture: String,
}

/// What the clean-up does besides what it always does.
#[derive(Clone, Debug, Serialize)]
pub struct CleanUp {
    /// A fixed machine ID; else it is left for the first boot to make.
    pub machine_id: Option<String>,
    /// Whether documentation stays.
    pub keep_docs: bool,
    /// Whether package databases go: always, never, or when no package manager would use them.
    pub package_metadata: Option<bool>,
    /// Globs of more files to remove.
    pub remove_files: Vec<String>,
}

impl Action {
    /// What is shown while it runs.
    #[must_use]
    pub fn title(&self) -> String {
        match self {
            Self::PrepareTree(_) => "Preparing the tree".into(),
            Self::CopySkeleton(tree) => format!("Copying skeleton {}", tree.shown()),
            Self::Install(request) => {
                format!("Installing {} {}", request.distribution, request.release)
            }
            Self::CopyExtra(tree) => format!("Copying {}", tree.shown()),
            Self::Identify(_) => "Naming the image".into(),
            Self::SetHostname(_) => "Setting the host name".into(),
            Self::SetRootPassword(RootPassword::Locked) => "Locking root's password".into(),
            Self::SetRootPassword(_) => "Setting root's password".into(),
            Self::SetAutologin => "Setting up automatic login".into(),
            Self::Postinst(_) => "Running the post-installation script".into(),
            Self::RemovePackages(_) => "Removing packages".into(),
            Self::Finalize(_) => "Running the finalize script".into(),
            Self::WriteManifest(_) => "Listing packages".into(),
            Self::WriteChangelog(_) => "Collecting change logs".into(),
            Self::PrepareBoot(_) => "Making the initrd".into(),
            Self::CleanUp(_) => "Cleaning up".into(),
            Self::WriteImage(image) => image.title().into(),
            Self::ConvertImage => "Converting the image to QCOW2".into(),
            Self::ReadImage(reading) => reading.title(),
            Self::WriteNspawnSettings(_) => "Adding container settings".into(),
            Self::WriteChecksums => "Computing checksums".into(),
            Self::SignChecksums(_) => "Signing the checksums".into(),
        }
    }
}

impl TreeSource {
    fn shown(&self) -> String {
        shown(&self.path)
    }
}

/// A path's last part, without anything that a terminal would act on.
fn shown(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().escape_debug().to_string()
}

/// The steps from an empty tree to the artifacts.
pub(super) fn final_phase(
    config: &Config,
    context: &Context,
    request: Request,
    boot: Option<Boot>,
    image: Image,
) -> Vec<Step> {
    let mut actions = vec![Action::PrepareTree(request.clone())];
    let sources = |paths: &[PathBuf]| {
        paths
            .iter()
            .map(|path| TreeSource { path: path.clone() })
            .collect::<Vec<_>>()
    };
    actions.extend(
        sources(&config.skeleton_trees)
            .into_iter()
            .map(Action::CopySkeleton),
    );
    actions.push(Action::Install(request.clone()));
    let password = root_password(config);
    let locked = matches!(password, RootPassword::Locked);
    if locked {
        // Before the extra trees: somebody who brings a shadow file of his own means it.
        actions.push(Action::SetRootPassword(RootPassword::Locked));
    }
    actions.extend(
        sources(&config.extra_trees)
            .into_iter()
            .map(Action::CopyExtra),
    );
    if config.image_id.is_some() || config.image_version.is_some() {
        actions.push(Action::Identify(Identity {
            id: config.image_id.clone(),
            version: config.image_version.clone(),
        }));
    }
    if let Some(name) = &config.hostname {
        actions.push(Action::SetHostname(name.clone()));
    }
    if !locked {
        actions.push(Action::SetRootPassword(password));
    }
    if config.autologin {
        actions.push(Action::SetAutologin);
    }
    if let Some(path) = &config.post_installation_script {
        actions.push(Action::Postinst(script(config, path)));
    }
    if !config.remove_packages.is_empty() {
        actions.push(Action::RemovePackages(config.remove_packages.clone()));
    }
    if let Some(path) = &config.finalize_script {
        actions.push(Action::Finalize(script(config, path)));
    }
    let manifest = Manifest {
        name: config.image_id.clone(),
        version: config.image_version.clone(),
        distribution: config.distribution.to_string(),
        release: request.release.clone(),
        architecture: config.architecture.to_string(),
    };
    // Before the clean-up: it may take package databases and documentation away.
    for (format, action) in [
        (ManifestFormat::Json, Action::WriteManifest as fn(_) -> _),
        (ManifestFormat::Changelog, Action::WriteChangelog),
    ] {
        if config.manifest_format.contains(&format) {
            actions.push(action(manifest.clone()));
        }
    }
    // Before the clean-up, too: what makes an initrd may be gone then.
    actions.extend(boot.map(Action::PrepareBoot));
    actions.push(Action::CleanUp(CleanUp {
        machine_id: config.machine_id.clone(),
        keep_docs: config.with_docs,
        package_metadata: match config.clean_package_metadata {
            Tristate::Auto => None,
            Tristate::Yes => Some(true),
            Tristate::No => Some(false),
        },
        remove_files: config.remove_files.clone(),
    }));
    actions.push(Action::WriteImage(image));
    actions.extend(artifacts::actions(config));
    chain(actions, context)
}

/// Gives each step its fingerprint.
fn chain(actions: Vec<Action>, context: &Context) -> Vec<Step> {
    let mut before = fingerprint(&[], &format!("{:?}", context.source_date_epoch));
    actions
        .into_iter()
        .map(|action| {
            let description = serde_json::to_string(&action).unwrap_or_default();
            before = fingerprint(&before, &description);
            Step {
                phase: Phase::Final,
                action,
                fingerprint: before,
            }
        })
        .collect()
}

fn root_password(config: &Config) -> RootPassword {
    match &config.password {
        None => RootPassword::Locked,
        Some(secret) if secret.is_empty() => RootPassword::None,
        Some(secret) => match secret.reveal().strip_prefix("hashed:") {
            Some(hash) => RootPassword::Hashed(Secret::new(hash)),
            None if config.password_is_hashed => RootPassword::Hashed(secret.clone()),
            None => RootPassword::Plain(secret.clone()),
        },
    }
}

fn script(config: &Config, path: &Path) -> Script {
    Script {
        path: path.to_owned(),
        argument: "final",
        environment: config
            .environment
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        network: config.with_network,
    }
}
