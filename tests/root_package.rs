//! What distributions do with this program: its Debian package is made, examined and installed in clean
//! systems, where it builds an image; its source archive is built without network; and it builds itself
//! with the oldest compiler that it is made for. Needs root, the network and `scripts/install-tools`.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Project, assert_no_leaks, finish, inside, package_cache, root, tool};

/// Whoever makes the package.
const MAINTAINER: (&str, &str) = ("Ann O'Nym", "ann@packages.test");

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What cargo reads to compile quickly: whether the sources are complete, and the compiler is new enough, does not
/// depend on how good the code is that comes of them. The Debian package is made with all optimization.
const QUICKLY: [(&str, &str); 3] = [
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"),
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "256"),
];

/// Makes the Debian package of this program.
fn package() -> PathBuf {
    // The Makefile asks for the same variable.
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let name = format!("dist/mkosi_{}-1_amd64.deb", env!("CARGO_PKG_VERSION"));
    let package = top().join(target).join(name);
    let _ = fs::remove_file(&package);
    let mut make = Command::new("make");
    make.current_dir(top())
        .args(["--silent", "deb"])
        .env("DEBFULLNAME", MAINTAINER.0)
        .env("DEBEMAIL", MAINTAINER.1);
    finish(make).succeeds();
    package
}

/// Pages and change logs are compressed, nothing is missing, and lintian finds nothing to warn of.
fn examine(package: &Path) {
    let package = package.to_str().unwrap();
    tool(
        "lintian",
        &["--fail-on=error,warning", "--no-tag-display-limit", package],
    );

    let listing = tool("dpkg-deb", &["--contents", package]);
    let paths: Vec<&str> = listing
        .lines()
        .filter(|line| line.starts_with('-'))
        .map(|line| line.split_whitespace().nth(5).unwrap())
        .collect();
    for path in [
        "./usr/bin/mkosi",
        "./usr/share/man/man1/mkosi.1.gz",
        "./usr/share/man/man5/mkosi.default.5.gz",
        "./usr/share/doc/mkosi/copyright",
        "./usr/share/doc/mkosi/changelog.Debian.gz",
        "./usr/share/doc/mkosi/changelog.gz",
        "./usr/share/doc/mkosi/examples/mkosi/mkosi.build",
        "./usr/share/zsh/vendor-completions/_mkosi",
    ] {
        assert!(paths.contains(&path), "{path} is not in {paths:#?}");
    }
    assert!(listing.lines().all(|line| line.contains(" 0/0 ")));

    let fields = tool("dpkg-deb", &["--field", package]);
    let maintainer = format!("{} <{}>", MAINTAINER.0, MAINTAINER.1);
    assert!(
        fields.contains(&format!("\nMaintainer: {maintainer}\n")),
        "{fields}"
    );
    // A package that takes a newer C library than bookworm's was built on too new a system.
    assert!(fields.contains("Depends: libc6 (>= 2."), "{fields}");
}

/// Installs the package in a clean system of a release and builds an image there.
fn install(project: &Project, release: &str, package: &Path) {
    let output = format!("--output={release}");
    let release_flag = format!("--release={release}");
    project
        .run(&[
            &release_flag,
            &output,
            "--package=man-db",
            "--with-docs",
            "--force",
            "build",
        ])
        .succeeds();
    let tree = project.path().join(release);
    assert!(!tree.join("usr/share/man/man1/mkosi.1.gz").exists());
    fs::copy(package, tree.join("root/mkosi.deb")).expect("a copy");
    inside(&tree, &["apt-get", "--quiet", "update"]);

    // Everything that is recommended can be had.
    let all = inside(
        &tree,
        &["apt-get", "--simulate", "install", "/root/mkosi.deb"],
    );
    let recommended = tool(top().join("scripts/packages").to_str().unwrap(), &["run"]);
    let present = inside(
        &tree,
        &["dpkg-query", "--show", "--showformat=${Package}\\n"],
    );
    for name in recommended.split_whitespace() {
        let is_new = all.contains(&format!("\nInst {name} "));
        let is_there = present.lines().any(|line| line == name);
        assert!(is_new || is_there, "{release} has no {name}: {all}");
    }

    // Without graphics and firmware for virtual machines, with what this build takes.
    let mut words = vec![
        "apt-get",
        "--quiet",
        "--yes",
        "--no-install-recommends",
        "install",
    ];
    words.extend([
        "/root/mkosi.deb",
        "systemd-container",
        "debian-archive-keyring",
    ]);
    inside(&tree, &words);

    let version = inside(&tree, &["mkosi", "--version"]);
    assert_eq!(version, format!("mkosi {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(
        inside(&tree, &["man", "-w", "mkosi"]),
        "/usr/share/man/man1/mkosi.1.gz\n"
    );
    let page = inside(&tree, &["man", "-P", "cat", "mkosi"]);
    assert!(
        page.contains("mkosi - build operating-system images"),
        "{page}"
    );
    let page = inside(&tree, &["man", "-P", "cat", "mkosi.default"]);
    assert!(page.contains("mkosi.default"), "{page}");

    let build = "mkdir /root/image && cd /root/image && \
        mkosi --distribution=debian --release=bookworm --format=directory --output=image build && \
        cat image/etc/debian_version";
    let built = inside(&tree, &["sh", "-euc", build]);
    let version = built.lines().last().unwrap_or_default();
    assert!(version.starts_with("12."), "{built}");
    inside(&tree, &["apt-get", "--quiet", "--yes", "purge", "mkosi"]);
    assert!(!tree.join("usr/share/doc/mkosi").exists());
}

#[test]
#[ignore = "long: compiles with all optimization, and installs in two systems"]
fn root_the_debian_package_works_in_clean_systems() {
    root();
    let project = Project::debian("[Output]\nFormat=directory\n");
    let package = package();
    examine(&package);
    for release in ["bookworm", "trixie"] {
        install(&project, release, &package);
    }
    assert_no_leaks(project.path());
}

/// Unpacks the source archive of what was committed last, which is made twice.
fn sources(project: &Project) -> PathBuf {
    let name = format!("mkosi-{}", env!("CARGO_PKG_VERSION"));
    let archives = ["first", "second"].map(|place| {
        let place = project.path().join(place);
        let mut make = Command::new("make");
        make.current_dir(top())
            .args(["--silent", "dist"])
            .env("CARGO_TARGET_DIR", &place);
        finish(make).succeeds();
        place.join(format!("dist/{name}.tar.zst"))
    });
    let [first, second] = archives
        .each_ref()
        .map(|path| fs::read(path).expect("an archive"));
    assert!(first == second, "the same commit makes the same archive");
    let place = project.path().to_str().unwrap();
    let archive = archives[0].to_str().unwrap();
    tool("tar", &["-C", place, "-xf", archive]);
    project.path().join(name)
}

#[test]
#[ignore = "long: compiles everything from nothing"]
fn root_the_source_archive_is_built_without_network() {
    root();
    let project = Project::new();
    let sources = sources(&project);
    // A home of its own, which has no crates.
    let mut make = Command::new("unshare");
    make.current_dir(&sources)
        .args(["--net", "make"])
        .env_remove("CARGO_TARGET_DIR")
        .env("CARGO_HOME", project.path().join("home"))
        .env("CARGO_NET_OFFLINE", "true")
        .envs(QUICKLY);
    finish(make).succeeds();
    let image = project.path().join("installed");
    let mut install = Command::new("make");
    install
        .current_dir(&sources)
        .args(["--silent", "install", "PREFIX=/usr"])
        .arg(format!("DESTDIR={}", image.display()));
    finish(install).succeeds();
    let program = image.join("usr/bin/mkosi");
    let version = tool(program.to_str().unwrap(), &["--version"]);
    assert_eq!(version, format!("mkosi {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
#[ignore = "long: compiles everything from nothing"]
fn root_mkosi_is_built_by_mkosi_with_the_oldest_compiler() {
    root();
    let project = Project::new();
    let sources = sources(&project);
    let mut build = Command::new(env!("CARGO_BIN_EXE_mkosi"));
    build
        .current_dir(sources.join("examples/mkosi"))
        .arg(format!("--cache={}", package_cache().display()))
        .args(QUICKLY.map(|(name, value)| format!("--environment={name}={value}")))
        .arg("build");
    finish(build).succeeds();
    let image = sources.join("examples/mkosi/image");
    assert!(!image.join("usr/bin/rustc").exists());
    let version = inside(&image, &["mkosi", "--version"]);
    assert_eq!(version, format!("mkosi {}\n", env!("CARGO_PKG_VERSION")));
    let page = inside(&image, &["man", "-P", "cat", "mkosi"]);
    assert!(
        page.contains("mkosi - build operating-system images"),
        "{page}"
    );
    assert_no_leaks(project.path());
}
