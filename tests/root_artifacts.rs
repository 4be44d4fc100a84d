//! What is made of a finished image, checked by other people's programs. Needs root, xz, zstd, gzip,
//! qemu-img, bmaptool, sha256sum and gpg.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use mkosi::host::{Cancel, Host, HostRunner, Quiet};
use mkosi::output::{Compression, Made, Wanted, checksums, qcow2, read_image};
use support::{Project, assert_no_leaks, finish, root, tool};

const MIB: u64 = 1 << 20;

fn host() -> Host {
    root();
    Host::new(Arc::new(HostRunner), Arc::new(Quiet), Cancel::default())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A place for images, with short names for gpg's sockets.
fn place() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("art").tempdir().unwrap()
}

/// A sparse image with text, noise, zeros that take space, and a last block that is not whole.
fn image(directory: &Path, size: u64) -> PathBuf {
    let path = directory.join("image.raw");
    let file = File::create(&path).unwrap();
    file.set_len(size).unwrap();
    let mut state = 1_u32;
    let noise: Vec<u8> = (0..3 * MIB + 5)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    let words: Vec<u8> = b"all work and no play ".repeat(200_000);
    file.write_all_at(&words, 0).unwrap();
    file.write_all_at(&noise, 20 * MIB + 4097).unwrap();
    file.write_all_at(&vec![0; MIB as usize], 30 * MIB).unwrap();
    file.write_all_at(b"end", size - 3).unwrap();
    path
}

fn compressed(image: &Path, compression: Compression) -> (PathBuf, Made) {
    let mut name = image.as_os_str().to_owned();
    name.push(compression.suffix());
    let path = PathBuf::from(name);
    let wanted = Wanted {
        compressed: Some((&path, compression)),
        map: Some(&[]),
        digest: true,
    };
    let made = read_image(image, wanted, &host()).unwrap();
    (path, made)
}

const PROGRAMS: [(Compression, &str); 3] = [
    (Compression::Xz, "xz"),
    (Compression::Zstd, "zstd"),
    (Compression::Gz, "gzip"),
];

#[test]
fn root_compressed_images_are_what_others_unpack() {
    let place = place();
    // Not a multiple of anything.
    let image = image(place.path(), 100 * MIB + 4099);
    for (compression, program) in PROGRAMS {
        let (path, made) = compressed(&image, compression);
        tool(program, &["-t", text(&path)]);
        let sum = tool("sha256sum", &["-b", text(&path)]);
        assert!(sum.starts_with(&made.digest.unwrap().to_string()), "{sum}");
        let unpacked = place.path().join("unpacked");
        let into = Command::new(program)
            .args(["-d", "-c", text(&path)])
            .stdout(File::create(&unpacked).unwrap())
            .status();
        assert!(into.unwrap().success());
        tool("cmp", &[text(&image), text(&unpacked)]);
        fs::remove_file(unpacked).unwrap();
    }
    // One stream whose blocks say their sizes: it unpacks on all processors.
    let listed = tool(
        "xz",
        &["--robot", "-lvv", text(&image.with_extension("raw.xz"))],
    );
    let file: Vec<_> = listed
        .lines()
        .find(|l| l.starts_with("file"))
        .unwrap()
        .split('\t')
        .collect();
    assert_eq!(
        (file[1], file[2]),
        ("1", "7"),
        "streams and blocks: {listed}"
    );
    assert!(
        listed.contains("CRC64") && listed.lines().filter(|l| l.starts_with("block")).count() == 7
    );
    let gzip = tool("gzip", &["-lv", text(&image.with_extension("raw.gz"))]);
    assert!(gzip.contains(&(100 * MIB + 4099).to_string()), "{gzip}");
}

#[test]
fn root_bmaptool_writes_what_the_map_says() {
    let place = place();
    let image = image(place.path(), 64 * MIB + 100);
    let (xz, made) = compressed(&image, Compression::Xz);
    let map = place.path().join("image.bmap");
    fs::write(&map, made.map.unwrap().to_xml()).unwrap();
    for from in [&image, &xz] {
        let copy = place.path().join("copy");
        tool(
            "bmaptool",
            &["copy", "--bmap", text(&map), text(from), text(&copy)],
        );
        tool("cmp", &[text(&image), text(&copy)]);
        fs::remove_file(copy).unwrap();
    }
    // The same blocks as bmaptool finds, with the same checksums.
    let theirs = tool("bmaptool", &["create", text(&image)]);
    let ranges = |text: &str| -> Vec<String> {
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with("<Range"));
        lines.map(|line| line.replace(' ', "")).collect()
    };
    let ours = fs::read_to_string(&map).unwrap();
    assert_eq!(ranges(&ours), ranges(&theirs));
    assert!(ranges(&ours).len() >= 3);
    // A byte that is not as it was mapped is noticed.
    let file = File::options().write(true).open(&image).unwrap();
    file.write_all_at(b"X", 21 * MIB).unwrap();
    let copy = place.path().join("copy");
    let mut command = Command::new("bmaptool");
    command.args(["copy", "--bmap", text(&map), text(&image), text(&copy)]);
    finish(command).exits(1).says("checksum");
}

#[test]
fn root_qcow2_holds_the_image() {
    let place = place();
    // bmaptool and qemu count in sectors.
    let image = image(place.path(), 100 * MIB + 512);
    let converted = place.path().join("image.qcow2");
    qcow2::convert(&image, &converted, &host()).unwrap();
    tool("qemu-img", &["check", text(&converted)]);
    let back = place.path().join("back");
    tool(
        "qemu-img",
        &["convert", "-O", "raw", text(&converted), text(&back)],
    );
    tool("cmp", &[text(&image), text(&back)]);
    assert!(converted.metadata().unwrap().blocks() * 512 < 10 * MIB);
    let error = qcow2::convert(&place.path().join("missing"), &converted, &host()).unwrap_err();
    assert!(error.to_string().contains("QCOW2"), "{error}");
}

#[test]
fn root_holes_cost_nothing() {
    let place = place();
    let image = image(place.path(), 200 << 30);
    let begun = std::time::Instant::now();
    for (compression, _) in PROGRAMS {
        let (path, made) = compressed(&image, compression);
        // gzip cannot say "zeros" in less than a thousandth.
        let most = match compression {
            Compression::Gz => 250 * MIB,
            _ => 50 * MIB,
        };
        assert!(path.metadata().unwrap().len() < most, "{compression:?}");
        assert!(made.map.unwrap().mapped() * 4096 < 12 * MIB);
        fs::remove_file(path).unwrap();
    }
    // Reading 200 GiB three times would take minutes.
    let seconds = begun.elapsed().as_secs();
    assert!(seconds < 60, "{seconds} s");
}

#[test]
fn root_sha256sum_checks_the_sums_of_any_name() {
    let place = place();
    let mut artifacts = Vec::new();
    for name in [
        "image.raw",
        "a b*c",
        "back\\slash",
        "new\nline",
        "-x",
        "ümlaut",
    ] {
        let path = place.path().join(name);
        fs::write(&path, name).unwrap();
        let wanted = Wanted {
            digest: true,
            ..Wanted::default()
        };
        let made = read_image(&path, wanted, &host()).unwrap();
        artifacts.push((name.into(), made.digest.unwrap()));
    }
    fs::write(place.path().join("SHA256SUMS"), checksums::text(&artifacts)).unwrap();
    let mut command = Command::new("sha256sum");
    command
        .args(["--check", "--strict", "SHA256SUMS"])
        .current_dir(place.path());
    finish(command).succeeds();
}

/// A keyring of its own with a key for `ann@example.org`, and none of its agent's processes left at
/// the end.
struct Keyring(tempfile::TempDir);

impl Keyring {
    fn new(passphrase: &str) -> Self {
        let keyring = Self(place());
        keyring.gpg(&[
            "--batch",
            "--pinentry-mode=loopback",
            &format!("--passphrase={passphrase}"),
            "--quick-generate-key",
            "ann@example.org",
            "ed25519",
            "sign",
            "never",
        ]);
        // What the key's making unlocked is forgotten.
        keyring.stop_agent();
        keyring
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn gpg(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("gpg");
        command.args(arguments).env("GNUPGHOME", self.path());
        let run = finish(command);
        run.succeeds();
        run.stderr
    }

    fn stop_agent(&self) {
        let mut command = Command::new("gpgconf");
        command
            .args(["--kill", "all"])
            .env("GNUPGHOME", self.path());
        finish(command).succeeds();
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        let mut command = Command::new("gpgconf");
        command
            .args(["--kill", "all"])
            .env("GNUPGHOME", self.path());
        let _ = command.status();
    }
}

/// Runs the program in a project, with a keyring.
fn mkosi(project: &Project, keyring: &Path, arguments: &[&str]) -> support::Run {
    let mut command = project.command(arguments);
    command.env("GNUPGHOME", keyring).env_remove("DISPLAY");
    finish(command)
}

#[test]
fn root_keys_that_cannot_sign_end_the_build_before_it_begins() {
    root();
    let keyring = Keyring::new("");
    let locked = Keyring::new("correct horse");
    let empty = place();
    let project = Project::debian("[Output]\nFormat=directory\n");
    let before = project.untouched();
    for (home, arguments, said) in [
        (
            keyring.path(),
            &["--sign", "--key=nobody@example.org"][..],
            "Key=nobody@example.org: gpg has no such secret key in",
        ),
        (
            empty.path(),
            &["--sign"],
            "gpg has no secret key to sign with in",
        ),
        (
            &empty.path().join("missing"),
            &["--sign"],
            "gpg has no secret key to sign with in",
        ),
        (
            locked.path(),
            &["--sign"],
            "could not ask for the passphrase of the key",
        ),
    ] {
        let run = mkosi(&project, home, arguments);
        run.exits(2).says(said);
        assert!(!run.stderr.contains("Installing"), "{}", run.stderr);
        before.check();
    }
    assert!(!empty.path().join("missing").exists());
}

/// Everything that a build can write beside an image, in one build.
#[test]
fn root_a_signed_compressed_image_with_everything() {
    root();
    let keyring = Keyring::new("");
    let project = Project::debian(
        "[Output]\nFormat=gpt_ext4\nCompressOutput=zstd\nManifestFormat=json,changelog\n\
         [Validation]\nSign=yes\nKey=ann@example.org\nBMap=yes\n",
    );
    project.file("mkosi.nspawn", "[Exec]\nBoot=yes\n");
    let before = project.entries();
    let run = mkosi(&project, keyring.path(), &[]);
    run.succeeds();
    assert_no_leaks(project.path());
    let made = [
        "SHA256SUMS",
        "SHA256SUMS.gpg",
        "image.bmap",
        "image.changelog",
        "image.manifest",
        "image.nspawn",
        "image.raw.zst",
    ];
    let mut expected: Vec<_> = before.clone();
    expected.extend(made.map(str::to_owned));
    expected.sort();
    assert_eq!(project.entries(), expected);

    // The sums cover everything, and somebody else agrees.
    let at = |name: &str| project.path().join(name);
    let sums = fs::read_to_string(at("SHA256SUMS")).unwrap();
    let names: Vec<_> = sums
        .lines()
        .map(|line| line.split_once(" *").unwrap().1)
        .collect();
    assert_eq!(names, &made[2..]);
    let mut command = Command::new("sha256sum");
    command
        .args(["--check", "--strict", "SHA256SUMS"])
        .current_dir(project.path());
    finish(command).succeeds();
    let said = keyring.gpg(&[
        "--verify",
        text(&at("SHA256SUMS.gpg")),
        text(&at("SHA256SUMS")),
    ]);
    assert!(
        said.contains("Good signature from \"ann@example.org\""),
        "{said}"
    );
    let mode = at("SHA256SUMS.gpg")
        .metadata()
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o644);

    // The image, and the image by its map.
    let image = project.path().join("unpacked.raw");
    tool(
        "zstd",
        &["-q", "-d", "-o", text(&image), text(&at("image.raw.zst"))],
    );
    assert!(tool("sfdisk", &["--verify", text(&image)]).contains("No errors"));
    let copy = project.path().join("copy.raw");
    tool(
        "bmaptool",
        &[
            "copy",
            "--bmap",
            text(&at("image.bmap")),
            text(&at("image.raw.zst")),
            text(&copy),
        ],
    );
    tool("cmp", &[text(&image), text(&copy)]);
    fs::remove_file(image).unwrap();
    fs::remove_file(copy).unwrap();

    // Change logs were in the tree while it was built, and are not in the manifest's way.
    let log = fs::read_to_string(at("image.changelog")).unwrap();
    assert!(
        log.contains("\nSource: dpkg ") && log.contains("\nPackage: dpkg "),
        "{log}"
    );
    let without = log.matches("has no change log").count();
    assert!(
        without * 10 < log.matches("\nSource: ").count(),
        "{without}: {log}"
    );
    let manifest = fs::read_to_string(at("image.manifest")).unwrap();
    assert!(!manifest.contains("source"));

    // A build without checksums takes the old ones away, and so does cleaning.
    for name in ["shell", "boot"] {
        project.run(&[name]).exits(2).says("compressed as a whole");
    }
    project.run(&[]).exits(2).says("already exists");
    project.run(&["clean"]).succeeds();
    assert_eq!(project.entries(), before);
}

/// QCOW2 and zstd together, under sudo: everything belongs to the person who called.
#[test]
fn root_a_qcow2_image_for_the_calling_user() {
    root();
    let project = Project::debian("[Output]\nFormat=gpt_ext4\nQCow2=yes\nCompressOutput=zstd\n");
    project.file("SHA256SUMS", format!("{} *other.raw\n", "0".repeat(64)));
    // Sums of another image are in the way of new ones, and of nothing else.
    project
        .run(&["--checksum"])
        .exits(2)
        .says("SHA256SUMS already exists");
    let mut command = project.command(&["--bmap", "--manifest-format="]);
    command.env("SUDO_UID", "4242").env("SUDO_GID", "4243");
    let run = finish(command);
    run.succeeds()
        .says("BMap has no effect without a raw disk image");
    let image = project.path().join("image.qcow2.zst");
    assert_eq!(
        project.entries(),
        ["SHA256SUMS", "image.qcow2.zst", "mkosi.default"]
    );
    let metadata = image.metadata().unwrap();
    assert_eq!((metadata.uid(), metadata.gid()), (4242, 4243));
    tool("zstd", &["-q", "-d", text(&image)]);
    let unpacked = project.path().join("image.qcow2");
    tool("qemu-img", &["check", text(&unpacked)]);
    let raw = project.path().join("image.raw");
    tool(
        "qemu-img",
        &["convert", "-O", "raw", text(&unpacked), text(&raw)],
    );
    assert!(tool("sfdisk", &["--verify", text(&raw)]).contains("No errors"));
    assert_no_leaks(project.path());
}
