//! What is done to the trees that hold the packages: the steps of each phase.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::adapt;
use super::functions;
use super::sources::sources;
use super::{
    Action, Boot, BuildRun, CleanUp, Identity, Image, Manifest, RootPassword, TreeSource, artifacts,
};
use crate::config::Config;
use crate::config::values::{ManifestFormat, Secret, SourceTransfer, Tristate};
use crate::installer::Request;
use crate::scripts::{BuildScript, Script};

/// Which image a step works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Phase {
    /// The one that the build script runs in. It is dropped after that.
    Development,
    /// The one that the user gets.
    Final,
}

impl Phase {
    /// Its name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Final => "final",
        }
    }
}

/// One thing to do.
#[derive(Debug)]
pub struct Step {
    /// The image it works on.
    pub phase: Phase,
    /// What to do.
    pub action: Action,
}

/// The steps of both phases, after the packages are installed.
pub(super) fn steps(
    config: &Config,
    request: &Request,
    boot: Option<Boot>,
    image: Image,
) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut add = |phase, actions: Vec<Action>| {
        steps.extend(actions.into_iter().map(|action| Step { phase, action }));
    };
    if config.build_script.is_some() {
        add(Phase::Development, development_phase(config));
    }
    if !(config.build_script.is_some() && config.skip_final_phase) {
        add(Phase::Final, final_phase(config, request, boot, image));
    }
    steps
}

/// From the development tree to what the build script made.
fn development_phase(config: &Config) -> Vec<Action> {
    let mut actions = Vec::new();
    if let Some(path) = &config.post_installation_script {
        actions.push(Action::Postinst(script(config, path, "build")));
    }
    if let Some(path) = &config.finalize_script {
        actions.push(Action::Finalize(script(config, path, "build")));
    }
    if let Some(directory) = &config.include_directory {
        // Before the script: editors are of use above all while it fails.
        actions.push(Action::KeepHeaders(directory.clone()));
    }
    if let Some(path) = &config.build_script {
        let shown = config.source_file_transfer == SourceTransfer::Mount;
        if !shown {
            let sources = sources(config, config.source_file_transfer);
            actions.push(Action::CopySources(sources));
        }
        actions.push(Action::Build(BuildRun {
            script: BuildScript {
                script: script(config, path, "build"),
                with_docs: config.with_docs,
                with_tests: config.with_tests,
                build_directory: config.build_directory.clone(),
            },
            shown: shown.then(|| config.build_sources.clone()),
            destination: config.install_directory.clone(),
        }));
    }
    actions
}

/// From the tree with the packages to the artifacts.
fn final_phase(
    config: &Config,
    request: &Request,
    boot: Option<Boot>,
    image: Image,
) -> Vec<Action> {
    let mut actions = functions::fill_image(config);
    let is_whole = config.project.image_sh().is_some();
    let password = root_password(config);
    let locked = matches!(password, RootPassword::Locked);
    let based = config.base_image.is_some();
    // Whether root may log in to a base image was decided when that was made; what an image.sh makes need
    // not be a system, and is left as it is.
    if locked && !based && !is_whole {
        // Before the extra trees: somebody who brings a shadow file of his own means it.
        actions.push(Action::SetRootPassword(RootPassword::Locked));
    }
    if config.build_script.is_some() {
        actions.push(Action::InstallResult(config.install_directory.clone()));
    }
    if let Some(transfer) = config.source_file_transfer_final {
        actions.push(Action::CopySources(sources(config, transfer)));
    }
    actions.extend(trees(&config.extra_trees).map(Action::CopyExtra));
    actions.extend(adapt::adapt_image(config));
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
    if config.ssh {
        // After the extra trees, whose keys for root stay.
        actions.push(Action::SetUpSsh);
    }
    if let Some(path) = &config.post_installation_script {
        actions.push(Action::Postinst(script(config, path, "final")));
    }
    actions.extend(functions::after_postinst(config));
    if !config.remove_packages.is_empty() {
        actions.push(Action::RemovePackages(config.remove_packages.clone()));
    }
    if let Some(path) = &config.finalize_script {
        actions.push(Action::Finalize(script(config, path, "final")));
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
        (ManifestFormat::Packages, Action::WritePackages),
        (ManifestFormat::Changelog, Action::WriteChangelog),
    ] {
        if config.manifest_format.contains(&format) && !is_whole {
            actions.push(action(manifest.clone()));
        }
    }
    // Before the clean-up, too: what makes an initrd may be gone then.
    actions.extend(boot.map(Action::PrepareBoot));
    let clean_up = Action::CleanUp(CleanUp {
        machine_id: config.machine_id.clone(),
        // Of a base image they are none of this build's business.
        keep_docs: config.with_docs || based,
        package_metadata: match config.clean_package_metadata {
            Tristate::Auto => None,
            Tristate::Yes => Some(true),
            Tristate::No => Some(false),
        },
        remove_files: config.remove_files.clone(),
    });
    actions.extend((!is_whole).then_some(clean_up));
    if based {
        actions.push(Action::KeepChanges {
            docs: config.with_docs,
        });
    }
    actions.push(Action::WriteImage(image));
    actions.extend(artifacts::actions(config));
    actions
}

/// The trees that a setting names.
pub(super) fn trees(paths: &[PathBuf]) -> impl Iterator<Item = TreeSource> {
    paths.iter().map(|path| TreeSource { path: path.clone() })
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

/// A script of the project, with `build` or `final` as its argument.
pub(super) fn script(config: &Config, path: &Path, argument: &'static str) -> Script {
    Script {
        path: path.to_owned(),
        argument,
        environment: config
            .environment
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        network: config.with_network,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Context, Plan};
    use super::*;
    use crate::config::testing::Fixture;

    /// The titles of both phases, up to where the final image is finished.
    fn titles(flags: &str) -> (Vec<String>, Vec<String>) {
        let fixture = Fixture::new()
            .project_file("mkosi.build", "#!/bin/sh\n", 0o755)
            .project_file("mkosi.postinst", "#!/bin/sh\n", 0o755)
            .project_file("mkosi.finalize", "#!/bin/sh\n", 0o755)
            .directory("p/mkosi.extra")
            .args("-d debian -r bookworm -t directory --hostname=x --password=y")
            .args(flags);
        let context = Context {
            directory: "/".into(),
            source_date_epoch: None,
            seed: uuid::Uuid::nil(),
        };
        let plan = Plan::new(&fixture.config(), &context).unwrap();
        let of = |phase| {
            let titles = plan.phase(phase).map(|step| step.action.title());
            titles
                .take_while(|title| title != "Listing packages")
                .collect()
        };
        (of(Phase::Development), of(Phase::Final))
    }

    #[test]
    fn the_order_is_the_documented_one() {
        let (development, last) = titles("");
        let before = [
            "Running the postinst script (build)",
            "Running the finalize script (build)",
        ];
        let after = [
            "Copying mkosi.extra",
            "Setting the host name",
            "Setting root's password",
            "Running the postinst script",
            "Running the finalize script",
        ];
        let (made, copying, running) = (
            "Adding what the build script made",
            "Copying the sources",
            "Running the build script",
        );
        assert_eq!(development[..2], before);
        assert_eq!(development[2..], [copying, running]);
        assert_eq!(last[..1], [made]);
        assert_eq!(last[1..], after);

        // What is shown is not copied.
        let (development, _) = titles("--source-file-transfer=mount");
        assert_eq!(development[2..], [running]);
        let (development, last) = titles(
            "--include-directory=i --source-file-transfer-final=copy-all --source-file-transfer=copy-all",
        );
        assert_eq!(development[2], "Keeping the header files");
        assert_eq!(development[3..], [copying, running]);
        assert_eq!(last[..2], [made, copying]);
        assert_eq!(last[2..], after);
        let (development, last) = titles("--skip-final-phase --install-dir=i");
        assert_eq!(development.len(), 4);
        assert_eq!(last, [""; 0]);
        let (development, last) = titles("--build-script=");
        assert_eq!(development, [""; 0]);
        assert_eq!(last, after);
    }
}
