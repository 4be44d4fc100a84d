//! An image of Alpine Linux boots: without systemd, and with a kernel that has no release in its name.
//! What is in it comes from Debian; a program that unpacks a tree stands in for apk. Needs root,
//! busybox-static, qemu and, for Debian's packages, the network.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod machine;
mod shaped;
mod support;

use machine::{Boot, settings};
use support::{Project, assert_no_leaks, finish, root, tool};

/// Unpacks the tree that the mirror has, when it is asked for what an image needs to boot.
const APK: &str = r#"#!/bin/sh
set -e
if [ "$1" = --version ]; then echo "apk-tools 3.0.3, compiled for x86_64."; exit; fi
case " $* " in *" alpine-base dracut linux-lts systemd-boot systemd-efistub "*) ;; *) exit 1 ;; esac
cd /run/mkosi/tree
tar -xpf /run/mkosi/mirrors/0/x86_64/tree.tar --exclude=./dev --exclude=./proc --exclude=./sys \
    --exclude=./run --exclude=./tmp
"#;

const REPORT: &str = r#"#!/bin/sh
say() { echo "mkosi-test:$1=$2" > /dev/console; }
mount -t proc proc /proc 2>/dev/null
mount -t sysfs sys /sys 2>/dev/null
say init "$(readlink /proc/1/exe)"
say release "$(uname -r) $(cat /usr/share/kernel/lts/kernel.release)"
say cmdline "$(cat /proc/cmdline)"
say mount:/ "$(findmnt --noheadings --raw --output SOURCE,FSTYPE,OPTIONS /)"
say firmware "$(test -d /sys/firmware/efi && echo uefi || echo bios)"
touch /written && say written "$(ls /written)"
say end end
sync
busybox poweroff -f
"#;

/// A project whose image reports on itself.
fn project() -> Project {
    let (debian, tree) = shaped::debian();
    let path = tree.to_string_lossy().into_owned();
    tool(&shaped::file("alpine").to_string_lossy(), &[&path]);
    let project = Project::new();
    project.file("mirror/v3.24/main/x86_64/APKINDEX.tar.gz", "");
    let archive = project.path().join("mirror/v3.24/main/x86_64/tree.tar");
    tool(
        "tar",
        &["-C", &path, "-cf", &archive.to_string_lossy(), "."],
    );
    drop(debian);
    project.script("bin/apk", APK);
    project.script("mkosi.extra/usr/local/bin/report", REPORT);
    project.file("mkosi.skeleton/etc/apk/keys/own.rsa.pub", "key\n");
    let distribution = format!(
        "[Distribution]\nDistribution=alpine\nRelease=3.24\nMirror={}\n",
        project.path().join("mirror").display()
    );
    project.file(
        "mkosi.default",
        settings("Format=gpt_ext4\n", &distribution),
    );
    project
}

#[test]
#[ignore = "long: makes a distribution, builds a whole image and boots it"]
fn root_apk_boots_alpine_without_systemd() {
    root();
    let project = project();
    let mut command = project.command(&[]);
    let path = std::env::var("PATH").unwrap();
    command.env(
        "PATH",
        format!("{}:{path}", project.path().join("bin").display()),
    );
    finish(command).succeeds().says("with apk");
    assert_no_leaks(project.path());
    let console = Boot::default().run(&project, &[]);
    console
        .is("init", "/usr/bin/busybox")
        .is("firmware", "uefi")
        .has("cmdline", "root=PARTUUID=")
        .has("mount:/", "/dev/vda2 ext4 rw")
        .is("written", "/written")
        .is("end", "end");
    let (running, written) = console.value("release").split_once(' ').unwrap();
    assert_eq!(running, written);
}
