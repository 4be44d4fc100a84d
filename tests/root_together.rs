//! Builds at one time: of one output, and of many that share cached trees.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod faults;
mod support;

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use faults::scenario::Scenario;
use faults::state::{self, Look, difference};
use support::{Project, Run, root, tool};

/// A small tree of files, and nothing cached.
fn project() -> Project {
    Scenario::fresh("anew").prepare()
}

fn start(project: &Project, words: &[&str], fault: Option<&str>) -> Child {
    let mut command = Scenario::command(project.path(), words, fault);
    command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn ended(child: Child) -> Run {
    let output = child.wait_with_output().unwrap();
    Run {
        code: output.status.code(),
        stdout: String::new(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn wait_for(path: &Path) {
    let begun = Instant::now();
    while !path.exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{path:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A build that has the output and waits for `tmp/paused` to go.
fn holder(project: &Project) -> Child {
    let mark = project.path().join("tmp/paused");
    let fault = format!("workspace-made:pause={}", mark.display());
    let child = start(project, &["build"], Some(&fault));
    wait_for(&mark);
    child
}

fn go_on(project: &Project) {
    fs::remove_file(project.path().join("tmp/paused")).unwrap();
}

#[test]
fn root_together_the_second_fails_or_waits() {
    root();
    let project = project();
    let first = holder(&project);
    let pid = format!("process {}, mkosi build, for ", first.id());
    let second = ended(start(&project, &["build"], None));
    second
        .exits(1)
        .says("output/image is in use by another run (")
        .says(&pid)
        .says("--wait");

    // Ctrl-C while it waits.
    let waiting = start(&project, &["--wait", "build"], None);
    std::thread::sleep(Duration::from_secs(2));
    tool("kill", &["-INT", &waiting.id().to_string()]);
    let waiting = ended(waiting);
    waiting.exits(130).says(&pid);
    let said = waiting.stderr.matches("waiting for it to end").count();
    assert_eq!(said, 1, "{}", waiting.stderr);

    // It builds once the first is done.
    let waiting = start(&project, &["--wait", "-f", "--hostname=second"], None);
    std::thread::sleep(Duration::from_secs(1));
    go_on(&project);
    ended(first).succeeds();
    ended(waiting).succeeds().says(&pid);
    let name = fs::read_to_string(project.path().join("output/image/etc/hostname")).unwrap();
    assert_eq!(name, "second\n");
    assert_eq!(state::leavings(project.path()), [""; 0]);
}

#[test]
fn root_together_a_dead_holder_holds_nothing() {
    root();
    let project = project();
    let mut first = holder(&project);
    let waiting = start(&project, &["--wait", "build"], None);
    std::thread::sleep(Duration::from_secs(1));
    first.kill().unwrap();
    first.wait().unwrap();
    ended(waiting).succeeds();
    go_on(&project);
    assert_eq!(state::leavings(project.path()), [""; 0]);
}

/// What `output/NAME` has to be: the same as alone, but for its host name.
fn check(project: &Project, name: &str, alone: &state::State) {
    let tree = project.path().join("output").join(name);
    let hostname = fs::read_to_string(tree.join("etc/hostname")).unwrap();
    assert_eq!(hostname.trim_end(), name);
    let mut found = state::of(&tree, Look::Content);
    let mut expected = alone.clone();
    for state in [&mut found, &mut expected] {
        state.remove(Path::new("etc/hostname"));
        // The salt of root's password comes from what the image is.
        state.remove(Path::new("etc/shadow"));
    }
    if let Some(why) = difference(&expected, &found) {
        panic!("{name} is spoiled:\n{why}");
    }
}

/// Twenty images from a few cached trees, while those leave the cache as soon as they are not used, and
/// some builds die.
#[test]
fn root_together_twenty_share_cached_trees() {
    root();
    let project = project();
    project.file("skeleton/etc/other-tree", "other\n");
    project.file("skeleton/etc/apk/keys/own.rsa.pub", "key\n");
    let alone = |words: &[&str], name: &str| {
        let words = [&["--hostname=x"], words].concat();
        ended(start(&project, &words, None)).succeeds();
        let state = state::of(&project.path().join("output").join(name), Look::Content);
        support::tool(
            "rm",
            &["-r", &project.path().join("output").display().to_string()],
        );
        fs::create_dir(project.path().join("output")).unwrap();
        state
    };
    // Two kinds of cached trees.
    let kinds = ["--skeleton-tree=mkosi.skeleton", "--skeleton-tree=skeleton"];
    let expected = kinds.map(|kind| alone(&[kind], "image"));
    let mut builds = Vec::new();
    for number in 0..20 {
        let name = format!("image-{number}");
        let (output, host) = (format!("--output={name}"), format!("--hostname={name}"));
        // Every other one removes all trees that nobody uses.
        let size = ["--layers-size=100M", "--layers-size=4K"][number / 2 % 2];
        let words = ["-if", size, &output, &host, kinds[number % 2]];
        // Some die while they make the tree, some when they have just put it in its place.
        let fault = match number {
            3 => Some("layer-filled:KILL"),
            8 => Some("layer-placed:KILL"),
            13 => Some("overlay-mounted:KILL"),
            _ => None,
        };
        builds.push((number, name, fault, start(&project, &words, fault)));
    }
    for (number, name, fault, build) in builds {
        let run = ended(build);
        // Who finds the tree made does not come by where others die.
        if fault.is_none() || run.code == Some(0) {
            run.succeeds();
            check(&project, &name, &expected[number % 2]);
        }
    }
    let last = ["-if", "--output=last", "--hostname=last", kinds[0]];
    ended(start(&project, &last, None)).succeeds();
    check(&project, "last", &expected[0]);
    assert_eq!(state::leavings(project.path()), [""; 0]);
    assert_eq!(state::on_host(project.path()), [""; 0]);
}
