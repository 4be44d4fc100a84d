//! Projects written for makeimg, and the program called by that name.
#![allow(dead_code, clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use crate::support::{self, Project, Run, package_cache};

/// The program, called as makeimg.
pub fn makeimg(project: &Project, words: &[&str]) -> Command {
    let mut command = project.command(words);
    command.arg0("/usr/local/bin/makeimg");
    command
}

pub fn run_makeimg(project: &Project, words: &[&str]) -> Run {
    support::finish(makeimg(project, words))
}

/// Lets commands of a shell find the program by that name, in the project's `bin`.
pub fn with_program(project: &Project) -> std::path::PathBuf {
    let bin = project.path().join("bin");
    fs::create_dir_all(&bin).unwrap();
    symlink(env!("CARGO_BIN_EXE_mkosi"), bin.join("makeimg")).unwrap();
    bin
}

/// Downloads are shared with the other tests.
pub fn with_cache(project: &Project) {
    fs::create_dir(project.path().join("mkosi.cache")).unwrap();
    symlink(
        package_cache(),
        project.path().join("mkosi.cache/debian~bookworm"),
    )
    .unwrap();
}

/// A Debian with everything that an IMGBUILD can have.
pub const IMGBUILD: &str = r#"
imgname=box
target=debian
debian_suite=bookworm
format="${BOX_FORMAT:-dir}"
SERVER_IP=10.0.0.1
packages="
nano
less
"
passwords='
root rootpw
ann annpw
'

provision() {
    [ "$format" = dir ] || echo "$format" > /etc/format
    useradd -m ann
    printf '%s\n' '[Unit]' After=multi-user.target '[Service]' Type=oneshot \
        "ExecStart=/bin/sh -c 'echo HELLO from \$\$(id -un ann) > /dev/console'" \
        'ExecStartPost=/bin/systemctl --no-block poweroff' '[Install]' WantedBy=multi-user.target \
        > /etc/systemd/system/hello.service
    systemctl enable hello.service
}

setup() {
    truncate -s 600M box.custom
    mkfs.ext4 -q box.custom
    mount -o loop box.custom "$BUILDROOT"
}

cleanup() {
    umount "$BUILDROOT"
    echo done > cleaned
}
"#;

/// A patch of /etc/passwd.
pub const HOSTS: &str =
    "--- a\n+++ b\n@@ -1 +1,2 @@\n+# patched\n root:x:0:0:root:/root:/bin/bash\n";

/// A project with it.
pub fn imgbuild() -> Project {
    let project = Project::new();
    with_cache(&project);
    project
        .file("IMGBUILD", IMGBUILD)
        .file("files/etc/motd", "hello\n")
        .file("files/etc/passwd.makeimg.patch", HOSTS)
        .file(
            "files/etc/wg.conf.makeimg.template",
            "Address = ${SERVER_IP}/24\nPrivateKey = $(makeimg -S +vpn)\n",
        )
        .mode("files/etc/wg.conf.makeimg.template", 0o600)
        .file("secrets/+vpn", "echo vpn-secret-value\n")
        .file("secrets/rootpw", "echo root-secret-value\n")
        .file("secrets/annpw", "echo ann-secret-value\n");
    project
}
