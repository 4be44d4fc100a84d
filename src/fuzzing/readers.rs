//! Readers of everything else that comes from somebody else's image or project.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::take::Take;
use super::{check_error, check_errors, check_message, check_messages};
use crate::boot::{Uki, initrd_archives, uki};
use crate::config::{HostSystem, Preset};
use crate::frontend::read_pacman_conf;
use crate::host::{Cancel, Host, Quiet, Recorder};
use crate::output::{Manifest, Subject};
use crate::tree::{Pattern, Root, patch};

/// Parts an input into two.
const PART: &[u8] = b"\n@@\n";

/// Reads a boot stub, an initrd, a patch, package databases, a `pacman.conf`, an os-release or a file
/// pattern, as the first byte says.
///
/// # Panics
/// When a reader does, or says something that a terminal would obey.
pub fn readers(input: &[u8]) {
    let mut input = Take(input);
    let kind = input.byte();
    let bytes = input.0;
    match kind % 7 {
        0 => stub(bytes),
        1 => initrd(bytes),
        2 => apply(bytes),
        3 => databases(bytes),
        4 => pacman(bytes),
        5 => os_release(bytes),
        _ => pattern(bytes),
    }
}

/// Makes a kernel image of a stub.
fn stub(bytes: &[u8]) {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("stub"), bytes).unwrap();
    fs::write(at("kernel"), "kernel").unwrap();
    fs::write(at("initrd"), "initrd").unwrap();
    let image = Uki {
        stub: &at("stub"),
        kernel: &at("kernel"),
        release: "6.1.0",
        initrd: &at("initrd"),
        command_line: "quiet",
        os_release: b"ID=debian\n",
    };
    let mut output = fs::File::create(at("image")).unwrap();
    match uki::write(&image, &mut output) {
        Ok(()) => assert!(output.metadata().unwrap().len() > 12),
        Err(error) => check_error(&error),
    }
}

fn initrd(bytes: &[u8]) {
    let mut end = 0;
    for archive in initrd_archives(bytes).unwrap_or_default() {
        assert!(archive.range.start == end && archive.range.end > end);
        end = archive.range.end;
    }
    assert!(end == 0 || end == bytes.len());
}

fn apply(bytes: &[u8]) {
    let at = bytes.windows(PART.len()).position(|part| part == PART);
    let (text, file) = match at {
        Some(at) => (&bytes[..=at], &bytes[at + PART.len()..]),
        None => (bytes, &b"a\nb\nc\n"[..]),
    };
    match patch::parse(text) {
        Err(error) => check_error(&error),
        Ok(found) => match patch::apply(&found, file) {
            Ok(new) => assert!(new.len() <= file.len() + text.len()),
            Err(error) => check_error(&error),
        },
    }
}

/// Package databases of a foreign tree: all have the same text.
fn databases(bytes: &[u8]) {
    let tree = tempfile::tempdir().unwrap();
    for path in [
        "var/lib/dpkg/status",
        "lib/apk/db/installed",
        "var/lib/pacman/local/x-1-1/desc",
        "var/lib/pacman/local/x-1-1/files",
        "usr/share/clear/bundles/editors",
        "usr/lib/os-release",
    ] {
        let path = tree.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let host = Host::new(
        Arc::new(Recorder::default()),
        Arc::new(Quiet),
        Cancel::default(),
    );
    match Manifest::read(Subject::default(), tree.path(), &host) {
        Ok(manifest) => {
            let mut json = Vec::new();
            manifest.write(&mut json).unwrap();
            let json = String::from_utf8(json).unwrap();
            assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
        }
        Err(error) => check_error(&error),
    }
}

fn pacman(bytes: &[u8]) {
    let project = tempfile::tempdir().unwrap();
    fs::write(project.path().join("pacman.conf"), bytes).unwrap();
    let mut preset = Preset::default();
    let _ = read_pacman_conf(project.path(), &mut preset);
    check_errors(&preset.errors);
    check_messages(&preset.warnings);
}

fn os_release(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let system = HostSystem::from_text(&text);
    assert!(system.id.len() <= text.len());
}

fn pattern(bytes: &[u8]) {
    use std::os::unix::ffi::OsStrExt as _;
    let tree = tempfile::tempdir().unwrap();
    for path in ["a/b/c", "a/bb", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
        let path = tree.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    match Pattern::parse(std::ffi::OsStr::from_bytes(bytes)) {
        Err(error) => check_message(&error.to_string()),
        Ok(pattern) => {
            let root = Root::open(tree.path()).unwrap();
            let found = pattern.matches(&root, &Cancel::default()).unwrap();
            for path in found {
                assert!(tree.path().join(Path::new(".").join(path)).exists());
            }
        }
    }
}
