//! Projects that an image.sh describes. Needs root.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod makeimg;
mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use makeimg::{run_makeimg, with_program};
use support::{Project, root, tool};

/// The quick start of the tool that reads image.sh. The shell would fill in the here-document as it
/// stands there, without quotes, before anything could be built of it.
#[test]
fn the_quick_start_of_image_sh() {
    root();
    let project = Project::new();
    let bin = project.path().join("bin");
    fs::create_dir(&bin).unwrap();
    symlink(env!("CARGO_BIN_EXE_mkosi"), bin.join("makeimg")).unwrap();
    let mut shell = Command::new("bash");
    shell
        .current_dir(project.path())
        .env("HOME", "/nonexistent")
        .arg("-ec")
        .arg(
            r#"PATH=$PWD/bin:$PATH
cat <<'EOF' > image.sh
img_name=myimage.tar.gz

do_install()
{
    for dir in bin lib etc var; do
        mkdir $img_dir/$dir
        touch $img_dir/$dir/.keep
    done
}
EOF
makeimg  # must be executed as root
"#,
        );
    support::finish(shell).succeeds();
    let image = project.path().join("img/myimage.tar.gz");
    let list = tool("tar", &["-tzf", &image.to_string_lossy()]);
    let mut names: Vec<&str> = list
        .lines()
        .map(|l| l.trim_start_matches("./").trim_end_matches('/'))
        .filter(|name| !name.is_empty() && *name != ".")
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "bin",
            "bin/.keep",
            "etc",
            "etc/.keep",
            "lib",
            "lib/.keep",
            "var",
            "var/.keep"
        ]
    );
    assert_eq!(project.entries(), ["bin", "image.sh", "img"]);
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

    project.file("image.sh", IMAGE_SH.replace(":-tree", ":-tree.tar.bz2"));
    project.run(&["--output-dir=out"]).succeeds();
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
