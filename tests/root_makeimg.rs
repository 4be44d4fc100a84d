//! Projects written for the two tools named makeimg: IMGBUILD and image.sh, and the program called by that
//! name. Needs root and the network, or what it brought earlier.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use support::{Project, Run, package_cache, root, tool};

/// The program, called as makeimg.
fn makeimg(project: &Project, words: &[&str]) -> Command {
    let mut command = project.command(words);
    command.arg0("/usr/local/bin/makeimg");
    command
}

fn run_makeimg(project: &Project, words: &[&str]) -> Run {
    support::finish(makeimg(project, words))
}

/// Downloads are shared with the other tests.
fn with_cache(project: &Project) {
    fs::create_dir(project.path().join("mkosi.cache")).unwrap();
    symlink(
        package_cache(),
        project.path().join("mkosi.cache/debian~bookworm"),
    )
    .unwrap();
}

const IMGBUILD: &str = r#"
imgname=box
target=debian
debian_suite=bookworm
format="${BOX_FORMAT:-dir}"
SERVER_IP=10.0.0.1
packages="
nano
less
"
passwords='
root rootpw
ann annpw
'

provision() {
    [ "$format" = dir ] || echo "$format" > /etc/format
    useradd -m ann
    printf '[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n' \
        > /etc/systemd/system/hello.service
    systemctl enable hello.service
}

setup() {
    truncate -s 600M box.custom
    mkfs.ext4 -q box.custom
    mount -o loop box.custom "$BUILDROOT"
}

cleanup() {
    umount "$BUILDROOT"
    echo done > cleaned
}
"#;

const HOSTS: &str = "--- a\n+++ b\n@@ -1 +1,2 @@\n+# patched\n root:x:0:0:root:/root:/bin/bash\n";

fn imgbuild() -> Project {
    let project = Project::new();
    with_cache(&project);
    project
        .file("IMGBUILD", IMGBUILD)
        .file("files/etc/motd", "hello\n")
        .file("files/etc/passwd.makeimg.patch", HOSTS)
        .file(
            "files/etc/wg.conf.makeimg.template",
            "Address = ${SERVER_IP}/24\nPrivateKey = $(makeimg -S +vpn)\n",
        )
        .mode("files/etc/wg.conf.makeimg.template", 0o600)
        .file("secrets/+vpn", "echo vpn-secret-value\n")
        .file("secrets/rootpw", "echo root-secret-value\n")
        .file("secrets/annpw", "echo ann-secret-value\n");
    project
}

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

    run_makeimg(&project, &["--incremental", "--force", "-F", "tar xz"]).succeeds();
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

    // mkosi's own verbs work here.
    project
        .run(&["--force", "--incremental", "shell", "cat", "/etc/motd"])
        .succeeds()
        .prints("hello");
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
    with("set -e\nimgname=x\nfalse\n")
        .exits(2)
        .says("it exited with status 1");
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

/// Every argument and variable of every process, as often as there is time, until told to stop.
fn watch(stop: &AtomicBool, value: &str) -> Vec<String> {
    let mut found = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        for process in fs::read_dir("/proc").unwrap().flatten() {
            for file in ["cmdline", "environ"] {
                let text = fs::read(process.path().join(file)).unwrap_or_default();
                let text = String::from_utf8_lossy(&text).into_owned();
                if text.contains(value) {
                    found.push(format!("{file} of {text}"));
                }
            }
        }
    }
    found
}

/// Where secrets could be found besides the image: in nothing that a build says, runs or keeps.
#[test]
fn secrets_are_in_the_image_alone() {
    root();
    const VALUE: &str = "correct-horse-battery-staple";
    let elsewhere = tempfile::tempdir().unwrap();
    let store = elsewhere.path().join("store");
    fs::write(&store, format!("{VALUE}\n")).unwrap();
    let project = imgbuild();
    let command = format!("sleep 0.3\ncat {}\n", store.display());
    for name in ["+vpn", "rootpw", "annpw"] {
        project.file(&format!("secrets/{name}"), &command);
    }
    let template = "Private = $(makeimg -S +vpn | { sleep 0.3; cat; })\n$(makeimg -S +vpn >&2)\n";
    project.file("files/etc/wg.conf.makeimg.template", template);
    let words = ["--incremental", "--debug=run", "--verbose", "--warn-only"];
    let stop = AtomicBool::new(false);
    let (run, seen) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch(&stop, VALUE));
        let run = run_makeimg(&project, &words);
        stop.store(true, Ordering::Relaxed);
        (run, watching.join().unwrap())
    });
    run.succeeds().says("it printed: ***");
    assert_eq!(seen, [""; 0]);
    assert!(
        !run.stdout.contains(VALUE) && !run.stderr.contains(VALUE),
        "{}",
        run.stderr
    );
    let image = project.path().join("box");
    let conf = fs::read_to_string(image.join("etc/wg.conf")).unwrap();
    assert!(conf.contains(VALUE), "{conf}");
    let found = |place: &Path| {
        let mut grep = Command::new("grep");
        grep.args([
            "--recursive",
            "--files-with-matches",
            "--binary-files=text",
            VALUE,
        ])
        .arg(place);
        support::finish(grep).stdout
    };
    // Passwords are hashed, and nothing else knows the value.
    assert_eq!(found(&image).lines().count(), 1);
    fs::rename(&image, elsewhere.path().join("box")).unwrap();
    assert!(project.path().join(".mkosi-layers").is_dir());
    assert_eq!(found(project.path()), "");

    // On another machine, as the manual has it.
    run_makeimg(&project, &["-R", "xsecrets"]).succeeds();
    fs::remove_dir_all(project.path().join("secrets")).unwrap();
    fs::remove_file(&store).unwrap();
    run_makeimg(
        &project,
        &["-W", "--incremental", "--force", "-r", "xsecrets"],
    )
    .succeeds();
    let conf = fs::read_to_string(image.join("etc/wg.conf")).unwrap();
    assert!(conf.contains(VALUE), "{conf}");
    let revealed = fs::metadata(project.path().join("xsecrets")).unwrap();
    assert_eq!(revealed.mode() & 0o7777, 0o700);
}
