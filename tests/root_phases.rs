//! Two-phase builds of real projects with Debian's compilers: autotools, meson and cargo, all over one
//! base. Needs root and the network, or what it brought earlier.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use support::{Project, Run, assert_no_leaks, root, tool};

/// One base and one set of compilers for everything here.
const SETTINGS: &str = "BuildPackages=autoconf automake cargo gcc libc6-dev make meson ninja-build\n\
    SourceFileTransfer=copy-all\n\
    BuildDirectory=kept\n\
    [Output]\nFormat=directory\nIncremental=yes\n";

/// Programs that the final image must not have.
const COMPILERS: [&str; 8] = [
    "autoconf", "automake", "cargo", "cc", "gcc", "make", "meson", "ninja",
];

/// Three projects side by side, with scripts that leave word of when they ran.
fn projects() -> Project {
    let project = Project::debian(SETTINGS);
    project.script(
        "mkosi.postinst",
        "#!/bin/sh\necho \"postinst $1 src=$(ls /root/src 2>/dev/null) extra=$(cat /etc/extra 2>/dev/null)\" \
         >> /root/order\n",
    );
    project.script(
        "mkosi.finalize",
        "#!/bin/sh\n(cat \"$BUILDROOT/root/order\"; echo \"finalize $1\") >> order\n\
         rm \"$BUILDROOT/root/order\"\n",
    );
    project.script(
        "mkosi.prepare",
        "#!/bin/sh\necho \"prepare $1\" >> /root/order\n",
    );
    project.file("mkosi.extra/etc/extra", "extra\n");

    project.script(
        "autotools/mkosi.build",
        "#!/bin/sh -e\nautoreconf --install && ./configure --prefix=/usr\nmake && make install\n",
    );
    project.file(
        "autotools/configure.ac",
        "AC_INIT([hello-autotools], [1.0])\nAM_INIT_AUTOMAKE([foreign])\nAC_PROG_CC\n\
         AC_CONFIG_FILES([Makefile])\nAC_OUTPUT\n",
    );
    project.file(
        "autotools/Makefile.am",
        "bin_PROGRAMS = hello-autotools\nhello_autotools_SOURCES = hello.c\n",
    );
    project.file("autotools/hello.c", hello("autotools"));

    project.script(
        "meson/mkosi.build",
        "#!/bin/sh -e\n[ -e $BUILDDIR/meson ] || meson setup --prefix=/usr $BUILDDIR/meson\n\
         meson install -C $BUILDDIR/meson\n",
    );
    project.file(
        "meson/meson.build",
        "project('hello-meson', 'c')\n\
         executable('hello-meson', 'hello.c', install: true)\n",
    );
    project.file("meson/hello.c", hello("meson"));

    project.script(
        "cargo/mkosi.build",
        "#!/bin/sh -e\nexport CARGO_TARGET_DIR=$BUILDDIR/cargo\n\
         cargo install --offline --no-track --path . --root $DESTDIR/usr\n",
    );
    project.file(
        "cargo/Cargo.toml",
        "[package]\nname = \"hello-cargo\"\nversion = \"1.0.0\"\nedition = \"2021\"\n",
    );
    project.file(
        "cargo/src/main.rs",
        "fn main() { println!(\"Hello from cargo\"); }\n",
    );
    project
}

/// The sample project, from what is in the repository to what its image says.
fn the_example(project: &Project) {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/greeter");
    let mut summary = std::process::Command::new(env!("CARGO_BIN_EXE_mkosi"));
    summary.arg("--directory").arg(&sample).arg("summary");
    let summary = support::finish(summary);
    summary.succeeds().prints("mkosi.build");
    assert_eq!(summary.stderr, "");
    tool(
        "cp",
        &[
            "-R",
            &sample.to_string_lossy(),
            &project.path().to_string_lossy(),
        ],
    );
    build(project, "greeter", &[]).succeeds();
    let enabled = "usr/lib/systemd/system/multi-user.target.wants/greeter.service";
    assert!(image(project, "greeter").join(enabled).is_file());
    project
        .run(&["--output=greeter.image", "shell", "greeter", "me"])
        .succeeds()
        .prints("Hello, me!");
}

fn hello(name: &str) -> String {
    format!("#include <stdio.h>\nint main(void) {{ puts(\"Hello from {name}\"); return 0; }}\n")
}

/// Builds one of the projects, as `sudo` does, with more flags.
fn build(project: &Project, name: &str, flags: &[&str]) -> Run {
    let named = [
        format!("--build-sources={name}"),
        format!("--build-script={name}/mkosi.build"),
        format!("--output={name}.image"),
    ];
    let mut words: Vec<&str> = named.iter().map(String::as_str).collect();
    words.extend(flags);
    words.push("build");
    let mut command = project.command(&words);
    command.env("SUDO_UID", "4711").env("SUDO_GID", "4712");
    support::finish(command)
}

fn image(project: &Project, name: &str) -> PathBuf {
    project.path().join(format!("{name}.image"))
}

/// The final image has the program, and nothing that was needed to make it.
fn check_image(project: &Project, name: &str) {
    let image = image(project, name);
    let program = format!("hello-{name}");
    let found = fs::metadata(image.join("usr/bin").join(&program)).expect("the program");
    assert_eq!((found.uid(), found.mode() & 0o7777), (0, 0o755), "{name}");
    for compiler in COMPILERS {
        assert!(!image.join("usr/bin").join(compiler).exists(), "{compiler}");
    }
    for path in [
        "usr/lib/gcc",
        "usr/include/stdio.h",
        "root/src",
        "root/dest",
        "root/build",
    ] {
        assert!(!image.join(path).exists(), "{name}: {path}");
    }
    let manifest = fs::read_to_string(image.with_extension("image.manifest")).expect("a manifest");
    assert!(manifest.contains("\"bash\"") && !manifest.contains("\"gcc\""));
    // No other user of the host got in.
    let strangers = tool(
        "find",
        &[
            &image.to_string_lossy(),
            "-uid",
            "4711",
            "-o",
            "-gid",
            "4712",
        ],
    );
    assert_eq!(strangers, "", "{name}");
    project
        .run(&[&format!("--output={name}.image"), "shell", "--", &program])
        .succeeds()
        .prints(&format!("Hello from {name}"));
}

/// Everything else that two phases promise is checked over the base that is there by then.
#[test]
fn root_projects_of_every_kind_over_one_base() {
    root();
    let project = projects();
    for name in ["autotools", "meson", "cargo"] {
        build(&project, name, &[]).succeeds();
        check_image(&project, name);
        let order = fs::read_to_string(project.path().join("order")).expect("an order");
        fs::remove_file(project.path().join("order")).unwrap();
        assert_eq!(
            order,
            "prepare final\nprepare build\npostinst build src= extra=\nfinalize build\n\
             prepare final\npostinst final src= extra=extra\nfinalize final\n",
            "{name}"
        );
    }
    the_example(&project);
    kept_between_builds(&project);
    shown_sources_stay_as_they_are(&project);
    only_the_first_phase(&project);
    failures_leave_nothing(&project);
    an_interruption_leaves_nothing(&project);
    assert_no_leaks(project.path());
}

fn kept_between_builds(project: &Project) {
    let object = project.path().join("kept/meson/hello-meson.p/hello.c.o");
    let found = fs::metadata(&object).expect("an object file");
    assert_eq!((found.uid(), found.gid()), (4711, 4712));
    build(project, "meson", &["-f"]).succeeds();
    let again = fs::metadata(&object).expect("an object file");
    assert_eq!(
        found.modified().unwrap(),
        again.modified().unwrap(),
        "compiled again"
    );
    check_image(project, "meson");
}

fn shown_sources_stay_as_they_are(project: &Project) {
    let sources = project.path().join("autotools");
    let before = listing(&sources);
    let flags = [
        "-f",
        "--source-file-transfer=mount",
        "--source-file-transfer-final=copy-all",
    ];
    build(project, "autotools", &flags).succeeds();
    assert_eq!(listing(&sources), before);
    let image = image(project, "autotools");
    assert!(image.join("usr/bin/hello-autotools").exists());
    // Sources in the image are as they were, not as the build script left them.
    assert!(image.join("root/src/hello.c").exists());
    assert!(!image.join("root/src/configure").exists());
}

fn only_the_first_phase(project: &Project) {
    let before = listing(&image(project, "meson"));
    let flags = [
        "--skip-final-phase",
        "--install-dir=installed",
        "--include-directory=headers",
    ];
    build(project, "meson", &flags).succeeds();
    assert_eq!(
        listing(&image(project, "meson")),
        before,
        "the image was touched"
    );
    assert!(
        project
            .path()
            .join("installed/usr/bin/hello-meson")
            .exists()
    );
    let header = fs::metadata(project.path().join("headers/stdio.h")).expect("a header");
    assert_eq!(header.uid(), 4711);
    fs::remove_dir_all(project.path().join("installed")).unwrap();
    fs::remove_dir_all(project.path().join("headers")).unwrap();
}

fn failures_leave_nothing(project: &Project) {
    for (script, says) in [
        (
            "#!/bin/sh\necho compiling; exit 3\n",
            &["status 3", "compiling", "Running the build script failed"][..],
        ),
        (
            "#!/usr/bin/env ruby\n",
            &["asks for ruby, which is not in the image"],
        ),
        ("#!/bin/sh\ncmake .\n", &["status 127", "BuildPackages="]),
    ] {
        project.script("broken/mkosi.build", script);
        let before = project.untouched();
        let run = build(project, "broken", &[]);
        run.exits(1);
        for part in says {
            run.says(part);
        }
        before.check();
    }
    project.script("broken/mkosi.build", "#!/bin/sh\ntrue\n");
    build(project, "broken", &[])
        .succeeds()
        .says("put nothing into $DESTDIR");
    assert!(image(project, "broken").join("etc/extra").exists());
    fs::remove_dir_all(image(project, "broken")).unwrap();
    fs::remove_file(project.path().join("broken.image.manifest")).unwrap();
}

fn an_interruption_leaves_nothing(project: &Project) {
    project.script(
        "broken/mkosi.build",
        "#!/bin/sh\necho now waiting\nsleep 1002 & sleep 1003\n",
    );
    let before = project.untouched();
    let mut child = project
        .command(&[
            "--verbose",
            "--build-sources=broken",
            "--build-script=broken/mkosi.build",
            "--output=broken.image",
            "build",
        ])
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let lines = BufReader::new(child.stderr.take().expect("standard error")).lines();
    let waits = |line: std::io::Result<String>| line.expect("a line").contains("now waiting");
    assert!(lines.into_iter().any(waits), "the script never ran");
    tool("kill", &["-INT", &child.id().to_string()]);
    let status = child.wait().expect("an end");
    assert_eq!(status.code(), Some(130));
    before.check();
    let mut left = std::process::Command::new("pgrep");
    left.args(["-f", "^sleep 100[23]"]);
    assert_eq!(support::finish(left).code, Some(1), "processes are left");
}

fn listing(directory: &Path) -> Vec<String> {
    let listed = tool(
        "find",
        &[
            &directory.to_string_lossy(),
            "-printf",
            "%P %y %m %U %s %T@\n",
        ],
    );
    let mut lines: Vec<String> = listed.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// What needs no build to be refused.
#[test]
fn root_projects_that_cannot_be_built_are_refused_before_any_work() {
    root();
    let project = Project::debian("[Output]\nFormat=directory\n");
    project.file("mkosi.build", "#!/bin/sh\n");
    let before = project.untouched();
    project
        .run(&["build"])
        .exits(2)
        .says("BuildScript mkosi.build is not executable")
        .says("chmod +x");
    project.mode("mkosi.build", 0o755);
    project
        .run(&["--build-sources=nowhere", "build"])
        .exits(2)
        .says("nowhere");
    project
        .run(&["--source-file-transfer-final=mount", "build"])
        .exits(2)
        .says("SourceFileTransferFinal");
    before.check();
    // Outside of any working tree, unlike the tests' own directory.
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = project.command(&["--source-file-transfer=copy-git-cached", "build"]);
    command.arg(format!("--build-sources={}", elsewhere.path().display()));
    support::finish(command)
        .exits(2)
        .says("is not in a git working tree")
        .says("copy-all");
    // With git missing.
    let mut command = std::process::Command::new("unshare");
    command
        .args(["--mount", "sh", "-c"])
        .arg("for git in $(which -a git); do mount --bind /dev/null $git; done; exec \"$0\" \"$@\"")
        .arg(env!("CARGO_BIN_EXE_mkosi"))
        .args(["--source-file-transfer=copy-git-others", "build"])
        .current_dir(project.path());
    support::finish(command)
        .exits(2)
        .says("git")
        .says("is not installed");
    before.check();
}
