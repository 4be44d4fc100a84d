//! Archives made from real trees, checked by other people's tools. Needs root, GNU tar, xz, zstd, gzip
//! and libcap's setcap.

// A failed assumption of a test is a failed test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod trees;

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use mkosi::output::Compression;
use mkosi::output::tar::{Options, pack};

use trees::{assert_same_trees, awkward_tree, host, text, tool, touch, xattrs};

#[test]
fn root_archive_holds_the_tree() {
    let tree = awkward_tree();
    let output = tempfile::tempdir().unwrap();
    for (compression, check) in [
        (None, None),
        (Some(Compression::Xz), Some("xz")),
        (Some(Compression::Zstd), Some("zstd")),
        (Some(Compression::Gz), Some("gzip")),
    ] {
        let archive = mkosi::output::tar::name(&output.path().join("image"), compression);
        let options = Options {
            compression,
            ..Options::default()
        };
        pack(tree.path(), &archive, &options, &host()).unwrap();
        if let Some(program) = check {
            tool(program, &["-t", text(&archive)]);
        }
        let unpacked = tempfile::tempdir().unwrap();
        tool(
            "tar",
            &[
                "--xattrs",
                "--xattrs-include=*",
                "--numeric-owner",
                "-xpf",
                text(&archive),
                "-C",
                text(unpacked.path()),
            ],
        );
        assert_same_trees(tree.path(), unpacked.path(), false);
        let listing = tool("tar", &["--numeric-owner", "-tvf", text(&archive)]);
        assert!(
            listing.starts_with("drwxr-x--x 0/0 "),
            "{}",
            &listing[..100]
        );
    }
}

#[test]
fn root_archives_of_equal_trees_are_equal() {
    let output = tempfile::tempdir().unwrap();
    let options = Options {
        compression: Some(Compression::Zstd),
        strip_selinux: true,
        latest: Some(1_000_100_000),
        ..Options::default()
    };
    let archive = |name: &str| output.path().join(name);
    for name in ["one.tar.zst", "two.tar.zst"] {
        let tree = awkward_tree();
        // Five gibibytes of zeros are written out here; enough is enough.
        fs::remove_file(tree.path().join("var/sparse")).unwrap();
        touch(&tree.path().join("var"), 1_500_000_000);
        pack(tree.path(), &archive(name), &options, &host()).unwrap();
    }
    tool(
        "cmp",
        &[text(&archive("one.tar.zst")), text(&archive("two.tar.zst"))],
    );

    let unpacked = tempfile::tempdir().unwrap();
    tool(
        "tar",
        &[
            "--xattrs",
            "--xattrs-include=*",
            "-xpf",
            text(&archive("one.tar.zst")),
            "-C",
            text(unpacked.path()),
        ],
    );
    assert_eq!(
        fs::metadata(unpacked.path().join("var")).unwrap().mtime(),
        1_000_100_000
    );
    let names: Vec<_> = xattrs(&unpacked.path().join("usr/bin/su"))
        .into_keys()
        .collect();
    assert!(names.is_empty(), "{names:?}");
    assert_eq!(xattrs(&unpacked.path().join("etc/nothing")).len(), 2);
}
