mod case;
mod damaged;
mod hostile;
mod stored;

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use super::*;
use crate::host::Quiet;
use case::*;

#[test]
fn extracts_what_an_archive_holds() {
    let case = Case::new();
    let bytes = Tar::default()
        .dir("./")
        .dir("etc/")
        .file("./etc/x", "content")
        .link("etc/y", "/etc/x")
        .hard("z", "./etc/x")
        .add(b'6', b"pipe", b"", b"")
        .file("missing/parent/f", "")
        .end();
    let extracted = case.extract(&bytes).unwrap();
    assert_eq!((extracted.members, extracted.bytes), (7, 7));
    assert_eq!(fs::read(case.at("z")).unwrap(), b"content");
    let x = fs::metadata(case.at("etc/x")).unwrap();
    assert_eq!(x.ino(), fs::metadata(case.at("z")).unwrap().ino());
    assert_eq!(x.mode() & 0o7777, 0o4640);
    assert_eq!(x.mtime(), 1_000_000_000);
    let etc = fs::metadata(case.at("etc")).unwrap();
    assert_eq!((etc.mode() & 0o7777, etc.mtime()), (0o750, 1_000_000_000));
    assert_eq!(
        fs::read_link(case.at("etc/y")).unwrap(),
        Path::new("/etc/x")
    );
    let parent = fs::metadata(case.at("missing/parent")).unwrap();
    assert_eq!(parent.mode() & 0o7777, 0o755);
    assert!(case.warnings.0.lock().unwrap().is_empty());
}

/// Each archive, what its message says, and which names must not be in the image.
#[test]
fn absolute_names_are_taken_beneath_the_root() {
    let case = Case::new();
    let bytes = Tar::default()
        .file("/etc/x", "x")
        .hard("/y", "/etc/x")
        .end();
    case.extract(&bytes).unwrap();
    assert_eq!(fs::metadata(case.at("y")).unwrap().nlink(), 2);
    let warnings = case.warnings.0.lock().unwrap();
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].contains("2 of its names begin with `/`"),
        "{warnings:?}"
    );
}

#[test]
fn reads_long_names_and_pax_records() {
    let case = Case::new();
    let long = format!("{}/{}", "d".repeat(150), "n".repeat(200));
    let bytes = Tar::default()
        .add(b'L', b"././@LongLink", b"", format!("{long}\0").as_bytes())
        .file("short", "1")
        .add(b'K', b"././@LongLink", b"", long.as_bytes())
        .link("link", "short")
        .pax(&[
            ("path", b"name\nwith \xff"),
            ("mtime", b"12.000000345"),
            ("SCHILY.xattr.user.note", b"a\n\n\0\xffb"),
        ])
        .file("ignored", "2")
        .end();
    case.extract(&bytes).unwrap();
    assert_eq!(fs::read(case.at(&long)).unwrap(), b"1");
    assert_eq!(fs::read_link(case.at("link")).unwrap(), Path::new(&long));
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    let odd = case.at("").join(OsStr::from_bytes(b"name\nwith \xff"));
    let file = fs::File::open(&odd).unwrap();
    let meta = file.metadata().unwrap();
    assert_eq!((meta.mtime(), meta.mtime_nsec()), (12, 345));
    use crate::tree::xattrs::{Of, get};
    let note = get(Of::fd(&file), c"user.note").unwrap().unwrap();
    assert_eq!(note, b"a\n\n\0\xffb");
}

#[test]
fn what_follows_the_end_is_told() {
    let case = Case::new();
    let mut bytes = Tar::default().file("a", "x").end();
    bytes.extend(Tar::default().file("b", "x").end());
    case.extract(&bytes).unwrap();
    assert_eq!(case.names(), ["a"]);
    assert!(case.warnings.0.lock().unwrap()[0].contains("ignored"));
}

#[test]
fn stops_when_asked() {
    let case = Case::new();
    let archive = case.at("a.tar");
    fs::write(&archive, Tar::default().file("x", "x").end()).unwrap();
    let cancel = Cancel::default();
    cancel.cancel();
    let root = Root::open(case.at("")).unwrap();
    let result = extract(&root, &archive, &Quiet, &cancel);
    assert!(matches!(result, Err(TreeError::Cancelled)));
}
