//! Images of other architectures than the host's: one that an x86_64 host runs by itself, really
//! built, and one that it cannot run. Needs root, an x86_64 host and the network.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod support;

use std::fs;
use std::process::Command;

use support::{Project, assert_no_leaks, finish, root};

#[test]
fn root_foreign_i686_is_built_as_it_is() {
    root();
    let project = Project::debian(
        "[Output]\nFormat=directory\nOutput=image\n\n[Distribution]\nArchitecture=i386\n\
         # One repository is enough.\nLocalMirror=http://deb.debian.org/debian\n",
    );
    project.script(
        "mkosi.postinst",
        "#!/bin/sh\nset -e\nuname -m >/machine\ndpkg --print-architecture >>/machine\n",
    );
    project.run(&[]).succeeds();
    let tree = project.path().join("image");
    assert_eq!(
        fs::read_to_string(tree.join("machine")).unwrap(),
        "i686\ni386\n"
    );
    // Class and machine of its programs: 32 bits, for Intel's 80386 (elf(5)).
    let dpkg = fs::read(tree.join("usr/bin/dpkg")).unwrap();
    assert_eq!((&dpkg[..5], dpkg[18]), (&b"\x7fELF\x01"[..], 3));
    let manifest = fs::read_to_string(project.path().join("image.manifest")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["config"]["architecture"], "i686");
    let packages = manifest["packages"].as_array().unwrap();
    assert!(packages.iter().any(|p| p["architecture"] == "i386"));
    assert!(!packages.iter().any(|p| p["architecture"] == "amd64"));
    assert_no_leaks(project.path());
}

#[test]
fn root_foreign_what_the_host_cannot_run_is_refused_before_work() {
    root();
    let project = Project::debian("[Output]\nFormat=directory\nOutput=image\n");
    let before = project.untouched();
    // Whatever interpreters this host has, this run sees none.
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c"])
        .arg("mount -t tmpfs none /proc/sys/fs/binfmt_misc && exec \"$0\" \"$@\"")
        .arg(env!("CARGO_BIN_EXE_mkosi"))
        .arg("--architecture=s390x")
        .current_dir(project.path());
    finish(command)
        .exits(2)
        .says("Architecture=s390x")
        .says("the kernel knows no interpreter")
        .says("qemu-user-static");
    before.check();
}
