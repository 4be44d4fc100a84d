//! Disk images made from real trees, checked by other people's tools. Needs root, e2fsprogs,
//! util-linux and libcap's setcap.

// A failed assumption of a test is a failed test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod trees;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command as Process;

use mkosi::disk::{
    Architecture, Content, DiskError, DiskSpec, FileSystem, Files, Filling, Layout, Partition,
    PartitionKind, Seed, Size, ext4,
};
use mkosi::output::tar::{Options, pack};
use mkosi::output::{Compression, OutputError};
use uuid::Uuid;

use trees::{assemble, assert_same_trees, awkward_tree, count, host, text, tool};

/// A file system of an image, mounted for as long as this lives.
struct Mounted(tempfile::TempDir);

impl Mounted {
    fn new(image: &Path, offset: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = format!("loop,ro,noload,offset={offset}");
        tool(
            "mount",
            &[
                "-t",
                "ext4",
                "-o",
                &options,
                text(image),
                text(directory.path()),
            ],
        );
        Self(directory)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Process::new("umount").arg(self.0.path()).status();
    }
}

fn spec(size: Size, content: Content) -> DiskSpec {
    let filling = Filling::Files(Files {
        file_system: FileSystem::Ext4,
        directory: None,
        content,
    });
    DiskSpec {
        partitions: vec![Partition::new(PartitionKind::Root, size, filling)],
        ..DiskSpec::new(
            Architecture::X86_64,
            Seed::new(Uuid::from_u128(0x1234_5678)),
        )
    }
}

/// Checks the file system at `offset` without repairing it.
fn e2fsck(image: &Path, layout: &Layout) {
    let slot = layout.slot(PartitionKind::Root).unwrap();
    let device = format!("{}?offset={}", text(image), slot.offset);
    tool("e2fsck", &["-fn", &device]);
}

fn value<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .unwrap_or_else(|| panic!("no {name} in {text}"))
        .trim()
}

#[test]
fn root_image_holds_the_tree() {
    let tree = awkward_tree();
    let output = tempfile::tempdir().unwrap();
    let image = output.path().join("image.raw");
    let assembled = assemble(
        &spec(Size::Automatic, count(tree.path())),
        tree.path(),
        &image,
        &host(),
    )
    .unwrap();
    e2fsck(&image, &assembled.layout);
    let mounted = Mounted::new(&image, 1 << 20);
    assert_same_trees(tree.path(), mounted.0.path(), true);

    // The hard links are one file still, the holes are holes, and the image is sparse itself.
    let inode = |path: &str| fs::metadata(mounted.0.path().join(path)).unwrap().ino();
    assert_eq!(inode("usr/bin/su"), inode("etc/su-third"));
    assert!(
        fs::metadata(mounted.0.path().join("var/sparse"))
            .unwrap()
            .blocks()
            < 100
    );
    let metadata = fs::metadata(&image).unwrap();
    assert_eq!(metadata.len(), assembled.layout.total());
    assert!(
        metadata.blocks() * 512 < 64 << 20,
        "{}",
        metadata.blocks() * 512
    );

    // Directories deeper than a path can be long arrived.
    let mut depth = 0;
    let mut directory = File::open(mounted.0.path().join("deep")).unwrap();
    while let Ok(next) = rustix::fs::openat(
        &directory,
        "d".repeat(100),
        rustix::fs::OFlags::RDONLY,
        rustix::fs::Mode::empty(),
    ) {
        directory = next.into();
        depth += 1;
    }
    assert_eq!(depth, 40);
}

#[test]
fn root_partition_table_is_what_sfdisk_reads() {
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("file"), "text").unwrap();
    let output = tempfile::tempdir().unwrap();
    let image = output.path().join("image.raw");
    let mut spec = spec(Size::Fixed(96 << 20), count(tree.path()));
    spec.partitions[0].read_only = true;
    spec.partitions.push(Partition::new(
        PartitionKind::Swap,
        Size::Fixed((3 << 20) + 1),
        Filling::Swap,
    ));
    for (kind, size) in [
        (PartitionKind::BiosBoot, Size::Automatic),
        (PartitionKind::Esp, Size::Fixed(10 << 20)),
        (PartitionKind::RootVerity, Size::Fixed(4 << 20)),
    ] {
        spec.partitions
            .push(Partition::new(kind, size, Filling::Nothing));
    }
    spec.first_lba = 4096;
    let assembled = assemble(&spec, tree.path(), &image, &host()).unwrap();
    e2fsck(&image, &assembled.layout);

    let swap = assembled.layout.slot(PartitionKind::Swap).unwrap();
    let probed = tool(
        "blkid",
        &[
            "--probe",
            "--offset",
            &swap.offset.to_string(),
            "--size",
            &swap.size.to_string(),
            "-o",
            "export",
            text(&image),
        ],
    );
    for line in [
        "TYPE=swap",
        "LABEL=swap",
        &format!("UUID={}", spec.seed.file_system(PartitionKind::Swap)),
    ] {
        assert!(probed.lines().any(|found| found == line), "{probed}");
    }
    let verified = tool("sfdisk", &["--verify", text(&image)]);
    assert!(verified.contains("No errors detected."), "{verified}");
    let json = tool("sfdisk", &["--json", text(&image)]).replace(text(&image), "IMAGE");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let expected: serde_json::Value =
        serde_json::from_str(include_str!("golden/sfdisk.json")).unwrap();
    assert_eq!(json, expected, "{json:#}");
}

#[test]
fn root_partition_types_are_those_of_util_linux() {
    let types = tool("sfdisk", &["--list-types", "--label", "gpt"]);
    let known: BTreeMap<&str, &str> = types
        .lines()
        .filter_map(|line| line.split_once("  "))
        .map(|(uuid, name)| (name.trim(), uuid.trim()))
        .collect();
    let mut checked = 0;
    for (architecture, name) in [
        (Architecture::X86_64, "x86-64"),
        (Architecture::X86, "x86"),
        (Architecture::Aarch64, "ARM-64"),
        (Architecture::Arm, "ARM"),
        (Architecture::Riscv64, "RISC-V-64"),
        (Architecture::Riscv32, "RISC-V-32"),
        (Architecture::Ppc64le, "PPC64LE"),
        (Architecture::Ppc64, "PPC64"),
        (Architecture::Ppc, "PPC"),
        (Architecture::S390x, "S390X"),
        (Architecture::S390, "S390"),
        (Architecture::LoongArch64, "LoongArch-64"),
        (Architecture::Mips64le, "MIPS-64 LE"),
        (Architecture::MipsLe, "MIPS-32 LE"),
        (Architecture::Ia64, "IA-64"),
        (Architecture::Alpha, "Alpha"),
        (Architecture::Arc, "ARC"),
    ] {
        for (uuid, name) in [
            (architecture.root(), format!("Linux root ({name})")),
            (
                architecture.root_verity(),
                format!("Linux root verity ({name})"),
            ),
        ] {
            assert_eq!(uuid.to_string().to_uppercase(), known[&*name], "{name}");
            checked += 1;
        }
    }
    assert_eq!(checked, Architecture::ALL.len() * 2);
    for (kind, name) in [
        (PartitionKind::Esp, "EFI System"),
        (PartitionKind::BiosBoot, "BIOS boot"),
        (PartitionKind::Xbootldr, "Linux extended boot"),
        (PartitionKind::Swap, "Linux swap"),
        (PartitionKind::Home, "Linux home"),
        (PartitionKind::Srv, "Linux server data"),
    ] {
        let uuid = mkosi::disk::types::type_uuid(kind, Architecture::X86_64);
        assert_eq!(uuid.to_string().to_uppercase(), known[name], "{name}");
    }
}

#[test]
fn root_same_seed_and_time_give_the_same_image() {
    let output = tempfile::tempdir().unwrap();
    let mut images = Vec::new();
    for name in ["one", "two"] {
        // Made anew: other inode numbers, access and change times.
        let tree = awkward_tree();
        let image = output.path().join(name);
        let mut spec = spec(Size::Automatic, count(tree.path()));
        spec.latest = Some(1_000_100_000);
        let assembled = assemble(&spec, tree.path(), &image, &host()).unwrap();
        e2fsck(&image, &assembled.layout);
        images.push(image);
        std::thread::sleep(std::time::Duration::from_millis(1100));
    }
    tool("cmp", &[text(&images[0]), text(&images[1])]);

    let mounted = Mounted::new(&images[0], 1 << 20);
    let times = |path: &str| {
        let metadata = fs::symlink_metadata(mounted.0.path().join(path)).unwrap();
        (metadata.atime(), metadata.mtime(), metadata.ctime())
    };
    assert_eq!(times(""), (1_000_100_000, 1_000_100_000, 1_000_100_000));
    assert_eq!(times("deep").1, 1_000_000_000);
    assert_eq!(times("deep").0, 1_000_000_000);
    assert_eq!(times("var"), (1_000_100_000, 1_000_100_000, 1_000_100_000));
}

#[test]
fn root_geometry_is_what_mke2fs_makes() {
    let output = tempfile::tempdir().unwrap();
    for (mebibytes, inodes, read_only) in [
        (3, 20, true),
        (5, 20, false),
        (17, 100, false),
        (100, 100, false),
        (127, 5000, true),
        (129, 100, false),
        (300, 90_000, false),
        (1024, 1000, false),
        (2049, 1000, false),
        (3333, 800_000, true),
        (20_000, 1000, false),
        (70_001, 1000, false),
        (300_000, 1000, false),
    ] {
        let content = Content {
            inodes,
            directories: 1,
            ..Content::default()
        };
        let tree = tempfile::tempdir().unwrap();
        let image = output.path().join(format!("{mebibytes}"));
        let mut spec = spec(Size::Fixed(mebibytes << 20), content);
        spec.partitions[0].read_only = read_only;
        let assembled = assemble(&spec, tree.path(), &image, &host()).unwrap();
        e2fsck(&image, &assembled.layout);
        let geometry = ext4::fit(mebibytes << 20, &content, read_only).unwrap();
        let dump = tool(
            "dumpe2fs",
            &["-h", &format!("{}?offset=1048576", text(&image))],
        );
        let number = |name: &str| value(&dump, name).parse::<u64>().unwrap();
        assert_eq!(
            number("Block count"),
            geometry.blocks,
            "{mebibytes}: {dump}"
        );
        assert_eq!(
            number("Inode count"),
            geometry.inodes,
            "{mebibytes}: {dump}"
        );
        assert_eq!(
            number("Overhead clusters"),
            geometry.overhead,
            "{mebibytes}: {dump}"
        );
        // One block is the root directory's.
        assert!(
            number("Free blocks") + 1 >= geometry.free(),
            "{mebibytes}: {dump}"
        );
        assert!(
            number("Free blocks") < geometry.free() + 2,
            "{mebibytes}: {dump}"
        );
        let has_journal = value(&dump, "Filesystem features").contains("has_journal");
        assert_eq!(has_journal, geometry.journal > 0);
        fs::remove_file(&image).unwrap();
    }
}

#[test]
fn root_needed_size_is_enough_and_hardly_more() {
    let output = tempfile::tempdir().unwrap();
    let large = tempfile::tempdir().unwrap();
    fs::write(large.path().join("large"), vec![1; 250 << 20]).unwrap();
    let small = tempfile::tempdir().unwrap();
    for number in 0..4000 {
        fs::write(
            small
                .path()
                .join(format!("{number}-{}", "n".repeat(number % 200))),
            "x",
        )
        .unwrap();
    }
    for (number, tree) in [awkward_tree(), large, small].iter().enumerate() {
        let content = count(tree.path());
        for read_only in [false, true] {
            let image = output.path().join(format!("{number}{read_only}"));
            let needed = ext4::needed(&content, read_only);
            let mut spec = spec(Size::Fixed(needed), content);
            spec.partitions[0].read_only = read_only;
            let assembled = assemble(&spec, tree.path(), &image, &host()).unwrap();
            e2fsck(&image, &assembled.layout);
            let dump = tool(
                "dumpe2fs",
                &["-h", &format!("{}?offset=1048576", text(&image))],
            );
            let unused = value(&dump, "Free blocks").parse::<u64>().unwrap() * 4096;
            assert!(
                unused < (4 << 20) + needed / 16,
                "{number}: {unused} of {needed}"
            );
        }
    }
}

#[test]
fn root_full_file_system_says_what_to_set() {
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("large"), vec![1; 60 << 20]).unwrap();
    let output = tempfile::tempdir().unwrap();
    let image = output.path().join("image.raw");

    let honest = spec(Size::Fixed(50 << 20), count(tree.path()));
    let error = assemble(&honest, tree.path(), &image, &host()).unwrap_err();
    assert!(matches!(error, DiskError::TooSmall { .. }), "{error}");

    // Counts that do not tell all: only the program itself finds out.
    let spec = spec(Size::Fixed(50 << 20), Content::roughly(1 << 20, 10, 2));
    let error = assemble(&spec, tree.path(), &image, &host()).unwrap_err();
    assert!(matches!(error, DiskError::Full { .. }), "{error:?}");
    assert!(error.to_string().contains("set RootSize="), "{error}");
    assert!(!image.exists());
}

#[test]
fn root_full_host_is_told_apart() {
    let host = host();
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("large"), vec![1; 30 << 20]).unwrap();
    let output = tempfile::tempdir().unwrap();
    tool(
        "mount",
        &["-t", "tmpfs", "-o", "size=10m", "none", text(output.path())],
    );
    let image = output.path().join("image.raw");
    let error = assemble(
        &spec(Size::Automatic, count(tree.path())),
        tree.path(),
        &image,
        &host,
    );
    let archive = pack(
        tree.path(),
        &output.path().join("a.tar"),
        &Options::default(),
        &host,
    );
    let noise = tempfile::tempdir().unwrap();
    tool(
        "dd",
        &[
            "if=/dev/urandom",
            &format!("of={}/noise", text(noise.path())),
            "bs=1M",
            "count=20",
        ],
    );
    let compressed = Options {
        compression: Some(Compression::Zstd),
        ..Options::default()
    };
    let streamed = pack(
        noise.path(),
        &output.path().join("a.tar.zst"),
        &compressed,
        &host,
    );
    let left: Vec<_> = fs::read_dir(output.path()).unwrap().collect();
    tool("umount", &[text(output.path())]);
    assert!(
        matches!(error, Err(DiskError::HostFull { .. })),
        "{error:?}"
    );
    assert!(
        matches!(archive, Err(OutputError::HostFull { .. })),
        "{archive:?}"
    );
    assert!(
        matches!(streamed, Err(OutputError::HostFull { .. })),
        "{streamed:?}"
    );
    assert!(left.is_empty(), "{left:?}");
}
