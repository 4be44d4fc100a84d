//! A program that stands in for apk, which few hosts have: it notes what it was told and saw, and makes a
//! small tree. Needs busybox-static.
#![allow(dead_code, clippy::expect_used)]

use std::process::Command;

use crate::support::Project;

/// Fills the tree as apk does, and notes its words and its files.
const APK: &str = r#"#!/bin/sh
set -e
if [ "$1" = --version ]; then echo "apk-tools 3.0.3, compiled for x86_64."; exit; fi
tree=/run/mkosi/tree
{ echo "$@"; cat /run/mkosi/manager/repositories; ls /run/mkosi/manager/keys; } >>$tree/noted
cat /run/mkosi/mirrors/*/content >>$tree/noted
case " $* " in *" nosuch "*)
    echo "ERROR: unable to select packages:"; echo "  nosuch (no such package):"
    echo "    required by: world[nosuch]"; exit 1 ;;
esac
touch /usr/share/evil 2>/dev/null && exit 3
touch /run/mkosi/cache/downloaded
mkdir -p $tree/lib/apk/db $tree/etc $tree/bin $tree/usr/share/man/man1 $tree/proc/1 2>/dev/null
test -e $tree/proc/1/status
test -c $tree/dev/null
touch $tree/usr/share/man/man1/x.1
cp /bin/busybox $tree/bin/busybox
ln -sf busybox $tree/bin/sh
cat >$tree/etc/os-release <<EOF
ID=alpine
EOF
printf 'P:alpine-base\nV:3.24.1-r0\nA:x86_64\nI:4096\n\nP:curl\nV:8.1-r0\nA:x86_64\nI:8192\n\n' \
    >$tree/lib/apk/db/installed
"#;

/// Puts it into the project's `bin`.
pub fn install(project: &Project) {
    project.script("bin/apk", APK);
}

/// The command, with the programs of the project's `bin` in reach.
pub fn in_reach(project: &Project, mut command: Command) -> Command {
    let path = std::env::var("PATH").expect("a search path");
    let bin = project.path().join("bin");
    command.env("PATH", format!("{}:{path}", bin.display()));
    command
}
