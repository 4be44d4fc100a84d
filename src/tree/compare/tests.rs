use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;
use crate::tree::Kind;

const ALL: Scope = Scope {
    labels: true,
    top: true,
};

/// Two trees that are equal.
fn trees() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    for tree in [&a, &b] {
        fs::create_dir_all(tree.join("etc/deep")).unwrap();
        fs::write(tree.join("etc/hosts"), "localhost").unwrap();
        fs::write(tree.join("etc/deep/file"), vec![7; 300_000]).unwrap();
        symlink("hosts", tree.join("etc/link")).unwrap();
        fs::set_permissions(tree, fs::Permissions::from_mode(0o755)).unwrap();
    }
    (dir, a, b)
}

fn found(a: &Path, b: &Path) -> Vec<(String, Vec<Aspect>)> {
    let found = compare(a, b, ALL, &Cancel::default()).unwrap();
    let line = |d: &Difference| {
        let sign = match (&d.before, &d.after) {
            (Some(_), Some(_)) => "~",
            (Some(_), None) => "-",
            _ => "+",
        };
        (format!("{sign}{}", d.path.display()), d.aspects.clone())
    };
    found.differences.iter().map(line).collect()
}

#[test]
fn equal_trees_have_no_differences() {
    let (_dir, a, b) = trees();
    let comparison = compare(&a, &b, ALL, &Cancel::default()).unwrap();
    assert_eq!(comparison.differences, []);
    let totals = Totals {
        entries: 5,
        bytes: 300_009,
    };
    assert_eq!((comparison.before, comparison.after), (totals, totals));
}

#[test]
fn every_aspect_is_found() {
    let (_dir, a, b) = trees();
    // The same length, and the same time.
    let time = fs::metadata(a.join("etc/hosts"))
        .unwrap()
        .modified()
        .unwrap();
    fs::write(b.join("etc/hosts"), "l0calhost").unwrap();
    let file = fs::File::options().write(true).open(b.join("etc/hosts"));
    file.unwrap().set_modified(time).unwrap();
    fs::set_permissions(b.join("etc/deep/file"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(b.join("etc/link")).unwrap();
    symlink("deep", b.join("etc/link")).unwrap();
    fs::set_permissions(&b, fs::Permissions::from_mode(0o700)).unwrap();
    let one = |path: &str, aspect| (path.to_owned(), vec![aspect]);
    assert_eq!(
        found(&a, &b),
        [
            one("~", Aspect::Mode),
            one("~etc/deep/file", Aspect::Mode),
            one("~etc/hosts", Aspect::Content),
            one("~etc/link", Aspect::Target),
        ]
    );
}

#[test]
fn what_one_tree_has_is_named_with_all_that_is_in_it() {
    let (_dir, a, b) = trees();
    fs::remove_dir_all(a.join("etc/deep")).unwrap();
    fs::write(a.join("zero"), "").unwrap();
    let names: Vec<String> = found(&a, &b).into_iter().map(|(line, _)| line).collect();
    assert_eq!(names, ["+etc/deep", "+etc/deep/file", "-zero"]);
}

#[test]
fn a_directory_in_place_of_a_file_is_told_of_with_its_content() {
    let (_dir, a, b) = trees();
    fs::remove_dir_all(a.join("etc/deep")).unwrap();
    symlink("/etc", a.join("etc/deep")).unwrap();
    let lines = found(&a, &b);
    assert_eq!(
        lines,
        [
            ("~etc/deep".to_owned(), vec![Aspect::Kind]),
            ("+etc/deep/file".to_owned(), vec![])
        ]
    );
    let comparison = compare(&a, &b, ALL, &Cancel::default()).unwrap();
    let first = comparison.differences[0].clone();
    let kinds = (first.before.unwrap(), first.after.unwrap());
    assert_eq!(kinds.0.kind, Kind::Symlink);
    assert_eq!(kinds.0.target.as_deref(), Some("/etc".as_ref()));
    assert_eq!(kinds.1.kind, Kind::Directory);
}

#[test]
fn extended_attributes_are_compared_by_name_and_value() {
    use crate::tree::xattrs::{Of, set};
    let (_dir, a, b) = trees();
    for (tree, value) in [(&a, b"one"), (&b, b"two")] {
        let file = fs::File::open(tree.join("etc/hosts")).unwrap();
        set(Of::fd(&file), c"user.note", value).unwrap();
    }
    let aspect = Aspect::Attributes(vec!["user.note".into()]);
    assert_eq!(found(&a, &b), [("~etc/hosts".to_owned(), vec![aspect])]);
}

#[test]
fn what_file_systems_make_does_not_count() {
    let (_dir, a, b) = trees();
    fs::create_dir(a.join("lost+found")).unwrap();
    assert_eq!(found(&a, &b), []);
}

#[test]
fn a_file_in_place_of_a_tree_is_refused() {
    let (_dir, a, _) = trees();
    let file = a.join("etc/hosts");
    let error = compare(&a, &file, ALL, &Cancel::default()).unwrap_err();
    assert!(error.to_string().contains("etc/hosts"), "{error}");
}

#[test]
fn a_comparison_can_be_ended() {
    let (_dir, a, b) = trees();
    let cancel = Cancel::default();
    cancel.cancel();
    let ended = compare(&a, &b, ALL, &cancel);
    assert!(matches!(ended, Err(TreeError::Cancelled)));
}

#[test]
fn holes_are_not_read() {
    let (_dir, a, b) = trees();
    let begun = std::time::Instant::now();
    for tree in [&a, &b] {
        let file = fs::File::create(tree.join("etc/sparse")).unwrap();
        file.set_len(8 << 40).unwrap();
    }
    assert_eq!(found(&a, &b), []);
    // Zeros that are written are the same as those that are not.
    let write = |tree: &Path, at: u64, bytes: &[u8]| {
        use std::os::unix::fs::FileExt as _;
        let file = fs::File::options()
            .write(true)
            .open(tree.join("etc/sparse"));
        file.unwrap().write_all_at(bytes, at).unwrap();
    };
    write(&a, 5 << 30, &[0; 4096]);
    assert_eq!(found(&a, &b), []);
    write(&b, 7 << 30, b"x");
    let (path, aspects) = &found(&a, &b)[0];
    assert_eq!(path, "~etc/sparse");
    assert!(aspects.contains(&Aspect::Content));
    assert!(begun.elapsed().as_secs() < 60);
}
