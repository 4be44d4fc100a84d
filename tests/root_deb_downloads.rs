//! Debian packages on their way here: broken connections, proxies, limits, the package cache, no
//! network at all. Needs root, dpkg, gpg, busybox and systemd-nspawn, and no network.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod apt;
mod signing;
mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use apt::server::{Fault, Server};
use apt::{Repository, noise};
use support::{Project, Run, finish, root};

const SIZE: usize = 1_500_000;

/// A repository with a package of one large file.
fn repository() -> Repository {
    root();
    let mut repository = Repository::new();
    repository.add("big", "1", &[("usr/share/big", &noise(SIZE))]);
    repository.add("small", "1", &[("usr/share/small", b"small")]);
    repository.publish();
    repository
}

fn assert_built(project: &Project) {
    let content = fs::read(project.path().join("image/usr/share/big")).unwrap();
    assert!(content == noise(SIZE), "the file is another one");
    support::assert_no_leaks(project.path());
}

/// Runs a build in name spaces of its own, after a command of the shell.
fn build_after(project: &Project, spaces: &[&str], script: &str) -> Run {
    let mut command = Command::new("unshare");
    command
        .args(spaces)
        .args(["sh", "-ec", &format!("{script}\nexec \"$0\" build")])
        .arg(env!("CARGO_BIN_EXE_mkosi"))
        .current_dir(project.path());
    finish(command)
}

#[test]
fn root_deb_downloads_that_break_off_are_resumed() {
    let repository = repository();
    let cut = |suffix, after, times| Fault {
        suffix,
        after: Some(after),
        times,
    };
    let faults = [
        cut("big_1_all.deb", 400_000, 2),
        cut("InRelease", 100, 1),
        Fault {
            suffix: "small_1_all.deb",
            after: None,
            times: 1,
        },
    ];
    let server = Server::with(repository.path(), &faults);
    let cache = tempfile::tempdir().unwrap();
    let project = repository.project(&server.address, cache.path(), "big small");
    project.run(&["build"]).succeeds();
    assert_built(&project);
    let requests = server.requests("big_1_all.deb");
    let seen: Vec<(usize, u16)> = requests.iter().map(|one| (one.from, one.status)).collect();
    assert_eq!(seen, [(0, 200), (400_000, 206), (800_000, 206)]);
    let small = server.requests("small_1_all.deb");
    assert_eq!((small[0].status, small.last().unwrap().status), (503, 200));
}

#[test]
fn root_deb_downloads_that_keep_failing_end_the_build() {
    let repository = repository();
    let fault = Fault {
        suffix: "big_1_all.deb",
        after: None,
        times: usize::MAX,
    };
    let server = Server::with(repository.path(), &[fault]);
    let cache = tempfile::tempdir().unwrap();
    let project = repository.project(&server.address, cache.path(), "big");
    let before = project.untouched();
    project.run(&["build"]).exits(1).says(&format!(
        "bullseye could not be read from {}",
        server.address
    ));
    before.check();
    assert_eq!(server.requests("big_1_all.deb").len(), 3);
}

#[test]
fn root_deb_packages_of_the_cache_are_used_again_and_suffice_without_network() {
    let repository = repository();
    let server = Server::new(repository.path());
    let cache = tempfile::tempdir().unwrap();
    let project = repository.project(&server.address, cache.path(), "big");
    project.run(&["build"]).succeeds();
    assert_eq!(server.requests("big_1_all.deb").len(), 1);
    let asked = server.requests("").len();
    let again = repository.project(&server.address, cache.path(), "big");
    again.run(&["build"]).succeeds();
    assert_built(&again);
    let requests = server.requests("");
    let seen: Vec<u16> = requests.iter().map(|one| one.status).collect();
    assert_eq!(seen, [304], "{requests:?}, after {asked}");

    // No network, then no mirror.
    let offline = repository.project(&server.address, cache.path(), "big");
    build_after(&offline, &["--net"], "")
        .succeeds()
        .says("no repository can be reached");
    assert_built(&offline);
    let mirror = server.address.clone();
    drop(server);
    let offline = repository.project(&mirror, cache.path(), "big");
    offline
        .run(&["build"])
        .succeeds()
        .says("no repository can be reached");
    assert_built(&offline);
    // What is not there is missed.
    let offline = repository.project(&mirror, cache.path(), "small");
    let before = offline.untouched();
    offline
        .run(&["build"])
        .exits(1)
        .says(&format!("could not be read from {mirror}"));
    before.check();
}

#[test]
fn root_deb_proxy_and_limit_of_the_host_apply() {
    let repository = repository();
    let proxy = Server::new(repository.path());
    let (cache, settings) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let build = |limit: &str, cache: &Path| {
        fs::write(
            settings.path().join("90-tests"),
            format!("Acquire::http::Proxy \"{}\";\n{limit}", proxy.address),
        )
        .unwrap();
        let project = repository.project("http://mirror.invalid", cache, "big");
        let script = format!(
            "mount --bind {} /etc/apt/apt.conf.d",
            settings.path().display()
        );
        build_after(&project, &["--mount"], &script).succeeds();
        assert_built(&project);
        let requests = proxy.requests("");
        let package = |name: &str| {
            let path = format!("http://mirror.invalid/pool/{name}.deb");
            let mut found = requests.iter().filter(|one| one.path == path);
            let begun = found.next().unwrap().begun;
            assert!(found.next().is_none(), "{requests:?}");
            begun
        };
        package("big_1_all").duration_since(package("base_1_amd64"))
    };
    build("", cache.path());
    // Megabytes are fetched before the second package is asked for.
    let cache = tempfile::tempdir().unwrap();
    let limit = "Acquire::http::Dl-Limit \"2000\";\nAcquire::http::Pipeline-Depth \"0\";\n";
    let between = build(limit, cache.path());
    assert!(between > Duration::from_secs(2), "{between:?}");
}
