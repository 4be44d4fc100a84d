//! Projects that an IMGBUILD describes, and the program called as makeimg. Needs root and the network, or
//! what it brought earlier.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod makeimg;
mod support;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use makeimg::{HOSTS, IMGBUILD, imgbuild, run_makeimg};
use support::{root, tool};

/// What every format's tree has.
fn check_tree(tree: &Path) {
    let read = |name: &str| fs::read_to_string(tree.join(name)).unwrap();
    assert_eq!(read("etc/motd"), "hello\n");
    assert!(read("etc/passwd").starts_with("# patched\n"));
    assert_eq!(
        read("etc/wg.conf"),
        "Address = 10.0.0.1/24\nPrivateKey = vpn-secret-value\n"
    );
    assert_eq!(
        fs::metadata(tree.join("etc/wg.conf")).unwrap().mode() & 0o7777,
        0o600
    );
    assert!(tree.join("usr/bin/nano").is_file() && tree.join("usr/bin/less").is_file());
    let wanted = tree.join("etc/systemd/system/multi-user.target.wants/hello.service");
    assert!(
        fs::symlink_metadata(wanted).is_ok(),
        "the service is enabled"
    );
    let shadow = read("etc/shadow");
    for (user, password) in [("root", "root-secret-value"), ("ann", "ann-secret-value")] {
        let line = shadow
            .lines()
            .find(|l| l.starts_with(&format!("{user}:")))
            .unwrap();
        let hash = line.split(':').nth(1).unwrap();
        let made = tool(
            "perl",
            &["-e", "print crypt($ARGV[0], $ARGV[1])", password, hash],
        );
        assert_eq!(made, hash, "{user}");
    }
}

#[test]
fn an_imgbuild_makes_every_format() {
    root();
    let project = imgbuild();
    // One tree with packages serves all; the tool's own way first.
    run_makeimg(&project, &["--incremental"])
        .succeeds()
        .says("Running provision");
    let at = |name: &str| project.path().join(name);
    check_tree(&at("box"));
    let list = fs::read_to_string(at("box.packages")).unwrap();
    assert!(
        list.lines().any(|line| line.starts_with("nano 7.2-")),
        "{list}"
    );
    assert!(
        fs::read_to_string(at("box.manifest"))
            .unwrap()
            .contains("\"nano\"")
    );

    run_makeimg(&project, &["--incremental"])
        .exits(2)
        .says("box already exists");

    // Less of a system is packed sooner.
    let less = "--remove-files=/usr/lib,/usr/share,/usr/sbin";
    run_makeimg(
        &project,
        &["--incremental", "--force", less, "-F", "tar xz"],
    )
    .succeeds();
    tool("mkdir", &[&at("unpacked").to_string_lossy()]);
    tool(
        "tar",
        &[
            "-C",
            &at("unpacked").to_string_lossy(),
            "-xf",
            &at("box.tar.xz").to_string_lossy(),
        ],
    );
    check_tree(&at("unpacked"));
    let format = fs::read_to_string(at("unpacked/etc/format")).unwrap();
    assert_eq!(format, "tar xz\n", "provision knows the format that counts");
    fs::remove_dir_all(at("unpacked")).unwrap();

    run_makeimg(
        &project,
        &["--incremental", "--force", "--format", "raw 800M gpt ext4"],
    )
    .succeeds();
    let image = at("box.img").display().to_string();
    assert_eq!(fs::metadata(&image).unwrap().len(), 800 << 20);
    let table = tool("sfdisk", &["--json", &image]);
    assert!(table.contains("\"label\": \"gpt\""), "{table}");
    tool("sfdisk", &["--verify", &image]);

    fs::remove_file(at("box.img")).unwrap();
    run_makeimg(&project, &["--incremental", "--force", "-F", "custom"]).succeeds();
    let listing = tool(
        "debugfs",
        &["-R", "cat /etc/motd", &at("box.custom").to_string_lossy()],
    );
    assert_eq!(listing, "hello\n");
    tool("e2fsck", &["-fn", &at("box.custom").to_string_lossy()]);
    assert_eq!(fs::read_to_string(at("cleaned")).unwrap(), "done\n");
    fs::remove_file(at("cleaned")).unwrap();
    fs::remove_file(at("box.custom")).unwrap();

    // A patch that no longer applies ends the build, and so does a container that has nothing of the host.
    project.file("files/etc/group.makeimg.patch", HOSTS);
    run_makeimg(&project, &["--incremental", "--force"])
        .exits(1)
        .says("files/etc/group.makeimg.patch to /etc/group: the change at line 3");
    fs::remove_file(at("files/etc/group.makeimg.patch")).unwrap();
    for (functions, says) in [
        ("useradd -m ann; cat /no-such-file", "IMGBUILD, provision"),
        ("true", "has no user ann"),
        // Root in there is nobody's root outside.
        (
            "useradd -m ann; if mount -t devtmpfs none /mnt 2>/dev/null; then exit 0; fi; exit 9",
            "the function provision exited with status 9",
        ),
    ] {
        project.file("IMGBUILD", IMGBUILD.replace("useradd -m ann", functions));
        run_makeimg(&project, &["--incremental", "--force"])
            .exits(1)
            .says(says);
    }
    project.file("IMGBUILD", IMGBUILD);

    // mkosi's own verbs work here.
    project
        .run(&["--force", "--incremental", "shell", "cat", "/etc/motd"])
        .succeeds()
        .prints("hello");
    project.run(&["boot"]).succeeds().prints("HELLO from ann");
    project.run(&["qemu"]).exits(2).says("qemu");
    project.run(&["clean"]).succeeds();
    project.file("IMGBUILD", IMGBUILD.replace(":-dir", ":-raw 800M gpt ext4"));
    project
        .run(&["--incremental", "boot"])
        .succeeds()
        .prints("HELLO from ann");
    project
        .run(&["shell", "stat", "--file-system", "--format=%T", "/"])
        .succeeds()
        .prints("ext");
    project.run(&["clean"]).succeeds();
    project.file("IMGBUILD", IMGBUILD);
    project.run(&["--force", "clean"]).succeeds();
    assert!(!at("box").exists() && !at("box.packages").exists());
    support::assert_no_leaks(project.path());
}

#[test]
fn an_imgbuild_is_checked_before_work_begins() {
    root();
    let project = imgbuild();
    let untouched = project.untouched();
    let summary = project.run(&["summary", "--json"]);
    summary.succeeds().prints("\"Distribution\": \"debian\"");
    summary.prints("\"Origins\"").prints("\"IMGBUILD:5\"");
    project.run(&["summary"]).succeeds().prints("bookworm");
    let with = |text: &str| {
        project.file("IMGBUILD", text);
        let run = project.run(&[]);
        project.file("IMGBUILD", IMGBUILD);
        untouched.check();
        run
    };
    with("imgname=x\ntarget=debian\nformat='raw 8G msdos ext4'\n")
        .exits(2)
        .says("IMGBUILD:3: format=raw 8G msdos ext4: images have a GUID partition table");
    with("imgname=x\ntarget=plan9\nformat=dir\n")
        .exits(2)
        .says("IMGBUILD:2: target=plan9");
    with("imgname=x\ntarget=debian\nformat=dir\nfi\n")
        .exits(2)
        .says("Syntax error");
    with("imgname=x\nexit 0\n")
        .exits(2)
        .says("IMGBUILD: it ends the shell that reads it");
    with("imgname=x\ntarget=debian\nformat=dir\npasswords='root nosuch'\n")
        .exits(2)
        .says("there is no secret nosuch");
    with("imgname=x\ntarget=debian\nformat=dir\nhostconf='keyring mirrors'\n")
        .exits(2)
        .says("IMGBUILD:4: hostconf=mirrors: only keyring is known")
        .says("IMGBUILD:4: hostconf=keyring has no effect: Debian's keyring is a package");
    with("set -e\nimgname=x\nfalse\n")
        .exits(2)
        .says("it exited with status 1");
    project.file("IMGBUILD", IMGBUILD.replace(":-dir", ":-custom"));
    project
        .run(&["boot"])
        .exits(2)
        .says("its form is the project's own; build it with --format=directory");
    // Reading it changes nothing, reaches nobody, and shows it nothing of the host.
    for command in [
        "touch here",
        "touch /etc/here",
        "touch /usr/here",
        "mount -t tmpfs tmpfs /tmp",
        "mknod /tmp/disk b 7 0",
        "chown 1 /tmp",
        "cat /etc/shadow | grep -q .",
        "ls /home",
        "grep -E '^ *[a-km-z]+.*:' /proc/net/dev",
    ] {
        with(&format!("set -e\nimgname=x\ntarget=debian\nformat=dir\nif {command} 2>/dev/null; then echo REACHED >&2; exit 9; fi\nexit 8\n"))
            .exits(2)
            .says("exited with status 8");
    }
    // What only wants to know the files runs nothing.
    project.file("IMGBUILD", "echo RUN > /proc/self/fd/2; exit 9\n");
    let run = run_makeimg(&project, &["-l"]);
    assert_eq!(
        run.succeeds().stdout,
        "files/etc/motd\nfiles/etc/passwd.makeimg.patch\nfiles/etc/wg.conf.makeimg.template\n"
    );
    assert_eq!(
        run_makeimg(&project, &["-p"]).stdout,
        "files/etc/passwd.makeimg.patch\n"
    );
    assert_eq!(
        run_makeimg(&project, &["-f", "files/etc"]).stdout,
        "files/etc/motd\n"
    );
    assert_eq!(
        run_makeimg(&project, &["-S", "+vpn"]).succeeds().stdout,
        "vpn-secret-value\n"
    );
    run_makeimg(&project, &["-M"]).succeeds();
    let modes = fs::read_to_string(project.path().join(".makeimg.modes")).unwrap();
    assert_eq!(
        modes,
        "0644 files/etc/motd\n0600 files/etc/wg.conf.makeimg.template\n"
    );
    project.mode("files/etc/wg.conf.makeimg.template", 0o644);
    run_makeimg(&project, &["-m"])
        .succeeds()
        .says("the modes of 1 files");
    run_makeimg(&project, &["-h"])
        .succeeds()
        .prints("--reveal-all DIR");
}

#[test]
fn anybody_may_ask_for_the_summary() {
    root();
    let project = imgbuild();
    tool("chmod", &["-R", "a+rX", &project.path().to_string_lossy()]);
    // The program itself may be where others cannot go.
    let program = std::env::temp_dir().join(format!("mkosi-{}", std::process::id()));
    fs::copy(env!("CARGO_BIN_EXE_mkosi"), &program).unwrap();
    let place = tempfile::tempdir().unwrap();
    let copy = place.path().join("project");
    tool(
        "cp",
        &[
            "-r",
            &project.path().to_string_lossy(),
            &copy.to_string_lossy(),
        ],
    );
    tool("chmod", &["-R", "a+rwX", &place.path().to_string_lossy()]);
    let run = |text: &str| {
        fs::write(copy.join("IMGBUILD"), text).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
        command
            .arg(&program)
            .args(["summary"])
            .current_dir(&copy)
            .env("HOME", "/nonexistent");
        support::finish(command)
    };
    run(IMGBUILD).succeeds().prints("bookworm");
    for command in [
        "touch here",
        "touch /tmp/here-$$",
        "mount -o remount,rw /",
        "grep -E '^ *[a-km-z]+.*:' /proc/net/dev",
    ] {
        run(&format!(
            "if {command} 2>/dev/null; then exit 9; fi\nexit 8\n"
        ))
        .exits(2)
        .says("exited with status 8");
    }
    fs::remove_file(program).unwrap();
}
