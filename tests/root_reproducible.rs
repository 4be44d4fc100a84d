//! With `SOURCE_DATE_EPOCH`, the same inputs give the same bytes, whoever builds them wherever. Needs
//! root, dpkg, gpg, busybox, systemd-nspawn, loop devices and the programs of every format; shows what
//! differs by diffoscope, where that is installed. No network.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod apt;
mod elsewhere;
mod signing;
mod support;

use std::fs;
use std::path::{Path, PathBuf};

use apt::Repository;
use elsewhere::{Elsewhere, HostFileSystem, alone, assert_same};
use rustix::fs::{XattrFlags, lsetxattr};
use support::{Project, root};

const OUTPUT: &str = "out";

/// A repository with more files than the base system.
fn repository() -> Repository {
    root();
    let mut repository = Repository::new();
    let names: Vec<String> = (0..900)
        .map(|n| format!("usr/share/many/a-file-with-a-name-of-some-length-{n}"))
        .collect();
    let mut files: Vec<(&str, &[u8])> = names
        .iter()
        .map(|name| (name.as_str(), name.as_bytes()))
        .collect();
    let noise = apt::noise(700_000);
    files.push(("usr/share/noise", &noise));
    repository.add("many", "1", &files);
    repository.publish();
    repository
}

/// A project of a format, with what projects have.
fn project(repository: &Repository, cache: &Path, format: &str, settings: &str) -> Project {
    let project = repository.project(&repository.path().to_string_lossy(), cache, "many");
    let path = project.path().join("mkosi.default");
    let text = fs::read_to_string(&path)
        .unwrap()
        .replace("Format=directory\nOutput=image\n", "");
    project.file(
        "mkosi.default",
        format!("{text}\n[Output]\nFormat={format}\nOutputDirectory={OUTPUT}\n{settings}"),
    );
    // Directories in another order on each file system, and files of now.
    for n in 0..20 {
        let name = format!("mkosi.extra/etc/many/{}", n * 7 % 20);
        project.file(&name, format!("{n}"));
        project.mode(&name, 0o640);
    }
    project.file("mkosi.rootpw", "secret");
    project.mode("mkosi.rootpw", 0o600);
    project.script(
        "mkosi.postinst",
        "#!/bin/sh\nmkdir -p /etc/made\nfor n in c a b; do echo $n > /etc/made/$n; done\n\
         cp /etc/made/a /etc/made/linked && ls / > /etc/made/list\n",
    );
    attributes(&project);
    project.mode("mkosi.extra", 0o755);
    project.mode("mkosi.extra/etc", 0o755);
    project.mode("mkosi.extra/etc/many", 0o755);
    project
}

/// Adds an archive of files with extended attributes, which each file system lists in another order: few that
/// fit an inode, and more than do.
fn attributes(project: &Project) {
    let tree = tempfile::tempdir_in(project.path()).unwrap();
    // The second is more than what is left of an inode.
    let values = ["a".repeat(5), "b".repeat(60), "c".repeat(20)];
    for (file, names) in [
        ("few", ["user.c", "user.a", "trusted.b"].as_slice()),
        ("many", &["user.long", "trusted.d", "user.b", "user.a"]),
    ] {
        let path = tree.path().join(file);
        fs::write(&path, file).unwrap();
        for (n, name) in names.iter().enumerate() {
            let value = values[(n + file.len()) % 3].as_bytes();
            lsetxattr(&path, *name, value, XattrFlags::empty()).unwrap();
        }
    }
    let from = tree.path().to_string_lossy().into_owned();
    let to = project.path().join("mkosi.extra.tar");
    let to = to.to_string_lossy().into_owned();
    support::tool(
        "tar",
        &[
            "--xattrs",
            "--xattrs-include=*",
            // The archive itself is named in the manifest by its hash.
            "--mtime=@1",
            "--pax-option=exthdr.name=%d/%f,delete=atime,delete=ctime",
            "-C",
            &from,
            "-cf",
            &to,
            "few",
            "many",
        ],
    );
}

/// Builds twice, here and elsewhere, and compares everything that came of it.
fn same_twice(format: &str, on: HostFileSystem, settings: &str) {
    let repository = repository();
    let (warm, cold) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = project(&repository, warm.path(), format, settings);
    alone(&first, &["build"]).succeeds();
    let second = project(&repository, cold.path(), format, settings);
    let there = Elsewhere::new(on);
    there.build(&second, OUTPUT, &["build"]).succeeds();
    assert_same(&first.path().join(OUTPUT), &there.kept(OUTPUT));
    support::assert_no_leaks(first.path());
}

const ALL: &str =
    "\n[Output]\nManifestFormat=json changelog\nHostname=there\n\n[Validation]\nCheckSum=yes\n";

#[test]
fn root_reproducible_directory() {
    same_twice("directory", HostFileSystem::Xfs, "");
}

#[test]
fn root_reproducible_subvolume() {
    let repository = repository();
    let cache = tempfile::tempdir().unwrap();
    let build = || {
        let project = project(&repository, cache.path(), "subvolume", "");
        let there = Elsewhere::new(HostFileSystem::Btrfs);
        there.build(&project, OUTPUT, &["build"]).succeeds();
        there
    };
    assert_same(&build().kept(OUTPUT), &build().kept(OUTPUT));
}

#[test]
fn root_reproducible_tar() {
    same_twice("tar", HostFileSystem::Tmpfs, ALL);
}

#[test]
fn root_reproducible_plain_squashfs() {
    let settings = format!("{ALL}BMap=no\n[Output]\nCompressOutput=gz\n");
    same_twice("plain_squashfs", HostFileSystem::Xfs, &settings);
}

#[test]
fn root_reproducible_gpt_ext4() {
    let settings = format!("{ALL}BMap=yes\n[Partitions]\nHomeSize=32M\nSwapSize=8M\n");
    same_twice("gpt_ext4", HostFileSystem::Btrfs, &settings);
}

#[test]
fn root_reproducible_gpt_ext4_with_hash_tree() {
    let settings = format!("{ALL}[Output]\nVerity=yes\nSplitArtifacts=yes\nCompressOutput=xz\n");
    same_twice("gpt_ext4", HostFileSystem::Xfs, &settings);
}

#[test]
fn root_reproducible_gpt_squashfs_with_hash_tree() {
    let settings = format!("{ALL}[Output]\nVerity=yes\nQCow2=yes\nCompressOutput=zstd\n");
    same_twice("gpt_squashfs", HostFileSystem::Ext4, &settings);
}

#[test]
fn root_reproducible_gpt_xfs() {
    same_twice("gpt_xfs", HostFileSystem::Ext4, ALL);
}

#[test]
fn root_reproducible_gpt_btrfs() {
    let settings = format!("{ALL}[Output]\nCompress=zstd\n[Partitions]\nMinimize=yes\n");
    same_twice("gpt_btrfs", HostFileSystem::Xfs, &settings);
}

/// Two phases, kept trees or none, and the sources of a build.
#[test]
fn root_reproducible_with_and_without_kept_trees() {
    let repository = repository();
    let cache = tempfile::tempdir().unwrap();
    let made = |flags: &[&str], there: Option<Elsewhere>| -> (Project, Option<Elsewhere>) {
        // Whatever repository the directory of the tests is in.
        let settings = "\n[Packages]\nSourceFileTransfer=copy-all\n";
        let project = project(&repository, cache.path(), "gpt_ext4", settings);
        project.script(
            "mkosi.build",
            "#!/bin/sh\nmkdir -p $DESTDIR/usr/share/built\nfor n in 3 1 2; do\n\
             echo $n > $DESTDIR/usr/share/built/$n; done\n",
        );
        match &there {
            None => alone(&project, flags).succeeds(),
            Some(there) => there.build(&project, OUTPUT, flags).succeeds(),
        };
        (project, there)
    };
    let (plain, _) = made(&["build"], None);
    let (kept, _) = made(&["-i", "build"], None);
    let made_in =
        |project: &Project, name: &str| -> PathBuf { project.path().join(OUTPUT).join(name) };
    let same = |first: &Project, second: &Project| {
        for name in ["image.raw", "image.manifest"] {
            assert_same(&made_in(first, name), &made_in(second, name));
        }
    };
    same(&plain, &kept);
    // From the kept trees now.
    fs::write(kept.path().join("mkosi.extra/new"), "").unwrap();
    fs::remove_file(kept.path().join("mkosi.extra/new")).unwrap();
    let again = alone(&kept, &["-i", "-f", "build"]);
    again.succeeds().says("cached");
    same(&plain, &kept);
    let (_, there) = made(
        &["-i", "build"],
        Some(Elsewhere::new(HostFileSystem::Btrfs)),
    );
    let there = there.unwrap();
    for name in ["image.raw", "image.manifest"] {
        assert_same(&made_in(&plain, name), &there.kept(OUTPUT).join(name));
    }
}

/// Debian's own packages, scripts and kernel, with all that makes it boot.
#[test]
fn root_reproducible_debian_that_boots() {
    root();
    let build = |there: Option<&Elsewhere>| {
        let project = Project::debian(&format!(
            "Packages=python3 openssh-server ca-certificates dbus systemd-timesyncd\n\n\
             [Output]\nBootable=yes\nBootProtocols=uefi bios\nHostname=there\n\
             ManifestFormat=json changelog\nOutputDirectory={OUTPUT}\n\n\
             [Validation]\nCheckSum=yes\nBMap=yes\nPassword=secret\n"
        ));
        match there {
            None => alone(&project, &["build"]).succeeds(),
            Some(there) => there.build(&project, OUTPUT, &["build"]).succeeds(),
        };
        project
    };
    let there = Elsewhere::new(HostFileSystem::Btrfs);
    let first = build(None);
    build(Some(&there));
    assert_same(&first.path().join(OUTPUT), &there.kept(OUTPUT));
}
