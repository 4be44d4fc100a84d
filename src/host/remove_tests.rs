//! Trees that are awkward to remove, as far as that needs no root.

use super::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

#[test]
fn files_links_and_what_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("kept"), "x").unwrap();
    symlink("kept", path("link")).unwrap();
    symlink(dir.path(), path("loop")).unwrap();
    fs::write(path("file"), "x").unwrap();
    for name in ["link", "loop", "file", "missing", "missing/below"] {
        remove(&path(name)).unwrap();
        assert!(path(name).symlink_metadata().is_err());
    }
    assert!(path("kept").exists());
    remove(Path::new("/")).unwrap_err();
    remove(&path("..")).unwrap_err();
}

#[test]
fn nothing_outside_goes_with_a_tree() {
    let dir = tempfile::tempdir().unwrap();
    let outside = dir.path().join("outside");
    fs::create_dir_all(outside.join("sub")).unwrap();
    fs::write(outside.join("sub/file"), "x").unwrap();
    let tree = dir.path().join("tree");
    fs::create_dir_all(tree.join("a/b")).unwrap();
    symlink(&outside, tree.join("a/link")).unwrap();
    symlink("/", tree.join("a/b/root")).unwrap();
    fs::hard_link(outside.join("sub/file"), tree.join("hard")).unwrap();
    remove(&tree).unwrap();
    assert!(!tree.exists());
    assert_eq!(fs::read_to_string(outside.join("sub/file")).unwrap(), "x");
}

#[test]
fn read_only_and_closed_directories() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    for name in ["read-only", "closed"] {
        fs::create_dir_all(tree.join(name).join("sub")).unwrap();
        fs::write(tree.join(name).join("sub/file"), "x").unwrap();
    }
    for (name, mode) in [
        ("read-only/sub", 0o555),
        ("read-only", 0o555),
        ("closed", 0),
    ] {
        fs::set_permissions(tree.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    remove(&tree).unwrap();
    assert!(!tree.exists());
}

#[test]
fn a_tree_deeper_than_any_path_or_stack() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    fs::create_dir(&tree).unwrap();
    let name = "d".repeat(100);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = openat(CWD, &tree, flags, Mode::empty()).unwrap();
    for _ in 0..300 {
        rustix::fs::mkdirat(&at, name.as_str(), Mode::RWXU).unwrap();
        openat(&at, "file", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap();
        at = openat(&at, name.as_str(), flags, Mode::empty()).unwrap();
    }
    drop(at);
    remove(&tree).unwrap();
    assert!(!tree.exists());
}

#[test]
fn many_entries() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    fs::create_dir(&tree).unwrap();
    for n in 0..5000 {
        fs::write(tree.join(format!("file-{n}")), "").unwrap();
    }
    remove(&tree).unwrap();
    assert!(!tree.exists());
}

#[test]
fn contents_go_and_the_directory_stays() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("a/b/c")).unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    remove_contents(dir.path()).unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    remove_contents(&dir.path().join("missing")).unwrap();
}
