//! Images of every form, made by other programs from one tree, compared with each other.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use support::{Project, assert_no_leaks, assert_nothing_runs, root, tool};

const STATUS: &str =
    "Package: bash\nStatus: install ok installed\nVersion: 5.1\nArchitecture: amd64\n\n";

/// A small system in `tree/`, with things that only root can make.
fn project() -> Project {
    let project = Project::new();
    project
        .file(
            "tree/etc/os-release",
            "ID=debian\nVERSION_CODENAME=bookworm\n",
        )
        .file("tree/etc/passwd", "root:x:0:0::/root:/bin/sh\n")
        .file("tree/var/lib/dpkg/status", STATUS)
        .file("tree/usr/bin/large", vec![7; 5 << 20])
        .file("tree/usr/bin/tool", "#!/bin/sh\n")
        .file("tree/home/user/file", "at home")
        .mode("tree/usr/bin/tool", 0o4755)
        .mode("tree", 0o755);
    let at = |name: &str| project.path().join("tree").join(name);
    symlink("../usr/bin/tool", at("etc/link")).unwrap();
    let path = |name: &str| at(name).to_string_lossy().into_owned();
    tool("mkfifo", &[&path("etc/pipe")]);
    tool("mknod", &[&path("etc/null"), "c", "1", "3"]);
    tool("chown", &["-h", "1000:1000", &path("home/user")]);
    tool(
        "setfattr",
        &["-n", "user.note", "-v", "x", &path("etc/passwd")],
    );
    project
}

fn shell(project: &Project, script: &str) {
    let directory = project.path().to_string_lossy().into_owned();
    tool("sh", &["-euc", &format!("cd '{directory}'; {script}")]);
}

/// A partition table with this root partition in it.
fn gpt(project: &Project, name: &str, root: &str) {
    shell(
        project,
        &format!(
            "truncate -s $(($(stat -c %s {root}) + 2097152)) {name}
             printf 'label: gpt\\nstart=2048, size=%s, type=4f68bce3-e8cd-4db1-96e7-fbcaf984b709\\n' \
                 $(($(stat -c %s {root}) / 512)) | sfdisk -q {name}
             dd if={root} of={name} bs=1M seek=1 conv=notrunc,sparse status=none"
        ),
    );
}

/// Every form of the tree in `tree/`.
fn every_form(project: &Project) -> Vec<&'static str> {
    shell(
        project,
        "tar --xattrs --numeric-owner -C tree -cf image.tar .
         zstd -q image.tar; xz -k image.tar; gzip -k image.tar
         mke2fs -q -t ext4 -d tree ext4.part 64M
         mksquashfs tree plain.squashfs -quiet -no-progress >/dev/null
         mkfs.erofs --quiet erofs.img tree >/dev/null 2>&1
         truncate -s 128M btrfs.part; mkfs.btrfs -q btrfs.part >/dev/null 2>&1
         truncate -s 320M xfs.part; mkfs.xfs -q xfs.part
         mkdir at; trap 'umount at 2>/dev/null || true; rmdir at' EXIT
         for part in btrfs.part xfs.part; do
             mount -o loop $part at; cp -a tree/. at/; umount at
         done",
    );
    gpt(project, "ext4.raw", "ext4.part");
    gpt(project, "btrfs.raw", "btrfs.part");
    gpt(project, "xfs.raw", "xfs.part");
    shell(
        project,
        "qemu-img convert -f raw -O qcow2 ext4.raw image.qcow2; zstd -q -k ext4.raw",
    );
    vec![
        "image.tar",
        "image.tar.zst",
        "image.tar.xz",
        "image.tar.gz",
        "ext4.raw",
        "ext4.raw.zst",
        "image.qcow2",
        "btrfs.raw",
        "xfs.raw",
        "plain.squashfs",
        "erofs.img",
        "btrfs.part",
    ]
}

#[test]
fn root_every_form_of_one_tree_is_the_same() {
    root();
    let project = project();
    let forms = every_form(&project);
    let before = project.untouched();
    for form in forms {
        let run = project.run(&["diff", "tree", form]);
        assert_eq!(run.code, Some(0), "{form}: {}{}", run.stdout, run.stderr);
        run.prints("No differences.").prints("1 package");
    }
    // Two file systems with one identifier are both seen.
    shell(
        &project,
        "cp --sparse=always btrfs.raw copy.raw; cp --sparse=always xfs.raw xcopy.raw",
    );
    project.run(&["diff", "btrfs.raw", "copy.raw"]).exits(0);
    project.run(&["diff", "xfs.raw", "xcopy.raw"]).exits(0);
    fs::remove_file(project.path().join("copy.raw")).unwrap();
    fs::remove_file(project.path().join("xcopy.raw")).unwrap();
    before.check();
}

#[test]
fn root_what_differs_is_found_across_forms() {
    root();
    let project = project();
    shell(
        &project,
        "mksquashfs tree a.squashfs -quiet -no-progress >/dev/null
         sed -i s/5.1/5.2/ tree/var/lib/dpkg/status
         touch -r tree/usr/bin/tool stamp
         printf '\\010' | dd of=tree/usr/bin/large bs=1 seek=4999999 conv=notrunc status=none
         touch -r stamp tree/usr/bin/large
         chmod 0755 tree/usr/bin/tool; chown 5:6 tree/etc/passwd
         setfattr -n user.note -v y tree/etc/passwd
         ln -sfn /etc/shadow tree/etc/link; rm tree/etc/pipe; mkdir tree/etc/pipe
         rm -r tree/home/user; mkdir tree/opt
         tar --xattrs --numeric-owner -C tree -czf b.tar.gz .",
    );
    let mut command = project.command(&["diff", "a.squashfs", "b.tar.gz"]);
    command.env("LC_ALL", "C");
    let run = support::finish(command);
    for line in [
        "~ bash  5.1 -> 5.2",
        "~ etc/link ",
        "link to ../usr/bin/tool -> /etc/shadow",
        "~ etc/passwd ",
        "owner 0:0 -> 5:6, attributes user.note",
        "~ etc/pipe/ ",
        "a named pipe -> a directory",
        "- home/user/ ",
        "+ opt/ ",
        "empty directory",
        "~ usr/bin/large ",
        "~ usr/bin/tool ",
        "mode 4755 -> 0755",
        "~ var/lib/dpkg/status ",
    ] {
        run.exits(1).prints(line);
    }
    let json = project.run(&["diff", "a.squashfs", "b.tar.gz", "--json"]);
    json.exits(1);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let files = json["files"].as_array().unwrap();
    let of = |path: &str| files.iter().find(|file| file["path"] == path).unwrap();
    assert_eq!(
        of("usr/bin/large")["aspects"],
        serde_json::json!(["content"])
    );
    assert_eq!(of("home/user/file")["change"], "removed");
    assert_eq!(json["packages"]["changed"][0]["name"], "bash");
    assert_no_leaks(project.path());
}

#[test]
fn root_what_cannot_be_compared_is_trouble() {
    root();
    let project = project();
    project
        .file("text", "hello\n")
        .file("cut.tar.gz", b"\x1f\x8b\x08\x00cut".as_slice());
    shell(
        &project,
        "truncate -s 32M luks.img; echo secret | cryptsetup luksFormat -q --pbkdf pbkdf2 \
             --pbkdf-force-iterations 1000 luks.img -
         qemu-img create -q -f qcow2 -b /etc/passwd -F raw over.qcow2 1M",
    );
    let before = project.untouched();
    for (image, message) in [
        ("text", "text is no image"),
        ("cut.tar.gz", "cannot"),
        ("nothing", "nothing"),
        ("luks.img", "encrypted"),
        ("over.qcow2", "another file"),
    ] {
        let run = project.run(&["diff", "tree", image]);
        run.exits(2).says(message);
        assert_eq!(run.stdout, "", "{image}");
    }
    before.check();
}

#[test]
fn root_a_project_names_its_images() {
    root();
    let project = project();
    project.file(
        "mkosi.default",
        "[Distribution]\nDistribution=debian\n[Output]\nFormat=directory\nOutput=system\nOutputDirectory=out\n",
    );
    project
        .run(&["diff", "system", "tree"])
        .exits(2)
        .says("build it first");
    fs::create_dir(project.path().join("out")).unwrap();
    shell(&project, "cp -a tree out/system");
    project.run(&["diff", "system", "tree"]).exits(0);
    project.run(&["diff", "tree"]).exits(0).prints("+++ ");
    project.run(&["diff"]).exits(2).says("name both");
}

/// Who interrupts it while it unpacks finds nothing of it.
#[test]
fn root_an_interrupted_comparison_leaves_nothing() {
    root();
    let project = project();
    shell(
        &project,
        "head -c 300M /dev/urandom > tree/large; tar -C tree -cf a.tar .; mkdir tmp",
    );
    let mut command = project.command(&["diff", "a.tar", "tree"]);
    command.env("TMPDIR", project.path().join("tmp"));
    let mut child = command.spawn().unwrap();
    let begun = Instant::now();
    while fs::read_dir(project.path().join("tmp")).unwrap().count() == 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never began");
        std::thread::sleep(Duration::from_millis(5));
    }
    tool("kill", &["-INT", &child.id().to_string()]);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(fs::read_dir(project.path().join("tmp")).unwrap().count(), 0);
    assert_nothing_runs(&project);
    assert_no_leaks(project.path());
}

/// Directories need no root, and nothing is followed out of them.
#[test]
fn root_directories_are_compared_without_root() {
    root();
    let project = Project::new();
    project.file("a/file", "x").file("b/file", "x");
    for tree in ["a", "b"] {
        symlink("/etc", project.path().join(tree).join("out")).unwrap();
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(project.path().join(tree), mode).unwrap();
    }
    let program = Path::new(env!("CARGO_BIN_EXE_mkosi"));
    let copy = tempfile::tempdir().unwrap();
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(copy.path(), mode).unwrap();
    let as_nobody = |arguments: &str| {
        // The tests' directory may be closed to others.
        let script = format!(
            "cp -a '{}/a' '{}/b' '{}' '{}'; cd '{3}'; exec setpriv --reuid=65534 --regid=65534 --clear-groups \
             ./mkosi {arguments}",
            project.path().display(),
            project.path().display(),
            program.display(),
            copy.path().display(),
        );
        let mut command = std::process::Command::new("sh");
        command.args(["-c", &script]);
        support::finish(command)
    };
    as_nobody("diff a b").exits(0).prints("2 entries, 1 B");
    as_nobody("diff a mkosi").exits(2).says("is no image");
}
