//! Debian packages and tar archives that nobody would make by mistake, unpacked into a tree.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::apart::apart;
use super::take::Take;
use super::{check_error, check_message, check_messages, mend};
use crate::host::{Cancel, Report};
use crate::installer::deb::fuzzing::unpack_for_fuzzing;
use crate::installer::deb::testing::ar;
use crate::tree::{self, Root};

/// Unpacks a package, or an archive, into a tree beside a directory that is nobody's business: nothing
/// changes outside the tree, nothing is told that a terminal would obey.
///
/// The first byte says what the rest is: bit 0 an archive in place of a package; bit 1 the bytes of a
/// whole package in place of its two archives, the first one's length in 512 bytes before them; bit 2
/// that the archives' checksums are put right; bit 3 one of the first packages of a system.
///
/// # Panics
/// When one of these is not so.
pub fn packages(input: &[u8]) {
    let mut input = Take(input);
    let bits = input.byte();
    let input = if bits & 1 != 0 {
        Input::Archive(mended(bits, input.0))
    } else if bits & 2 != 0 {
        Input::Package(input.0.to_vec())
    } else {
        let length = usize::from(input.byte()) * 512;
        let control = mended(bits, input.bytes(length));
        Input::Package(ar(&[
            ("debian-binary", b"2.0\n"),
            ("control.tar", &control),
            ("data.tar", &mended(bits, input.0)),
        ]))
    };
    apart(move |host| unpack(host, &input, bits & 8 != 0));
}

enum Input {
    Package(Vec<u8>),
    Archive(Vec<u8>),
}

fn mended(bits: u8, archive: &[u8]) -> Vec<u8> {
    let mut archive = archive.to_vec();
    if bits & 4 != 0 {
        mend(&mut archive);
    }
    archive
}

fn unpack(host: &Path, input: &Input, first: bool) {
    let (tree, outside, file) = (host.join("tree"), host.join("out"), host.join("file"));
    for directory in [&tree, &outside] {
        if directory.exists() {
            fs::remove_dir_all(directory).unwrap();
        }
    }
    fs::create_dir_all(tree.join("usr/lib")).unwrap();
    fs::create_dir_all(outside.join("a/b")).unwrap();
    fs::write(outside.join("mine"), "mine").unwrap();
    symlink("usr/lib", tree.join("lib")).unwrap();
    symlink("/out", tree.join("abs")).unwrap();
    symlink("../out", tree.join("rel")).unwrap();
    let before = (names(host), everything(&outside));

    let root = Root::open(&tree).unwrap();
    match input {
        Input::Archive(bytes) => {
            fs::write(&file, bytes).unwrap();
            if let Err(error) = tree::extract(&root, &file, &Listening, &Cancel::default()) {
                check_error(&error);
            }
        }
        Input::Package(bytes) => {
            fs::write(&file, bytes).unwrap();
            let messages = unpack_for_fuzzing(&file, &root, first, &host.join("other"));
            check_messages(&messages);
            let _ = fs::remove_file(host.join("other"));
        }
    }
    fs::remove_file(&file).unwrap();
    assert_eq!(before, (names(host), everything(&outside)));
}

/// The names in a directory.
fn names(directory: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Everything beneath a directory, with what it says of itself and what is in it.
fn everything(directory: &Path) -> BTreeSet<(PathBuf, [u64; 4], Vec<u8>)> {
    use std::os::unix::fs::MetadataExt as _;
    let entries = walkdir::WalkDir::new(directory).into_iter();
    entries
        .map(|entry| {
            let entry = entry.unwrap();
            let of = entry.metadata().unwrap();
            let itself = [
                of.mode().into(),
                of.uid().into(),
                of.gid().into(),
                of.mtime() as u64,
            ];
            let content = if of.is_file() {
                fs::read(entry.path()).unwrap()
            } else {
                Vec::new()
            };
            (entry.into_path(), itself, content)
        })
        .collect()
}

/// Hears what is told while the work goes on.
struct Listening;

impl Report for Listening {
    fn line(&self, line: &str) {
        check_message(line);
    }
    fn warn(&self, message: &str) {
        check_message(message);
    }
    fn progress(&self, _: u64, _: u64) {}
    fn command(&self, _: &str) {}
}
