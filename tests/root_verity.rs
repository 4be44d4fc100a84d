//! Hash trees, side by side with veritysetup's. Needs root and cryptsetup's veritysetup.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod trees;

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use mkosi::disk::verity::{Hash, Place, Superblock, VerityError};
use mkosi::disk::{
    Architecture, Assembled, DiskSpec, Filling, Partition, PartitionKind, Seed, Size, assemble,
};
use uuid::Uuid;

use trees::{assert_same_trees, awkward_tree, count, host, text, tool};

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
    size: Size,
    latest: Option<u64>,
) -> (PathBuf, Assembled) {
    let image = directory.join(name);
    let filling = Filling::Ext4 {
        directory: None,
        content: count(tree),
    };
    let mut root = Partition::new(PartitionKind::Root, size, filling);
    root.read_only = true;
    let mut spec = DiskSpec::new(Architecture::X86_64, Seed::new(Uuid::from_u128(77)));
    spec.partitions = vec![root];
    spec.verity = true;
    spec.latest = latest;
    let assembled = assemble(&spec, tree, &image, &host()).unwrap();
    (image, assembled)
}

/// A partition of an image as a file of its own, made by dd.
fn extract(image: &Path, assembled: &Assembled, kind: PartitionKind) -> PathBuf {
    let slot = assembled.layout.slot(kind).unwrap();
    let file = image.with_extension(kind.short_name());
    tool(
        "dd",
        &[
            "bs=4096",
            "conv=sparse",
            &format!("if={}", text(image)),
            &format!("of={}", text(&file)),
            &format!("skip={}", slot.offset / 4096),
            &format!("count={}", slot.size / 4096),
        ],
    );
    // A hole at the end is no reason to be shorter.
    File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .set_len(slot.size)
        .unwrap();
    file
}

#[test]
fn root_sealed_image_is_what_veritysetup_verifies() {
    let tree = awkward_tree();
    let directory = tempfile::tempdir().unwrap();
    let (path, assembled) = image(
        directory.path(),
        tree.path(),
        "image",
        Size::Automatic,
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

    let data = extract(&path, &assembled, PartitionKind::Root);
    let tree_file = extract(&path, &assembled, PartitionKind::RootVerity);
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

    let mount = tempfile::tempdir().unwrap();
    tool(
        "mount",
        &["-o", "loop,ro,noload", text(&data), text(mount.path())],
    );
    let same = std::panic::catch_unwind(|| {
        assert_same_trees(tree.path(), mount.path(), true);
    });
    tool("umount", &[text(mount.path())]);
    same.unwrap();
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
        Size::Automatic,
        latest,
    );
    let other = image(
        directory.path(),
        tree.path(),
        "two",
        Size::Automatic,
        latest,
    );
    assert_eq!(one.1.root_hash, other.1.root_hash);
    tool("cmp", &[text(&one.0), text(&other.0)]);
}

#[test]
fn root_a_large_sparse_image_is_sealed_at_the_cost_of_its_data() {
    let directory = tempfile::tempdir().unwrap();
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("file"), vec![1; 10 << 20]).unwrap();
    let (path, assembled) = image(
        directory.path(),
        tree.path(),
        "large",
        Size::Fixed(20 << 30),
        None,
    );
    let verity = assembled.layout.slot(PartitionKind::RootVerity).unwrap();
    assert_eq!(verity.size / 4096, 1 + 40_960 + 320 + 3 + 1);
    let on_disk = std::os::unix::fs::MetadataExt::blocks(&fs::metadata(&path).unwrap()) * 512;
    assert!(on_disk < verity.size + (100 << 20), "{on_disk}");
}
