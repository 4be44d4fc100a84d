//! Archives that try to reach out of the image.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use super::case::*;

#[test]
fn refuses_what_leads_out_of_the_image() {
    let outside = |tar: Tar| tar.end();
    let cases: Vec<(Vec<u8>, &str, &str)> = vec![
        (
            outside(Tar::default().file("../host", "x")),
            "member ../host: its name holds `..`",
            "host",
        ),
        (
            outside(Tar::default().file("a/../../host", "x")),
            "`..`",
            "a",
        ),
        (outside(Tar::default().dir("../up/")), "`..`", "up"),
        (outside(Tar::default().link("..", "x")), "`..`", ".."),
        (
            outside(Tar::default().link("evil", "/etc").file("evil/x", "x")),
            "member evil/x: its path leads through the symbolic link evil, which this archive made \
             and which is absolute",
            "x",
        ),
        (
            outside(Tar::default().link("evil", "../../..").file("evil/x", "x")),
            "which leads out of the image",
            "x",
        ),
        (
            outside(Tar::default().link("evil", "..").dir("evil/x/")),
            "leads out of the image",
            "x",
        ),
        (
            outside(
                Tar::default()
                    .link("evil", "/")
                    .dir("evil/")
                    .file("evil/x", "x"),
            ),
            "is absolute",
            "x",
        ),
        (
            outside(
                Tar::default()
                    .link("a", "b")
                    .link("b", "/tmp")
                    .file("a/x", "x"),
            ),
            "symbolic link b",
            "x",
        ),
        (
            outside(
                Tar::default()
                    .link("d/evil", "/etc")
                    .hard("h", "d/evil")
                    .file("h/x", "x"),
            ),
            "symbolic link h",
            "x",
        ),
        (
            outside(Tar::default().hard("h", "../host")),
            "the target of the hard link holds `..`",
            "h",
        ),
        (
            outside(Tar::default().link("evil", "/").hard("h", "evil/host")),
            "symbolic link evil",
            "h",
        ),
        (
            outside(Tar::default().hard("h", "nothing")),
            "hard link to nothing, which is not there",
            "h",
        ),
        (
            outside(Tar::default().dir("d/").hard("h", "d")),
            "hard link to the directory d",
            "h",
        ),
        (outside(Tar::default().file("", "x")), "name is empty", "x"),
        (
            outside(Tar::default().add(b'Q', b"q", b"", b"")),
            "unknown type `Q`",
            "q",
        ),
        (
            outside(Tar::default().file("f", "").dir("f/")),
            "a file is there already",
            "x",
        ),
        (
            outside(Tar::default().dir("d/").file("d", "x")),
            "a directory is there already",
            "x",
        ),
        (
            outside(Tar::default().file("f", "").file("f/x", "x")),
            "a file is there already",
            "x",
        ),
    ];
    for (bytes, message, name) in cases {
        let case = Case::new();
        let text = case.fails(&bytes);
        assert!(text.contains(message), "{text}");
        assert!(text.contains(".tar: "), "names the archive: {text}");
        assert!(
            !case.names().iter().any(|n| n == name),
            "{text}: {:?}",
            case.names()
        );
        assert!(
            !case.names().iter().any(|n| n.starts_with(".mkosi")),
            "{text}"
        );
    }
}

#[test]
fn links_that_the_image_has_are_followed_beneath_its_root() {
    let case = Case::new();
    fs::create_dir_all(case.at("usr/lib")).unwrap();
    fs::create_dir_all(case.at("var")).unwrap();
    symlink("usr/lib", case.at("lib")).unwrap();
    symlink("/run", case.at("var/run")).unwrap();
    symlink(case.around.path(), case.at("evil")).unwrap();
    let bytes = Tar::default()
        .dir("lib/")
        .file("lib/a", "a")
        .hard("lib/b", "lib/a")
        .file("var/run/pid", "1")
        .link("own", "usr/lib")
        .file("own/c", "c")
        .file("evil/host", "x")
        .end();
    case.extract(&bytes).unwrap();
    assert!(fs::symlink_metadata(case.at("lib")).unwrap().is_symlink());
    let mode = fs::metadata(case.at("usr/lib"))
        .unwrap()
        .permissions()
        .mode();
    assert_ne!(mode & 0o7777, 0o750, "the archive means lib, not usr/lib");
    assert_eq!(fs::metadata(case.at("usr/lib/a")).unwrap().nlink(), 2);
    assert_eq!(fs::read(case.at("run/pid")).unwrap(), b"1");
    assert_eq!(fs::read(case.at("usr/lib/c")).unwrap(), b"c");
}

#[test]
fn files_replace_links_and_are_not_written_through_them() {
    let case = Case::new();
    fs::create_dir(case.at("etc")).unwrap();
    symlink(case.around.path().join("host"), case.at("etc/a")).unwrap();
    fs::write(case.at("etc/old"), "old").unwrap();
    fs::hard_link(case.at("etc/old"), case.at("etc/b")).unwrap();
    let bytes = Tar::default()
        .file("etc/a", "new")
        .file("etc/b", "new")
        .link("c", "/etc")
        .file("c", "new")
        .file("c2", "x")
        .hard("c2", "c2")
        .end();
    case.extract(&bytes).unwrap();
    for path in ["etc/a", "etc/b", "c"] {
        assert!(fs::symlink_metadata(case.at(path)).unwrap().is_file());
        assert_eq!(fs::read(case.at(path)).unwrap(), b"new", "{path}");
    }
    assert_eq!(fs::read(case.at("etc/old")).unwrap(), b"old");
    assert_eq!(case.names(), ["a", "b", "c", "c2", "etc", "old"]);
}
