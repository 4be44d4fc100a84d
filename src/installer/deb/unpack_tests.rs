//! Unpacking, of honest packages and of others.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use super::super::claims::Claims;
use super::super::filter::Filter;
use super::super::installed::Installed;
use super::super::owners::Owners;
use super::super::places::Places;
use super::super::special::Special;
use super::super::testing::{deb, tar};
use super::*;
use crate::host::Cancel;
use crate::tree::Root;

const CONTROL: &str = "Package: x\nVersion: 1\nArchitecture: all\n";

/// A tree and what packages of it share.
struct Scene {
    dir: tempfile::TempDir,
    root: Root,
    filter: Filter,
    special: Special,
    claims: Claims,
    places: Places,
    installed: Option<Installed>,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("tree/usr/lib")).unwrap();
        symlink("usr/lib", dir.path().join("tree/lib")).unwrap();
        let root = Root::open(dir.path().join("tree")).unwrap();
        Self {
            root,
            filter: Filter::default(),
            special: Special::default(),
            claims: Claims::new(),
            places: Places::default(),
            installed: None,
            dir,
        }
    }

    fn package(&self, control: &[(&str, &str)], data: &[(&str, &str)]) -> Package {
        let path = self.dir.path().join("x.deb");
        let all = [&[("./control", CONTROL)], control].concat();
        fs::write(&path, deb(&tar(&all), &tar(data))).unwrap();
        Package::read(path).unwrap()
    }

    fn unpack(&self, number: usize, package: &Package, way: Way) -> Result<Unpacked, Failed> {
        let owners = Owners::default();
        let cancel = Cancel::default();
        let tree = Tree {
            root: &self.root,
            filter: &self.filter,
            owners: &owners,
            special: &self.special,
            claims: &self.claims,
            places: &self.places,
            installed: self.installed.as_ref(),
            cancel: &cancel,
        };
        unpack(&tree, number, package, way)
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.root.path().join(path)).unwrap_or_default()
    }

    /// What is wrong with a package of these files.
    fn problem(&self, control: &[(&str, &str)], data: &[(&str, &str)]) -> String {
        match self.unpack(0, &self.package(control, data), Way::Usual) {
            Err(Failed::Package(fault)) => fault.problem,
            other => format!("{other:?}"),
        }
    }
}

#[test]
fn unpacks_files_of_every_kind() {
    let scene = Scene::new();
    let package = scene.package(
        &[("./conffiles", "/etc/x.conf\n")],
        &[
            ("./", ""),
            ("./etc/", ""),
            ("./etc/x.conf", "settings"),
            ("./lib/", ""),
            ("./lib/x/", ""),
            ("./lib/x/data", "content"),
            ("./lib/x/twin => ./lib/x/data", ""),
            ("./lib/x/link -> /etc/x.conf", ""),
        ],
    );
    let unpacked = scene.unpack(0, &package, Way::Usual).unwrap();
    assert_eq!(unpacked.obstacle, None);
    let paths: Vec<_> = unpacked
        .paths
        .iter()
        .map(|path| String::from_utf8_lossy(path))
        .collect();
    let expected = ["/.", "/etc", "/etc/x.conf", "/lib", "/lib/x", "/lib/x/data"];
    assert_eq!(paths[..6], expected);
    assert_eq!(scene.text("etc/x.conf.dpkg-new"), "settings");
    assert!(!scene.root.exists("etc/x.conf").unwrap());
    assert_eq!(scene.text("usr/lib/x/data"), "content");
    let found = fs::metadata(scene.root.path().join("usr/lib/x/twin")).unwrap();
    assert_eq!((found.nlink(), found.mtime()), (2, 1_000_000_000));
    assert_eq!(found.permissions().mode() & 0o7777, 0o644);
    let link = fs::read_link(scene.root.path().join("usr/lib/x/link")).unwrap();
    assert_eq!(link, Path::new("/etc/x.conf"));
}

#[test]
fn first_packages_have_their_settings_at_once_and_keep_those_that_are_there() {
    let scene = Scene::new();
    scene.root.write("etc/b", "older", 0o600).unwrap();
    let package = scene.package(
        &[("./conffiles", "/etc/a\n/etc/b\n")],
        &[("./etc/a", "new"), ("./etc/b", "new")],
    );
    scene.unpack(0, &package, Way::First).unwrap();
    for (path, expected) in [
        ("etc/a", "new"),
        ("etc/a.dpkg-new", "new"),
        ("etc/b", "older"),
        ("etc/b.dpkg-new", "new"),
    ] {
        assert_eq!(scene.text(path), expected, "{path}");
    }
}

#[test]
fn what_was_there_gives_way_to_packages() {
    let scene = Scene::new();
    let outside = scene.dir.path().join("outside");
    fs::write(&outside, "mine").unwrap();
    symlink(&outside, scene.root.path().join("usr/lib/data")).unwrap();
    let package = scene.package(&[], &[("./usr/lib/data", "package")]);
    scene.unpack(0, &package, Way::Usual).unwrap();
    assert_eq!(scene.text("usr/lib/data"), "package");
    assert_eq!(fs::read_to_string(outside).unwrap(), "mine");
}

#[test]
fn what_dpkg_has_to_decide_is_left_to_it() {
    let obstacle = |scene: &Scene, data: &[(&str, &str)]| {
        let unpacked = scene.unpack(1, &scene.package(&[], data), Way::Usual);
        unpacked.unwrap().obstacle
    };
    let scene = Scene::new();
    let first = scene.package(&[], &[("./usr/lib/data", ""), ("./usr/dir/", "")]);
    scene.unpack(0, &first, Way::Usual).unwrap();
    // Another package's file, also under the name that leads through a link.
    for name in ["./usr/lib/data", "./lib/data"] {
        let found = obstacle(&scene, &[(name, "")]).unwrap();
        assert_eq!(found.mixed, None, "{name}");
    }
    // A file or link where another package has a directory, and the other way round.
    for name in ["./usr/dir", "./usr/dir -> /etc", "./usr/lib/data/"] {
        let found = obstacle(&scene, &[(name, "")]).unwrap();
        assert_eq!(found.mixed, Some(0), "{name}");
    }
    assert_eq!(obstacle(&scene, &[("./usr/dir/", "")]), None);
    fs::create_dir(scene.root.path().join("srv")).unwrap();
    assert!(obstacle(&scene, &[("./srv", "")]).is_some());
    let mut scene = Scene::new();
    scene
        .root
        .write("var/lib/dpkg/diversions", "/bin/sh\n/bin/x\ndash\n", 0o644)
        .unwrap();
    scene.special = Special::of(&scene.root).unwrap();
    assert!(obstacle(&scene, &[("./bin/sh", "")]).is_some());
}

#[test]
fn dpkg_decides_about_what_is_in_a_filled_tree() {
    let mut scene = Scene::new();
    for (path, content) in [
        ("var/lib/dpkg/status", ""),
        ("var/lib/dpkg/info/y.list", "/.\n/usr\n/usr/y\n/srv/y\n"),
        ("usr/mine", "mine"),
    ] {
        scene.root.write(path, content, 0o644).unwrap();
    }
    scene.installed = Some(Installed::of(&scene.root).unwrap());
    let mut number = 0;
    let mut obstacle = |data: &[(&str, &str)]| {
        number += 1;
        let package = scene.package(&[], data);
        let unpacked = scene.unpack(number, &package, Way::Usual).unwrap();
        unpacked.obstacle.map(|obstacle| obstacle.path)
    };
    assert_eq!(obstacle(&[("./usr/new/", ""), ("./usr/new/x", "")]), None);
    // Of another package, though it is missing; of nobody.
    for (data, expected) in [
        (&[("./usr/y", "")][..], &b"/usr/y"[..]),
        (&[("./srv/y/", ""), ("./srv/y/z", "")], b"/srv/y"),
        (&[("./usr/mine", "theirs")], b"/usr/mine"),
    ] {
        assert_eq!(obstacle(data).as_deref(), Some(expected));
    }
    assert_eq!(scene.text("usr/mine"), "mine");
    assert!(!scene.root.exists("srv/y").unwrap());
}

#[test]
fn documentation_is_not_even_written() {
    let mut scene = Scene::new();
    let rules = "path-exclude=/usr/share/doc/*\npath-include=/usr/share/doc/*/copyright\n";
    scene.root.write("etc/dpkg/dpkg.cfg", rules, 0o644).unwrap();
    scene.filter = Filter::of(&scene.root).unwrap();
    let package = scene.package(
        &[(
            "./md5sums",
            "00000000000000000000000000000000  usr/share/doc/x/README\n",
        )],
        &[
            ("./usr/share/doc/x/README", ""),
            ("./usr/share/doc/x/copyright", ""),
        ],
    );
    let unpacked = scene.unpack(0, &package, Way::Usual).unwrap();
    // dpkg lists what it left out, too.
    assert_eq!(unpacked.paths.len(), 2);
    assert!(!scene.root.exists("usr/share/doc/x/README").unwrap());
    assert!(scene.root.exists("usr/share/doc/x/copyright").unwrap());
}

#[test]
fn refuses_packages_that_mean_harm() {
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("../../outside", "x")], "`..`"),
        (&[("./usr/../../outside", "x")], "`..`"),
        (&[("/etc/passwd", "x")], "begins with `/`"),
        (&[("./a\nb", "x")], "line break"),
        (&[("./.", "x")], "replace the root directory"),
        (&[("./a", "x"), ("./a", "y")], "twice"),
        (&[("./a", "x"), ("./a -> /etc", "")], "twice"),
        (
            &[("./a -> ..", ""), ("./a/outside", "x")],
            "symbolic link of the same package",
        ),
        (
            &[("./a -> /etc", ""), ("./a/b/c/passwd", "x")],
            "symbolic link of the same package",
        ),
        (&[("./a -> usr", ""), ("./a/", ""), ("./a/x", "")], "twice"),
        (&[("./a => ../../outside", "")], "`..`"),
        (&[("./a => ./etc/shadow", "")], "does not hold"),
        (&[("./a => ./a", "")], "does not hold"),
    ];
    for (data, expected) in cases {
        let scene = Scene::new();
        fs::write(scene.dir.path().join("outside"), "mine").unwrap();
        let problem = scene.problem(&[], data);
        assert!(problem.contains(expected), "{data:?}: {problem}");
        let outside = fs::read_to_string(scene.dir.path().join("outside")).unwrap();
        assert_eq!(outside, "mine");
    }
}

#[test]
fn refuses_lists_that_lie() {
    let sum = "00000000000000000000000000000000";
    let md5sums = format!("{sum}  usr/bin/none\n");
    let cases: &[(&str, &str, &str)] = &[
        ("./conffiles", "/etc/none\n", "names /etc/none"),
        ("./md5sums", &md5sums, "names /usr/bin/none"),
    ];
    for (name, content, expected) in cases {
        let problem = Scene::new().problem(&[(name, content)], &[("./etc/x", "")]);
        assert!(problem.contains(expected), "{problem}");
    }
}

#[test]
fn refuses_damaged_packages() {
    let scene = Scene::new();
    let long = "x".repeat(5000);
    let data = tar(&[("./a", &long), ("./b", &long)]);
    let control = tar(&[("./control", CONTROL)]);
    let path = scene.dir.path().join("damaged.deb");
    let checked = |data: &[u8], expected: &str| {
        fs::write(&path, deb(&control, data)).unwrap();
        let package = Package::read(path.clone()).unwrap();
        match scene.unpack(0, &package, Way::Usual) {
            Err(Failed::Package(fault)) => {
                assert!(fault.problem.contains(expected), "{}", fault.problem);
            }
            other => panic!("{expected}: {other:?}"),
        }
    };
    checked(&data[..7000], "truncated");
    let mut wrong = data.clone();
    // The header of the second file.
    wrong[5632 + 3] ^= 1;
    checked(&wrong, "checksum is wrong");
    let mut packed = zstd::encode_all(&data[..], 1).unwrap();
    packed.truncate(packed.len() - 8);
    checked(&packed, "archive");
}

#[path = "hostile_tests.rs"]
mod hostile;
