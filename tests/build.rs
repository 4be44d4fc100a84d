//! Whole builds of each format, checked by other programs and by booting.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;

use support::{Project, Run, assert_no_leaks, root, tool};

/// A project that uses everything a single-phase build offers.
fn full(format: &str) -> Project {
    let project = Project::debian(&format!(
        "[Output]\nFormat={format}\nHostname=built-here\nImageId=full\nImageVersion=7\n\
         Output=image{}\n\n\
         [Packages]\nPackages=hostname\nEnvironment=COLOUR=blue\nRemoveFiles=/opt/remove-me*\n",
        match format {
            "gpt_ext4" => ".raw",
            "tar" => ".tar.xz",
            _ => "",
        }
    ));
    project.file("mkosi.skeleton/etc/skeleton", "from the skeleton\n");
    project.script("mkosi.skeleton/opt/tool", "#!/bin/sh\necho tool\n");
    project.file("mkosi.extra/etc/motd", "extra\n");
    project.file("mkosi.extra/opt/remove-me.txt", "gone\n");
    // lib is a link into usr in the image: the tree follows it.
    project.file("mkosi.extra/lib/systemd/system/report.service", REPORT);
    project.script(
        "mkosi.postinst",
        "#!/bin/sh\nset -e\ntest \"$1\" = final\ntest \"$COLOUR\" = blue\n\
         test -e /etc/motd\n\
         test ! -e /proc/sys/net/ipv4/conf/eth0\n\
         cat /etc/hostname > /etc/postinst-saw\n\
         systemctl enable report.service\n",
    );
    project.script(
        "mkosi.finalize",
        "#!/bin/sh\nset -e\ntest \"$1\" = final\ntest -e \"$BUILDROOT/etc/postinst-saw\"\n\
         test -e mkosi.default\n\
         echo finalized > \"$BUILDROOT/etc/finalized\"\n",
    );
    project
        .file("mkosi.rootpw", "correct horse\n")
        .mode("mkosi.rootpw", 0o600);
    let mut tar = std::process::Command::new("python3");
    tar.args([
        "-c",
        "import tarfile,io\n\
         t=tarfile.open('mkosi.extra.tar','w')\n\
         i=tarfile.TarInfo('srv/owned'); i.size=1; i.mode=0o640; i.uid=1234; i.gid=4321\n\
         t.addfile(i,io.BytesIO(b'x'))\n\
         t.close()\n",
    ])
    .current_dir(project.path());
    support::finish(tar).succeeds();
    project
}

/// Reports on the console how the boot went, then switches off.
const REPORT: &str = "[Unit]\nDescription=Report\nAfter=multi-user.target\n\
    [Service]\nType=oneshot\n\
    ExecStart=/bin/sh -c 'echo REPORT target=$$(systemctl is-active multi-user.target) \
    failed=$$(systemctl --failed --no-legend --plain | cut -d\" \" -f1 | tr \"\\n\" ,) \
    host=$$(hostname) > /dev/console'\n\
    ExecStartPost=/bin/systemctl --no-block poweroff\n\
    [Install]\nWantedBy=multi-user.target\n";

/// Asserts everything that the project promises of a tree.
fn check_tree(tree: &Path) {
    let text = |path: &str| fs::read_to_string(tree.join(path)).unwrap_or_default();
    assert_eq!(text("etc/skeleton"), "from the skeleton\n");
    assert_eq!(text("etc/motd"), "extra\n");
    assert_eq!(text("etc/hostname"), "built-here\n");
    assert_eq!(text("etc/postinst-saw"), "built-here\n");
    assert_eq!(text("etc/finalized"), "finalized\n");
    assert_eq!(text("etc/machine-id"), "");
    let release = text("etc/os-release");
    assert!(release.contains("IMAGE_ID=full"), "{release}");
    assert!(release.contains("IMAGE_VERSION=7"), "{release}");
    let sources = text("etc/apt/sources.list");
    assert!(sources.contains("bookworm-security"), "{sources}");
    assert!(!tree.join("opt/remove-me.txt").exists());
    assert!(!tree.join("etc/resolv.conf").exists());
    let shadow = text("etc/shadow");
    let entry = shadow
        .lines()
        .find(|line| line.starts_with("root:"))
        .unwrap_or_else(|| panic!("no root in {shadow}"));
    assert!(entry.starts_with("root:$"), "{entry}");
    assert!(!tree.join("usr/share/man/man1").exists());
    assert!(tree.join("usr/share/doc/bash/copyright").exists());
    for empty in [
        "var/cache/apt/archives",
        "var/lib/apt/lists",
        "tmp",
        "run",
        "dev",
    ] {
        let left: Vec<_> = fs::read_dir(tree.join(empty))
            .map(|d| {
                d.map(|e| e.unwrap().file_name())
                    // Directories of the system's own, empty.
                    .filter(|n| n != "lock" && n != "partial")
                    .collect()
            })
            .unwrap_or_default();
        assert!(left.is_empty(), "{empty} holds {left:?}");
    }
    let stat = |path: &str| {
        tool(
            "stat",
            &["-c", "%u:%g:%a", &tree.join(path).to_string_lossy()],
        )
    };
    assert_eq!(stat("srv/owned"), "1234:4321:640\n");
    assert_eq!(stat("opt/tool"), "0:0:755\n");
    assert_eq!(stat("tmp"), "0:0:1777\n");
    let root = tree.to_string_lossy();
    assert_eq!(tool("dpkg", &["--root", &root, "--audit"]), "");
    // The password is the one of mkosi.rootpw.
    let hash = entry.split(':').nth(1).unwrap().to_owned();
    let check =
        "import crypt,sys; sys.exit(crypt.crypt('correct horse', sys.argv[1]) != sys.argv[1])";
    let mut python = std::process::Command::new("/usr/bin/python3");
    python.args(["-W", "ignore", "-c", check, &hash]);
    support::finish(python).succeeds();
}

fn check_manifest(project: &Project, name: &str) {
    let text = fs::read_to_string(project.path().join(name)).expect("the manifest");
    let manifest: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let packages = manifest["packages"].as_array().expect("packages");
    let bash = packages.iter().find(|p| p["name"] == "bash").expect("bash");
    assert_eq!(bash["architecture"], "amd64");
    assert!(bash["version"].as_str().is_some_and(|v| v.starts_with('5')));
    assert!(bash["size"].as_u64().is_some_and(|s| s > 1_000_000));
}

fn boots(project: &Project) -> Run {
    let run = project.run(&["boot"]);
    run.succeeds();
    assert!(
        run.stdout
            .contains("REPORT target=active failed= host=built-here"),
        "{}\n{}",
        run.stdout,
        run.stderr
    );
    assert_no_leaks(project.path());
    run
}

fn shell_passes_status_on(project: &Project) {
    project.run(&["shell", "sh", "-c", "exit 7"]).exits(7);
    project
        .run(&["shell", "cat", "/etc/motd"])
        .succeeds()
        .prints("extra");
    assert_no_leaks(project.path());
}

#[test]
fn root_directory() {
    root();
    let project = full("directory");
    let before = project.entries();
    project.run(&[]).succeeds();
    check_tree(&project.path().join("image"));
    check_manifest(&project, "image.manifest");
    assert_no_leaks(project.path());
    shell_passes_status_on(&project);
    boots(&project);
    // A second build replaces it only when told to.
    project.run(&["build"]).exits(2).says("already exists");
    project
        .run(&["--force", "--hostname=again", "build"])
        .succeeds();
    let name = fs::read_to_string(project.path().join("image/etc/hostname")).unwrap();
    assert_eq!(name, "again\n");
    project.run(&["clean"]).succeeds();
    assert_eq!(project.entries(), before);
}

#[test]
fn root_tar() {
    root();
    let project = full("tar");
    let before = project.entries();
    // As sudo runs it: artifacts belong to the caller.
    let mut command = project.command(&["--output-dir=made", "build"]);
    command.env("SUDO_UID", "4711").env("SUDO_GID", "4712");
    support::finish(command).succeeds();
    for name in ["made", "made/image.tar.xz", "made/image.manifest"] {
        let path = project.path().join(name);
        let owner = tool("stat", &["-c", "%u:%g", &path.to_string_lossy()]);
        assert_eq!(owner, "4711:4712\n", "{name}");
    }
    let tar = project.path().join("made/image.tar.xz");
    tool("xz", &["-t", &tar.to_string_lossy()]);
    let tree = project.path().join("unpacked");
    fs::create_dir(&tree).unwrap();
    tool(
        "tar",
        &[
            "--xattrs",
            "--numeric-owner",
            "-xpf",
            &tar.to_string_lossy(),
            "-C",
            &tree.to_string_lossy(),
        ],
    );
    check_tree(&tree);
    fs::remove_dir_all(&tree).unwrap();
    check_manifest(&project, "made/image.manifest");
    project.run(&["shell"]).exits(2).says("tar");
    project.run(&["--output-dir=made", "clean"]).succeeds();
    fs::remove_dir(project.path().join("made")).unwrap();
    assert_eq!(project.entries(), before);
    assert_no_leaks(project.path());
}

#[test]
fn root_gpt_ext4() {
    root();
    let project = full("gpt_ext4");
    let before = project.entries();
    project.run(&["--root-size=1500M"]).succeeds();
    let image = project.path().join("image.raw");
    let path = image.to_string_lossy().into_owned();
    let verified = tool("sfdisk", &["--verify", &path]);
    assert!(verified.contains("No errors detected"), "{verified}");
    let table: serde_json::Value =
        serde_json::from_str(&tool("sfdisk", &["--json", &path])).expect("JSON");
    let partition = &table["partitiontable"]["partitions"][0];
    // Root partition for x86-64 of the Discoverable Partitions Specification.
    assert_eq!(partition["type"], "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709");
    assert_eq!(partition["size"], 1500 * 2048);
    let start = partition["start"].as_u64().unwrap() * 512;
    tool("e2fsck", &["-fn", &format!("{path}?offset={start}")]);
    // Sparse: it takes the space of its tree, not of its size.
    let blocks = fs::metadata(&image)
        .map(|m| std::os::unix::fs::MetadataExt::blocks(&m) * 512)
        .unwrap();
    assert!(blocks < 600 << 20, "{blocks} bytes on the disk");
    let tree = project.path().join("mounted");
    fs::create_dir(&tree).unwrap();
    let mounted = tree.to_string_lossy().into_owned();
    tool(
        "mount",
        &[
            "-o",
            &format!("loop,ro,noload,offset={start}"),
            &path,
            &mounted,
        ],
    );
    let checked = std::panic::catch_unwind(|| check_tree(&tree));
    tool("umount", &[&mounted]);
    fs::remove_dir(&tree).unwrap();
    checked.unwrap();
    check_manifest(&project, "image.manifest");
    shell_passes_status_on(&project);
    boots(&project);
    project.run(&["clean"]).succeeds();
    assert_eq!(project.entries(), before);
    assert_no_leaks(project.path());
}

/// Without apt and mmdebstrap, debootstrap and the image's own apt make the same system.
#[test]
fn root_debootstrap() {
    root();
    let project = full("directory");
    let mut command = std::process::Command::new("unshare");
    command
        .args(["--mount", "sh", "-c"])
        .arg(
            "for program in mmdebstrap apt-config; do \
             mount --bind /dev/null \"$(command -v $program)\" || exit; done; exec \"$0\" build",
        )
        .arg(env!("CARGO_BIN_EXE_mkosi"))
        .current_dir(project.path());
    support::finish(command).succeeds().says("debootstrap");
    check_tree(&project.path().join("image"));
    check_manifest(&project, "image.manifest");
    boots(&project);
}
