//! Where secrets of a project are, and where they must not be. Needs root and the network, or what it
//! brought earlier.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod makeimg;
mod support;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use makeimg::{imgbuild, run_makeimg};
use support::root;

/// Every argument and variable of every process, as often as there is time, until told to stop.
fn watch(stop: &AtomicBool, value: &str) -> Vec<String> {
    let mut found = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        for process in fs::read_dir("/proc").unwrap().flatten() {
            for file in ["cmdline", "environ"] {
                let text = fs::read(process.path().join(file)).unwrap_or_default();
                let text = String::from_utf8_lossy(&text).into_owned();
                if text.contains(value) {
                    found.push(format!("{file} of {text}"));
                }
            }
        }
    }
    found
}

/// Where secrets could be found besides the image: in nothing that a build says, runs or keeps.
#[test]
fn secrets_are_in_the_image_alone() {
    root();
    const VALUE: &str = "correct-horse-battery-staple";
    let elsewhere = tempfile::tempdir().unwrap();
    let store = elsewhere.path().join("store");
    fs::write(&store, format!("{VALUE}\n")).unwrap();
    let project = imgbuild();
    let command = format!("sleep 0.3\ncat {}\n", store.display());
    for name in ["+vpn", "rootpw", "annpw"] {
        project.file(&format!("secrets/{name}"), &command);
    }
    let template = "Private = $(makeimg -S +vpn | { sleep 0.3; cat; })\n$(makeimg -S +vpn >&2)\n";
    project.file("files/etc/wg.conf.makeimg.template", template);
    let words = ["--incremental", "--debug=run", "--verbose", "--warn-only"];
    let stop = AtomicBool::new(false);
    let (run, seen) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch(&stop, VALUE));
        let run = run_makeimg(&project, &words);
        stop.store(true, Ordering::Relaxed);
        (run, watching.join().unwrap())
    });
    run.succeeds().says("it printed: ***");
    assert_eq!(seen, [""; 0]);
    assert!(
        !run.stdout.contains(VALUE) && !run.stderr.contains(VALUE),
        "{}",
        run.stderr
    );
    let image = project.path().join("box");
    let conf = fs::read_to_string(image.join("etc/wg.conf")).unwrap();
    assert!(conf.contains(VALUE), "{conf}");
    let found = |place: &Path| {
        let mut grep = Command::new("grep");
        grep.args([
            "--recursive",
            "--files-with-matches",
            "--binary-files=text",
            VALUE,
        ])
        .arg(place);
        support::finish(grep).stdout
    };
    // Passwords are hashed, and nothing else knows the value.
    assert_eq!(found(&image).lines().count(), 1);
    fs::rename(&image, elsewhere.path().join("box")).unwrap();
    assert!(project.path().join(".mkosi-layers").is_dir());
    assert_eq!(found(project.path()), "");

    // On another machine, as the manual has it.
    run_makeimg(&project, &["-R", "xsecrets"]).succeeds();
    fs::remove_dir_all(project.path().join("secrets")).unwrap();
    fs::remove_file(&store).unwrap();
    run_makeimg(
        &project,
        &["-W", "--incremental", "--force", "-r", "xsecrets"],
    )
    .succeeds();
    let conf = fs::read_to_string(image.join("etc/wg.conf")).unwrap();
    assert!(conf.contains(VALUE), "{conf}");
    let revealed = fs::metadata(project.path().join("xsecrets")).unwrap();
    assert_eq!(revealed.mode() & 0o7777, 0o700);
}
