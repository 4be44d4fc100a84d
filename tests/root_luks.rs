//! Encrypted partitions, opened and decrypted by cryptsetup. Needs root, cryptsetup, and the tools
//! of the file systems.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod trees;

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};

use mkosi::disk::layout::Slot;
use mkosi::disk::{
    Architecture, DiskError, DiskSpec, FileSystem, Files, Filling, LUKS_HEADER, Partition,
    PartitionKind, Passphrase, Seed, Size,
};
use uuid::Uuid;
use zeroize::Zeroizing;

use trees::{
    assemble_with, assert_same_trees, awkward_tree, check_file_system, count, extract,
    file_systems, host, plain_tree, text, tool, with_mounted,
};

/// Bytes that a shell, a terminal or a C string would stumble over.
const PASSPHRASE: &[u8] = b"a secret \xff\0 \"$(id)' of bytes\n";

struct Fixture {
    directory: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { directory }
    }

    fn image(&self) -> PathBuf {
        self.directory.path().join("image.raw")
    }

    fn make(&self, spec: &DiskSpec, tree: &Path) -> Result<(PathBuf, Slot), DiskError> {
        let passphrase = Passphrase::new(Zeroizing::new(PASSPHRASE.to_vec()));
        let image = self.image();
        let made = assemble_with(spec, tree, &image, Some(&passphrase), &host())?;
        Ok((image, made.layout.slots()[0].clone()))
    }
}

fn spec(file_system: FileSystem, kind: PartitionKind, size: Size, tree: &Path) -> DiskSpec {
    let filling = Filling::Files(Files {
        file_system,
        directory: None,
        content: count(tree),
    });
    let mut partition = Partition::new(kind, size, filling);
    partition.encrypted = true;
    let mut spec = DiskSpec::new(Architecture::X86_64, Seed::new(Uuid::from_u128(3)));
    spec.partitions = vec![partition];
    spec
}

/// Runs cryptsetup with a passphrase on its standard input; whether it succeeded.
fn cryptsetup(args: &[&str], passphrase: &[u8]) -> bool {
    let mut child = Process::new("cryptsetup")
        .args(args)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    // It may refuse without reading.
    let _ = child.stdin.take().unwrap().write_all(passphrase);
    child.wait().unwrap().success()
}

/// Has cryptsetup, with OpenSSL's ciphers, decrypt all of a partition in place.
fn decrypt(partition: &Path) {
    let header = partition.with_extension("header");
    let done = cryptsetup(
        &[
            "reencrypt",
            "--decrypt",
            "--batch-mode",
            "--force-offline-reencrypt",
            "--key-file=-",
            "--header",
            text(&header),
            text(partition),
        ],
        PASSPHRASE,
    );
    assert!(done, "cryptsetup reencrypt --decrypt");
    // It moves the data to the front.
    let file = File::options().write(true).open(partition).unwrap();
    let size = file.metadata().unwrap().len();
    file.set_len(size - LUKS_HEADER).unwrap();
}

/// Whether the bytes of a text are anywhere in a file.
fn holds(file: &Path, what: &str) -> bool {
    let status = Process::new("grep")
        .args(["--text", "--quiet", what, text(file)])
        .status()
        .unwrap();
    match status.code() {
        Some(0) => true,
        Some(1) => false,
        _ => panic!("grep: {status}"),
    }
}

#[test]
fn root_encrypted_partition_is_what_cryptsetup_expects() {
    let fixture = Fixture::new();
    let tree = awkward_tree();
    let size = Size::Fixed(300 << 20);
    let spec = spec(FileSystem::Ext4, PartitionKind::Root, size, tree.path());
    let (image, slot) = fixture.make(&spec, tree.path()).unwrap();
    // The partition is found as what it is for; what it holds is another matter.
    let json: serde_json::Value =
        serde_json::from_str(&tool("sfdisk", &["--json", text(&image)])).unwrap();
    let entry = &json["partitiontable"]["partitions"][0];
    assert_eq!(entry["type"], "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709");

    let partition = extract(&image, &slot);
    let test = [
        "open",
        "--test-passphrase",
        "--key-file=-",
        text(&partition),
    ];
    assert!(cryptsetup(&test, PASSPHRASE));
    for wrong in [
        b"".as_slice(),
        b"a secret ",
        PASSPHRASE.strip_suffix(b"\n").unwrap(),
    ] {
        assert!(!cryptsetup(&test, wrong), "{wrong:?}");
    }
    let dump = tool("cryptsetup", &["luksDump", text(&partition)]);
    for line in [
        "Version:       \t2",
        "offset: 16777216 [bytes]",
        "length: (whole device)",
        "cipher: aes-xts-plain64",
        "sector: 4096 [bytes]",
        "PBKDF:      argon2id",
        "Time cost:  4",
        "Memory:     262144",
        "Threads:    1",
        &spec.seed.encrypted(PartitionKind::Root).to_string(),
    ] {
        assert!(dump.contains(line), "{line} in {dump}");
    }
    assert_eq!(dump.matches(": luks2").count(), 1, "{dump}");

    assert!(!holds(&image, "file-with-a-longer-name"));
    decrypt(&partition);
    assert!(holds(&partition, "file-with-a-longer-name"));
    check_file_system(&FileSystem::Ext4, &partition);
    with_mounted(&FileSystem::Ext4, &partition, false, |mounted| {
        assert_same_trees(tree.path(), mounted, true);
    });
}

/// Free space reads as noise once it is decrypted, which no file system may mind: neither when it is
/// read, nor when that space is used.
#[test]
fn root_every_file_system_survives_encryption() {
    let tree = plain_tree();
    for file_system in file_systems() {
        let fixture = Fixture::new();
        let size = match &file_system {
            FileSystem::Squashfs(_) => Size::Automatic,
            _ => Size::Fixed(400 << 20),
        };
        let spec = spec(file_system.clone(), PartitionKind::Root, size, tree.path());
        let (image, slot) = fixture.make(&spec, tree.path()).unwrap();
        let on_disk = fs::metadata(&image).unwrap().blocks() * 512;
        let name = file_system.name();
        println!("{name}: {} MB on the disk", on_disk >> 20);
        // XFS has a log of 64 MB, all of which must be readable.
        assert!(on_disk < 150 << 20, "{name}: {on_disk}");
        assert!(!holds(&image, "recognisable"), "{name}");

        let partition = extract(&image, &slot);
        decrypt(&partition);
        check_file_system(&file_system, &partition);
        with_mounted(&file_system, &partition, false, |mounted| {
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
        if matches!(file_system, FileSystem::Squashfs(_)) {
            continue;
        }
        for _ in 0..2 {
            with_mounted(&file_system, &partition, true, |mounted| {
                let new = mounted.join("new");
                fs::create_dir(&new).unwrap();
                for number in 0..5000 {
                    fs::write(new.join(number.to_string()), b"new").unwrap();
                }
                fs::write(new.join("large"), vec![1; 150 << 20]).unwrap();
                File::create(new.join("holes"))
                    .unwrap()
                    .set_len(1 << 30)
                    .unwrap();
                rustix::fs::syncfs(File::open(&new).unwrap()).unwrap();
                let holes = fs::read(new.join("holes")).unwrap();
                assert!(holes.iter().all(|byte| *byte == 0));
                fs::remove_dir_all(&new).unwrap();
            });
            check_file_system(&file_system, &partition);
        }
        with_mounted(&file_system, &partition, false, |mounted| {
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
    }
}

#[test]
fn root_a_large_sparse_partition_costs_what_its_data_costs() {
    let fixture = Fixture::new();
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("file"), vec![1; 50 << 20]).unwrap();
    let size = Size::Fixed(20 << 30);
    let spec = spec(FileSystem::Ext4, PartitionKind::Home, size, tree.path());
    let (image, slot) = fixture.make(&spec, tree.path()).unwrap();
    assert_eq!(slot.size, 20 << 30);
    let on_disk = fs::metadata(&image).unwrap().blocks() * 512;
    assert!(on_disk < 120 << 20, "{on_disk}");
}

#[test]
fn root_the_same_inputs_give_the_same_layout_but_never_the_same_key() {
    let tree = awkward_tree();
    let mut images = Vec::new();
    for _ in 0..2 {
        let fixture = Fixture::new();
        let size = Size::Fixed(128 << 20);
        let spec = spec(FileSystem::Ext4, PartitionKind::Home, size, tree.path());
        let (image, slot) = fixture.make(&spec, tree.path()).unwrap();
        let table = tool("sfdisk", &["--dump", text(&image)]).replace(text(&image), "");
        let partition = extract(&image, &slot);
        let dump = tool("cryptsetup", &["luksDump", text(&partition)]);
        let uuid = dump.lines().find(|line| line.starts_with("UUID")).unwrap();
        images.push((table, uuid.to_owned(), fs::read(&partition).unwrap()));
    }
    let [one, other] = &*images else {
        panic!("two images");
    };
    assert_eq!((&one.0, &one.1), (&other.0, &other.1));
    let header = LUKS_HEADER as usize;
    assert!(one.2[header..header + 65_536] != other.2[header..header + 65_536]);
}

#[test]
fn root_too_small_is_said_of_the_whole_partition() {
    let fixture = Fixture::new();
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("file"), vec![1; 50 << 20]).unwrap();
    let spec = |size| {
        let size = Size::Fixed(size);
        spec(FileSystem::Ext4, PartitionKind::Home, size, tree.path())
    };
    let error = fixture.make(&spec(56 << 20), tree.path()).unwrap_err();
    let DiskError::TooSmall { size, needed, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(size, 56 << 20);
    let error = fixture.make(&spec(4096), tree.path()).unwrap_err();
    let DiskError::BelowLeast { size, least, .. } = error else {
        panic!("{error}");
    };
    assert_eq!((size, least), (4096, (1 << 20) + LUKS_HEADER));
    assert!(!fixture.image().exists());
    // What the message asks for is enough.
    fixture.make(&spec(needed), tree.path()).unwrap();
}

#[test]
fn root_a_failure_leaves_neither_clear_text_nor_an_image() {
    let fixture = Fixture::new();
    let tree = awkward_tree();
    let size = Size::Automatic;
    let good = spec(FileSystem::Ext4, PartitionKind::Root, size, tree.path());
    let mut bad = good.clone();
    bad.partitions[0].filling = Filling::Files(Files {
        file_system: FileSystem::Ext4,
        directory: Some("/nonexistent".into()),
        content: count(tree.path()),
    });
    // That the scratch directory is left empty is seen to by what these call.
    fixture.make(&bad, tree.path()).unwrap_err();
    let error = assemble_with(&good, tree.path(), &fixture.image(), None, &host()).unwrap_err();
    assert!(matches!(error, DiskError::NoPassphrase { .. }), "{error}");
    assert!(!fixture.image().exists());
}
