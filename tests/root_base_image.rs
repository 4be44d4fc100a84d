//! Images that begin from other images, and hold only what differs from them.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use support::{Project, assert_no_leaks, root, tool};

/// The smallest Debian, and a tree and a script that only the images on top of it get.
fn project() -> Project {
    let project = Project::debian(
        "[Output]\nFormat=directory\nIncremental=yes\n[Packages]\nBasePackages=no\n",
    );
    project.file("extra/etc/added", "added\n");
    project.script(
        "change",
        "#!/bin/sh -e\nrm /etc/issue.net\nrm -r /usr/share/keyrings\necho changed > /etc/issue\n\
         chmod 700 /srv\ncp -a /etc/debian_version /etc/copy\n",
    );
    project
}

const TOP: [&str; 4] = [
    "--extra-tree=extra",
    "--postinst-script=change",
    "--output=top",
    "-f",
];

fn top<'a>(more: &[&'a str]) -> Vec<&'a str> {
    TOP.into_iter().chain(more.iter().copied()).collect()
}

/// What a tree is, file by file, times included.
fn state(tree: &Path) -> BTreeMap<PathBuf, String> {
    let entries = walkdir::WalkDir::new(tree).into_iter().map(|entry| {
        let path = entry.unwrap().into_path();
        let meta = path.symlink_metadata().unwrap();
        let text = format!(
            "{:o} {}:{} {} {}.{} {}.{}",
            meta.mode(),
            meta.uid(),
            meta.gid(),
            meta.size(),
            meta.mtime(),
            meta.mtime_nsec(),
            meta.ctime(),
            meta.ctime_nsec()
        );
        (path, text)
    });
    entries.collect()
}

fn is_mark(path: &Path) -> bool {
    let meta = path.symlink_metadata().unwrap();
    meta.file_type().is_char_device() && meta.rdev() == 0
}

/// Runs what must hold in the whole system.
#[track_caller]
fn is_whole(project: &Project, flags: &[&str]) {
    let mut words = top(flags);
    words.retain(|word| *word != "-f");
    words.extend([
        "shell",
        "sh",
        "-c",
        "test ! -e /etc/issue.net && test ! -e /usr/share/keyrings && grep -q changed /etc/issue \
         && grep -q added /etc/added && test -x /bin/bash && exit 7",
    ]);
    project.run(&words).exits(7).says("gone afterwards");
    assert_no_leaks(project.path());
}

#[test]
fn root_base_image_directory() {
    root();
    let project = project();
    project.run(&["--output=base"]).succeeds();
    let path = |name: &str| project.path().join(name);
    let before = state(&path("base"));

    let flags = ["--base-image=base", "--package=less"];
    let run = project.run(&top(&flags));
    run.succeeds()
        .says("Opening the base image base: done")
        .says("debian bookworm")
        .says("Installing packages on the base image");
    assert_eq!(
        before,
        state(&path("base")),
        "the base image was written to"
    );
    assert!(path("top/usr/bin/less").is_file());
    assert!(path("top/etc/added").is_file());
    assert!(path("top/etc/copy").is_file());
    assert!(!path("top/usr/bin/bash").exists(), "the same in both");
    assert!(!path("top/etc/debian_version").exists(), "the same in both");
    assert!(is_mark(&path("top/etc/issue.net")));
    assert!(is_mark(&path("top/usr/share/keyrings")));
    assert_eq!(path("top/srv").metadata().unwrap().mode() & 0o777, 0o700);
    let files = walkdir::WalkDir::new(path("top")).into_iter().count();
    assert!(files < 400, "{files} files and directories");
    let manifest = fs::read_to_string(path("top.manifest")).unwrap();
    assert!(manifest.contains("\"less\""), "{manifest}");
    assert!(!manifest.contains("\"bash\""), "{manifest}");
    is_whole(&project, &flags);
    let mut words = top(&flags);
    words.retain(|word| *word != "-f");
    words.extend(["shell", "dpkg", "--status", "less"]);
    project
        .run(&words)
        .succeeds()
        .prints("install ok installed");

    // Nothing changed; then a file that keeps its size and time.
    project.run(&top(&flags)).succeeds().says("cache hit");
    let issue = path("base/etc/issue");
    let (text, time) = (
        fs::read_to_string(&issue).unwrap(),
        issue.metadata().unwrap().modified().unwrap(),
    );
    fs::write(&issue, text.to_uppercase()).unwrap();
    let file = fs::File::options().write(true).open(&issue).unwrap();
    file.set_modified(time).unwrap();
    let mut why = top(&flags);
    why.push("why");
    project.run(&why).succeeds().prints("BaseImage");
    let run = project.run(&top(&flags));
    run.succeeds().says("Installing packages on the base image");
    assert!(!run.stderr.contains("cache hit"), "{}", run.stderr);

    // What cannot be.
    project
        .run(&top(&["--base-image=base/none"]))
        .exits(2)
        .says("BaseImage: base/none does not exist");
    project
        .run(&["--base-image=base", "--output=base/top"])
        .exits(2)
        .says("never written to");
    project
        .run(&top(&["--base-image=base", "--bootable", "-t", "gpt_ext4"]))
        .exits(2)
        .says("cannot be combined");
    project
        .run(&top(&[
            "--base-image=base",
            "--release=trixie",
            "--postinst-script=",
        ]))
        .succeeds()
        .says("is debian bookworm, and packages of trixie");
    fs::write(
        path("base/usr/lib/os-release"),
        "ID=fedora\nVERSION_ID=43\n",
    )
    .unwrap();
    project
        .run(&top(&flags))
        .exits(1)
        .says("is fedora 43, and packages of Debian cannot be added");
    project
        .run(&top(&["--base-image=top"]))
        .exits(2)
        .says("never written to");
    project
        .run(&["--base-image=top", "--output=third"])
        .exits(1)
        .says("has no os-release");
    assert_no_leaks(project.path());
}

#[test]
fn root_base_image_of_every_form() {
    root();
    let project = project();
    let path = |name: &str| project.path().join(name).to_string_lossy().into_owned();
    project
        .run(&[
            "-t",
            "tar",
            "--output=base.tar.zst",
            "--compress-output=zstd",
        ])
        .succeeds();
    project
        .run(&["-t", "gpt_ext4", "--output=disk.raw"])
        .succeeds();

    // From an archive to a file system of squashfs, and back.
    let flags = ["--base-image=base.tar.zst", "-t", "plain_squashfs"];
    project.run(&top(&flags)).succeeds();
    let listing = tool("unsquashfs", &["-lln", &path("top")]);
    let marks: Vec<&str> = listing.lines().filter(|l| l.starts_with('c')).collect();
    assert_eq!(marks.len(), 2, "{listing}");
    assert!(!listing.contains("/bin/bash"), "{listing}");
    is_whole(&project, &flags);

    // From a disk image to an archive and to a disk image, without a package of one's own.
    let image = fs::read(project.path().join("disk.raw")).unwrap();
    // With a build script, with and without cached trees.
    project.script(
        "build",
        "#!/bin/sh -e\ntest ! -e /etc/added\nrm /etc/debian_version\n\
         mkdir -p $DESTDIR/etc\necho built > $DESTDIR/etc/built\n",
    );
    let base = [
        "--base-image=disk.raw",
        "--build-script=build",
        "--build-sources=extra",
    ];
    let mut flags = base.to_vec();
    flags.extend(["-t", "tar", "--xz=no", "--incremental=no"]);
    project.run(&top(&flags)).succeeds();
    let listing = tool("tar", &["--list", "--verbose", "--file", &path("top")]);
    let marks: Vec<&str> = listing.lines().filter(|l| l.starts_with('c')).collect();
    assert_eq!(marks.len(), 2, "{listing}");
    assert!(marks.iter().all(|mark| mark.contains(" 0,0 ")), "{marks:?}");
    assert!(listing.contains("etc/built"), "{listing}");
    let mut flags = base.to_vec();
    flags.extend(["-t", "gpt_ext4"]);
    project.run(&top(&flags)).succeeds();
    is_whole(&project, &flags);
    let now = fs::read(project.path().join("disk.raw")).unwrap();
    assert!(image == now, "the base image was written to");

    project.file("nonsense", "neither an archive nor a disk\n");
    project.run(&top(&["--base-image=nonsense"])).exits(1);
    assert_no_leaks(project.path());
}
