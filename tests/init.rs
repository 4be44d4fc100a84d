//! New projects, and what this host is said to be able to do.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod support;

use std::fs;

use support::Project;

#[test]
fn a_new_project_says_what_was_asked_for() {
    let project = Project::new();
    project
        .run(&[
            "init",
            "--distribution=fedora",
            "--format=gpt_ext4",
            "-p",
            "vim",
        ])
        .succeeds()
        .says("Wrote mkosi.default: Fedora");
    let summary = project.run(&["summary", "--json"]);
    summary.succeeds();
    let summary: serde_json::Value = serde_json::from_str(&summary.stdout).unwrap();
    assert_eq!(summary["Distribution"]["Distribution"], "fedora");
    assert_eq!(summary["Output"]["Format"], "gpt_ext4");
    assert_eq!(summary["Packages"]["Packages"][0], "vim");
    assert_eq!(project.entries(), ["mkosi.default"]);
}

#[test]
fn nothing_is_written_over() {
    for there in ["mkosi.default", "IMGBUILD", "image.sh"] {
        let project = Project::new();
        project.file(there, "# mine\n");
        project
            .run(&["init", "-f"])
            .exits(2)
            .says(&format!("{there} is there already"));
        assert_eq!(project.entries(), [there]);
        let kept = fs::read_to_string(project.path().join(there)).unwrap();
        assert_eq!(kept, "# mine\n");
    }
    // A link that leads nowhere is something, too.
    let project = Project::new();
    let link = project.path().join("mkosi.default");
    std::os::unix::fs::symlink("/nowhere/at/all", link).unwrap();
    project
        .run(&["init"])
        .exits(2)
        .says("mkosi.default is there already");
}

#[test]
fn wrong_flags_leave_no_file() {
    let project = Project::new();
    project
        .run(&["init", "--format=floppy"])
        .exits(2)
        .says("floppy");
    project
        .run(&["init", "--password=x"])
        .exits(2)
        .says("mkosi.rootpw");
    assert_eq!(project.entries(), [""; 0]);
}

#[test]
fn a_further_image_gets_a_file_of_its_own() {
    let project = Project::new();
    project.file("mkosi.default", "[Output]\nFormat=tar\n");
    fs::create_dir(project.path().join("mkosi.files")).unwrap();
    let flag = "--default=mkosi.files/mkosi.web";
    project
        .run(&["init", flag, "-t", "tar"])
        .succeeds()
        .says(flag);
    project.run(&[flag, "summary"]).succeeds().prints("tar");
}

#[test]
fn the_doctor_says_what_there_is() {
    let project = Project::new();
    let run = project.run(&["doctor"]);
    run.succeeds()
        .prints("Distributions")
        .prints("gpt_squashfs")
        .prints("user namespaces")
        .prints("this directory");
    assert!(!run.stdout.contains('\u{1b}'));
    let json = project.run(&["doctor", "--json"]);
    json.succeeds();
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["groups"][1]["name"], "Formats");
    assert_eq!(json["groups"][1]["features"][0]["works"], true);
    assert_eq!(project.entries(), [""; 0]);
}
