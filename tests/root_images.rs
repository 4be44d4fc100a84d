//! Whole builds of every disk format and of its partitions, checked by other programs and by
//! booting in a container.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Project, assert_no_leaks, finish, root, tool};

/// A partition as sfdisk sees it, with what is in it as a file of its own.
struct Part {
    name: String,
    flags: String,
    bytes: u64,
    file: PathBuf,
}

/// The partitions of an image whose table is in order.
fn parts(image: &Path) -> Vec<Part> {
    let path = image.to_string_lossy();
    let verified = tool("sfdisk", &["--verify", &path]);
    assert!(verified.contains("No errors detected"), "{verified}");
    let json: serde_json::Value =
        serde_json::from_str(&tool("sfdisk", &["--json", &path])).unwrap();
    let table = json["partitiontable"]["partitions"].as_array().unwrap();
    let part = |(index, entry): (usize, &serde_json::Value)| {
        let file = image.with_file_name(format!("part-{index}"));
        let (start, sectors) = (
            entry["start"].as_u64().unwrap(),
            entry["size"].as_u64().unwrap(),
        );
        tool(
            "dd",
            &[
                "bs=1M",
                "conv=sparse",
                "iflag=skip_bytes,count_bytes",
                &format!("if={path}"),
                &format!("of={}", file.display()),
                &format!("skip={}", start * 512),
                &format!("count={}", sectors * 512),
            ],
        );
        // Trailing zeros are holes too.
        let end = fs::File::options().write(true).open(&file).unwrap();
        end.set_len(sectors * 512).unwrap();
        Part {
            name: entry["name"].as_str().unwrap().to_owned(),
            flags: entry["attrs"].as_str().unwrap_or_default().to_owned(),
            bytes: sectors * 512,
            file,
        }
    };
    table.iter().enumerate().map(part).collect()
}

fn names(parts: &[Part]) -> Vec<&str> {
    parts.iter().map(|part| part.name.as_str()).collect()
}

impl Part {
    fn path(&self) -> String {
        self.file.to_string_lossy().into_owned()
    }

    /// What the mounted file system says to a script whose first argument is its root.
    fn mounted(&self, script: &str) -> String {
        let source = self.path();
        let script = format!(
            "set -e; at=$(mktemp -d); trap 'umount \"$at\"; rmdir \"$at\"' EXIT\n\
             mount -o loop,ro \"$1\" \"$at\"\n{script}"
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script, "sh", &source]);
        let run = finish(command);
        run.succeeds();
        run.stdout
    }
}

/// A small Debian that reports on its console where it is mounted from, and switches off.
fn project(settings: &str) -> Project {
    let project = Project::debian(settings);
    project.file(
        "mkosi.extra/etc/systemd/system/report.service",
        "[Unit]\nAfter=multi-user.target\n\
         [Service]\nType=oneshot\n\
         ExecStart=/bin/sh -c 'echo REPORT failed=$$(systemctl --failed --no-legend --plain | cut -d\" \" -f1 | tr \"\\n\" ,) \
         root=$$(findmnt -no FSTYPE / ) home=$$(findmnt -no FSTYPE /home) file=$$(cat /home/user/file) > /dev/console'\n\
         ExecStartPost=/bin/systemctl --no-block poweroff\n",
    );
    // Enabled by a link that the tree brings along.
    let wants = project
        .path()
        .join("mkosi.extra/etc/systemd/system/multi-user.target.wants");
    fs::create_dir_all(&wants).unwrap();
    std::os::unix::fs::symlink("../report.service", wants.join("report.service")).unwrap();
    project.file("mkosi.extra/home/user/file", "at-home");
    project.file("mkosi.extra/srv/data/file", vec![7; 3 << 20]);
    project
}

fn boots(project: &Project, report: &str) {
    project.run(&["boot"]).succeeds().prints(report);
    assert_no_leaks(project.path());
}

#[test]
fn root_gpt_btrfs() {
    root();
    let project = project(
        "[Output]\nFormat=gpt_btrfs\nOutput=image.raw\nCompress=zstd\n[Partitions]\nSwapSize=64M\n",
    );
    let before = project.entries();
    project.run(&[]).succeeds();
    let parts = parts(&project.path().join("image.raw"));
    assert_eq!(names(&parts), ["Swap Partition", "Root Partition"]);
    assert_eq!(parts[0].bytes, 64 << 20);
    let swap = tool(
        "blkid",
        &["-p", "-o", "value", "-s", "TYPE", &parts[0].path()],
    );
    assert_eq!(swap, "swap\n");
    assert_eq!(parts[1].flags, "GUID:59");
    tool("btrfs", &["check", &parts[1].path()]);
    let said = parts[1].mounted("btrfs subvolume list \"$at\"; cat \"$at/home/user/file\"");
    for name in ["path home", "path srv", "path var", "path var/tmp"] {
        assert!(said.lines().any(|line| line.ends_with(name)), "{said}");
    }
    assert!(said.ends_with("at-home"), "{said}");
    boots(&project, "REPORT failed= root=btrfs home= file=at-home");
    for part in parts {
        fs::remove_file(part.file).unwrap();
    }
    project.run(&["clean"]).succeeds();
    assert_eq!(project.entries(), before);
}

#[test]
fn root_gpt_xfs_with_partitions_of_its_own() {
    root();
    let project = project(
        "[Output]\nFormat=gpt_xfs\nOutput=image.raw\n\
         [Partitions]\nSwapSize=32M\nHomeSize=320M\nSrvSize=320M\nRootSize=1200M\n",
    );
    project.run(&[]).succeeds();
    let parts = parts(&project.path().join("image.raw"));
    assert_eq!(
        names(&parts),
        [
            "Swap Partition",
            "Home Partition",
            "Server Data Partition",
            "Root Partition"
        ]
    );
    assert_eq!(parts[3].bytes, 1200 << 20);
    for part in &parts[1..] {
        tool("xfs_repair", &["-n", &part.path()]);
    }
    assert_eq!(parts[1].mounted("cat \"$at/user/file\""), "at-home");
    assert_eq!(
        parts[2].mounted("stat -c %s \"$at/data/file\""),
        "3145728\n"
    );
    let root = parts[3].mounted("ls -A \"$at/home\" \"$at/srv\" | grep -v : | tr -d '\\n'");
    assert_eq!(root, "", "/home and /srv are mount points only");
    boots(&project, "REPORT failed= root=xfs home=xfs file=at-home");
}

#[test]
fn root_gpt_squashfs_with_verity() {
    root();
    let project =
        project("[Output]\nFormat=gpt_squashfs\nOutput=image.raw\nVerity=yes\nCompress=xz\n");
    project.run(&[]).succeeds();
    let parts = parts(&project.path().join("image.raw"));
    assert_eq!(names(&parts), ["Root Partition", "Verity Partition"]);
    for part in &parts {
        assert_eq!(part.flags, "GUID:60");
    }
    let said = tool("unsquashfs", &["-s", &parts[0].path()]);
    assert!(said.contains("Compression xz"), "{said}");
    let hash = format!(
        "--root-hash-file={}",
        project.path().join("image.roothash").display()
    );
    tool(
        "veritysetup",
        &["verify", &hash, &parts[0].path(), &parts[1].path()],
    );
    boots(&project, "file=at-home");
}

#[test]
fn root_plain_squashfs_by_a_tool_of_the_project() {
    root();
    let project = project("[Output]\nFormat=plain_squashfs\nOutput=image.raw\nCompress=lz4\n");
    project.script(
        "mkosi.mksquashfs-tool",
        "#!/bin/sh\necho \"$@\" > \"$(dirname \"$0\")/arguments\"\nexec mksquashfs \"$@\" -no-exports\n",
    );
    project.run(&[]).succeeds();
    let image = project
        .path()
        .join("image.raw")
        .to_string_lossy()
        .into_owned();
    let said = tool("unsquashfs", &["-s", &image]);
    assert!(said.contains("Compression lz4"), "{said}");
    assert!(
        said.contains("not exportable"),
        "the tool was not used: {said}"
    );
    let arguments = fs::read_to_string(project.path().join("arguments")).unwrap();
    assert!(arguments.contains("-comp lz4"), "{arguments}");
    project
        .run(&["shell", "cat", "/home/user/file"])
        .succeeds()
        .prints("at-home");
    project
        .run(&["shell", "sh", "-c", "touch /usr/x || exit 7"])
        .exits(7);
}

#[test]
fn root_read_only_subvolume() {
    root();
    let project =
        project("[Output]\nFormat=subvolume\nReadOnly=yes\nOutput=out/image\nCompress=zstd\n");
    let refused = project.run(&[]);
    refused.exits(2).says("btrfs");
    assert!(!project.path().join("out").exists());

    let disk = project.path().join("disk");
    fs::File::create(&disk).unwrap().set_len(4 << 30).unwrap();
    tool("mkfs.btrfs", &["-q", &disk.to_string_lossy()]);
    // The whole life of it beneath a mount that goes with its namespace.
    let script = "set -e; mkdir out; mount -o loop disk out; mkosi=$1\n\
         \"$mkosi\"; btrfs property get -ts out/image ro; cat out/image/home/user/file; echo\n\
         btrfs property get out/image/usr/bin/bash compression\n\
         touch out/image/x && exit 9\n\
         \"$mkosi\" shell cat /home/user/file; echo\n\
         \"$mkosi\" -f; \"$mkosi\" clean; ls -A out | wc -l\n";
    let mut command = Command::new("unshare");
    command
        .args([
            "--mount",
            "sh",
            "-c",
            script,
            "sh",
            env!("CARGO_BIN_EXE_mkosi"),
        ])
        .current_dir(project.path());
    let run = finish(command);
    run.succeeds();
    let said: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(
        said,
        ["ro=true", "at-home", "compression=zstd", "at-home", "0"],
        "{}",
        run.stderr
    );
}

#[test]
fn root_encrypted_data_and_a_root_of_least_size() {
    root();
    let project = project(
        "[Output]\nOutput=image.raw\nEncrypt=data\nMinimize=yes\n\
         [Partitions]\nHomeSize=64M\nSrvSize=64M\n",
    );
    project
        .file("mkosi.passphrase", "open sesame")
        .mode("mkosi.passphrase", 0o600);
    project.run(&[]).succeeds();
    let parts = parts(&project.path().join("image.raw"));
    assert_eq!(
        names(&parts),
        ["Home Partition", "Server Data Partition", "Root Partition"]
    );
    let open = |part: &Part, passphrase: &str| {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "printf %s \"$1\" | cryptsetup open --test-passphrase --key-file=- \"$2\"",
            "sh",
            passphrase,
            &part.path(),
        ]);
        finish(command).code
    };
    for part in &parts[..2] {
        assert_eq!(open(part, "open sesame"), Some(0));
        assert_eq!(open(part, "open sesam"), Some(2));
        let clear = fs::read(&part.file).unwrap();
        assert!(!clear.windows(7).any(|bytes| bytes == b"at-home"));
    }
    tool("e2fsck", &["-fn", &parts[2].path()]);
    // The size is what the files need: hardly more than what they take.
    let used = fs::metadata(&parts[2].file).unwrap().blocks() * 512;
    assert!(
        parts[2].bytes < used + used / 4,
        "{} for {used} bytes of files",
        parts[2].bytes
    );
    assert_eq!(
        parts[2].mounted("ls -A \"$at/home\" \"$at/srv\" | grep -v : | tr -d '\\n'"),
        ""
    );
}

#[test]
fn root_partitions_too_small_for_what_goes_into_them() {
    root();
    let project = project("[Output]\nFormat=gpt_ext4\n[Partitions]\nSrvSize=2M\nRootSize=100M\n");
    let before = project.untouched();
    project
        .run(&[])
        .exits(1)
        .says("set SrvSize=")
        .says("set RootSize=");
    before.check();
}
