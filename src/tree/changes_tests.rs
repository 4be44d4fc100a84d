//! Trees that differ in one way or another.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};

use super::*;
use crate::host::Quiet;

struct Trees {
    dir: tempfile::TempDir,
}

impl Trees {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["base", "tree", "target"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        Self { dir }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn write(&self, path: &str, text: &str) -> &Self {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), text).unwrap();
        self
    }

    fn both(&self, path: &str, text: &str) -> &Self {
        self.write(&format!("base/{path}"), text);
        self.write(&format!("tree/{path}"), text)
    }

    fn changes(&self) -> std::result::Result<(Changes, Vec<String>), TreeError> {
        let target = Root::open(self.at("target")).unwrap();
        let (base, tree) = (self.at("base"), self.at("tree"));
        let changes = copy_changes(&base, &tree, &target, &Quiet, &Cancel::default())?;
        let top = self.at("target");
        let mut names: Vec<String> = walkdir::WalkDir::new(&top)
            .min_depth(1)
            .into_iter()
            .map(|entry| {
                let entry = entry.unwrap();
                let path = entry.path().strip_prefix(&top).unwrap().to_owned();
                let gone = entry.file_type().is_char_device();
                format!("{}{}", path.display(), if gone { " gone" } else { "" })
            })
            .collect();
        names.sort();
        Ok((changes, names))
    }
}

#[test]
fn what_is_the_same_is_left_out() {
    let trees = Trees::new();
    trees
        .both("etc/same", "x")
        .both("usr/lib/a", "a")
        .both("usr/lib/b", "b");
    trees
        .write("tree/usr/lib/b", "B")
        .write("tree/opt/new/file", "n");
    trees
        .both("run/x", "x")
        .write("tree/run/y", "y")
        .write("tree/tmp/z", "z");
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(60);
    File::open(trees.at("tree/etc/same"))
        .unwrap()
        .set_modified(later)
        .unwrap();
    fs::create_dir_all(trees.at("base/var/log")).unwrap();
    fs::create_dir_all(trees.at("tree/var/log")).unwrap();
    fs::set_permissions(trees.at("tree/var/log"), Permissions::from_mode(0o700)).unwrap();
    let (changes, names) = trees.changes().unwrap();
    assert_eq!(
        names,
        [
            "opt",
            "opt/new",
            "opt/new/file",
            "tmp",
            "usr",
            "usr/lib",
            "usr/lib/b",
            "var",
            "var/log"
        ]
    );
    assert_eq!(changes.removed, 0);
    let mode = fs::metadata(trees.at("target/var/log")).unwrap().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn what_is_gone_is_marked_where_marks_can_be_made() {
    let trees = Trees::new();
    trees.both("etc/keep", "x").write("base/etc/gone", "x");
    trees
        .write("base/usr/dir/a", "a")
        .write("base/usr/file", "f");
    trees.write("tree/usr/file/now-a-directory", "f");
    match trees.changes() {
        Ok((changes, names)) => {
            assert_eq!(
                names,
                [
                    "etc",
                    "etc/gone gone",
                    "usr",
                    "usr/dir gone",
                    "usr/file",
                    "usr/file/now-a-directory"
                ]
            );
            assert_eq!(changes.removed, 2);
            let mark = fs::symlink_metadata(trees.at("target/etc/gone")).unwrap();
            assert_eq!(mark.rdev(), 0);
        }
        // Only root may make devices.
        Err(error) => {
            assert!(!rustix::process::geteuid().is_root(), "{error}");
            assert!(error.to_string().contains("etc/gone"), "{error}");
        }
    }
}

#[test]
fn links_kinds_and_long_files_are_compared() {
    let trees = Trees::new();
    let long = "x".repeat(300 << 10);
    trees
        .both("a/long", &long)
        .both("a/longer", &long)
        .both("a/kind", "k");
    let mut other = long.into_bytes();
    other[299 << 10] = b'y';
    fs::write(trees.at("tree/a/longer"), other).unwrap();
    fs::remove_file(trees.at("tree/a/kind")).unwrap();
    for (link, base, tree) in [("same", "x", "x"), ("other", "x", "y"), ("kind", "", "k")] {
        if !base.is_empty() {
            symlink(base, trees.at("base/a").join(link)).unwrap();
        }
        symlink(tree, trees.at("tree/a").join(link)).unwrap();
    }
    let (_, names) = trees.changes().unwrap();
    assert_eq!(names, ["a", "a/kind", "a/longer", "a/other"]);
}

#[test]
fn equal_trees_leave_nothing() {
    let trees = Trees::new();
    trees.both("etc/same", "x").both("usr/lib/a", "a");
    assert_eq!(trees.changes().unwrap(), (Changes::default(), Vec::new()));
}
