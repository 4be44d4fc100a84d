//! Encrypted partitions, opened and decrypted by cryptsetup. Needs root, cryptsetup, and the tools
//! of the file systems.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod trees;

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};

use mkosi::disk::{
    Architecture, Assembled, DiskError, DiskSpec, Encryption, Filling, LUKS_HEADER, Partition,
    PartitionKind, Passphrase, Seed, Size, assemble,
};
use uuid::Uuid;
use zeroize::Zeroizing;

use trees::{assert_same_trees, awkward_tree, count, host, text, tool};

/// Bytes that a shell, a terminal or a C string would stumble over.
const PASSPHRASE: &[u8] = b"a secret \xff\0 \"$(id)' of bytes\n";

struct Fixture {
    directory: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("scratch")).unwrap();
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn spec(&self, kind: PartitionKind, size: Size, tree: &Path) -> DiskSpec {
        let filling = Filling::Ext4 {
            directory: None,
            content: count(tree),
        };
        let mut partition = Partition::new(kind, size, filling);
        partition.encrypted = true;
        let mut spec = DiskSpec::new(Architecture::X86_64, Seed::new(Uuid::from_u128(3)));
        spec.partitions = vec![partition];
        spec.encryption = Some(Encryption {
            passphrase: Passphrase::new(Zeroizing::new(PASSPHRASE.to_vec())),
            scratch: self.path("scratch"),
        });
        spec
    }

    fn make(&self, spec: &DiskSpec, tree: &Path) -> Result<(PathBuf, Assembled), DiskError> {
        let image = self.path("image.raw");
        let assembled = assemble(spec, tree, &image, &host())?;
        Ok((image, assembled))
    }
}

/// The only partition of an image, sparse, as a file of its own.
fn extract(image: &Path, assembled: &Assembled) -> PathBuf {
    let slot = &assembled.layout.slots()[0];
    let file = image.with_extension("partition");
    tool(
        "dd",
        &[
            "bs=1M",
            "conv=sparse",
            "iflag=skip_bytes,count_bytes",
            &format!("if={}", text(image)),
            &format!("of={}", text(&file)),
            &format!("skip={}", slot.offset),
            &format!("count={}", slot.size),
        ],
    );
    let opened = File::options().write(true).open(&file).unwrap();
    opened.set_len(slot.size).unwrap();
    file
}

/// Runs cryptsetup with a passphrase on its standard input; whether it succeeded.
fn cryptsetup(args: &[&str], passphrase: &[u8]) -> bool {
    let mut child = Process::new("cryptsetup")
        .args(args)
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
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

#[test]
fn root_cryptsetup_decrypts_what_was_encrypted() {
    let fixture = Fixture::new();
    let tree = awkward_tree();
    let mut spec = fixture.spec(PartitionKind::Root, Size::Automatic, tree.path());
    let slot = spec.layout().unwrap().slots()[0].clone();
    assert_eq!(slot.size, (1 << 30) + LUKS_HEADER);
    spec.partitions[0].size = Size::Fixed(300 << 20);
    let (image, assembled) = fixture.make(&spec, tree.path()).unwrap();
    // The partition is found as what it is for; what it holds is another matter.
    let json: serde_json::Value =
        serde_json::from_str(&tool("sfdisk", &["--json", text(&image)])).unwrap();
    let entry = &json["partitiontable"]["partitions"][0];
    assert_eq!(entry["type"], "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709");

    let partition = extract(&image, &assembled);
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

    // No file name can be read, and holes stayed holes.
    let found = Process::new("grep")
        .args(["--text", "--quiet", "file-with-a-longer-name", text(&image)])
        .status()
        .unwrap();
    assert_eq!(found.code(), Some(1));
    let on_disk = fs::metadata(&image).unwrap().blocks() * 512;
    assert!(on_disk < 100 << 20, "{on_disk}");
    assert_eq!(fs::read_dir(fixture.path("scratch")).unwrap().count(), 0);

    decrypt(&partition);
    tool("e2fsck", &["-fn", text(&partition)]);
    let names = tool("debugfs", &["-R", "ls /many", text(&partition)]);
    assert!(names.contains("file-with-a-longer-name-02999"));
    with_mounted(&partition, "ext4", "ro,noload", |mounted| {
        assert_same_trees(tree.path(), mounted, true);
    });
    // What reads as noise in free space must not come back when it is used.
    with_mounted(&partition, "ext4", "rw", |mounted| {
        for number in 0..3000 {
            fs::write(mounted.join(format!("new-{number}")), b"new").unwrap();
        }
        let large = File::create(mounted.join("large")).unwrap();
        large.set_len(200 << 20).unwrap();
    });
    tool("e2fsck", &["-fn", text(&partition)]);
}

/// Mounts a file for the time of a call.
fn with_mounted(file: &Path, kind: &str, options: &str, call: impl FnOnce(&Path)) {
    let mount = tempfile::tempdir().unwrap();
    let options = format!("loop,{options}");
    tool(
        "mount",
        &["-t", kind, "-o", &options, text(file), text(mount.path())],
    );
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| call(mount.path())));
    tool("umount", &[text(mount.path())]);
    result.unwrap();
}

#[test]
fn root_a_large_sparse_partition_costs_what_its_data_costs() {
    let fixture = Fixture::new();
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("file"), vec![1; 50 << 20]).unwrap();
    let spec = fixture.spec(PartitionKind::Home, Size::Fixed(20 << 30), tree.path());
    let (image, assembled) = fixture.make(&spec, tree.path()).unwrap();
    assert_eq!(assembled.layout.slots()[0].size, 20 << 30);
    let on_disk = fs::metadata(&image).unwrap().blocks() * 512;
    assert!(on_disk < 120 << 20, "{on_disk}");
}

#[test]
fn root_the_same_inputs_give_the_same_layout_but_never_the_same_key() {
    let tree = awkward_tree();
    let mut images = Vec::new();
    for _ in 0..2 {
        let fixture = Fixture::new();
        let spec = fixture.spec(PartitionKind::Home, Size::Fixed(128 << 20), tree.path());
        let (image, assembled) = fixture.make(&spec, tree.path()).unwrap();
        let table = tool("sfdisk", &["--dump", text(&image)]).replace(text(&image), "");
        let partition = extract(&image, &assembled);
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
    let tight = fixture.spec(PartitionKind::Home, Size::Fixed(56 << 20), tree.path());
    let error = fixture.make(&tight, tree.path()).unwrap_err();
    let DiskError::TooSmall { size, needed, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(size, 56 << 20);
    assert!(!fixture.path("image.raw").exists());
    // What the message asks for is enough.
    let enough = fixture.spec(PartitionKind::Home, Size::Fixed(needed), tree.path());
    fixture.make(&enough, tree.path()).unwrap();
}

#[test]
fn root_a_failure_leaves_neither_clear_text_nor_an_image() {
    let fixture = Fixture::new();
    let tree = awkward_tree();
    // A directory that cannot be one makes mke2fs fail halfway; a missing one fails before.
    let mut spec = fixture.spec(PartitionKind::Root, Size::Automatic, tree.path());
    spec.partitions[0].filling = Filling::Ext4 {
        directory: Some(fixture.path("missing")),
        content: count(tree.path()),
    };
    fixture.make(&spec, tree.path()).unwrap_err();
    let mut nobody = fixture.spec(PartitionKind::Root, Size::Automatic, tree.path());
    nobody.encryption = None;
    let error = fixture.make(&nobody, tree.path()).unwrap_err();
    assert!(matches!(error, DiskError::NoPassphrase { .. }), "{error}");
    assert_eq!(fs::read_dir(fixture.path("scratch")).unwrap().count(), 0);
    assert!(!fixture.path("image.raw").exists());
}
