//! Every file system and partition, made from real trees and checked by other people's tools. Needs
//! root, loop devices, and the tools of ext4, XFS, btrfs and squashfs.

// A failed assumption of a test is a failed test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod trees;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command as Process;

use mkosi::disk::btrfs::{self, Btrfs};
use mkosi::disk::squashfs::{self, Squashfs};
use mkosi::disk::{
    Architecture, Content, DiskSpec, FileSystem, Files, Filling, Partition, PartitionKind, Seed,
    Size, Slot,
};
use rustix::fs::{XattrFlags, lsetxattr};
use uuid::Uuid;

use trees::{assemble, awkward_tree, count, describe, host, paths, text, tool, xattrs};

const EXT4: FileSystem = FileSystem::Ext4;
const XFS: FileSystem = FileSystem::Xfs;

fn btrfs(compress: Option<btrfs::Algorithm>) -> FileSystem {
    FileSystem::Btrfs(Btrfs { compress })
}

fn squashfs(compress: Option<squashfs::Algorithm>) -> FileSystem {
    FileSystem::Squashfs(Squashfs {
        compress,
        program: None,
    })
}

fn files(file_system: FileSystem, content: Content) -> Filling {
    Filling::Files(Files {
        file_system,
        directory: None,
        content,
    })
}

/// A disk with one root partition.
fn root(file_system: FileSystem, size: Size, content: Content) -> DiskSpec {
    let mut root = Partition::new(
        PartitionKind::Root,
        size,
        files(file_system.clone(), content),
    );
    root.read_only = matches!(file_system, FileSystem::Squashfs(_));
    DiskSpec {
        partitions: vec![root],
        ..DiskSpec::new(
            Architecture::X86_64,
            Seed::new(Uuid::from_u128(0x1234_5678)),
        )
    }
}

/// A part of a file as a file of its own, which the tools of most file systems insist on.
fn part(image: &Path, slot: &Slot) -> PathBuf {
    let path = image.with_extension(slot.kind.short_name());
    tool(
        "dd",
        &[
            &format!("if={}", text(image)),
            &format!("of={}", text(&path)),
            "bs=1M",
            "iflag=skip_bytes,count_bytes",
            "conv=sparse",
            &format!("skip={}", slot.offset),
            &format!("count={}", slot.size),
        ],
    );
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(slot.size)
        .unwrap();
    path
}

/// The checker of each file system finds nothing to complain about.
fn check(file_system: &FileSystem, image: &Path, slot: &Slot) {
    let part = part(image, slot);
    match file_system {
        FileSystem::Ext4 => tool("e2fsck", &["-fn", text(&part)]),
        FileSystem::Xfs => tool("xfs_repair", &["-n", text(&part)]),
        FileSystem::Btrfs(_) => tool("btrfs", &["check", "--check-data-csum", text(&part)]),
        FileSystem::Squashfs(_) => tool("unsquashfs", &["-l", text(&part)]),
        FileSystem::Fat => tool("fsck.vfat", &["-nv", text(&part)]),
    };
    fs::remove_file(part).unwrap();
}

/// A file system of an image, mounted for as long as this lives.
struct Mounted(tempfile::TempDir);

impl Mounted {
    fn new(file_system: &FileSystem, image: &Path, slot: &Slot) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let more = match file_system {
            FileSystem::Ext4 => ",noload",
            FileSystem::Xfs => ",norecovery,nouuid",
            _ => "",
        };
        let options = format!(
            "loop,ro,offset={},sizelimit={}{more}",
            slot.offset, slot.size
        );
        tool(
            "mount",
            &[
                "-t",
                file_system.name(),
                "-o",
                &options,
                text(image),
                text(directory.path()),
            ],
        );
        Self(directory)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Process::new("umount").arg(self.0.path()).status();
    }
}

/// What a file system cannot hold of a tree, and why.
const LOST: [(&str, &str, Loss); 4] = [
    // Attributes are stored by name space, and there is no number for this one's.
    (
        "squashfs",
        "empty",
        Loss::Attribute("system.posix_acl_access"),
    ),
    (
        "squashfs",
        "empty",
        Loss::Attribute("system.posix_acl_default"),
    ),
    // A file cannot have names in two subvolumes; var is one.
    (
        "btrfs",
        "var/su-fourth",
        Loss::Link(&["usr/bin/su", "usr/bin/su-twin", "etc/su-third"]),
    ),
    // mke2fs recognises further names of everything but symbolic links.
    ("ext4", "etc/link-twin", Loss::Link(&["long-link"])),
];

enum Loss {
    /// The file lacks this extended attribute.
    Attribute(&'static str),
    /// The file is one of its own, no longer the one that has these names.
    Link(&'static [&'static str]),
}

/// What the tree must look like after a journey through a file system.
fn expected(file_system: &str, tree: &Path) -> BTreeMap<PathBuf, String> {
    let mut all: BTreeMap<PathBuf, String> = paths(tree)
        .into_iter()
        .chain([PathBuf::new()])
        .filter_map(|path| Some((path.clone(), describe(tree, &path, true)?)))
        .collect();
    let mut change = |path: &str, from: &str, to: &str| {
        let text = all.get_mut(Path::new(path)).unwrap();
        assert!(text.contains(from), "{path} has no {from}: {text}");
        *text = text.replace(from, to);
    };
    for (name, path, loss) in &LOST {
        if *name != file_system {
            continue;
        }
        match loss {
            Loss::Attribute(attribute) => {
                let found = xattrs(&tree.join(path));
                let value = &found[std::ffi::OsStr::new(attribute)];
                let entry = format!("{attribute:?}: {value:?}");
                let last = found.keys().next_back().unwrap().to_str() == Some(attribute);
                let separator = if found.len() == 1 || last { "" } else { ", " };
                change(path, &format!("{entry}{separator}"), "");
            }
            Loss::Link(others) => {
                let links = format!("links {}", others.len() + 1);
                change(path, &links, "links 1");
                for other in *others {
                    change(other, &links, &format!("links {}", others.len()));
                }
            }
        }
    }
    all
}

/// One of everything, and what only some file systems have trouble with.
fn nasty_tree() -> tempfile::TempDir {
    let tree = awkward_tree();
    let at = |path: &str| tree.path().join(path);
    for directory in ["home/user", "srv/www"] {
        fs::create_dir_all(at(directory)).unwrap();
    }
    fs::write(at("home/user/.profile"), b"x").unwrap();
    fs::set_permissions(at("home"), fs::Permissions::from_mode(0o711)).unwrap();
    fs::hard_link(at("usr/bin/su"), at("var/su-fourth")).unwrap();
    fs::hard_link(at("run/fifo"), at("etc/fifo-twin")).unwrap();
    fs::hard_link(at("long-link"), at("etc/link-twin")).unwrap();
    // A file of one block, and one a byte longer than what btrfs keeps with its metadata.
    fs::write(at("etc/block"), vec![1; 4096]).unwrap();
    fs::write(at("etc/inline"), vec![2; 2049]).unwrap();
    for (number, path) in ["home/user/.profile", "home/user", "home", "srv/www", "srv"]
        .into_iter()
        .enumerate()
    {
        trees::touch(&at(path), 1_100_000_000 + number as i64);
    }
    for (path, seconds) in [
        ("etc/block", 1),
        ("etc/inline", 2),
        ("etc", 3),
        ("var", 4),
        ("", 5),
    ] {
        trees::touch(&at(path), seconds);
    }
    tree
}

/// Without the middle of long targets and values.
fn shortened(text: &str) -> String {
    match text.len() {
        0..600 => text.to_owned(),
        length => format!("{}…{}", &text[..300], &text[length - 300..]),
    }
}

fn assert_holds(file_system: &FileSystem, tree: &Path, found: &Path) {
    let expected = expected(file_system.name(), tree);
    let mut list: Vec<_> = paths(found);
    list.push(PathBuf::new());
    list.sort();
    assert_eq!(list, expected.keys().cloned().collect::<Vec<_>>());
    for (path, text) in &expected {
        let found = describe(found, path, true).unwrap();
        assert!(
            text == &found,
            "{} in {}:\n{}\n{}",
            path.display(),
            file_system.name(),
            shortened(text),
            shortened(&found)
        );
    }
    // The holes are holes; squashfs has blocks of 128 KiB.
    let blocks = fs::metadata(found.join("var/sparse")).unwrap().blocks();
    assert!(blocks <= 512, "{}: {blocks} blocks", file_system.name());
}

/// An error with its reasons.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    text
}

#[test]
fn root_every_format_holds_the_tree() {
    let host = host();
    let tree = nasty_tree();
    let content = count(tree.path());
    let output = tempfile::tempdir().unwrap();
    let image = output.path().join("image.raw");
    for file_system in [
        EXT4,
        btrfs(None),
        btrfs(Some(btrfs::Algorithm::Zstd)),
        squashfs(Some(squashfs::Algorithm::Quick)),
        // Last: what it refuses is taken out of the tree for it.
        XFS,
    ] {
        let spec = root(file_system.clone(), Size::Automatic, content);
        if file_system == XFS {
            // Targets of symbolic links have at most 1023 bytes.
            let error = assemble(&spec, tree.path(), &image, &host).unwrap_err();
            let text = chain(&error);
            assert!(text.contains("long-link: File name too long"), "{text}");
            assert!(!image.exists());
            for path in ["long-link", "etc/link-twin"] {
                fs::remove_file(tree.path().join(path)).unwrap();
            }
        }
        let assembled = assemble(&spec, tree.path(), &image, &host).unwrap();
        let slot = assembled.layout.slot(PartitionKind::Root).unwrap();
        let verified = tool("sfdisk", &["--verify", text(&image)]);
        assert!(verified.contains("No errors detected."), "{verified}");
        check(&file_system, &image, slot);
        let mounted = Mounted::new(&file_system, &image, slot);
        assert_holds(&file_system, tree.path(), mounted.path());
        drop(mounted);
        // The image is as sparse as its tree.
        let metadata = fs::metadata(&image).unwrap();
        assert_eq!(metadata.len(), assembled.layout.total());
        let used = metadata.blocks() * 512;
        assert!(used < 80 << 20, "{file_system:?}: {used}");
        fs::remove_file(&image).unwrap();
    }
}

/// The kernel and unsquashfs read the table of attributes, of several blocks, that is written anew.
#[test]
fn root_squashfs_holds_more_attributes_than_a_block() {
    let tree = tempfile::tempdir().unwrap();
    for number in 0..1500_u32 {
        let path = tree.path().join(number.to_string());
        fs::write(&path, "").unwrap();
        let name = format!("user.{number}");
        // Some are several times the same, and longer than what is kept beside its name.
        let long = vec![b'a' + (number / 100) as u8; 3000];
        let own = format!("a value of {number}");
        for (name, value) in [
            ("user.same", b"the same value".as_slice()),
            (&name, own.as_bytes()),
            ("trusted.long", &long),
            ("user.again", b"the same value"),
        ] {
            lsetxattr(&path, name, value, XattrFlags::empty()).unwrap();
        }
    }
    let file_system = squashfs(Some(squashfs::Algorithm::Quick));
    let spec = root(file_system.clone(), Size::Automatic, count(tree.path()));
    let output = tempfile::tempdir().unwrap();
    let image = output.path().join("image.raw");
    let assembled = assemble(&spec, tree.path(), &image, &host()).unwrap();
    let slot = assembled.layout.slot(PartitionKind::Root).unwrap();
    let mounted = Mounted::new(&file_system, &image, slot);
    let unpacked = output.path().join("unpacked");
    let part = part(&image, slot);
    tool("unsquashfs", &["-d", text(&unpacked), text(&part)]);
    for number in 0..1500 {
        let name = number.to_string();
        let expected = xattrs(&tree.path().join(&name));
        assert_eq!(expected.len(), 4);
        assert_eq!(xattrs(&mounted.path().join(&name)), expected, "{name}");
        assert_eq!(xattrs(&unpacked.join(&name)), expected, "{name}");
    }
}

/// Text that every algorithm can make smaller, in files too large to be kept inline.
fn text_tree() -> tempfile::TempDir {
    let tree = tempfile::tempdir().unwrap();
    for number in 0..10 {
        let text = format!("{number} and the same again, ").repeat(160_000);
        fs::write(tree.path().join(number.to_string()), text).unwrap();
    }
    tree
}

#[test]
fn root_compression_is_the_one_asked_for() {
    let host = host();
    let tree = text_tree();
    let content = count(tree.path());
    let output = tempfile::tempdir().unwrap();
    let image = output.path().join("image.raw");
    let whole = content.data_bytes;
    for (file_system, name) in [
        (btrfs(None), "compression 0 (none)"),
        (btrfs(Some(btrfs::Algorithm::Zlib)), "compression 1 (zlib)"),
        (btrfs(Some(btrfs::Algorithm::Lzo)), "compression 2 (lzo)"),
        (btrfs(Some(btrfs::Algorithm::Zstd)), "compression 3 (zstd)"),
        (squashfs(None), "Data is uncompressed"),
        (
            squashfs(Some(squashfs::Algorithm::Quick)),
            "Compression zstd",
        ),
        (
            squashfs(Some(squashfs::Algorithm::Gzip)),
            "Compression gzip",
        ),
        (squashfs(Some(squashfs::Algorithm::Lzo)), "Compression lzo"),
        (squashfs(Some(squashfs::Algorithm::Lz4)), "Compression lz4"),
        (squashfs(Some(squashfs::Algorithm::Xz)), "Compression xz"),
        (
            squashfs(Some(squashfs::Algorithm::Zstd)),
            "Compression zstd",
        ),
    ] {
        let spec = root(file_system.clone(), Size::Automatic, content);
        let assembled = assemble(&spec, tree.path(), &image, &host).unwrap();
        let slot = assembled.layout.slot(PartitionKind::Root).unwrap();
        let part = part(&image, slot);
        let said = match file_system {
            FileSystem::Btrfs(_) => tool(
                "btrfs",
                &["inspect-internal", "dump-tree", "-t", "5", text(&part)],
            ),
            _ => tool("unsquashfs", &["-s", text(&part)]),
        };
        let has = if name.contains("(none)") {
            // Without compression an extent says nothing of it.
            !said.contains("compression 1") && !said.contains("compression 3")
        } else {
            said.contains(name)
        };
        assert!(has, "{file_system:?}: {said}");
        check(&file_system, &image, slot);
        let used = fs::metadata(&image).unwrap().blocks() * 512;
        let compressed = !name.contains("none") && !name.contains("uncompressed");
        assert_eq!(used < whole / 2, compressed, "{file_system:?}: {used}");
        let mounted = Mounted::new(&file_system, &image, slot);
        for name in 0..10 {
            let path = name.to_string();
            let (a, b) = (tree.path().join(&path), mounted.path().join(&path));
            assert!(fs::read(a).unwrap() == fs::read(b).unwrap());
        }
        drop(mounted);
        fs::remove_file(&image).unwrap();
    }
}
