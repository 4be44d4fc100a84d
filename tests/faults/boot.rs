//! What a tree needs to start a machine, as far as a build looks at it, and keys to sign it with.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::support::{Project, tool};

/// gpg's directory, in a project.
pub const KEYRING: &str = "keyring";
/// dracut writes to the file that its last argument names.
const DRACUT: &str =
    "#!/bin/sh\nfor last; do :; done\nexec /bin/busybox cat /usr/share/initrd > \"$last\"\n";

/// Makes everything.
pub fn prepare(project: &Project) {
    let program = program();
    for name in [
        "usr/lib/systemd/boot/efi/systemd-bootx64.efi",
        "usr/lib/systemd/boot/efi/linuxx64.efi.stub",
        "lib/modules/6.1.0/vmlinuz",
    ] {
        project.file(&format!("mkosi.skeleton/{name}"), &program);
    }
    project.file("mkosi.skeleton/usr/share/initrd", initrd());
    project.script("mkosi.skeleton/usr/bin/dracut", DRACUT);

    let path = |name: &str| project.path().join(name).display().to_string();
    let (key, certificate) = (path("mkosi.secure-boot.key"), path("mkosi.secure-boot.crt"));
    tool(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=test",
            "-days",
            "3650",
            "-keyout",
            &key,
            "-out",
            &certificate,
        ],
    );
    project.mode("mkosi.secure-boot.key", 0o600);

    let keyring = path(KEYRING);
    fs::create_dir(&keyring).unwrap();
    fs::set_permissions(&keyring, fs::Permissions::from_mode(0o700)).unwrap();
    let gpg = [
        "--homedir",
        &keyring,
        "--batch",
        "--quiet",
        "--passphrase",
        "",
    ];
    let generate = ["--quick-generate-key", "test", "ed25519", "sign", "never"];
    tool("gpg", &[gpg.as_slice(), &generate].concat());
    end_agent(project.path());
}

/// Ends gpg's agent of a project.
pub fn end_agent(project: &Path) {
    let keyring = project.join(KEYRING);
    if keyring.exists() {
        let keyring = keyring.display().to_string();
        tool("gpgconf", &["--homedir", &keyring, "--kill", "all"]);
    }
}

/// A program for the firmware without a single instruction: headers and two sections.
fn program() -> Vec<u8> {
    let mut bytes = vec![0; 0x600];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, b"MZ");
    put(0x3c, &[0x40]);
    put(0x40, b"PE\0\0");
    let optional = 0x58;
    let mut set = |at: usize, value: u32| put(at, &value.to_le_bytes());
    // x86_64, two sections.
    set(0x44, 0x0002_8664);
    set(0x54, 0x0022 << 16 | 240);
    for (at, value) in [
        (0, 0x20b),
        (4, 0x200),
        (8, 0x200),
        (16, 0x1000),
        (20, 0x1000),
        (32, 0x1000),
        (36, 0x200),
        (56, 0x3000),
        (60, 0x200),
        (68, 10),
        (108, 16),
    ] {
        set(optional + at, value);
    }
    for (nth, name) in [0u32, 1].into_iter().zip([b".text\0\0\0", b".data\0\0\0"]) {
        let at = optional + 240 + nth as usize * 40;
        put(at, name);
        let fields = [0x200, 0x1000 + nth * 0x1000, 0x200, 0x200 + nth * 0x200];
        for (field, value) in fields.into_iter().enumerate() {
            put(at + 8 + field * 4, &value.to_le_bytes());
        }
        put(at + 36, &0x6000_0020_u32.to_le_bytes());
    }
    bytes
}

/// An archive with one empty file.
fn initrd() -> Vec<u8> {
    let mut text = String::new();
    for name in ["init", "TRAILER!!!"] {
        text.push_str("070701");
        // Inode, mode, owner, group, names, time, size, devices, length of the name, checksum.
        let mode = if name == "init" { 0o100_755 } else { 0 };
        let length = name.len() as u32 + 1;
        for field in [1, mode, 0, 0, 1, 0, 0, 0, 0, 0, 0, length, 0] {
            write!(text, "{field:08x}").unwrap();
        }
        text.push_str(name);
        text.push('\0');
        while text.len() % 4 != 0 {
            text.push('\0');
        }
    }
    text.into_bytes()
}
