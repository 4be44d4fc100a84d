//! Scripts that want out of the image that they run in: of the project, and of a package. Each way out is
//! tried for real and must be refused, whatever a script needs to do in the image must go on working.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod apt;
mod pacman;
mod signing;
mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chroot, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use apt::Repository;
use mkosi::host::{Cancel, Host, HostRunner, Quiet};
use mkosi::scripts::{BuildScript, Script, Workplace, build, postinst, prepare};
use nix::sched::{CloneFlags, unshare};
use signing::Key;
use support::{assert_no_leaks, root, tool};
use tempfile::{NamedTempFile, TempDir};

/// Ways out, one in each line: a name, and commands that succeed when it is open. None of them changes
/// anything of a host where it is: what is written is what is there already, or nothing at all.
const WAYS: &str = r#"
devtmpfs mount -t devtmpfs none /walls
debugfs mount -t debugfs none /walls
kernel-settings-anew mount -t proc none /walls && : >> /walls/sys/kernel/core_pattern
kernel-settings-writable mount -o remount,rw,bind /proc/sys && : >> /proc/sys/kernel/core_pattern
kernel-settings-uncovered umount /proc/sys && : >> /proc/sys/kernel/core_pattern
kernel-settings : >> /proc/sys/kernel/core_pattern
system-request : >> /proc/sysrq-trigger
system-request-uncovered umount /proc/sysrq-trigger && : >> /proc/sysrq-trigger
sysfs mount -t sysfs none /walls && : >> /walls/power/state
firmware : >> /sys/power/state
tmpfs mount -t tmpfs none /walls
nested unshare -U -r -m mount -t tmpfs none /walls
nested-proc unshare -U -r -m -p -f mount -t proc none /walls
read-only-file mount -o remount,rw,bind $own && : >> $own
read-only-file-uncovered umount $own && : >> $own
block-device mknod /walls/node b 7 0
block-device-anywhere mknod /dev/node b 7 0
memory mknod /walls/memory c 1 1
loop-device losetup -f $own
modules modprobe loop
clock date -s 2001-01-01 && test $(date +%Y) = 2001
other-process kill -0 $foreign
first-process nsenter -t 1 -m ls $marker
first-process-root ls /proc/1/root$marker
host-root chroot /walls /bin/busybox sh -c 'cd ../../../../..; ls .$marker'
release-agent for file in /sys/fs/cgroup/*/release_agent; do cat $file > $file && exit 0; done; exit 1
"#;

/// A script that tries the ways and writes down those that are open.
fn breaking_out(foreign: &Foreign, also: &str) -> String {
    let mut script = format!(
        "#!/bin/sh\nPATH=/walls/bin:/usr/bin:/bin\nown=$0 foreign={} marker={}\n\
         mkdir -p /walls/bin\n/bin/busybox --install -s /walls/bin\n: > /opened; : > /tried\n\
         umask 022\n",
        foreign.process.id(),
        foreign.marker.path().display()
    );
    for line in WAYS.lines().filter(|line| !line.is_empty()) {
        let (name, commands) = line.split_once(' ').unwrap();
        script.push_str(&format!(
            "echo {name} >> /tried\nif ( {commands} ) > /dev/null 2>&1; then echo {name} >> /opened; fi\n"
        ));
    }
    // Nothing that was open before the walls stood leads through them.
    script.push_str(
        "for fd in /proc/self/fd/*; do\n  case $(readlink $fd) in\n    /dev/*|/mnt/dev/null|/proc/*|pipe:*|socket:*|'') ;;\n    \
         $own|/run/mkosi/*) ;;\n    *) echo \"descriptor $(readlink $fd)\" >> /opened ;;\n  esac\ndone\n",
    );
    script.push_str(also);
    script
}

/// What scripts of images do with their files.
const WORK: &str = r#"
set -e
echo x > /worked; chown 1234:65534 /worked; chmod 4755 /worked
echo x > /large; chown 100000:4294967293 /large
mkfifo /fifo; ln -s worked /link; unshare -u true; chroot / /bin/busybox true
mknod /whiteout c 0 0
"#;

/// What such a script has left in a tree.
#[track_caller]
fn assert_walled(tree: &Path) {
    let read = |name: &str| fs::read_to_string(tree.join(name)).unwrap_or_default();
    let ways = WAYS.lines().filter(|line| !line.is_empty()).count();
    assert_eq!(read("tried").lines().count(), ways);
    assert_eq!(read("opened"), "");
    let meta = fs::metadata(tree.join("worked")).unwrap();
    assert_eq!(
        (meta.uid(), meta.gid(), meta.mode() & 0o7777),
        (1234, 65534, 0o4755)
    );
    let large = fs::metadata(tree.join("large")).unwrap();
    assert_eq!((large.uid(), large.gid()), (100_000, 4_294_967_293));
}

/// A process and a file of the host's.
struct Foreign {
    process: Child,
    marker: NamedTempFile,
}

impl Foreign {
    fn new() -> Self {
        Self {
            process: Command::new("sleep").arg("600").spawn().unwrap(),
            marker: NamedTempFile::new().unwrap(),
        }
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Case {
    directory: TempDir,
    foreign: Foreign,
}

impl Case {
    /// A tree with a shell, and a script in the project.
    fn new(also: &str) -> Self {
        root();
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        tool("mount", &["--make-rprivate", "/"]);
        fs::create_dir_all("/run/systemd/nspawn").unwrap();
        tool("mount", &["-t", "tmpfs", "tmpfs", "/run/systemd/nspawn"]);
        let case = Self {
            directory: tempfile::tempdir().unwrap(),
            foreign: Foreign::new(),
        };
        for name in [
            "bin", "etc", "proc", "sys", "dev", "run", "tmp", "root", "usr",
        ] {
            fs::create_dir_all(case.at("tree").join(name)).unwrap();
        }
        fs::write(case.at("tree/etc/os-release"), "ID=test\n").unwrap();
        fs::copy("/bin/busybox", case.at("tree/bin/busybox")).unwrap();
        symlink("busybox", case.at("tree/bin/sh")).unwrap();
        let script = breaking_out(&case.foreign, also);
        fs::write(case.at("script"), script).unwrap();
        fs::set_permissions(case.at("script"), fs::Permissions::from_mode(0o755)).unwrap();
        case
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn script(&self, network: bool) -> Script {
        Script {
            path: self.at("script"),
            argument: "final",
            environment: Vec::new(),
            network,
        }
    }

    fn check(&self) {
        assert_walled(&self.at("tree"));
        let script = fs::read_to_string(self.at("script")).unwrap();
        assert!(script.starts_with("#!/bin/sh\n"));
    }
}

fn host() -> Host {
    Host::new(Arc::new(HostRunner), Arc::new(Quiet), Cancel::default())
}

#[test]
fn root_a_postinst_stays_in_the_image() {
    let case = Case::new(WORK);
    postinst(&case.script(false), &case.at("tree"), &host()).unwrap();
    case.check();
}

/// In a changed root the kernel makes no user namespaces, whoever asks: what is left of the walls has to do.
#[test]
fn root_without_user_namespaces_a_script_stays_in_the_image() {
    let case = Case::new(WORK);
    // Nowhere in the case's own directory, whose content is removed in the end.
    tool("mount", &["--rbind", "/", "/mnt"]);
    chroot("/mnt").unwrap();
    let tried = Command::new("unshare").args(["-U", "true"]).output();
    assert!(!tried.unwrap().status.success());
    postinst(&case.script(false), &case.at("tree"), &host()).unwrap();
    case.check();
}

#[test]
fn root_a_prepare_script_with_network_stays_in_the_image() {
    let case = Case::new(WORK);
    prepare(&case.script(true), &case.at("tree"), &host()).unwrap();
    case.check();
}

#[test]
fn root_a_build_script_stays_in_the_image_and_cannot_change_sources() {
    let case = Case::new(&format!(
        "for command in 'mount -o remount,rw,bind /root/src' 'mount -o remount,rw /root/src' \
         'umount /root/src' 'mount --bind /root/dest /root/src'; do\n\
         if $command 2>/dev/null; then echo $command >> /opened; fi\ndone\n\
         if touch /root/src/changed; then echo sources >> /opened; fi 2>/dev/null\n{WORK}\
         echo made > $DESTDIR/made; chown 100000 $DESTDIR/made\n"
    ));
    for name in ["sources", "destination"] {
        fs::create_dir(case.at(name)).unwrap();
    }
    let script = BuildScript {
        script: case.script(false),
        with_docs: false,
        with_tests: false,
        build_directory: None,
    };
    let (tree, sources, destination) =
        (case.at("tree"), case.at("sources"), case.at("destination"));
    let place = Workplace {
        root: &tree,
        sources: Some(&sources),
        read_only: true,
        destination: &destination,
        owner: None,
    };
    build(&script, &place, &host()).unwrap();
    case.check();
    assert_eq!(fs::read_dir(&sources).unwrap().count(), 0);
    assert_eq!(
        fs::metadata(destination.join("made")).unwrap().uid(),
        100_000
    );
}

/// Capabilities of files that a script sets are those of any root, not of one container's.
#[test]
fn root_capabilities_of_files_are_everybodys() {
    let case = Case::new("/bin/setcap cap_net_raw=ep /bin/ping\n");
    for name in ["setcap", "ping"] {
        let found = tool("sh", &["-c", "readlink -f \"$(command -v setcap)\""]);
        fs::copy(found.trim(), case.at("tree/bin").join(name)).unwrap();
        for word in tool("ldd", &[found.trim()]).split_whitespace() {
            let target = case.at("tree").join(word.trim_start_matches('/'));
            if word.starts_with('/') && !target.exists() {
                fs::create_dir_all(target.parent().unwrap()).unwrap();
                fs::copy(word, target).unwrap();
            }
        }
    }
    postinst(&case.script(false), &case.at("tree"), &host()).unwrap();
    let path = case.at("tree/bin/ping");
    let said = tool("getcap", &["-n", &path.display().to_string()]);
    assert!(said.contains("cap_net_raw=ep"), "{said}");
    // Of a container's root, it would be named.
    assert!(!said.contains("rootid"), "{said}");
    // As programs that make file systems and archives read it: 20 bytes, version 2.
    let hex = tool(
        "getfattr",
        &[
            "-n",
            "security.capability",
            "-e",
            "hex",
            &path.display().to_string(),
        ],
    );
    assert!(hex.contains("=0x01000002"), "{hex}");
}

#[test]
fn root_what_is_refused_is_explained() {
    let case = Case::new("mount -t tmpfs none /walls\n");
    let error = postinst(&case.script(false), &case.at("tree"), &host()).unwrap_err();
    assert!(error.to_string().contains("mkosi.finalize"), "{error}");
}

/// Packages come from anywhere, and their scripts run as root.
#[test]
fn root_a_script_of_a_package_stays_in_the_image() {
    root();
    let foreign = Foreign::new();
    let mut repository = Repository::new();
    let also = WORK.replace("/bin/busybox", "/usr/bin/busybox");
    repository.add_script("hostile", &breaking_out(&foreign, &also));
    repository.publish();
    let cache = tempfile::tempdir().unwrap();
    let mirror = repository.path().display().to_string();
    let project = repository.project(&mirror, cache.path(), "hostile");
    let mut command = project.command(&["build"]);
    command.stdin(Stdio::null());
    support::finish(command).succeeds();
    assert_walled(&project.path().join("image"));
    assert_no_leaks(project.path());
}

/// Package managers of the host mount things in the tree before scripts run, and cannot after.
#[test]
fn root_a_script_of_a_foreign_package_stays_in_the_image() {
    root();
    let foreign = Foreign::new();
    let key = Key::new("Tester <tester@example.com>");
    let repository = pacman::Repository::new();
    pacman::add_base(&repository, Some(&key));
    let script = format!(
        "post_install() {{\ncat > /breaking-out <<'EOF'\n{}\nEOF\nchmod +x /breaking-out\n\
         /bin/busybox sh /breaking-out\n}}\n",
        breaking_out(&foreign, WORK)
    );
    let hostile = pacman::Package {
        script: &script,
        ..pacman::Package::new("hostile")
    };
    repository.add(&hostile, Some(&key));
    repository.index(Some(&key));
    let project = support::Project::new();
    pacman::keyring(&key, &project);
    project.file(
        "mkosi.default",
        format!(
            "[Distribution]\nDistribution=arch\nMirror=file://{}\n\n\
             [Output]\nFormat=directory\nOutput=image\n\n[Packages]\nPackages=hostile\n",
            repository.mirror().display()
        ),
    );
    let mut command = project.command(&[]);
    command.stdin(Stdio::null());
    support::finish(command).succeeds();
    assert_walled(&project.path().join("image"));
    assert_no_leaks(project.path());
}
