//! Projects that an image.sh describes. Needs root.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod makeimg;
mod pacman;
mod signing;
mod support;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use makeimg::{run_makeimg, with_program};
use pacman::{Repository, add_base, trust};
use signing::Key;
use support::{Project, assert_no_leaks, root, tool};

/// Runs a script as somebody would type it, with the program in reach as makeimg.
fn typed(project: &Project, script: &str) -> support::Run {
    let bin = with_program(project);
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("bash");
    shell
        .current_dir(project.path())
        .env("HOME", "/nonexistent")
        .env("PATH", path)
        .env_remove("img_dir")
        .args(["-ec", script]);
    support::finish(shell)
}

/// The commands that the manual of the tool begins with: a here-document that writes the file, and makeimg.
fn quick_start(end: &str) -> String {
    format!(
        r#"cat <<{end} > image.sh
img_name=myimage.tar.gz

do_install()
{{
    for dir in bin lib etc var; do
        mkdir $img_dir/$dir
        touch $img_dir/$dir/.keep
    done
}}
EOF
makeimg  # must be executed as root
"#
    )
}

/// As it stands there, the shell fills in the here-document: `mkdir /` is what is left of its loop, with
/// no trace of what was meant. No tool can build that; the message names the line to change.
#[test]
fn the_quick_start_as_it_stands_says_what_is_wrong_with_it() {
    root();
    let project = Project::new();
    typed(&project, &quick_start("EOF"))
        .exits(1)
        .says("image.sh, do_install")
        .says("mkdir: cannot create directory")
        .says("File exists")
        .says("image.sh does not mention $img_dir.")
        .says("write cat <<'EOF' > image.sh");
    let text = fs::read_to_string(project.path().join("image.sh")).unwrap();
    assert!(
        text.contains("        mkdir /\n        touch //.keep\n"),
        "{text}"
    );
    assert!(!project.path().join("img/myimage.tar.gz").exists());
    assert_no_leaks(project.path());
}

#[test]
fn the_quick_start_with_quotes_makes_the_image() {
    root();
    let project = Project::new();
    typed(&project, &quick_start("'EOF'")).succeeds();
    let image = project.path().join("img/myimage.tar.gz");
    let list = tool("tar", &["-tzf", &image.to_string_lossy()]);
    let mut names: Vec<&str> = list
        .lines()
        .map(|l| l.trim_start_matches("./").trim_end_matches('/'))
        .filter(|name| !name.is_empty() && *name != ".")
        .collect();
    names.sort_unstable();
    let expected = ["bin", "etc", "lib", "var"].map(|dir| [dir.to_owned(), format!("{dir}/.keep")]);
    assert_eq!(names, expected.concat());
    assert_eq!(project.entries(), ["bin", "image.sh", "img"]);
}

/// In a shell that has the variable, or with a path in its place, nothing is lost.
#[test]
fn a_failure_of_another_kind_gets_no_such_hint() {
    root();
    let project = Project::new();
    project.file(
        "image.sh",
        "img_name=x\ndo_install() {\n mkdir $img_dir/a/b\n}\n",
    );
    let run = project.run(&[]);
    run.exits(1).says("do_install");
    assert!(!run.stderr.contains("here-document"), "{}", run.stderr);
}

/// Root in `do_install` is root of the image's tree alone.
#[test]
fn do_install_cannot_open_the_walls() {
    root();
    let project = Project::new();
    let escaped = format!("/etc/mkosi-test-{}", std::process::id());
    project.file(
        "image.sh",
        format!(
            r#"img_name=x
do_install() {{
    mkdir /tmp/mnt
    for command in \
        "mount -o remount,rw,bind /etc" "mount -o remount,rw,bind $src_dir" "mount -o remount,rw /" \
        "umount /etc" "/usr/bin/mount -t devtmpfs none /tmp/mnt" "mknod $img_dir/disk b 7 0" \
        "mknod $img_dir/memory c 1 1" "nsenter --target 1 --mount touch {escaped}" "touch {escaped}" \
        "chroot /proc/1/root touch {escaped}" "modprobe loop" "sh -c 'echo x > /proc/sys/kernel/core_pattern'"
    do
        if $command 2>/dev/null; then echo "$command" >> $img_dir/opened; fi
    done
    # What tools that install systems need.
    mkdir $img_dir/proc $img_dir/dev $img_dir/sys
    mount proc $img_dir/proc -t proc; umount $img_dir/proc
    mount sys $img_dir/sys -t sysfs -o ro; umount $img_dir/sys
    mount -o mode=0755 -t devtmpfs udev $img_dir/dev; test -c $img_dir/dev/null
    mount devpts $img_dir/dev/pts -t devpts -o mode=0620,gid=5
    touch $img_dir/file; chown 1234:65534 $img_dir/file; chmod 4755 $img_dir/file
}}
"#
        ),
    );
    project.run(&[]).succeeds();
    let tree = project.path().join("img/x");
    let opened = fs::read_to_string(tree.join("opened")).unwrap_or_default();
    assert_eq!(opened, "");
    assert!(!Path::new(&escaped).exists());
    let meta = fs::metadata(tree.join("file")).unwrap();
    assert_eq!(
        (meta.uid(), meta.gid(), meta.mode() & 0o7777),
        (1234, 65534, 0o4755)
    );
    assert_no_leaks(project.path());
}

/// A tree with an init of its own: what makes a system is none of this program's business.
#[test]
fn what_an_image_sh_makes_boots_in_a_container() {
    root();
    let project = Project::new();
    project
        .file(
            "image.sh",
            "img_name=tiny\npreinstall_files_src=(init)\npreinstall_files_dst=(sbin/init)\n\
             do_install() {\n\
             mkdir -p $img_dir/{bin,etc,dev,proc,sys,run,tmp,var}\n\
             cp /bin/busybox $img_dir/bin/busybox; ln -s busybox $img_dir/bin/sh\n\
             echo ID=tiny > $img_dir/etc/os-release\n}\n",
        )
        .script(
            "init",
            "#!/bin/sh\necho \"pid $$ started with $*\"\nexit 5\n",
        );
    // The first time it is built, the second time it is there.
    for _ in 0..2 {
        project
            .run(&["boot", "--", "quiet"])
            .exits(5)
            .prints("pid 1 started with quiet");
    }
    project
        .run(&["shell", "sh", "-c", "echo is $(cat /etc/os-release)"])
        .succeeds()
        .prints("is ID=tiny");
    project.run(&["qemu"]).exits(2).says("qemu");
    run_makeimg(&project, &["-F", "tar"])
        .exits(2)
        .says("the name in img_name ends in decides the form");
    project.run(&["clean"]).succeeds();
    assert!(!project.path().join("img/tiny").exists());
    assert_no_leaks(project.path());
}

/// The tool that the manual names for Arch Linux, from a repository in the project.
#[test]
fn do_install_may_use_pacstrap() {
    root();
    let key = Key::new("Tester <tester@example.com>");
    let repository = Repository::new();
    add_base(&repository, Some(&key));
    repository.index(Some(&key));
    let project = Project::new();
    trust(&project, Some(&key));
    let mirror = project.path().join("mirror");
    tool(
        "cp",
        &[
            "-r",
            &repository.mirror().to_string_lossy(),
            &mirror.to_string_lossy(),
        ],
    );
    project
        .file(
            "pacman.conf",
            "[options]\nArchitecture = auto\nGPGDir = ./gnupg\nSigLevel = Required DatabaseOptional\n\
             [core]\nInclude = ./mirrorlist\n",
        )
        .file("mirrorlist", format!("Server = file://{}/$repo/os/$arch\n", mirror.display()))
        .file(
            "image.sh",
            "img_name=arch\nimg_pkgs=(base hello)\npostinstall_files_src=(sudoers)\n\
             postinstall_files_dst=(/etc/sudoers.d/admin)\ndo_install() {\n\
             pacstrap -C pacman.conf -G -M \"$img_dir\" \"${img_pkgs[@]}\"\n}\n\
             do_postinstall() {\n cat /etc/sudoers.d/admin > /etc/seen\n}\n",
        )
        .file("sudoers", "admin\n");
    project.run(&[]).succeeds();
    let tree = project.path().join("img/arch");
    assert!(tree.join("usr/bin/hello").exists());
    assert_eq!(
        fs::read_to_string(tree.join("etc/seen")).unwrap(),
        "admin\n"
    );
    // The scriptlet saw the file systems of a running system; nothing of them stays.
    let said = fs::read_to_string(tree.join("etc/hello.installed")).unwrap();
    assert_eq!(said, "installed 1.0-1 in a system\n/dev/null\n");
    for name in ["dev", "proc", "sys"] {
        assert_eq!(fs::read_dir(tree.join(name)).unwrap().count(), 0, "{name}");
    }
    assert_no_leaks(project.path());
}

/// The tool that the manual names for Debian and Ubuntu.
#[test]
#[ignore = "installs a Debian from nothing with debootstrap: a minute"]
fn do_install_may_use_debootstrap() {
    root();
    let project = Project::new();
    project.file(
        "image.sh",
        "img_suite=bookworm\nimg_name=debian-$img_suite\ndo_install() {\n\
         debootstrap --variant=minbase $img_suite \"$img_dir/\" http://deb.debian.org/debian\n}\n\
         do_postinstall() {\n useradd -m admin\n}\n",
    );
    project.run(&[]).succeeds();
    let tree = project.path().join("img/debian-bookworm");
    tool("dpkg", &["--root", &tree.to_string_lossy(), "--audit"]);
    project
        .run(&["shell", "sh", "-c", "id -un admin; cat /etc/debian_version"])
        .succeeds()
        .prints("admin\n12.");
    assert_no_leaks(project.path());
}

const IMAGE_SH: &str = r#"
img_name=${IMG_NAME:-tree}
version=$(cat version)
preinstall_files_src=(version data)
preinstall_files_dst=(etc/early /srv/data)
postinstall_files_src=("with blank")
postinstall_files_dst=(/etc/late.d/file)

helper() { echo "$1 $version"; }

do_install() {
    grep -q 1.0 "$img_dir/etc/early"
    mkdir -p "$img_dir"/{usr/bin,usr/lib,tmp,root,dev,proc,sys,run}
    ln -s usr/bin "$img_dir/bin"; ln -s usr/lib "$img_dir/lib"; ln -s usr/lib "$img_dir/lib64"
    cp /bin/bash /bin/cat /bin/touch "$img_dir/usr/bin/"
    for file in $(ldd /bin/bash /bin/cat /bin/touch | grep -o '/[^ :]*\.so[^ ]*'); do
        mkdir -p "$img_dir${file%/*}"; cp -n "$file" "$img_dir$file"
    done
    helper "$src_dir $img_dir $img_path" > "$img_dir/etc/said"
    for place in / /etc /usr "$src_dir" "$src_dir/data"; do
        if touch "$place/written" 2>/dev/null; then echo "$place can be written to"; exit 1; fi
    done
    if mknod /tmp/disk b 7 0 2>/dev/null; then echo "devices can be made"; exit 1; fi
}

do_postinstall() {
    [ -z "$src_dir$img_dir" ]
    [ ! -e /work ] && [ -e /etc/late.d/file ]
    helper inside > /etc/inside
}
"#;

#[test]
fn an_image_sh_makes_trees_and_archives() {
    root();
    let project = Project::new();
    project
        .file("image.sh", IMAGE_SH)
        .file("version", "1.0\n")
        .file("data/deep/file", "data\n")
        .file("with blank", "late\n");
    let untouched = project.untouched();
    run_makeimg(&project, &["out"]).succeeds();
    let tree = project.path().join("out/tree");
    let read = |name: &str| fs::read_to_string(tree.join(name)).unwrap();
    assert_eq!(read("etc/early"), "1.0\n");
    assert_eq!(read("srv/data/deep/file"), "data\n");
    assert_eq!(read("etc/late.d/file"), "late\n");
    let here = project.path().display();
    assert_eq!(
        read("etc/said"),
        format!("{here} /image/tree {here}/out/tree 1.0\n")
    );
    // The container has the functions, and none of the variables.
    assert_eq!(read("etc/inside"), "inside \n");
    assert!(!tree.join("etc/shadow").exists() && !tree.join("etc/machine-id").exists());
    run_makeimg(&project, &["out"])
        .exits(2)
        .says("already exists");
    // Its tree runs, as it is.
    project
        .run(&["--output-dir=out", "shell", "/bin/cat", "/etc/inside"])
        .succeeds()
        .prints("inside");
    project
        .run(&["--output-dir=out", "shell", "/bin/bash", "-c", "exit 7"])
        .exits(7);
    project
        .run(&["--output-dir=out", "qemu"])
        .exits(2)
        .says("qemu");

    project.file("image.sh", IMAGE_SH.replace(":-tree", ":-tree.tar.bz2"));
    project.run(&["--output-dir=out"]).succeeds();
    project
        .run(&["--output-dir=out", "shell"])
        .exits(2)
        .says("a tar archive has to be unpacked first");
    let image = project.path().join("out/tree.tar.bz2");
    let list = tool("tar", &["-tjf", &image.to_string_lossy()]);
    assert!(list.contains("srv/data/deep/file"), "{list}");
    project
        .run(&["summary", "--output-dir=out"])
        .succeeds()
        .prints("tree.tar.bz2");
    project.run(&["--output-dir=out", "clean"]).succeeds();
    assert!(!image.exists());
    fs::remove_dir_all(project.path().join("out")).unwrap();
    project.file("image.sh", IMAGE_SH);
    untouched.check();

    // What fails ends it, with what was said.
    let with = |text: &str| {
        project.file("image.sh", text);
        let run = project.run(&[]);
        fs::remove_dir(project.path().join("img")).ok();
        untouched.check();
        run
    };
    let head = "img_name=x\ndo_install() {\n";
    with(&format!("{head} echo x > \"$src_dir/written\"\n}}\n"))
        .exits(1)
        .says("do_install")
        .says("Read-only file system");
    with(&format!("{head} false; true\n}}\n"))
        .exits(1)
        .says("the function do_install exited with status 1");
    with(&format!(
        "{head} mkdir $img_dir/usr\n}}\ndo_postinstall() {{ :; }}\n"
    ))
    .exits(1)
    .says("it needs /bin/bash, which is not in the image");
    with("img_name=x\n")
        .exits(2)
        .says("image.sh: there is no function do_install");
    with("img_name=a/b\ndo_install() { :; }\n")
        .exits(2)
        .says("image.sh:1: img_name=a/b");
    project.file(
        "image.sh",
        format!("{head} echo half > $img_dir/half; false\n}}\n"),
    );
    run_makeimg(&project, &["-k"])
        .exits(1)
        .says("--keep: the working directory of the build is");
    let kept = project.path().join("img");
    let kept = fs::read_dir(&kept).unwrap().next().unwrap().unwrap().path();
    assert_eq!(
        fs::read_to_string(kept.join("tree/half")).unwrap(),
        "half\n"
    );
}
