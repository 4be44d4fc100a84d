//! Mounts, loop devices, removal and publishing on the real system: needs root. Each test has a
//! mount namespace of its own.

// A test says what went wrong by panicking, in its helpers, too.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command as Process;
use std::sync::Arc;
use std::time::Duration;

use mkosi::engine::{PublishOptions, Staging, Workspace};
use mkosi::host::{
    Cancel, Host, HostError, HostRunner, LoopDevice, LoopOptions, Mount, Overlay, Quiet, Report,
    remove, remove_contents,
};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// A directory, on its own mount namespace that this thread and its children see.
fn fixture() -> tempfile::TempDir {
    assert!(nix::unistd::geteuid().is_root(), "this test needs root");
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    tempfile::tempdir().unwrap()
}

fn directory(parent: &Path, name: &str) -> PathBuf {
    let path = parent.join(name);
    fs::create_dir_all(&path).unwrap();
    path
}

fn run(program: &str, arguments: &[&str]) {
    let output = Process::new(program).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {text}");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A mounted file system of this type in a file, and what keeps it there.
fn filesystem(parent: &Path, kind: &str) -> (PathBuf, Mount, LoopDevice) {
    let image = parent.join("filesystem.raw");
    File::create(&image).unwrap().set_len(256 << 20).unwrap();
    run(&format!("mkfs.{kind}"), &["-q", text(&image)]);
    let device = LoopDevice::attach(&image, LoopOptions::default()).unwrap();
    let target = directory(parent, "filesystem");
    let mounted = Mount::device(device.path(), &target, kind, false, "").unwrap();
    (target, mounted, device)
}

fn is_mounted(path: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    mounts.contains(&format!(" {} ", path.display()))
}

fn attached(device: &Path) -> bool {
    let name = device.file_name().unwrap();
    Path::new("/sys/block").join(name).join("loop").exists()
}

fn wait_for(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..500 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("waited for {what}");
}

#[test]
fn root_mounts_go_with_their_values() {
    let dir = fixture();
    let (source, target) = (
        directory(dir.path(), "source"),
        directory(dir.path(), "target"),
    );
    fs::write(source.join("file"), "text").unwrap();
    {
        let _memory = Mount::tmpfs(&target, "mode=0700").unwrap();
        assert_eq!(target.metadata().unwrap().mode() & 0o7777, 0o700);
        let inner = directory(&target, "inner");
        let bind = Mount::bind(&source, &inner).unwrap();
        assert_eq!(fs::read_to_string(inner.join("file")).unwrap(), "text");
        fs::write(inner.join("new"), "").unwrap();
        bind.unmount().unwrap();
        let _read_only = Mount::bind_read_only(&source, &inner).unwrap();
        let refused = fs::write(inner.join("other"), "").unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
        let single = target.join("single");
        fs::write(&single, "").unwrap();
        let _file = Mount::bind(&source.join("file"), &single).unwrap();
        assert_eq!(fs::read_to_string(&single).unwrap(), "text");
    }
    assert!(!is_mounted(&target));
    assert!(source.join("new").exists());
    assert_eq!(fs::read_dir(&target).unwrap().count(), 0);
}

#[test]
fn root_a_mount_in_use_is_an_error_and_out_of_the_way() {
    let dir = fixture();
    let target = directory(dir.path(), "target");
    let mounted = Mount::tmpfs(&target, "").unwrap();
    let user = File::create(target.join("file")).unwrap();
    let error = mounted.unmount().unwrap_err();
    assert!(error.to_string().starts_with("cannot unmount /"), "{error}");
    assert!(!is_mounted(&target));
    drop(user);
}

#[test]
fn root_nothing_is_mounted_through_a_link() {
    let dir = fixture();
    let outside = directory(dir.path(), "outside");
    let link = dir.path().join("link");
    symlink(&outside, &link).unwrap();
    Mount::tmpfs(&link, "").unwrap_err();
    Mount::tmpfs(&dir.path().join("missing"), "").unwrap_err();
    assert!(!is_mounted(&outside) && !is_mounted(&link));
}

#[test]
fn root_an_overlay_takes_the_changes() {
    let dir = fixture();
    let [lower, middle, upper, work, target] =
        ["lo,wer", "mid:dle", "upper", "work", "target"].map(|name| directory(dir.path(), name));
    fs::write(lower.join("a"), "lower").unwrap();
    fs::write(lower.join("b"), "lower").unwrap();
    fs::write(middle.join("b"), "middle").unwrap();
    let overlay = Overlay {
        lower: &[&middle, &lower],
        upper: &upper,
        work: &work,
        options: "",
    };
    let mounted = Mount::overlay(&overlay, &target).unwrap();
    assert_eq!(fs::read_to_string(target.join("b")).unwrap(), "middle");
    fs::write(target.join("a"), "changed").unwrap();
    mounted.unmount().unwrap();
    assert_eq!(fs::read_to_string(lower.join("a")).unwrap(), "lower");
    assert_eq!(fs::read_to_string(upper.join("a")).unwrap(), "changed");
    // The kernel leaves a directory of mode 000 in there.
    remove(&work).unwrap();
}

#[test]
fn root_a_loop_device_shows_its_part_of_the_file() {
    let dir = fixture();
    let image = dir.path().join("image.raw");
    let sectors: Vec<u8> = (0..64u8).flat_map(|n| [n; 512]).collect();
    fs::write(&image, sectors).unwrap();
    let options = LoopOptions {
        offset: 8 * 512,
        size: 4 * 512,
        read_only: false,
    };
    let device = LoopDevice::attach(&image, options).unwrap();
    let path = device.path().to_owned();
    let mut open = File::options().read(true).write(true).open(&path).unwrap();
    let mut content = Vec::new();
    open.read_to_end(&mut content).unwrap();
    assert_eq!(content.len(), 4 * 512);
    assert_eq!((content[0], content[4 * 512 - 1]), (8, 11));
    open.seek(SeekFrom::Start(512)).unwrap();
    open.write_all(&[99; 512]).unwrap();
    open.sync_all().unwrap();
    drop(open);
    drop(device);
    wait_for("the device to be detached", || !attached(&path));
    assert_eq!(fs::read(&image).unwrap()[9 * 512], 99);

    let options = LoopOptions {
        read_only: true,
        ..options
    };
    let device = LoopDevice::attach(&image, options).unwrap();
    File::options()
        .write(true)
        .open(device.path())
        .map(|mut f| f.write_all(&[1; 512]))
        .and_then(|r| r)
        .unwrap_err();
    assert!(LoopDevice::attach(&dir.path().join("missing"), options).is_err());
}

#[test]
fn root_loop_devices_are_not_fought_over() {
    let dir = fixture();
    std::thread::scope(|scope| {
        for n in 0..4u8 {
            let image = dir.path().join(format!("image-{n}"));
            fs::write(&image, [n; 4096]).unwrap();
            scope.spawn(move || {
                for _ in 0..10 {
                    let device = LoopDevice::attach(&image, LoopOptions::default()).unwrap();
                    let content = fs::read(device.path()).unwrap();
                    assert_eq!(content, [n; 4096]);
                }
            });
        }
    });
}

#[test]
fn root_a_mounted_loop_device_goes_with_its_mount() {
    let dir = fixture();
    let (target, mounted, device) = filesystem(dir.path(), "ext4");
    let path = device.path().to_owned();
    fs::write(target.join("file"), "text").unwrap();
    drop(device);
    assert!(attached(&path), "still mounted");
    mounted.unmount().unwrap();
    wait_for("the device to be detached", || !attached(&path));
}

#[test]
fn root_removing_stops_at_every_kind_of_mount() {
    let dir = fixture();
    let outside = directory(dir.path(), "outside");
    fs::write(outside.join("precious"), "data").unwrap();
    let tree = directory(dir.path(), "tree");
    let inner = directory(&tree, "a/b/mount");
    let file = tree.join("a/file");
    fs::write(&file, "").unwrap();
    let refuse = |path: &Path, at: &Path| match remove(path) {
        Err(HostError::MountPoint { path }) => assert_eq!(path, at),
        other => panic!("{other:?}"),
    };

    let memory = Mount::tmpfs(&inner, "").unwrap();
    fs::write(inner.join("kept"), "").unwrap();
    refuse(&tree, &inner);
    refuse(&inner, &inner);
    assert!(inner.join("kept").exists());
    memory.unmount().unwrap();

    // A bind mount has the same device number.
    let bind = Mount::bind(&outside, &inner).unwrap();
    refuse(&tree, &inner);
    bind.unmount().unwrap();

    // What was removed before the mount was met is gone.
    fs::create_dir_all(tree.join("a")).unwrap();
    fs::write(&file, "").unwrap();
    let single = Mount::bind(&outside.join("precious"), &file).unwrap();
    refuse(&tree, &file);
    single.unmount().unwrap();

    remove(&tree).unwrap();
    assert!(!tree.exists());
    assert_eq!(
        fs::read_to_string(outside.join("precious")).unwrap(),
        "data"
    );
}

#[test]
fn root_the_contents_of_a_mount_point_can_go() {
    let dir = fixture();
    let target = directory(dir.path(), "target");
    let _memory = Mount::tmpfs(&target, "").unwrap();
    directory(&target, "a/b");
    let inner = directory(&target, "inner");
    let below = Mount::tmpfs(&inner, "").unwrap();
    assert!(matches!(
        remove_contents(&target),
        Err(HostError::MountPoint { .. })
    ));
    below.unmount().unwrap();
    remove_contents(&target).unwrap();
    assert_eq!(fs::read_dir(&target).unwrap().count(), 0);
    assert!(is_mounted(&target));
}

#[test]
fn root_attributes_do_not_stop_removal() {
    let dir = fixture();
    let tree = directory(dir.path(), "tree");
    let closed = directory(&tree, "closed/inner");
    for name in ["closed/file", "closed/inner/file", "plain"] {
        fs::write(tree.join(name), "").unwrap();
    }
    run("chattr", &["+i", text(&tree.join("closed/file"))]);
    run("chattr", &["+a", text(&tree.join("plain"))]);
    run("chattr", &["+i", text(&closed)]);
    run("chattr", &["+i", text(&tree.join("closed"))]);
    run("chattr", &["+i", text(&tree)]);
    remove(&tree).unwrap();
    assert!(!tree.exists());
    // But not on what the caller did not ask to remove.
    let parent = directory(dir.path(), "parent");
    let child = directory(&parent, "child");
    run("chattr", &["+i", text(&parent)]);
    let refused = remove(&child);
    run("chattr", &["-i", text(&parent)]);
    assert!(refused.is_err());
    assert!(child.exists());
}

#[test]
fn root_btrfs_subvolumes_go_with_the_tree() {
    let dir = fixture();
    let (top, mounted, _device) = filesystem(dir.path(), "btrfs");
    let tree = directory(&top, "tree");
    let subvolume = |path: &Path| run("btrfs", &["-q", "subvolume", "create", text(path)]);
    let outer = tree.join("outer");
    subvolume(&outer);
    fs::write(outer.join("file"), "x").unwrap();
    subvolume(&outer.join("nested"));
    fs::write(outer.join("nested/file"), "x").unwrap();
    for name in ["snapshot", "snapshot-with-nested"] {
        let source = if name == "snapshot" {
            outer.join("nested")
        } else {
            outer.clone()
        };
        run(
            "btrfs",
            &[
                "-q",
                "subvolume",
                "snapshot",
                text(&source),
                text(&tree.join(name)),
            ],
        );
    }
    subvolume(&tree.join("snapshot-with-nested/below"));
    for name in ["outer", "outer/nested", "snapshot", "snapshot-with-nested"] {
        let path = tree.join(name);
        run(
            "btrfs",
            &["property", "set", "-ts", text(&path), "ro", "true"],
        );
    }
    remove(&tree).unwrap();
    assert_eq!(fs::read_dir(&top).unwrap().count(), 0);

    // A subvolume as the output itself.
    let image = top.join("image");
    subvolume(&image);
    fs::write(image.join("file"), "x").unwrap();
    let mut staging = staging(&top, true);
    subvolume(&staging.add("image").unwrap());
    staging.publish(&host()).unwrap();
    assert_eq!(fs::read_dir(&image).unwrap().count(), 0);
    assert_eq!(fs::read_dir(&top).unwrap().count(), 1);
    mounted.unmount().unwrap();
}

fn host() -> Host {
    Host::new(Arc::new(HostRunner), Arc::new(Quiet), Cancel::default())
}

fn staging(output: &Path, replace: bool) -> Staging {
    let options = PublishOptions {
        replace,
        owner: Some((4321, 1234)),
        ..PublishOptions::default()
    };
    Staging::create(output, options, &Quiet).unwrap()
}

#[test]
fn root_published_files_belong_to_the_caller_and_trees_to_root() {
    let dir = fixture();
    let mut staging = staging(dir.path(), false);
    fs::write(staging.add("image.raw").unwrap(), "x").unwrap();
    let tree = staging.add("image").unwrap();
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("file"), "").unwrap();
    staging.publish(&host()).unwrap();
    let owner = |name: &str| {
        let metadata = dir.path().join(name).metadata().unwrap();
        (metadata.uid(), metadata.gid())
    };
    assert_eq!(owner("image.raw"), (4321, 1234));
    assert_eq!(owner("image"), (0, 0));
    assert_eq!(owner("image/file"), (0, 0));
}

#[test]
fn root_an_output_that_is_a_mount_point_stays_and_so_does_everything_else() {
    let dir = fixture();
    let image = directory(dir.path(), "image");
    let _memory = Mount::tmpfs(&image, "").unwrap();
    fs::write(image.join("kept"), "").unwrap();
    fs::write(dir.path().join("first"), "old").unwrap();
    let mut staging = staging(dir.path(), true);
    fs::write(staging.add("first").unwrap(), "new").unwrap();
    fs::create_dir(staging.add("image").unwrap()).unwrap();
    let error = staging.publish(&host()).unwrap_err();
    assert!(
        error.to_string().starts_with("cannot put in place /"),
        "{error}"
    );
    assert_eq!(fs::read_to_string(dir.path().join("first")).unwrap(), "old");
    assert!(image.join("kept").exists());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[derive(Default)]
struct Warnings(std::sync::Mutex<Vec<String>>);

impl Report for Warnings {
    fn line(&self, _: &str) {}
    fn warn(&self, message: &str) {
        self.0.lock().unwrap().push(message.to_owned());
    }
    fn progress(&self, _: u64, _: u64) {}
    fn command(&self, _: &str) {}
}

#[test]
fn root_a_left_over_mount_is_a_warning_for_the_next_build() {
    let dir = fixture();
    let old = directory(dir.path(), ".mkosi-work-abc123");
    fs::write(old.join(".lock"), "").unwrap();
    let mounted = directory(&old, "tree");
    let memory = Mount::tmpfs(&mounted, "").unwrap();
    fs::write(mounted.join("kept"), "").unwrap();
    let warnings = Warnings::default();
    Workspace::create(dir.path(), &warnings).unwrap();
    let heard = warnings.0.lock().unwrap().clone();
    assert_eq!(heard.len(), 1);
    assert!(heard[0].contains("something is mounted there"), "{heard:?}");
    assert!(mounted.join("kept").exists());
    memory.unmount().unwrap();
    Workspace::create(dir.path(), &warnings).unwrap();
    assert_eq!(warnings.0.lock().unwrap().len(), 1);
    assert!(!old.exists());
}
