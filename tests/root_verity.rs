//! Hash trees, side by side with veritysetup's. Needs root and cryptsetup's veritysetup.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod trees;

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use mkosi::disk::verity::{Hash, Place, Superblock, VerityError};
use mkosi::disk::{
    Architecture, Assembled, DiskSpec, FileSystem, Files, Filling, Partition, PartitionKind, Seed,
    Size,
};
use uuid::Uuid;

use trees::{
    assemble, assert_same_trees, awkward_tree, check_file_system, count, extract, file_systems,
    host, plain_tree, text, tool, with_mounted,
};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Our tree over all of `data`, in a file beside it.
fn ours(data: &Path, salt: &[u8], uuid: Uuid) -> (Hash, PathBuf) {
    let hashes = data.with_extension("ours");
    let (file, tree) = (File::open(data).unwrap(), create(&hashes));
    let superblock = Superblock {
        uuid,
        data_blocks: 0,
        salt: salt.to_vec(),
    };
    let hash = place(&file, &tree).build(superblock, &host()).unwrap();
    (hash, hashes)
}

fn create(path: &Path) -> File {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(true);
    options.open(path).unwrap()
}

fn place<'a>(data: &'a File, hashes: &'a File) -> Place<'a> {
    Place {
        data,
        data_offset: 0,
        data_size: data.metadata().unwrap().len(),
        hashes,
        hash_offset: 0,
    }
}

#[test]
fn root_trees_of_many_sizes_are_those_of_veritysetup() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let theirs = directory.path().join("theirs");
    let uuid = Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);
    // Around every place where another block or another level of the tree begins.
    for blocks in [
        1_u64, 2, 3, 127, 128, 129, 255, 256, 257, 4095, 4096, 4097, 16_383, 16_384, 16_385,
    ] {
        let file = create(&data);
        file.set_len(blocks * 4096).unwrap();
        // Some blocks of noise, some of zeros, some holes.
        let noise: Vec<u8> = (0..4096_u64)
            .map(|n| (n * n * 31 + n / 7 + blocks) as u8)
            .collect();
        for block in (0..blocks).filter(|block| block % 5 == 0 || block + 1 == blocks) {
            file.write_all_at(&noise, block * 4096).unwrap();
            file.write_all_at(&block.to_le_bytes(), block * 4096)
                .unwrap();
        }
        for block in (0..blocks).filter(|block| block % 700 == 3) {
            file.write_all_at(&[0; 4096], block * 4096).unwrap();
        }
        let salts: &[&[u8]] = if blocks == 257 {
            &[b"", &[1], &[7; 32], &[9; 256]]
        } else {
            &[&[7; 32]]
        };
        for salt in salts {
            let (hash, tree) = ours(&data, salt, uuid);
            let _ = fs::remove_file(&theirs);
            let salt = if salt.is_empty() {
                "-".to_owned()
            } else {
                hex(salt)
            };
            let said = tool(
                "veritysetup",
                &[
                    "format",
                    "--salt",
                    &salt,
                    "--uuid",
                    &uuid.to_string(),
                    text(&data),
                    text(&theirs),
                ],
            );
            let root = said.lines().find_map(|l| l.strip_prefix("Root hash:"));
            assert_eq!(root.unwrap().trim(), hex(&hash), "{blocks} {salt}");
            tool("cmp", &[text(&tree), text(&theirs)]);
            tool(
                "veritysetup",
                &["verify", text(&data), text(&tree), &hex(&hash)],
            );
            let file = File::open(&data).unwrap();
            place(&file, &File::open(&theirs).unwrap())
                .check(&hash, &host())
                .unwrap();
        }
    }
}

fn image(
    directory: &Path,
    tree: &Path,
    name: &str,
    file_system: &FileSystem,
    latest: Option<u64>,
) -> (PathBuf, Assembled) {
    let filling = Filling::Files(Files {
        file_system: file_system.clone(),
        directory: None,
        content: count(tree),
    });
    let mut root = Partition::new(PartitionKind::Root, Size::Automatic, filling);
    root.read_only = true;
    let mut spec = DiskSpec::new(Architecture::X86_64, Seed::new(Uuid::from_u128(77)));
    spec.partitions = vec![root];
    spec.verity = true;
    spec.latest = latest;
    let image = directory.join(name);
    let assembled = assemble(&spec, tree, &image, &host()).unwrap();
    (image, assembled)
}

/// The data and the hash tree of an image as files of their own.
fn parts(image: &Path, assembled: &Assembled) -> (PathBuf, PathBuf) {
    let part = |kind| extract(image, assembled.layout.slot(kind).unwrap());
    (part(PartitionKind::Root), part(PartitionKind::RootVerity))
}

#[test]
fn root_sealed_image_is_what_veritysetup_verifies() {
    let tree = awkward_tree();
    let directory = tempfile::tempdir().unwrap();
    let (path, assembled) = image(
        directory.path(),
        tree.path(),
        "image",
        &FileSystem::Ext4,
        None,
    );
    let hash = assembled.root_hash.unwrap();

    let json: serde_json::Value =
        serde_json::from_str(&tool("sfdisk", &["--json", text(&path)])).unwrap();
    let verified = tool("sfdisk", &["--verify", text(&path)]);
    assert!(verified.contains("No errors detected."), "{verified}");
    let partitions = json["partitiontable"]["partitions"].as_array().unwrap();
    let facts: Vec<_> = partitions
        .iter()
        .map(|p| {
            (
                p["name"].as_str().unwrap(),
                p["type"].as_str().unwrap(),
                p["uuid"].as_str().unwrap().replace('-', "").to_lowercase(),
                p["attrs"].as_str().unwrap(),
            )
        })
        .collect();
    let hex = hex(&hash);
    // Types and bit 60 (read-only) of the Discoverable Partitions Specification.
    assert_eq!(
        facts,
        [
            (
                "Root Partition",
                "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709",
                hex[..32].to_owned(),
                "GUID:60"
            ),
            (
                "Verity Partition",
                "2C7357ED-EBD2-46D9-AEC1-23D437EC2BF5",
                hex[32..].to_owned(),
                "GUID:60"
            ),
        ]
    );

    let (data, tree_file) = parts(&path, &assembled);
    tool(
        "veritysetup",
        &["verify", text(&data), text(&tree_file), &hex],
    );
    tool("e2fsck", &["-fn", text(&data)]);
    // The same salt and identifier make the same tree in veritysetup's hands.
    let dump = tool("veritysetup", &["dump", text(&tree_file)]);
    let field = |name: &str| {
        let line = dump.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim().to_owned()
    };
    let again = directory.path().join("again");
    tool(
        "veritysetup",
        &[
            "format",
            "--salt",
            &field("Salt:"),
            "--uuid",
            &field("UUID:"),
            text(&data),
            text(&again),
        ],
    );
    tool("cmp", &[text(&again), text(&tree_file)]);

    // One flipped bit anywhere is noticed, by both.
    let slot = assembled.layout.slot(PartitionKind::Root).unwrap();
    let file = File::options().read(true).write(true).open(&data).unwrap();
    let mut used = [0];
    for at in [1024 + 4, slot.size / 2, slot.size - 1] {
        file.read_exact_at(&mut used, at).unwrap();
        file.write_all_at(&[used[0] ^ 0x10], at).unwrap();
        let refused = std::process::Command::new("veritysetup")
            .args(["verify", text(&data), text(&tree_file), &hex])
            .output()
            .unwrap();
        assert!(!refused.status.success(), "{at}");
        let error = place(&file, &File::open(&tree_file).unwrap())
            .check(&hash, &host())
            .unwrap_err();
        assert!(matches!(error, VerityError::Changed), "{at}: {error}");
        file.write_all_at(&used, at).unwrap();
    }
    tool(
        "veritysetup",
        &["verify", text(&data), text(&tree_file), &hex],
    );

    with_mounted(&FileSystem::Ext4, &data, false, |mounted| {
        assert_same_trees(tree.path(), mounted, true);
    });
}

#[test]
fn root_every_file_system_can_be_sealed() {
    let tree = plain_tree();
    for file_system in file_systems() {
        let directory = tempfile::tempdir().unwrap();
        let name = file_system.name();
        let (path, assembled) = image(directory.path(), tree.path(), name, &file_system, None);
        let hash = assembled.root_hash.unwrap();
        let (data, hashes) = parts(&path, &assembled);
        tool(
            "veritysetup",
            &["verify", text(&data), text(&hashes), &hex(&hash)],
        );
        check_file_system(&file_system, &data);
        with_mounted(&file_system, &data, false, |mounted| {
            tool(
                "diff",
                &[
                    "-r",
                    "--no-dereference",
                    "--exclude=lost+found",
                    text(tree.path()),
                    text(mounted),
                ],
            );
        });
        // Looking at it changed nothing.
        tool(
            "veritysetup",
            &["verify", text(&data), text(&hashes), &hex(&hash)],
        );
    }
}

#[test]
fn root_sealing_again_gives_the_same_image() {
    let directory = tempfile::tempdir().unwrap();
    let tree = awkward_tree();
    let latest = Some(1_000_100_000);
    let one = image(
        directory.path(),
        tree.path(),
        "one",
        &FileSystem::Ext4,
        latest,
    );
    let other = image(
        directory.path(),
        tree.path(),
        "two",
        &FileSystem::Ext4,
        latest,
    );
    assert_eq!(one.1.root_hash, other.1.root_hash);
    tool("cmp", &[text(&one.0), text(&other.0)]);
}

#[test]
fn root_a_large_sparse_disk_is_sealed_at_the_cost_of_its_data() {
    const SIZE: u64 = 20 << 30;
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let file = create(&data);
    file.set_len(SIZE).unwrap();
    file.write_all_at(&vec![1; 10 << 20], 7 << 30).unwrap();
    let (hash, tree) = ours(&data, &[7; 32], Uuid::from_u128(1));
    assert_eq!(
        fs::metadata(&tree).unwrap().len() / 4096,
        1 + 40_960 + 320 + 3 + 1
    );
    let started = Instant::now();
    let tree = File::open(tree).unwrap();
    place(&file, &tree).check(&hash, &host()).unwrap();
    // Reading all of it would take many times as long.
    assert!(started.elapsed().as_secs() < 20);
}
