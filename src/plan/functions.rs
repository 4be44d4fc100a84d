//! What the functions of a project's shell file do, and when.

use std::path::Path;

use super::adapt::{environment, secret_source};
use super::{Action, CopyFiles, InstallImage, Passwords};
use crate::config::{Config, ImageSh, ShellProject};
use crate::scripts::{Function, Shell, Text};

/// Where an image.sh's `do_install` finds the tree.
const IMAGES: &str = "/image";

/// A function of the IMGBUILD.
pub(super) fn of_imgbuild(config: &Config, name: &'static str) -> Function {
    let imgbuild = config.project.imgbuild();
    Function {
        name,
        shell: Shell::Posix,
        text: Text::File(imgbuild.map(|i| i.file.clone()).unwrap_or_default()),
        // Another one may have been asked for.
        variables: vec![(
            "format",
            imgbuild.map(|i| i.format.clone()).unwrap_or_default(),
        )],
        environment: environment(config),
        network: config.with_network,
    }
}

/// What makes the tree, where it is no package manager.
pub(super) fn fill_image(config: &Config) -> Vec<Action> {
    let Some(image) = config.project.image_sh() else {
        return Vec::new();
    };
    let source = image.file.parent().unwrap_or(Path::new("/")).to_owned();
    let tree = Path::new(IMAGES).join(&image.name);
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let function = |name, text| Function {
        name,
        shell: Shell::Bash,
        text,
        variables: Vec::new(),
        environment: environment(config),
        // The tool had it, and package managers need it.
        network: config.with_network,
    };
    let mut actions = copy(image, "preinstall", &image.preinstall);
    let mut install = function("do_install", Text::File(image.file.clone()));
    install.variables = vec![
        ("src_dir", text(&source)),
        ("img_dir", text(&tree)),
        ("img_path", text(&config.output)),
    ];
    actions.push(Action::InstallImage(InstallImage {
        function: install,
        source,
        tree,
    }));
    actions.extend(copy(image, "postinstall", &image.postinstall));
    if let Some(functions) = &image.functions {
        let text = Text::Functions(functions.clone());
        actions.push(Action::RunFunction(function("do_postinstall", text)));
    }
    actions
}

fn copy(
    image: &ImageSh,
    stage: &'static str,
    files: &[(std::path::PathBuf, std::path::PathBuf)],
) -> Vec<Action> {
    if files.is_empty() {
        return Vec::new();
    }
    vec![Action::CopyFiles(CopyFiles {
        stage,
        source: image.file.parent().unwrap_or(Path::new("/")).to_owned(),
        files: files.to_vec(),
    })]
}

/// What an IMGBUILD adds to a finished system. Passwords come last: `provision` may make the users.
pub(super) fn after_postinst(config: &Config) -> Vec<Action> {
    let Some(ShellProject::Imgbuild(imgbuild)) = &config.project.shell else {
        return Vec::new();
    };
    let mut actions = Vec::new();
    if imgbuild.provision {
        actions.push(Action::RunFunction(of_imgbuild(config, "provision")));
    }
    if !imgbuild.passwords.is_empty() {
        actions.push(Action::SetPasswords(Passwords {
            secrets: secret_source(config),
            users: imgbuild.passwords.clone(),
        }));
    }
    actions
}
