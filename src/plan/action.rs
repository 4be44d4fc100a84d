//! Everything that a build can do.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Boot, Image, Reading};
use crate::config::Password;
use crate::config::values::Secret;
use crate::installer::Request;
use crate::scripts::secrets::SecretSource;
use crate::scripts::sources::Sources;
use crate::scripts::templates::Templates;
use crate::scripts::{BuildScript, Function, Script};
use crate::tree::shown::shown_name;

/// Everything a build can do, with all that is needed to do it.
#[derive(Debug, Serialize)]
pub enum Action {
    /// Makes an empty tree, ready for skeleton files.
    PrepareTree(Request),
    /// Copies a skeleton tree in.
    CopySkeleton(TreeSource),
    /// Applies the patches of trees that were copied.
    ApplyPatches(Patches),
    /// Renders the templates of trees that were copied.
    RenderTemplates(Templates),
    /// Installs the packages.
    Install(Request),
    /// Installs more packages into a tree that was filled before.
    AddPackages(Request),
    /// Installs packages into the tree of a base image.
    ExtendBase(Request),
    /// Runs the prepare script inside, with network.
    Prepare(Script),
    /// Keeps the header files of the tree in this directory of the host.
    KeepHeaders(PathBuf),
    /// Copies the sources in.
    CopySources(Sources),
    /// Runs the build script inside.
    Build(BuildRun),
    /// Copies in what the build script put into this directory of the host, or the build's own.
    InstallResult(Option<PathBuf>),
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
    /// Makes the image's ssh server accept the key that is kept beside the image.
    SetUpSsh,
    /// Runs the post-installation script inside.
    Postinst(Script),
    /// Runs a function of a shell file on the host, confined, which fills the tree.
    InstallImage(InstallImage),
    /// Copies files of a project in.
    CopyFiles(CopyFiles),
    /// Runs a function of a shell file inside.
    RunFunction(Function),
    /// Gives users the passwords that are secrets.
    SetPasswords(Passwords),
    /// Takes packages out again.
    RemovePackages(Vec<String>),
    /// Runs the finalize script on the host.
    Finalize(Script),
    /// Writes the list of packages.
    WriteManifest(Manifest),
    /// Writes the names and versions of the packages, a line for each.
    WritePackages(Manifest),
    /// Writes the latest changes of the packages.
    WriteChangelog(Manifest),
    /// Makes initrds, and collects what boots the image.
    PrepareBoot(Boot),
    /// Removes what an image must not carry.
    CleanUp(CleanUp),
    /// Leaves out what is the same in the base image; documentation, too, unless it is to be kept.
    KeepChanges {
        /// `WithDocs=`.
        docs: bool,
    },
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

/// Patches to apply.
#[derive(Clone, Debug, Serialize)]
pub struct Patches {
    /// The trees that hold them.
    pub trees: Vec<PathBuf>,
    /// Whether packages are there already.
    pub installed: bool,
}

/// A run of the function that fills the tree.
#[derive(Clone, Debug, Serialize)]
pub struct InstallImage {
    /// The function.
    pub function: Function,
    /// The project's directory, which it can read.
    pub source: PathBuf,
    /// Where it sees the tree.
    pub tree: PathBuf,
}

/// Files of a project to copy in.
#[derive(Clone, Debug, Serialize)]
pub struct CopyFiles {
    /// When, for people.
    pub stage: &'static str,
    /// The directory that all of them are in.
    pub source: PathBuf,
    /// Paths in there, with their paths in the image.
    pub files: Vec<(PathBuf, PathBuf)>,
}

/// Passwords to set.
#[derive(Clone, Debug, Serialize)]
pub struct Passwords {
    /// Where the secrets come from.
    pub secrets: SecretSource,
    /// Users, with the secrets that are their passwords.
    pub users: Vec<Password>,
}

/// A run of the build script.
#[derive(Clone, Debug, Serialize)]
pub struct BuildRun {
    /// The script.
    pub script: BuildScript,
    /// Sources that it is shown: those that are not copied.
    pub shown: Option<PathBuf>,
    /// The directory of the host that is `$DESTDIR`; none for one of the build's own.
    pub destination: Option<PathBuf>,
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
    /// The script or the tree of the project that it works with.
    #[must_use]
    pub fn source(&self) -> Option<&Path> {
        match self {
            Self::CopySkeleton(tree) | Self::CopyExtra(tree) => Some(&tree.path),
            Self::Prepare(script) | Self::Postinst(script) | Self::Finalize(script) => {
                Some(&script.path)
            }
            Self::Build(run) => Some(&run.script.script.path),
            Self::WriteNspawnSettings(path) => Some(path),
            _ => None,
        }
    }

    /// What is shown while it runs.
    #[must_use]
    pub fn title(&self) -> String {
        match self {
            Self::PrepareTree(_) => "Preparing the tree".into(),
            Self::CopySkeleton(tree) => format!("Copying skeleton {}", tree.shown()),
            Self::ApplyPatches(_) => "Applying patches".into(),
            Self::RenderTemplates(_) => "Rendering templates".into(),
            Self::Install(request) => {
                format!(
                    "Installing {} {}",
                    request.distribution.shown(),
                    request.release
                )
            }
            Self::AddPackages(_) => "Installing build packages".into(),
            Self::ExtendBase(_) => "Installing packages on the base image".into(),
            Self::Prepare(_) => "Running the prepare script".into(),
            Self::KeepHeaders(_) => "Keeping the header files".into(),
            Self::CopySources(_) => "Copying the sources".into(),
            Self::Build(_) => "Running the build script".into(),
            Self::InstallResult(_) => "Adding what the build script made".into(),
            Self::CopyExtra(tree) => format!("Copying {}", tree.shown()),
            Self::Identify(_) => "Naming the image".into(),
            Self::SetHostname(_) => "Setting the host name".into(),
            Self::SetRootPassword(RootPassword::Locked) => "Locking root's password".into(),
            Self::SetRootPassword(_) => "Setting root's password".into(),
            Self::SetAutologin => "Setting up automatic login".into(),
            Self::SetUpSsh => "Setting up ssh".into(),
            Self::Postinst(script) => running("postinst script", script),
            Self::InstallImage(install) => format!("Running {}", install.function.name),
            Self::CopyFiles(files) => format!("Copying {} files", files.stage),
            Self::RunFunction(function) => format!("Running {}", function.name),
            Self::SetPasswords(_) => "Setting passwords".into(),
            Self::RemovePackages(_) => "Removing packages".into(),
            Self::Finalize(script) => running("finalize script", script),
            Self::WriteManifest(_) => "Listing packages".into(),
            Self::WritePackages(_) => "Listing packages by line".into(),
            Self::WriteChangelog(_) => "Collecting change logs".into(),
            Self::PrepareBoot(_) => "Making the initrd".into(),
            Self::CleanUp(_) => "Cleaning up".into(),
            Self::KeepChanges { .. } => "Comparing with the base image".into(),
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
    /// Its name for people.
    #[must_use]
    pub fn shown(&self) -> String {
        shown_name(&self.path)
    }
}

/// What is shown while a script runs that runs in both phases.
fn running(what: &str, script: &Script) -> String {
    match script.argument {
        "final" => format!("Running the {what}"),
        phase => format!("Running the {what} ({phase})"),
    }
}
