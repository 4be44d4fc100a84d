//! Packages in the cache and what lists say of them.

use super::*;
use crate::host::{Host, Quiet, Recorder};
use crate::installer::Site;
use crate::installer::tests::request;

/// A cache with a package of each of these names and contents, and a list that describes them.
struct Scene {
    _dir: tempfile::TempDir,
    settings: Settings,
    packages: Vec<Chosen>,
}

impl Scene {
    fn new(packages: &[(&str, &str)], list: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let site = Site {
            root: dir.path().join("tree"),
            scratch: dir.path().to_owned(),
        };
        fs::create_dir(&site.root).unwrap();
        let host = Host::new(
            std::sync::Arc::new(Recorder::default()),
            std::sync::Arc::new(Quiet),
            Cancel::default(),
        );
        let keys = dir.path().join("keys");
        let settings = Settings::write(&request(), &site, &keys, &host).unwrap();
        fs::write(settings.state.join("lists/m_main_Packages"), list).unwrap();
        let packages = packages
            .iter()
            .map(|(name, content)| {
                let path = settings.archives.join(format!("{name}_1_all.deb"));
                fs::write(&path, content).unwrap();
                Chosen {
                    name: (*name).to_owned(),
                    version: "1".to_owned(),
                    architecture: "all".to_owned(),
                    path,
                }
            })
            .collect();
        Self {
            _dir: dir,
            settings,
            packages,
        }
    }

    fn wrong(&self) -> Result<Vec<&str>, String> {
        examine(
            &self.settings,
            &self.settings.lists(),
            &self.packages,
            &Cancel::default(),
        )
        .map(|all| all.wrong.iter().map(|one| one.name.as_str()).collect())
        .map_err(|e| e.to_string())
    }

    fn notes(&self) -> String {
        fs::read_to_string(self.settings.state.with_file_name(NOTES)).unwrap_or_default()
    }
}

fn entry(name: &str, version: &str, sums: &str) -> String {
    format!("Package: {name}\nVersion: {version}\nArchitecture: all\n{sums}Size: 1\n\n")
}

fn sha256(content: &str) -> String {
    format!("SHA256: {:x}\n", Sha256::digest(content))
}

#[test]
fn changed_packages_are_found() {
    let list = entry("good", "1", &sha256("good"))
        + &entry("changed", "2", &sha256("CHANGED"))
        + &entry("changed", "1", &sha256("changed"));
    let scene = Scene::new(&[("good", "good"), ("changed", "CHANGED")], &list);
    assert_eq!(scene.wrong().unwrap(), ["changed"]);
    let notes = scene.notes();
    assert!(notes.contains("good_1_all.deb") && !notes.contains("changed_1_all.deb"));
}

#[test]
fn what_is_known_is_not_read_again_until_it_changes() {
    let scene = Scene::new(&[("x", "content")], &entry("x", "1", &sha256("content")));
    assert_eq!(scene.wrong().unwrap(), [""; 0]);
    // A note that says something else about the same file is taken for what was read.
    let lie = format!("{:x}", Sha256::digest("other"));
    let notes = scene.settings.state.with_file_name(NOTES);
    let truth = format!("{:x}", Sha256::digest("content"));
    fs::write(&notes, scene.notes().replace(&truth, &lie)).unwrap();
    assert_eq!(scene.wrong().unwrap(), ["x"]);
    // The same size, and the time of before.
    let path = &scene.packages[0].path;
    let time = fs::metadata(path).unwrap().modified().unwrap();
    fs::write(path, "CONTENT").unwrap();
    File::open(path).unwrap().set_modified(time).unwrap();
    assert_eq!(scene.wrong().unwrap(), ["x"]);
    fs::write(path, "content").unwrap();
    assert_eq!(scene.wrong().unwrap(), [""; 0]);
    assert!(scene.notes().contains(&truth) && !scene.notes().contains(&lie));
}

#[test]
fn the_strongest_known_kind_counts_and_none_is_an_error() {
    let sums = format!("MD5sum: 0\nSHA512: {:X}\n", Sha512::digest("x"));
    let scene = Scene::new(&[("x", "x")], &entry("x", "1", &sums));
    assert_eq!(scene.wrong().unwrap(), [""; 0]);
    assert!(scene.notes().starts_with("SHA512 "));
    for list in [entry("x", "1", "MD5sum: 0\n"), entry("y", "1", &sums)] {
        let error = Scene::new(&[("x", "x")], &list).wrong().unwrap_err();
        assert!(
            error.contains("no list of packages has its checksum"),
            "{error}"
        );
    }
}

#[test]
fn packages_outside_the_cache_are_apts_matter() {
    let mut scene = Scene::new(&[("x", "x")], "");
    let path = scene.settings.state.join("x.deb");
    fs::write(&path, "x").unwrap();
    scene.packages[0].path = path;
    assert_eq!(scene.wrong().unwrap(), [""; 0]);
    // It is said what they are.
    let examined = examine(
        &scene.settings,
        &scene.settings.lists(),
        &scene.packages,
        &Cancel::default(),
    )
    .unwrap();
    let sum = format!("{:x}", Sha256::digest("x"));
    assert_eq!(examined.archives[0].sha256, sum);
}
