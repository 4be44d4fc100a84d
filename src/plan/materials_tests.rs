//! Each material changed on its own, and what must not count.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, SystemTime};

use super::*;
use crate::config::testing::Fixture;
use crate::plan::{BaseImage, Context, Plan, identify};

/// A project that has everything that is named.
fn project() -> Fixture {
    Fixture::with("[Distribution]\nDistribution=debian\nRelease=bookworm\n[Output]\nFormat=tar\n")
        .project_file("mkosi.skeleton/etc/motd", "hello", 0o644)
        .project_file("mkosi.extra/etc/motd", "extra", 0o644)
        .project_file("mkosi.extra/etc/motd.mkosi.template", "$(secret x)", 0o644)
        .project_file("mkosi.prepare", "#!/bin/sh\nprepare\n", 0o755)
        .project_file("mkosi.build", "#!/bin/sh\nbuild\n", 0o755)
        .project_file("mkosi.postinst", "#!/bin/sh\npostinst\n", 0o755)
        .project_file("mkosi.finalize", "#!/bin/sh\nfinalize\n", 0o755)
        .project_file("mkosi.rootpw", "secret", 0o600)
        .project_file("mkosi.passphrase", "secret", 0o600)
        .project_file("secrets/x", "secret", 0o600)
}

fn plan(fixture: &Fixture) -> (Plan, PathBuf) {
    let config = fixture.config();
    let context = Context {
        directory: config.project.directory.clone(),
        source_date_epoch: None,
        seed: uuid::Uuid::nil(),
    };
    (Plan::new(&config, &context).unwrap(), context.directory)
}

/// What a build without cached trees notes.
fn noted(plan: &Plan) -> Vec<Material> {
    let mut materials = Vec::new();
    for action in plan.actions() {
        if let Some(material) = action.material(&Cancel::default()).unwrap() {
            add_material(material, &mut materials);
        }
    }
    materials
}

fn named(fixture: &Fixture) -> Vec<output::Material> {
    let (plan, directory) = plan(fixture);
    let materials = noted(&plan);
    materials.iter().map(|one| one.named(&directory)).collect()
}

fn json(fixture: &Fixture) -> String {
    serde_json::to_string(&named(fixture)).unwrap()
}

#[test]
fn they_are_named_in_the_order_in_which_they_go_in() {
    let list = named(&project());
    let shown: Vec<(String, &str)> = list
        .iter()
        .map(|one| (serde_json::to_string(&one.kind).unwrap(), one.name.as_str()))
        .collect();
    let expected = [
        ("skeleton-tree", "mkosi.skeleton"),
        ("prepare-script", "mkosi.prepare"),
        ("postinst-script", "mkosi.postinst"),
        ("finalize-script", "mkosi.finalize"),
        ("build-script", "mkosi.build"),
        ("extra-tree", "mkosi.extra"),
    ];
    assert_eq!(
        shown,
        expected.map(|(kind, name)| (format!("\"{kind}\""), name))
    );
    // A script's hash is that of its bytes: sha256sum says the same.
    let script = &list[1].sha256;
    assert_eq!(
        *script,
        hex(&Sha256::digest(b"#!/bin/sh\nprepare\n")),
        "{script}"
    );
}

#[test]
fn cached_trees_were_made_from_the_same() {
    for flags in ["", "--base-image=base"] {
        let fixture = project()
            .project_file("base/etc/os-release", "ID=debian\n", 0o644)
            .args(flags);
        let (plan, _) = plan(&fixture);
        let mut cached = Vec::new();
        for layer in identify(&plan.layers, &[], &Cancel::default()).unwrap() {
            for material in layer.materials {
                add_material(material, &mut cached);
            }
        }
        let base = plan
            .base_image()
            .map(|base| base.material(&Cancel::default()).unwrap());
        let of_layers = plan.layers.iter().flat_map(|layer| &layer.actions);
        let mut expected: Vec<Material> = base.into_iter().collect();
        for action in of_layers {
            if let Some(material) = action.material(&Cancel::default()).unwrap() {
                add_material(material, &mut expected);
            }
        }
        assert_eq!(cached, expected, "{flags}");
    }
}

#[test]
fn what_reaches_the_image_counts_and_secrets_do_not() {
    let before = json(&project());
    assert_eq!(before, json(&project()), "elsewhere");
    let file = |name, text, mode| json(&project().project_file(name, text, mode));
    for (name, text, mode) in [
        ("mkosi.skeleton/etc/motd", "hellO", 0o644),
        ("mkosi.skeleton/etc/motd", "hello", 0o600),
        ("mkosi.extra/etc/new", "", 0o644),
        ("mkosi.extra/etc/motd", "extrA", 0o644),
        ("mkosi.extra/etc/motd", "extra", 0o755),
        ("mkosi.extra/etc/motd.mkosi.template", "other", 0o644),
        ("mkosi.prepare", "#!/bin/sh\n", 0o755),
        ("mkosi.build", "#!/bin/sh\n", 0o755),
        ("mkosi.postinst", "#!/bin/sh\n", 0o755),
        ("mkosi.finalize", "#!/bin/sh\n", 0o755),
    ] {
        assert_ne!(before, file(name, text, mode), "{name} {mode:o}");
    }
    for name in ["mkosi.rootpw", "mkosi.passphrase", "secrets/x"] {
        assert_eq!(before, file(name, "other", 0o600), "{name}");
    }
}

#[test]
fn times_do_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    let file = tree.join("etc/motd");
    fs::create_dir_all(tree.join("etc")).unwrap();
    fs::write(&file, "hello").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let digests = || {
        let base = base(&tree).material(&Cancel::default()).unwrap().sha256;
        let extra = Material::of_tree(MaterialKind::ExtraTree, &tree, &Cancel::default()).unwrap();
        [base, extra.sha256]
    };
    let before = digests();
    let later = SystemTime::now() + Duration::from_secs(1000);
    File::open(&file).unwrap().set_modified(later).unwrap();
    File::open(&tree).unwrap().set_modified(later).unwrap();
    assert_eq!(before, digests());
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let after = digests();
    assert!(before[0] != after[0] && before[1] != after[1]);
}

fn base(path: &Path) -> BaseImage {
    BaseImage {
        path: path.to_owned(),
        distribution: crate::config::values::Distribution::Debian,
        release: "bookworm".into(),
        architecture: "x86_64".into(),
    }
}

#[test]
fn an_archive_and_a_disk_image_are_their_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tar");
    fs::write(&path, "one").unwrap();
    let sum = hex(&Sha256::digest(b"one"));
    let extra = Material::of_tree(MaterialKind::ExtraTree, &path, &Cancel::default()).unwrap();
    assert_eq!(
        (
            extra.sha256,
            base(&path).material(&Cancel::default()).unwrap().sha256
        ),
        (sum.clone(), sum)
    );
}

#[test]
fn names_tell_nothing_of_the_host() {
    let name = |path: &str| {
        let material = Material::new(MaterialKind::ExtraTree, Path::new(path), String::new());
        material.named(Path::new("/home/ann/project")).name
    };
    for (path, expected) in [
        ("/home/ann/project/mkosi.extra", "mkosi.extra"),
        ("/home/ann/project/trees/a", "trees/a"),
        ("/home/ann/project", "."),
        ("/home/ann/project/../shared/a", "a"),
        ("/home/ann/project2/a", "a"),
        ("/srv/a b\n", "a b\\n"),
        ("/srv/..", ".."),
        ("/", "/"),
    ] {
        assert_eq!(name(path), expected, "{path}");
    }
}

#[test]
fn sources_are_what_git_keeps_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let digest = |name: &str, mode, directory_mode| {
        let top = dir.path().join(name);
        fs::create_dir_all(top.join("root/src/lib")).unwrap();
        let file = top.join("root/src/lib/run");
        fs::write(&file, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        fs::set_permissions(
            top.join("root/src/lib"),
            Permissions::from_mode(directory_mode),
        )
        .unwrap();
        let root = Root::open(&top).unwrap();
        let commit = Some("c0ffee".to_owned());
        Material::of_sources(
            Path::new("/p"),
            commit,
            &root,
            Path::new("/root/src"),
            &Cancel::default(),
        )
        .unwrap()
        .sha256
    };
    let first = digest("a", 0o755, 0o755);
    assert_eq!(first, digest("b", 0o700, 0o700));
    assert_ne!(first, digest("c", 0o644, 0o755));
}
