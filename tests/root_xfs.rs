//! XFS as this program writes it: every form of directory, attribute and extent, checked by xfs_repair
//! and by the kernel, which also goes on working in it. Needs root, loop devices and xfsprogs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod trees;

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::process::Command as Process;

use mkosi::disk::{
    Architecture, Content, DiskSpec, FileSystem, Files, Filling, Partition, PartitionKind, Seed,
    Size, Slot,
};
use rustix::fs::{XattrFlags, lsetxattr};
use uuid::Uuid;

use trees::{assemble, count, describe, extract, host, paths, text, tool};

fn disk(size: Size, content: Content) -> DiskSpec {
    let files = Files {
        file_system: FileSystem::Xfs,
        directory: None,
        content,
    };
    DiskSpec {
        partitions: vec![Partition::new(
            PartitionKind::Root,
            size,
            Filling::Files(files),
        )],
        latest: Some(1_700_000_000),
        ..DiskSpec::new(Architecture::X86_64, Seed::new(Uuid::from_u128(0x5678)))
    }
}

/// Makes an image of a tree; returns its file system as a file.
fn made(tree: &Path, image: &Path, size: Size) -> std::path::PathBuf {
    let assembled = assemble(&disk(size, count(tree)), tree, image, &host()).unwrap();
    let slot: &Slot = assembled.layout.slot(PartitionKind::Root).unwrap();
    extract(image, slot)
}

/// Does `script` in the mounted file system, whose directory is `$1`.
fn mounted(file: &Path, options: &str, script: &str) {
    let at = tempfile::tempdir().unwrap();
    let script = format!(
        "set -e; mount -t xfs -o loop,nouuid,{options} \"$2\" \"$1\"; trap 'cd /; umount \"$1\"' EXIT\n{script}"
    );
    let status = Process::new("unshare")
        .args(["--mount", "sh", "-c", &script, "sh"])
        .args([at.path(), file])
        .env("TREE", file.with_extension("tree"))
        .status()
        .unwrap();
    assert!(status.success(), "{script}");
}

/// What is in the file system, as lines.
fn described(file: &Path) -> Vec<String> {
    let at = tempfile::tempdir().unwrap();
    tool(
        "mount",
        &[
            "-o",
            "loop,ro,norecovery,nouuid",
            text(file),
            text(at.path()),
        ],
    );
    let found = lines(at.path());
    tool("umount", &[text(at.path())]);
    found
}

fn lines(top: &Path) -> Vec<String> {
    let mut all = paths(top);
    all.push("".into());
    all.sort();
    let line = |path: &std::path::PathBuf| {
        let text = describe(top, path, true).unwrap();
        format!("{}: {text}", path.display())
    };
    all.iter().map(line).collect()
}

/// Directories of many sizes, attributes of many sizes, files of many extents.
fn tree() -> tempfile::TempDir {
    // In memory: other file systems do not take so many attributes.
    let tree = tempfile::tempdir_in("/dev/shm").unwrap();
    let at = |name: &str| tree.path().join(name);
    // In the inode; in a block; with one leaf of hashes; with several; with a tree and long names.
    for (number, length) in [
        (0, 1),
        (1, 255),
        (5, 3),
        (12, 20),
        (60, 20),
        (120, 20),
        (400, 8),
        (480, 100),
        (600, 4),
        (3_000, 30),
        (2_200, 250),
    ] {
        let directory = at(&format!("{number}-names"));
        fs::create_dir(&directory).unwrap();
        for n in 0..number {
            let name = format!("{n:0>length$}");
            File::create(directory.join(name)).unwrap();
        }
    }
    // The same hash, as often as xfs_repair takes for good: all of them in one leaf.
    fs::create_dir(at("alike")).unwrap();
    for n in 0..450_u32 {
        // The last bit of a byte and the first of the next one meet.
        let mut name = b"aaaaaaaaaaaaaaaaaaaaaaaa".to_vec();
        for bit in 0..10 {
            if n >> bit & 1 == 1 {
                let at = bit / 3 * 4 + bit % 3;
                name[at] ^= 1;
                name[at + 1] ^= 0x80;
            }
        }
        use std::os::unix::ffi::OsStrExt as _;
        File::create(at("alike").join(std::ffi::OsStr::from_bytes(&name))).unwrap();
    }
    for (name, sizes) in [
        ("one", &[3_usize][..]),
        ("inode", &[100, 60]),
        ("long", &[300]),
        ("leaf", &[900, 900, 900]),
        ("far", &[5000]),
        ("farthest", &[65536]),
        ("leaves", &[1000; 30]),
    ] {
        for kind in ["file", "link", "directory", "fifo"] {
            let path = at(&format!("{name}-{kind}"));
            match kind {
                "file" => fs::write(&path, name).unwrap(),
                "link" => std::os::unix::fs::symlink("x".repeat(200), &path).unwrap(),
                "directory" => {
                    fs::create_dir(&path).unwrap();
                    fs::write(path.join("a-name-that-takes-some-room-in-an-inode"), "").unwrap();
                }
                _ => nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).unwrap(),
            }
            for (number, size) in sizes.iter().enumerate() {
                let attribute = format!("trusted.attribute-{number}");
                let value = vec![number as u8 + 1; *size];
                lsetxattr(&path, attribute, &value, XattrFlags::empty()).unwrap();
            }
        }
    }
    // So many parts that they take a tree of two levels, and one of three.
    for (name, parts) in [
        ("parts", 30_u64),
        ("more-parts", 600),
        ("most-parts", 5_000),
    ] {
        let file = File::create(at(name)).unwrap();
        for part in 0..parts {
            file.write_all_at(b"data", part * (128 << 10)).unwrap();
        }
        file.set_len(parts * (128 << 10) + 5).unwrap();
    }
    fs::write(at("whole"), vec![7; 3 << 20]).unwrap();
    fs::hard_link(at("whole"), at("3000-names").join("again")).unwrap();
    std::os::unix::fs::symlink("x".repeat(1023), at("longest-link")).unwrap();
    for path in paths(tree.path()) {
        trees::touch(&tree.path().join(path), 1_600_000_000);
    }
    trees::touch(tree.path(), 1_600_000_001);
    tree
}

#[test]
fn root_xfs_has_every_form_and_is_the_same_each_time() {
    let tree = tree();
    let output = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let image = output.path().join("image.raw");
    let file = made(tree.path(), &image, Size::Automatic);
    tool("xfs_repair", &["-n", text(&file)]);
    let (expected, found) = (lines(tree.path()), described(&file));
    for (expected, found) in expected.iter().zip(&found) {
        assert!(expected == found, "{expected:.400}\n{found:.400}");
    }
    assert_eq!(expected.len(), found.len());
    let sums = |top: &Path| {
        let script = "cd \"$1\"; find . -type f -exec sha256sum {} + | sort | sha256sum";
        tool("sh", &["-c", script, "sh", text(top)])
    };
    let sum = sums(tree.path());
    let expected = sum.split(' ').next().unwrap();
    mounted(
        &file,
        "ro,norecovery",
        &format!(
            "sum=$(cd \"$1\"; find . -type f -exec sha256sum {{}} + | sort | sha256sum)\n\
             test \"$sum\" = '{expected}  -'"
        ),
    );

    // The kernel goes on from there: in the same directories, files and free space.
    mounted(
        &file,
        "rw",
        "cd \"$1\"\n\
         for d in *-names alike *-directory; do for n in 1 2 3 4 5 6 7 8 9; do echo $n > $d/new-$n; done; done\n\
         for n in $(seq 400); do echo $n > 120-names/more-$n; done\n\
         for f in *-file; do setfattr -n user.more -v more $f; echo more >> $f; done\n\
         rm -r 3000-names 400-names leaves-file leaf-directory most-parts\n\
         dd if=/dev/zero of=parts bs=4096 seek=40 count=2000 conv=notrunc status=none\n\
         dd if=/dev/urandom of=big bs=1M count=40 status=none; cp --reflink=always big bigger\n\
         dd if=/dev/urandom of=bigger bs=4096 seek=100 count=300 conv=notrunc status=none\n\
         mkdir deep; for n in $(seq 500); do mkdir deep/$n; done; sync",
    );
    tool("xfs_repair", &["-n", text(&file)]);

    let again = output.path().join("again.raw");
    assemble(
        &disk(Size::Automatic, count(tree.path())),
        tree.path(),
        &again,
        &host(),
    )
    .unwrap();
    tool("cmp", &[text(&image), text(&again)]);
    assert!(fs::metadata(&image).unwrap().blocks() * 512 < 120 << 20);
}

/// Files with the same content are the same in the image, whatever is a hole in the tree.
#[test]
fn root_xfs_does_not_tell_holes_from_zeros() {
    use std::os::unix::fs::FileExt as _;
    let images = [false, true].map(|is_sparse| {
        let tree = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        for (name, length) in [("whole", 9 << 20), ("odd", (9 << 20) + 5_000)] {
            let file = File::create(tree.path().join(name)).unwrap();
            if !is_sparse {
                file.write_all_at(&vec![0; length], 0).unwrap();
            }
            file.set_len(length as u64).unwrap();
            // The end of a piece, a few blocks, and the middle of what is read at once.
            for at in [(1 << 20) - 100, (3 << 20) - 20_000, (6 << 20) + 40_000] {
                file.write_all_at(b"data", at).unwrap();
            }
        }
        let output = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let image = output.path().join("image.raw");
        let file = made(tree.path(), &image, Size::Fixed(400 << 20));
        tool("xfs_repair", &["-n", text(&file)]);
        (output, image)
    });
    tool("cmp", &[text(&images[0].1), text(&images[1].1)]);
}

/// What is counted of a tree has room, however its data lies among holes.
#[test]
fn root_xfs_of_files_with_many_holes_is_large_enough() {
    use std::os::unix::fs::FileExt as _;
    const PAIR: u64 = 2 * 4096;
    const PAIRS: u64 = (300 << 20) / PAIR;
    let tree = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let file = File::create(tree.path().join("sparse")).unwrap();
    for pair in 0..PAIRS {
        file.write_all_at(&[1; 4096], pair * PAIR).unwrap();
    }
    file.sync_all().unwrap();
    let output = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let file = made(tree.path(), &output.path().join("image.raw"), Size::Minimal);
    assert!(fs::metadata(&file).unwrap().len() == 300 << 20);
    tool("xfs_repair", &["-n", text(&file)]);
}

#[test]
fn root_xfs_that_is_full_to_the_last_groups_can_still_be_used() {
    let tree = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    for number in 0..450 {
        let content = vec![number as u8 | 1; 600_000];
        fs::write(tree.path().join(format!("file-{number}")), content).unwrap();
    }
    let output = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let image = output.path().join("image.raw");
    let file = made(tree.path(), &image, Size::Minimal);
    tool("xfs_repair", &["-n", text(&file)]);
    mounted(
        &file,
        "rw",
        "cd \"$1\"; rm file-1*; for n in $(seq 600); do echo $n > new-$n; done\n\
         dd if=/dev/urandom of=file-200 bs=1M count=5 status=none; sync",
    );
    tool("xfs_repair", &["-n", text(&file)]);
}
