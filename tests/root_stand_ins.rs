//! Alpine and Clear Linux, whose package managers few hosts have, with programs that stand in for
//! them: each notes what it was told and saw, and makes a small tree. Needs root and busybox-static.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod apk;
mod support;

use std::fs;
use std::path::Path;

use support::{Project, assert_no_leaks, root};

const SWUPD: &str = r#"#!/bin/sh
set -e
if [ "$1" = --version ]; then echo "swupd 5.0.0"; exit; fi
tree=/run/mkosi/tree
{ echo "$@"; cat /run/mkosi/manager/certificate.pem; } >>$tree/noted
mkdir -p $tree/usr/share/clear/bundles $tree/usr/lib
touch $tree/usr/share/clear/bundles/os-core $tree/usr/share/clear/bundles/.MoM
printf 'ID=clear-linux-os\nVERSION_ID=43760\n' >$tree/usr/lib/os-release
case " $* " in *nosuch*) echo 'Error: Bundle "nosuch" is invalid' >&2; exit 3 ;; esac
"#;

fn project(settings: &str) -> Project {
    let project = Project::new();
    project.file("mkosi.default", settings);
    apk::install(&project);
    project.script("bin/swupd", SWUPD);
    project
}

fn run(project: &Project, words: &[&str]) -> support::Run {
    support::finish(apk::in_reach(project, project.command(words)))
}

fn manifest(project: &Project) -> serde_json::Value {
    let text = fs::read_to_string(project.path().join("image.manifest")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn read(tree: &Path, name: &str) -> String {
    fs::read_to_string(tree.join(name)).unwrap()
}

#[test]
fn root_stand_ins_alpine() {
    root();
    let settings = |mirror: &str| {
        format!(
            "[Distribution]\nDistribution=alpine\nRelease=3.24\nMirror={mirror}\n\
             Repositories=@edge=https://example.com/edge/main\n\n\
             [Output]\nFormat=directory\nOutput=image\n\n\
             [Packages]\nPackages=curl,nginx@edge,!vim\nCache=cache\n"
        )
    };
    let project = project("");
    let mirror = project.path().join("my mirror");
    let main = mirror.join("v3.24/main");
    project.file("my mirror/v3.24/main/content", "mirror\n");
    project.file("my mirror/v3.24/main/x86_64/APKINDEX.tar.gz", "");
    project.file("mkosi.skeleton/etc/apk/keys/own.rsa.pub", "key\n");
    project.file("mkosi.default", settings(&mirror.display().to_string()));
    run(&project, &[]).succeeds().says("with apk");
    let tree = project.path().join("image");
    assert_eq!(
        read(&tree, "noted"),
        "--root=/run/mkosi/tree --repositories-file=/run/mkosi/manager/repositories \
         --keys-dir=/run/mkosi/manager/keys --cache-dir=/run/mkosi/cache --no-progress --arch=x86_64 \
         --update-cache --initdb add -- alpine-base curl nginx@edge !vim\n\
         /run/mkosi/mirrors/0\n@edge https://example.com/edge/main\nown.rsa.pub\nmirror\n"
    );
    assert!(main.is_dir());
    assert!(project.path().join("cache/downloaded").exists());
    assert!(!tree.join("usr/share/man/man1/x.1").exists());
    let manifest = manifest(&project);
    assert_eq!(manifest["packages"].as_array().unwrap().len(), 2);
    assert_eq!(
        manifest["packages"][0],
        serde_json::json!({
            "type": "apk", "name": "alpine-base", "version": "3.24.1-r0",
            "architecture": "x86_64", "size": 4096
        })
    );
    assert_no_leaks(project.path());

    let untouched = project.path().join("image");
    run(&project, &["-f", "--package=nosuch"])
        .exits(1)
        .says("there is no package nosuch");
    assert!(
        untouched.join("noted").exists(),
        "the image of before stays"
    );
    // Cross-checks come before any work.
    run(&project, &["-f", "--release=3.99"])
        .exits(2)
        .says("3.10 to 3.24 and edge");
    run(&project, &["-f", "--update-lock"])
        .exits(2)
        .says("keeps to no lock");
    run(&project, &["-f", "--package=./x.apk"])
        .exits(2)
        .says("is no package name");
    run(
        &project,
        &["-f", "-t", "gpt_ext4", "--bootable", "--verity"],
    )
    .exits(2)
    .says("leave out Verity and Encrypt");
}

#[test]
fn root_stand_ins_clear() {
    root();
    let project = project(
        "[Distribution]\nDistribution=clear\nRelease=43760\nMirror=https://example.com/update\n\n\
         [Output]\nFormat=directory\nOutput=image\n\n[Packages]\nPackages=editors\n",
    );
    project.file(
        "mkosi.skeleton/usr/share/clear/update-ca/Swupd_Root.pem",
        "certificate\n",
    );
    run(&project, &["--clean-package-metadata=no"])
        .succeeds()
        .says("with swupd");
    let tree = project.path().join("image");
    assert_eq!(
        read(&tree, "noted"),
        "os-install --path=/run/mkosi/tree --statedir=/run/mkosi/cache --no-progress \
         --no-boot-update --yes --skip-optional --url=https://example.com/update \
         --certpath=/run/mkosi/manager/certificate.pem --version=43760 \
         --bundles=editors,os-core,os-core-update\ncertificate\n"
    );
    assert_eq!(
        read(&tree, "etc/swupd/mirror_contenturl"),
        "https://example.com/update"
    );
    let manifest = manifest(&project);
    assert_eq!(
        manifest["packages"],
        serde_json::json!([
            {"type": "bundle", "name": "os-core", "version": "43760", "architecture": "x86_64"}
        ])
    );
    assert_no_leaks(project.path());
    run(&project, &["-f", "--package=nosuch"])
        .exits(1)
        .says("there is no such bundle");
    run(&project, &["-f", "--package=!os-core"])
        .exits(1)
        .says("os-core was taken out");
    run(&project, &["-f", "-t", "gpt_ext4", "--bootable"])
        .exits(2)
        .says("Clear Linux does not have");
    run(&project, &["-f", "--update-lock"])
        .exits(2)
        .says("keeps to no lock");
    run(&project, &["-f", "--architecture=aarch64"])
        .exits(2)
        .says("it does for x86_64");
}
