//! Debian packages that mean harm: a build with one fails and leaves nothing, or what it has stays in
//! the image. Needs root, dpkg, gpg, busybox and systemd-nspawn, and no network.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod apt;
mod signing;
mod support;
#[path = "../src/installer/deb/testing.rs"]
mod testing;

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use apt::Repository;
use support::{Project, assert_no_leaks, root};
use testing::{deb, tar};

fn control(name: &str, architecture: &str) -> String {
    format!(
        "Package: {name}\nVersion: 1\nArchitecture: {architecture}\n\
         Maintainer: nobody <nobody@example.com>\nDescription: means harm\n"
    )
}

/// A package of these control files and files, with an empty list of checksums if it has none.
fn package(name: &str, more: &[(&str, &str)], data: &[(&str, &str)]) -> Vec<u8> {
    let text = control(name, "all");
    let mut files = vec![("./control", text.as_str())];
    files.extend(more);
    if !more.iter().any(|(name, _)| *name == "./md5sums") {
        files.push(("./md5sums", ""));
    }
    deb(&tar(&files), &tar(data))
}

/// A project with this package in a repository that is signed, and therefore believed.
fn project(debs: &[(&str, &[u8])], cache: &Path) -> (Repository, Project) {
    root();
    let mut repository = Repository::new();
    let mut names = Vec::new();
    for (name, bytes) in debs {
        repository.include(name, "1", "all", bytes);
        names.push(*name);
    }
    repository.publish();
    let mirror = repository.path().to_string_lossy().into_owned();
    let project = repository.project(&mirror, cache, &names.join(" "));
    (repository, project)
}

/// Asserts that a build with the package `evil` fails for this reason and leaves nothing.
fn fails(bytes: &[u8], expected: &str) {
    let cache = tempfile::tempdir().unwrap();
    let (_repository, project) = project(&[("evil", bytes)], cache.path());
    let before = project.untouched();
    let run = project.run(&["build"]);
    run.exits(1)
        .says("the package evil cannot be installed")
        .says(expected);
    let raw = |c: char| c.is_control() && c != '\n';
    assert!(!run.stderr.contains(raw), "{:?}", run.stderr);
    before.check();
}

#[test]
fn root_deb_packages_whose_paths_lead_out_fail_the_build() {
    let outside = tempfile::tempdir().unwrap();
    let name = outside.path().display();
    let through = [
        (format!("./x -> {name}"), ""),
        ("./x/evil".to_owned(), "evil"),
    ];
    let through: Vec<(&str, &str)> = through.iter().map(|(a, b)| (a.as_str(), *b)).collect();
    let up = format!("./../../../../../../../..{name}/evil");
    let absolute = format!("{name}/evil");
    let linked = format!("./x => ../../../../../../../..{name}/evil");
    let cases: [(&[(&str, &str)], &str); 6] = [
        (&[(&up, "evil")], "`..`"),
        (&[(&absolute, "evil")], "begins with `/`"),
        (&through, "symbolic link of the same package"),
        (&[(&linked, "")], "`..`"),
        (&[("./x => ./etc/passwd", "")], "does not hold"),
        (&[("./a\nb", "x")], "line break"),
    ];
    for (data, expected) in cases {
        fails(&package("evil", &[], data), expected);
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }
}

#[test]
fn root_deb_packages_that_lie_fail_the_build() {
    let sum = "00000000000000000000000000000000";
    let sums = format!("{sum}  ../../etc/passwd\n");
    let red = "./usr/\u{1b}[31mred";
    let foreign = deb(&tar(&[("./control", &control("evil", "arm64"))]), &tar(&[]));
    let other = deb(&tar(&[("./control", &control("good", "all"))]), &tar(&[]));
    for (bytes, expected) in [
        (
            package("evil", &[("./md5sums", &sums)], &[]),
            "names /../../etc/passwd",
        ),
        (
            package("evil", &[("./conffiles", "/etc/../../x\n")], &[]),
            "names /etc/../../x",
        ),
        (
            package("evil", &[("./conffiles", "/etc/shadow\n")], &[]),
            "names /etc/shadow",
        ),
        (package("evil", &[("./a/b", "x")], &[]), "no control file"),
        (package("evil", &[], &[(red, "x"), (red, "y")]), "twice"),
        (foreign, "instead of evil 1 all"),
        (other, "holds good 1 all"),
    ] {
        fails(&bytes, expected);
    }
}

#[test]
fn root_deb_packages_that_are_damaged_fail_the_build() {
    let whole = package("evil", &[], &[("./usr/x", &"x".repeat(5000))]);
    let zeros = zstd::encode_all(std::io::Read::take(std::io::repeat(0), 64 << 20), 1).unwrap();
    let bomb = deb(
        &tar(&[("./control", &control("evil", "all")), ("./md5sums", "")]),
        &zeros,
    );
    let huge = package("evil", &[("./postinst", &"#".repeat(33 << 20))], &[]);
    let cut = |size: usize| whole[..size].to_vec();
    for (bytes, expected) in [
        (cut(whole.len() - 60), "truncated"),
        (cut(500), "truncated"),
        (cut(20), "truncated"),
        (b"nothing at all".to_vec(), "no Debian package"),
        (bomb, "too much follows the end"),
        (huge, "too large"),
    ] {
        fails(&bytes, expected);
    }
}

/// An archive with one member of any kind.
fn node(kind: tar::EntryType, name: &str, mode: u32) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_path(name).unwrap();
    header.set_mode(mode);
    header.set_size(0);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_device_major(1).unwrap();
    header.set_device_minor(8).unwrap();
    header.set_cksum();
    header.as_bytes().to_vec()
}

#[test]
fn root_deb_odd_files_of_packages_are_only_files() {
    let cache = tempfile::tempdir().unwrap();
    let text = control("odd", "all");
    let data = [
        node(tar::EntryType::Regular, "./usr/setuid", 0o4755),
        node(tar::EntryType::Fifo, "./usr/fifo", 0o644),
        node(tar::EntryType::Char, "./usr/device", 0o600),
        tar(&[]),
    ]
    .concat();
    let odd = deb(&tar(&[("./control", &text), ("./md5sums", "")]), &data);
    // dpkg unpacks packages without a list of checksums.
    let text = control("others", "all");
    let others = deb(
        &tar(&[("./control", &text)]),
        &tar(&[("./usr/x\u{1b}[31my", "x")]),
    );
    let (_repository, project) = project(&[("odd", &odd), ("others", &others)], cache.path());
    let run = project.run(&["build"]);
    assert!(!run.stderr.contains('\u{1b}'), "{:?}", run.stderr);
    run.succeeds();
    let image = project.path().join("image");
    let found = |name: &str| fs::symlink_metadata(image.join("usr").join(name)).unwrap();
    assert_eq!(found("setuid").mode(), 0o10_4755);
    assert!(found("fifo").file_type().is_fifo());
    assert_eq!(found("device").rdev(), rustix::fs::makedev(1, 8));
    assert_no_leaks(project.path());
}

#[test]
fn root_deb_links_of_other_packages_lead_nowhere_but_into_the_image() {
    let outside = tempfile::tempdir().unwrap();
    let way = format!("./usr/way -> {}", outside.path().display());
    let link = package("link", &[], &[("./usr/", ""), (&way, "")]);
    // Unpacked here, and by dpkg, which finds no directory there.
    let ours = package("through", &[], &[("./usr/way/evil", "evil")]);
    let text = control("through", "all");
    let dpkgs = deb(
        &tar(&[("./control", &text)]),
        &tar(&[("./usr/way/evil", "evil")]),
    );
    for through in [&ours, &dpkgs] {
        let cache = tempfile::tempdir().unwrap();
        let debs: [(&str, &[u8]); 2] = [("link", &link), ("through", through)];
        let (_repository, project) = project(&debs, cache.path());
        let run = project.run(&["build"]);
        assert!(matches!(run.code, Some(0 | 1)), "{}", run.stderr);
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
        assert_no_leaks(project.path());
    }
}
