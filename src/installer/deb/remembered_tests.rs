//! When a choice counts again, and when it does not.

use std::sync::Arc;

use super::super::decided::Chosen;
use super::*;
use crate::host::{Cancel, Quiet, Recorder};
use crate::installer::tests::request;

/// A tree, a cache with one package, and what apt said when it chose that.
struct Scene {
    dir: tempfile::TempDir,
    site: Site,
    host: Host,
    package: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let site = Site {
            root: dir.path().join("build-1/tree"),
            scratch: dir.path().join("build-1"),
        };
        fs::create_dir_all(site.root.join("etc/apt/preferences.d")).unwrap();
        let recorder = Arc::new(Recorder::default());
        let host = Host::new(recorder, Arc::new(Quiet), Cancel::default());
        let package = dir.path().join("cache/a_1_all.deb");
        let scene = Self {
            dir,
            site,
            host,
            package,
        };
        let settings = scene.settings();
        let lists = settings.state.join("lists");
        fs::write(lists.join("m_InRelease"), "signed").unwrap();
        fs::write(lists.join("m_Packages"), "Package: a\n").unwrap();
        fs::write(&scene.package, "package").unwrap();
        let list = format!("\n\na - - none < 1 all none {}\n", scene.package.display());
        fs::write(&settings.list, &list).unwrap();
        fs::write(&settings.calls, "--configure\0a\0\n").unwrap();
        fs::write(&settings.extended_states, "states").unwrap();
        let remembered = scene.remembered(&["a"]);
        assert_eq!(remembered.recall(&settings).unwrap(), None);
        remembered.keep(&settings, &parse(&list));
        scene
    }

    fn settings(&self) -> Settings {
        let mut request = request();
        request.cache = Some(self.dir.path().join("cache"));
        let keys = self.site.scratch.join("keys");
        Settings::write(&request, &self.site, &keys, &self.host).unwrap()
    }

    fn remembered(&self, names: &[&str]) -> Remembered {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Remembered::of(&self.settings(), &names, &self.site, &self.host)
            .unwrap()
            .unwrap()
    }

    fn is_known(&self, names: &[&str]) -> bool {
        let recalled = self.remembered(names).recall(&self.settings()).unwrap();
        recalled.is_some()
    }
}

#[test]
fn another_build_of_the_same_is_told_what_apt_said() {
    let mut scene = Scene::new();
    scene.site = Site {
        root: scene.dir.path().join("build-2/tree"),
        scratch: scene.dir.path().join("build-2"),
    };
    fs::create_dir_all(scene.site.root.join("etc/apt/preferences.d")).unwrap();
    let settings = scene.settings();
    let choice = scene.remembered(&["a"]).recall(&settings).unwrap().unwrap();
    let expected = Chosen {
        name: "a".into(),
        version: "1".into(),
        architecture: "all".into(),
        path: scene.package.clone(),
    };
    assert_eq!(choice.packages, [expected]);
    assert_eq!(fs::read(&settings.calls).unwrap(), b"--configure\0a\0\n");
    assert_eq!(fs::read(&settings.extended_states).unwrap(), b"states");
}

/// What is changed, and how.
type Change = (&'static str, fn(&Scene));

#[test]
fn nothing_is_remembered_of_anything_else() {
    fn lists(scene: &Scene) -> PathBuf {
        scene.settings().state.join("lists")
    }
    let changes: [Change; 7] = [
        ("a signed list", |scene| {
            fs::write(lists(scene).join("m_InRelease"), "SIGNED").unwrap();
        }),
        ("a list", |scene| {
            fs::write(lists(scene).join("m_Packages"), "Package: b\n\n").unwrap();
        }),
        ("one list more", |scene| {
            fs::write(lists(scene).join("n_Packages"), "").unwrap();
        }),
        ("the package", |scene| {
            fs::write(&scene.package, "PACKAGE").unwrap();
        }),
        ("no package", |scene| {
            fs::remove_file(&scene.package).unwrap();
        }),
        ("a pin", |scene| {
            let path = scene.site.root.join("etc/apt/preferences.d/pin");
            fs::write(path, "Package: *\n").unwrap();
        }),
        ("the database", |scene| {
            let path = scene.site.root.join(DPKG_STATUS);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "Package: usr-is-merged\n").unwrap();
        }),
    ];
    for (what, change) in changes {
        let scene = Scene::new();
        assert!(scene.is_known(&["a"]));
        assert!(!scene.is_known(&["a", "b"]) && !scene.is_known(&["ab"]));
        // A change of the same size is told by its time.
        std::thread::sleep(std::time::Duration::from_millis(20));
        change(&scene);
        assert!(!scene.is_known(&["a"]), "{what}");
    }
}

#[test]
fn settings_that_cannot_be_compared_are_not_compared() {
    let scene = Scene::new();
    let apt = scene.site.root.join("etc/apt");
    std::os::unix::fs::symlink("preferences.d", apt.join("apt.conf.d")).unwrap();
    let names = ["a".to_owned()];
    let found = Remembered::of(&scene.settings(), &names, &scene.site, &scene.host).unwrap();
    assert!(found.is_none());
}

#[test]
fn what_was_chosen_from_other_lists_goes() {
    let scene = Scene::new();
    let settings = scene.settings();
    let lists = settings.state.join("lists");
    fs::write(lists.join("m_InRelease"), "newer").unwrap();
    let list = fs::read_to_string(&settings.list).unwrap();
    scene.remembered(&["b"]).keep(&settings, &parse(&list));
    let kept = fs::read_dir(settings.state.join(DIRECTORY)).unwrap();
    assert_eq!(kept.count(), 1);
    assert!(scene.is_known(&["b"]));
}
