//! The examples of the manual page, run as they stand.

#![allow(clippy::expect_used, clippy::panic)]

mod support;

use std::fs;
use std::process::{Command, Stdio};

use support::{Project, assert_no_leaks, finish, package_cache, root};

/// The commands of the page's examples, in order.
fn examples() -> Vec<String> {
    let page = mkosi::cli::man::program();
    let (_, examples) = page.split_once(".SH EXAMPLES").expect("examples");
    let blocks = examples.split(".EX\n").skip(1);
    blocks
        .map(|block| {
            let (text, _) = block.split_once("\n.EE").expect("an end");
            text.replace("\\-", "-").replace("\\e", "\\")
        })
        .collect()
}

#[test]
fn root_the_manual_pages_examples_run() {
    root();
    let examples = examples();
    assert!(examples.len() >= 4);
    let project = Project::new();
    // So that each build takes what an earlier one has downloaded.
    let cache = project.path().join("mkosi.cache");
    std::os::unix::fs::symlink(package_cache(), &cache).expect("a link");
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_mkosi"));
    let bin = program.parent().expect("a directory").display();
    for example in &examples {
        let mut shell = Command::new("sh");
        shell
            .args(["-euc", example])
            .current_dir(project.path())
            .env(
                "PATH",
                format!("{bin}:{}", std::env::var("PATH").unwrap_or_default()),
            )
            .stdin(Stdio::null());
        let run = finish(shell);
        assert_eq!(run.code, Some(0), "{example}\n{}", run.stderr);
    }
    let release = project.path().join("hello/etc/os-release");
    let release = fs::read_to_string(release).expect("a tree");
    assert!(release.contains("bookworm"), "{release}");
    assert!(project.path().join("archive.tar.xz").exists());
    fs::remove_file(cache).expect("a link");
    assert_no_leaks(project.path());
}
