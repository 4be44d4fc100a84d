//! Whole systems with the packages and the layout of distributions whose mirrors these tests do not
//! need: what is in the packages comes from Debian.
#![allow(dead_code, clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use crate::support::{Project, made_once, tool};

/// What a bootable system of any shape is made of.
const PACKAGES: &str = "linux-image-cloud-amd64 dracut udev systemd-boot systemd-boot-efi kmod dmsetup \
                        grub-pc-bin grub2-common";

/// A file of this directory.
pub fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/shaped")
        .join(name)
}

/// Makes a tree of Debian, which goes with the project that is returned.
pub fn debian() -> (Project, PathBuf) {
    let project = Project::debian(&format!(
        "CleanPackageMetadata=no\nPackages={PACKAGES}\n[Output]\nFormat=directory\nOutput=image\n"
    ));
    project.run(&[]).succeeds();
    let tree = project.path().join("image");
    (project, tree)
}

/// Gives a tree the layout of `fedora` or `arch`; `lists` gets a list of each package's files.
pub fn shape(family: &str, tree: &Path, lists: &Path) {
    let words = [tree.to_string_lossy(), lists.to_string_lossy()];
    tool(
        &file("shape").to_string_lossy(),
        &[family, &words[0], &words[1]],
    );
}

/// A signed repository with Fedora's packages, `mirror`, and the key that signs them, `key`.
pub fn fedora() -> PathBuf {
    let parts = ["fedora", "fedora.spec", "shape"].map(file);
    let parts: Vec<&Path> = parts.iter().map(PathBuf::as_path).collect();
    made_once("shaped-fedora", &parts, |new| {
        let (_project, tree) = debian();
        let words = [tree.to_string_lossy(), new.to_string_lossy()];
        tool(&parts[0].to_string_lossy(), &[&words[0], &words[1]]);
    })
}

/// The same with the packages of `centos`, `mageia` or `opensuse`: most of them are those of [`fedora`].
pub fn family(name: &str) -> PathBuf {
    let shared = fedora();
    let parts = ["family", "fedora", "fedora.spec", "shape"].map(file);
    let paths: Vec<&Path> = parts.iter().map(PathBuf::as_path).collect();
    made_once(&format!("shaped-{name}"), &paths, |new| {
        let words = [shared.to_string_lossy(), new.to_string_lossy()];
        tool(&parts[0].to_string_lossy(), &[name, &words[0], &words[1]]);
    })
}
