//! Several images at once, each from a settings file of `mkosi.files/`: real builds of a small Debian.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod support;
#[path = "support/terminal.rs"]
mod terminal;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use support::{Project, assert_no_leaks, assert_nothing_runs, package_cache, root, tool};
use terminal::OnTerminal;

/// A project with these settings files, each of the smallest Debian there is.
fn project(files: &[(&str, &str)]) -> Project {
    let project = Project::new();
    for (name, settings) in files {
        project.file(
            &format!("mkosi.files/mkosi.{name}"),
            format!(
                "[Distribution]\nDistribution=debian\nRelease=bookworm\n\n\
                 [Packages]\nCache={}\n\n[Output]\nOutput={name}\n{settings}",
                package_cache().display()
            ),
        );
    }
    project
}

/// Three formats over one base, each with an extra file of its own.
fn three() -> Project {
    let files = [
        (
            "dir",
            "Format=directory\n[Packages]\nExtraTrees=extra-dir\n",
        ),
        (
            "tar",
            "Format=tar\nCompressOutput=gz\n[Packages]\nExtraTrees=extra-tar\n",
        ),
        (
            "disk",
            "Format=gpt_ext4\n[Packages]\nExtraTrees=extra-disk\n",
        ),
    ];
    let project = project(&files);
    for (name, _) in files {
        project.file(&format!("extra-{name}/etc/image"), name);
    }
    project
}

/// How often packages were installed, by the lines that say so.
fn installations(stderr: &str) -> usize {
    let ends =
        [": done in ", ": failed after "].map(|end| format!("] Installing Debian bookworm{end}"));
    let ended = |line: &&str| ends.iter().any(|end| line.contains(end));
    stderr.lines().filter(ended).count()
}

/// The words of the table's line of each image.
fn table(stderr: &str) -> BTreeMap<String, Vec<String>> {
    let lines = stderr.lines().skip_while(|line| !line.starts_with("IMAGE"));
    lines
        .skip(1)
        .take_while(|line| !line.starts_with("mkosi:"))
        .filter_map(|line| {
            let mut words = line.split_whitespace().map(str::to_owned);
            Some((words.next()?, words.collect()))
        })
        .collect()
}

#[test]
fn root_images_share_their_base_and_fail_alone() {
    root();
    let project = three();
    project.file(
        "mkosi.files/mkosi.bad",
        fs::read_to_string(project.path().join("mkosi.files/mkosi.dir"))
            .unwrap()
            .replace(
                "Output=dir",
                "Output=bad\n[Packages]\nPostInstallationScript=fail\n[Output]",
            ),
    );
    project.script("fail", "#!/bin/sh\necho on purpose\nexit 1\n");
    let run = project.run(&["--all"]);
    run.exits(1)
        .says("mkosi: error: bad: Running the postinst script failed")
        .says("\n    on purpose\n")
        .says("[bad] Error: Running the postinst script failed");
    assert_eq!(installations(&run.stderr), 1, "{}", run.stderr);
    let table = table(&run.stderr);
    assert_eq!(table.len(), 4, "{}", run.stderr);
    for (image, result) in [
        ("dir", "built"),
        ("tar", "built"),
        ("disk", "built"),
        ("bad", "failed"),
    ] {
        assert_eq!(table[image][0], result, "{}", run.stderr);
    }
    // One made the base; the others took it.
    let reused = table
        .values()
        .filter(|words| words.contains(&"base".to_owned()));
    assert_eq!(reused.count(), 3, "{}", run.stderr);

    let content = fs::read_to_string(project.path().join("dir/etc/image")).unwrap();
    assert_eq!(content, "dir");
    let path = |name: &str| project.path().join(name).to_string_lossy().into_owned();
    let content = tool("tar", &["-xOf", &path("tar"), "./etc/image"]);
    assert_eq!(content, "tar");
    assert_eq!(in_disk(&project, "disk", "/etc/image"), "disk");
    let version = fs::read_to_string(project.path().join("dir/etc/debian_version")).unwrap();
    assert_eq!(in_disk(&project, "disk", "/etc/debian_version"), version);
    assert_eq!(
        project.entries(),
        [
            "dir",
            "dir.manifest",
            "disk",
            "disk.manifest",
            "extra-dir",
            "extra-disk",
            "extra-tar",
            "fail",
            "mkosi.files",
            "tar",
            "tar.manifest"
        ]
    );
    assert_no_leaks(project.path());

    // Nothing that is there is touched, and all is said before anything is done.
    project
        .run(&["--all"])
        .exits(2)
        .says("mkosi.files/mkosi.dir: the output ")
        .says("mkosi.files/mkosi.disk: the output ");
    project.run(&["--all", "clean"]).succeeds().says("removed ");
    assert_eq!(
        project.entries(),
        [
            "extra-dir",
            "extra-disk",
            "extra-tar",
            "fail",
            "mkosi.files"
        ]
    );
}

/// A file in the first partition of a disk image.
fn in_disk(project: &Project, image: &str, file: &str) -> String {
    let image = project.path().join(image).to_string_lossy().into_owned();
    let table: serde_json::Value =
        serde_json::from_str(&tool("sfdisk", &["--json", &image])).unwrap();
    let start = table["partitiontable"]["partitions"][0]["start"]
        .as_u64()
        .unwrap();
    let place = format!("{image}?offset={}", start * 512);
    tool("debugfs", &["-R", &format!("cat {file}"), &place])
}

#[test]
fn root_cached_trees_are_copied_between_directories() {
    root();
    let project = project(&[
        ("one", "OutputDirectory=a\nFormat=directory\n"),
        ("two", "OutputDirectory=b\nFormat=directory\n"),
    ]);
    for name in ["a", "b"] {
        fs::create_dir(project.path().join(name)).unwrap();
    }
    let run = project.run(&["--all", "-i"]);
    run.succeeds().says("from another image's cache");
    assert_eq!(installations(&run.stderr), 1, "{}", run.stderr);
    let of = |directory: &str, image: &str| {
        let version = project.path().join(directory).join(image);
        fs::read_to_string(version.join("etc/debian_version")).unwrap()
    };
    assert_eq!(of("a", "one"), of("b", "two"));
    // Each directory has a tree of its own now.
    let store = |name: &str| {
        let layers = project.path().join(name).join(".mkosi-layers");
        let names = fs::read_dir(layers).unwrap();
        names
            .map(|entry| entry.unwrap().file_name())
            .collect::<Vec<_>>()
    };
    assert_eq!(store("a"), store("b"));
    tool(
        "diff",
        &[
            "--recursive",
            "--no-dereference",
            &project.path().join("a/one").to_string_lossy(),
            &project.path().join("b/two").to_string_lossy(),
        ],
    );
    let run = project.run(&["--all", "-if"]);
    run.succeeds();
    assert_eq!(installations(&run.stderr), 0, "{}", run.stderr);
    assert_no_leaks(project.path());
}

#[test]
fn root_json_lines_name_their_image() {
    root();
    let settings = "Format=directory\n";
    let project = project(&[("a", settings), ("b", settings)]);
    let run = project.run(&["--all", "--progress=json", "-j1", "-i"]);
    run.succeeds();
    let mut finished = Vec::new();
    let mut installed = 0;
    for line in run.stdout.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        let image = event["image"].as_str().unwrap().to_owned();
        assert!(["a", "b"].contains(&image.as_str()), "{line}");
        let title = event["title"].as_str().unwrap_or_default();
        match event["event"].as_str().unwrap() {
            "step-begun" if title.starts_with("Installing") => installed += 1,
            "build-finished" => finished.push(image),
            _ => {}
        }
    }
    assert_eq!(finished, ["a", "b"]);
    assert_eq!(installed, 1);
    assert!(!run.stderr.contains("IMAGE"), "{}", run.stderr);

    // Kept for good with -i: nothing is installed the next time.
    let run = project.run(&["--all", "-if"]);
    run.succeeds();
    assert_eq!(installations(&run.stderr), 0, "{}", run.stderr);
}

/// Starts a build of all images and returns when packages are being installed.
fn installing(project: &Project) -> Child {
    let mut child = project
        .command(&["--verbose", "--all"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut lines = BufReader::new(child.stderr.take().expect("standard error")).lines();
    let begun = lines.any(|line| line.expect("a line").contains("Setting up "));
    assert!(begun, "the build ended before anything was installed");
    // Whoever speaks shall find somebody who listens.
    std::thread::spawn(move || lines.for_each(drop));
    child
}

#[test]
fn root_interrupted_builds_clean_up() {
    root();
    let project = three();
    let before = project.untouched();
    let mut child = installing(&project);
    tool("kill", &["-INT", &child.id().to_string()]);
    let status = child.wait().expect("an end");
    assert_eq!(status.code(), Some(130));
    before.check();
    assert_nothing_runs(&project);
}

#[test]
fn root_killed_builds_leave_only_what_the_next_ones_remove() {
    root();
    let project = three();
    let before = project.untouched();
    let mut child = installing(&project);
    tool("kill", &["-KILL", &child.id().to_string()]);
    child.wait().expect("an end");
    assert_nothing_runs(&project);
    assert_no_leaks(project.path());
    // What one could not make, the others do not try again.
    let run = project.run(&["--all", "--mirror=http://127.0.0.1:9/debian"]);
    run.exits(1)
        .says("mkosi: error: disk: the base that dir builds could not be made")
        .says("mkosi: error: tar: the base that dir builds could not be made");
    assert_eq!(installations(&run.stderr), 1, "{}", run.stderr);
    before.check();
}

#[test]
fn root_all_that_is_wrong_is_said_before_anything_is_done() {
    root();
    let project = project(&[
        ("a", "Format=directory\nOutput=same\n"),
        ("b", "Format=directory\nOutput=same\n"),
    ]);
    let before = project.untouched();
    let one_names_the_other = "mkosi.files/mkosi.a and mkosi.files/mkosi.b would both write ";
    project
        .run(&["--all"])
        .exits(2)
        .says(one_names_the_other)
        .says("/same; give one of them another Output=");
    project.file("mkosi.files/mkosi.c", "[Output]\nFormat=floppy\nOutput=\n");
    project.file("mkosi.files/mkosi.d", "[Packages\n");
    project
        .run(&["--all"])
        .exits(2)
        .says("mkosi.files/mkosi.c:2: Format=floppy")
        .says("mkosi.files/mkosi.d:1: ");
    for name in ["c", "d"] {
        fs::remove_file(project.path().join(format!("mkosi.files/mkosi.{name}"))).unwrap();
    }
    for verb in ["shell", "boot", "qemu"] {
        let run = project.run(&["--all", verb]);
        run.exits(2)
            .says("name the image as in --default=mkosi.files/");
    }
    project
        .run(&["--all", "--default=mkosi.files/mkosi.a"])
        .exits(2)
        .says("use either");
    project
        .run(&["--all", "--all-directory=none"])
        .exits(2)
        .says("cannot read none");
    before.check();
}

#[test]
fn root_on_a_terminal_passphrases_are_asked_for_first_and_ctrl_c_ends_all() {
    root();
    let encrypted = "Format=gpt_ext4\nEncrypt=all\n";
    let project = project(&[
        ("one", encrypted),
        ("two", encrypted),
        ("plain", "Format=tar\n"),
    ]);
    let before = project.untouched();
    let mut run = OnTerminal::start(&project, 80, &["--all", "-j1"]);
    for image in ["one", "two"] {
        let question = format!("Passphrase for the encrypted partitions of {image}: ");
        run.waits_for(&question)
            .types(&format!("{image}\n"))
            .waits_for("The same again: ")
            .types(&format!("{image}\n"));
    }
    run.waits_for("plain, two: waiting for the base that one builds");
    run.waits_for("/").waits_for("Installing Debian bookworm");
    run.types("\x03");
    run.waits_for("IMAGE  RESULT")
        .waits_for("\none    interrupted")
        .waits_for("\nplain  not begun")
        .waits_for("\ntwo    not begun")
        .waits_for("nothing was left behind");
    assert_eq!(run.child.wait().unwrap().code(), Some(130));
    before.check();
    assert_nothing_runs(&project);
}
