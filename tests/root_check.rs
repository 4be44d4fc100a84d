//! What is wrong with projects, with the distribution's own lists of packages.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod support;

use support::{Project, package_cache, root};

#[test]
fn root_everything_wrong_is_said_at_once() {
    root();
    let project = Project::new();
    project
        .file(
            "mkosi.default",
            format!(
                "[Distribution]\nDistribution=debian\nRelease=bookworm\n\
                 [Output]\nFormat=tar\nOuptut=x\n\
                 [Packages]\nCache={}\nPackages=vmi bash awk nano:amd64\nExtraTrees=gone\n",
                package_cache().display()
            ),
        )
        .script("mkosi.postinst", "true\n");
    let before = project.untouched();
    let run = project.run(&["check"]);
    run.exits(2)
        .prints("mkosi.default:6: unknown setting Ouptut")
        .prints("gone does not exist")
        .prints("mkosi.postinst: it has to begin with")
        .prints("Debian bookworm has no package vmi; did you mean vim?")
        .prints("3 errors, 1 warning.");
    assert!(run.stdout.lines().all(|line| line.chars().count() <= 80));
    for known in ["package bash", "package awk", "package nano"] {
        assert!(!run.stdout.contains(known), "{}", run.stdout);
    }
    before.check();
    let json = project.run(&["check", "--json"]);
    json.exits(2);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["errors"], 3);
}

#[test]
fn root_a_project_in_order_is_said_to_be() {
    root();
    let project = Project::debian("[Output]\nFormat=tar\n");
    project.run(&["check"]).exits(0).prints("Nothing is wrong.");
    // No repository can be reached, and none was before.
    project.file(
        "mkosi.default",
        "[Distribution]\nDistribution=debian\nRelease=bookworm\nMirror=http://127.0.0.1:9/debian\n\
         [Output]\nFormat=tar\n",
    );
    let run = project.run(&["check"]);
    run.exits(0).prints("packages could not be looked up");
}

/// Settings that cannot be read keep nothing else from being said.
#[test]
fn wrong_settings_are_all_named() {
    let project = Project::new();
    project.file(
        "mkosi.default",
        "[Output]\nFormat=floppy\nRootSize=much\n[Partitions]\nHomeSize=none of it\n",
    );
    let run = project.run(&["check"]);
    for setting in ["Format=floppy", "RootSize=much", "HomeSize=none of it"] {
        run.exits(2).prints(setting);
    }
    let all = project.file("mkosi.files/mkosi.a", "[Output]\nFormat=floppy\n");
    all.run(&["check", "--all"])
        .exits(2)
        .prints("mkosi.files/mkosi.a:2");
}
