//! Each input changed on its own: exactly the layers that it goes into get other names.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use uuid::Uuid;

use super::*;
use crate::config::testing::Fixture;
use crate::config::{Imgbuild, ShellProject};
use crate::distro::Repositories;
use crate::plan::{Action, Context, Plan};

/// A project that has everything that layers are made from, and much that they are not.
fn project() -> Fixture {
    Fixture::with(
        "[Distribution]\nDistribution=debian\nRelease=bookworm\nMirror=http://mirror/debian\n\
         [Output]\nHostname=one\nFormat=gpt_ext4\n\
         [Packages]\nPackages=nano\nBuildPackages=gcc\nEnvironment=COLOUR=red\n",
    )
    .project_file("mkosi.skeleton/etc/motd", "hello", 0o644)
    .project_file("mkosi.skeleton/etc/apt/apt.conf.d/x", "// nothing", 0o644)
    .project_file("mkosi.extra/etc/motd", "extra", 0o644)
    .project_file("mkosi.prepare", "#!/bin/sh\ntrue\n", 0o755)
    .project_file("mkosi.build", "#!/bin/sh\ntrue\n", 0o755)
    .project_file("mkosi.postinst", "#!/bin/sh\ntrue\n", 0o755)
    .project_file("mkosi.finalize", "#!/bin/sh\ntrue\n", 0o755)
    .project_file("mkosi.rootpw", "secret", 0o600)
    .project_file("main.c", "int main;", 0o644)
}

fn context(epoch: Option<u64>) -> Context {
    Context {
        directory: "/".into(),
        source_date_epoch: epoch,
        seed: Uuid::new_v4(),
    }
}

fn plan(fixture: &Fixture) -> Plan {
    Plan::new(&fixture.config(), &context(None)).unwrap()
}

fn host() -> Vec<Input> {
    vec![
        Input::new("package manager", "mmdebstrap"),
        Input::new("version of apt", "apt 2.6.1"),
    ]
}

/// The names of the base and the development layer.
fn names(plan: &Plan, host: &[Input]) -> [String; 2] {
    let identities = identify(&plan.layers, host, &Cancel::default()).unwrap();
    assert_eq!(identities.len(), 2);
    assert_eq!(
        identities[1].parent.as_ref(),
        Some(&identities[0].fingerprint)
    );
    [0, 1].map(|index| identities[index].fingerprint.to_string())
}

fn changed(before: &[String; 2], after: &[String; 2]) -> &'static str {
    match (before[0] == after[0], before[1] == after[1]) {
        (true, true) => "none",
        (true, false) => "development",
        (false, false) => "both",
        (false, true) => "base alone",
    }
}

/// What a change makes of the project, and which layers get other names.
type Case = (&'static str, fn(Fixture) -> Fixture, &'static str);

const MATTERS: &[Case] = &[
    ("release", |f| f.args("-r trixie"), "both"),
    ("mirror", |f| f.args("-m http://other/debian"), "both"),
    (
        "local mirror",
        |f| f.args("--local-mirror=file:///srv/m"),
        "both",
    ),
    ("component", |f| f.args("--repositories=contrib"), "both"),
    (
        "repository",
        |f| f.args("--repositories=http://x/apt"),
        "both",
    ),
    ("key check", |f| f.args("--repository-key-check=no"), "both"),
    ("package", |f| f.args("-p vim"), "both"),
    ("package left out", |f| f.args("-p !vim"), "both"),
    ("base packages", |f| f.args("--base-packages=no"), "both"),
    ("docs", |f| f.args("--with-docs"), "both"),
    (
        "change logs",
        |f| f.args("--manifest-format=json,changelog"),
        "both",
    ),
    (
        "a byte of a skeleton file",
        |f| f.project_file("mkosi.skeleton/etc/motd", "hellO", 0o644),
        "both",
    ),
    (
        "the mode of a skeleton file",
        |f| f.project_file("mkosi.skeleton/etc/motd", "hello", 0o600),
        "both",
    ),
    (
        "another skeleton file",
        |f| f.project_file("mkosi.skeleton/etc/new", "", 0o644),
        "both",
    ),
    (
        "an empty skeleton directory",
        |f| f.directory("p/mkosi.skeleton/etc/empty"),
        "both",
    ),
    ("ssh server", |f| f.args("--ssh"), "both"),
    (
        "base image",
        |f| {
            f.project_file("base/etc/os-release", "ID=debian", 0o644)
                .args("--base-image=base")
        },
        "both",
    ),
    (
        "another skeleton tree",
        |f| f.project_file("mkosi.skeleton.tar", "not read here", 0o644),
        "both",
    ),
    (
        "the prepare script",
        |f| f.project_file("mkosi.prepare", "#!/bin/sh\nfalse\n", 0o755),
        "both",
    ),
    (
        "a variable of scripts",
        |f| f.args("--environment=COLOUR=blue"),
        "both",
    ),
    (
        "another variable",
        |f| f.args("--environment=SHAPE=round"),
        "both",
    ),
    (
        "build package",
        |f| f.args("--build-packages=make"),
        "development",
    ),
    (
        "build package left out",
        |f| f.args("--build-packages=!make"),
        "development",
    ),
];

const DOES_NOT: &[Case] = &[
    ("output", |f| f.args("-o other.raw"), "none"),
    ("output directory", |f| f.args("-O out"), "none"),
    ("format", |f| f.args("-t directory"), "none"),
    ("tar", |f| f.args("-t tar --xz"), "none"),
    ("squashfs", |f| f.args("-t gpt_squashfs --verity"), "none"),
    ("size", |f| f.args("--root-size=3G --home-size=1G"), "none"),
    ("host name", |f| f.args("--hostname=two"), "none"),
    (
        "machine id",
        |f| f.args("--machine-id=0123456789abcdef0123456789abcdef"),
        "none",
    ),
    (
        "image id",
        |f| f.args("--image-id=x --image-version=7"),
        "none",
    ),
    (
        "password",
        |f| f.project_file("mkosi.rootpw", "another", 0o600),
        "none",
    ),
    (
        "extra file",
        |f| f.project_file("mkosi.extra/etc/motd", "other", 0o600),
        "none",
    ),
    (
        "build script",
        |f| f.project_file("mkosi.build", "#!/bin/sh\nmake\n", 0o755),
        "none",
    ),
    (
        "post-installation script",
        |f| f.project_file("mkosi.postinst", "#!/bin/sh\nls\n", 0o755),
        "none",
    ),
    (
        "finalize script",
        |f| f.project_file("mkosi.finalize", "#!/bin/sh\nls\n", 0o755),
        "none",
    ),
    (
        "source",
        |f| f.project_file("main.c", "int x;", 0o644),
        "none",
    ),
    (
        "source transfer",
        |f| f.args("--source-file-transfer=copy-all"),
        "none",
    ),
    ("tests", |f| f.args("--without-tests"), "none"),
    ("network of scripts", |f| f.args("--with-network"), "none"),
    (
        "removed packages and files",
        |f| f.args("--remove-package=nano --remove-files=/x"),
        "none",
    ),
    (
        "metadata",
        |f| f.args("--clean-package-metadata=yes"),
        "none",
    ),
    ("package cache", |f| f.args("--cache=elsewhere"), "none"),
    (
        "build directory",
        |f| f.directory("p/mkosi.builddir"),
        "none",
    ),
    ("workspace", |f| f.args("--workspace-dir=w"), "none"),
    ("force", |f| f.args("-ff"), "none"),
    (
        "checksums",
        |f| f.args("--checksum --bmap --no-chown"),
        "none",
    ),
    (
        "room for cached images",
        |f| f.args("-i --layers-size=1G"),
        "none",
    ),
    ("order of packages", |f| f.args("-p nano"), "none"),
];

#[test]
fn each_input_on_its_own() {
    let before = names(&plan(&project()), &host());
    assert_eq!(before, names(&plan(&project()), &host()), "nothing changed");
    for (what, change, expected) in MATTERS.iter().chain(DOES_NOT) {
        let after = names(&plan(&change(project())), &host());
        assert_eq!(changed(&before, &after), *expected, "{what}");
    }
}

#[test]
fn the_host_counts_too() {
    let project = project();
    let plan = plan(&project);
    let before = names(&plan, &host());
    let mut other = host();
    other[1].value = "apt 2.6.2".into();
    assert_eq!(changed(&before, &names(&plan, &other)), "both");
    assert_eq!(changed(&before, &names(&plan, &host()[..1])), "both");
}

/// Puts a keyring of the test's own into the place of the host's.
fn with_keyring(mut plan: Plan, keyring: &Path) -> Plan {
    for action in plan.layers.iter_mut().flat_map(|layer| &mut layer.actions) {
        if let Action::Install(request) | Action::AddPackages(request) = action {
            let Repositories::Apt(apt) = &mut request.repositories else {
                panic!("not Debian");
            };
            assert!(!apt.keyrings.is_empty());
            apt.keyrings = vec![keyring.to_owned()];
        }
    }
    plan
}

#[test]
fn keys_and_links_count_by_their_content() {
    let dir = tempfile::tempdir().unwrap();
    let keyring = dir.path().join("keyring.gpg");
    let name = || names(&with_keyring(plan(&project()), &keyring), &host());
    let missing = name();
    fs::write(&keyring, "one").unwrap();
    let one = name();
    assert_eq!(changed(&missing, &one), "both");
    fs::write(&keyring, "two").unwrap();
    assert_eq!(changed(&one, &name()), "both");
    fs::write(&keyring, "one").unwrap();
    fs::set_permissions(&keyring, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(changed(&one, &name()), "none");

    let link = |target: &str| {
        let fixture = project().directory("p/mkosi.skeleton/etc");
        let path = fixture.context().directory.join("mkosi.skeleton/etc/link");
        symlink(target, path).unwrap();
        names(&plan(&fixture), &host())
    };
    assert_eq!(changed(&link("a"), &link("b")), "both");
    assert_eq!(changed(&link("a"), &link("a")), "none");
}

#[test]
fn what_templates_get_from_a_shell_file_counts() {
    let name = |text: &str, skeleton: &str| {
        let fixture = project()
            .project_file("IMGBUILD", text, 0o644)
            .project_file(skeleton, "$COLOUR", 0o644);
        let mut config = fixture.config();
        config.project.shell = Some(ShellProject::Imgbuild(Imgbuild {
            file: config.project.directory.join("IMGBUILD"),
            ..Imgbuild::default()
        }));
        let plan = Plan::new(&config, &context(None)).unwrap();
        names(&plan, &host())
    };
    let template = "mkosi.skeleton/colour.mkosi.template";
    let (red, blue) = ("COLOUR=red", "COLOUR=blue");
    assert_eq!(changed(&name(red, template), &name(blue, template)), "both");
    assert_eq!(changed(&name(red, template), &name(red, template)), "none");
    let plain = "mkosi.skeleton/colour";
    assert_eq!(changed(&name(red, plain), &name(blue, plain)), "none");
}

#[test]
fn what_is_next_to_each_other_is_not_mixed_up() {
    let input = |name: &str, value: &str| vec![Input::new(name, value)];
    let of = |inputs: &[Input]| fingerprint(LayerKind::Base, None, inputs);
    assert_ne!(of(&input("ab", "c")), of(&input("a", "bc")));
    assert_ne!(
        of(&input("a", "b")),
        fingerprint(LayerKind::Development, None, &input("a", "b"))
    );
    let mut file = Input::new("a", "b");
    file.files.insert("c".into(), "d".into());
    assert_ne!(
        of(&[file]),
        of(&[Input::new("a", "b"), Input::new("c", "d")])
    );
}

#[test]
fn without_a_build_script_there_is_one_layer() {
    let fixture = Fixture::with("[Distribution]\nDistribution=debian\nRelease=bookworm\n");
    assert_eq!(plan(&fixture).layers.len(), 1);
    // Nothing is installed for the build script alone: it begins from the base.
    let fixture = fixture.project_file("mkosi.build", "#!/bin/sh\n", 0o755);
    assert_eq!(plan(&fixture).layers.len(), 1);
}

#[test]
fn texts_that_are_no_fingerprints() {
    let good = "0123456789abcdef".repeat(4);
    assert!(Fingerprint::from_text(&good).is_some());
    for bad in [
        "",
        "0",
        "../x",
        &good.to_uppercase(),
        &good[1..],
        &format!("{good}0"),
    ] {
        assert!(Fingerprint::from_text(bad).is_none(), "{bad}");
    }
}
