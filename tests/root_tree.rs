//! What needs root: owners, devices, mounts, and that nothing done to an image reaches the host.
//! Compared with `cp -a`, GNU tar and the system's crypt(3).

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::fs::{chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use mkosi::host::{Cancel, Quiet, Report};
use mkosi::tree::{
    CopyOptions, Owner, Root, RootPassword, TreeError, copy_tree, extract, remove_files,
    set_root_password,
};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, RenameFlags, Timespec, Timestamps, XattrFlags, lgetxattr,
    llistxattr, lsetxattr, makedev, mknodat, renameat_with, utimensat,
};
use tempfile::TempDir;

fn need_root() {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test has to run as root"
    );
}

#[derive(Default)]
struct Warnings(Mutex<Vec<String>>);

impl Report for Warnings {
    fn line(&self, _: &str) {}
    fn warn(&self, message: &str) {
        self.0.lock().unwrap().push(message.to_owned());
    }
    fn progress(&self, _: u64, _: u64) {}
    fn command(&self, _: &str) {}
}

/// Everything that should survive a copy, of everything in a directory.
fn describe(top: &Path) -> BTreeMap<PathBuf, String> {
    fn walk(
        top: &Path,
        at: &Path,
        inodes: &mut BTreeMap<u64, PathBuf>,
        all: &mut BTreeMap<PathBuf, String>,
    ) {
        let mut names: Vec<_> = fs::read_dir(at)
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
        names.sort();
        for path in names {
            let inside = path.strip_prefix(top).unwrap().to_owned();
            let meta = fs::symlink_metadata(&path).unwrap();
            let kind = meta.file_type();
            let first = inodes.entry(meta.ino()).or_insert_with(|| inside.clone());
            let content = if kind.is_file() {
                let bytes = fs::read(&path).unwrap();
                let sum: u64 = bytes
                    .iter()
                    .enumerate()
                    .map(|(i, b)| (i as u64 + 1) * u64::from(*b))
                    .sum();
                format!(
                    "{} bytes, {sum}, holes {}",
                    bytes.len(),
                    meta.blocks() * 512 < meta.len()
                )
            } else if kind.is_symlink() {
                format!("{:?}", fs::read_link(&path).unwrap())
            } else if kind.is_char_device() || kind.is_block_device() {
                format!("device {} {}", kind.is_block_device(), meta.rdev())
            } else {
                format!("{kind:?}")
            };
            let text = format!(
                "{content} mode {:o} owner {}:{} time {}.{:09} first {first:?} links {} {:?}",
                meta.mode() & 0o7777,
                meta.uid(),
                meta.gid(),
                meta.mtime(),
                meta.mtime_nsec(),
                if meta.is_dir() { 0 } else { meta.nlink() },
                xattrs(&path),
            );
            if meta.is_dir() {
                walk(top, &path, inodes, all);
            }
            all.insert(inside, text);
        }
    }
    let mut all = BTreeMap::new();
    walk(top, top, &mut BTreeMap::new(), &mut all);
    all
}

fn xattrs(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut list = vec![0; 4096];
    let length = llistxattr(path, list.as_mut_slice()).unwrap();
    let names = list[..length].split(|b| *b == 0).filter(|n| !n.is_empty());
    names
        .map(|name| {
            let name = OsStr::from_bytes(name);
            let mut value = vec![0; 4096];
            let length = lgetxattr(path, name, value.as_mut_slice()).unwrap();
            value.truncate(length);
            (name.to_string_lossy().into_owned(), value)
        })
        .filter(|(name, _)| name != "security.selinux")
        .collect()
}

fn set_time(path: &Path, seconds: i64, nanoseconds: i64) {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

fn node(path: &Path, kind: FileType, mode: u32, device: u64) {
    mknodat(CWD, path, kind, Mode::from_raw_mode(mode), device).unwrap();
}

/// Capabilities of version 2 with a line break in them: `cap_net_raw` and a made-up one.
const CAPABILITY: &[u8] = b"\x01\0\0\x02\0\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// An access control list: user::rw-, user:1000:rw-, group::r--, mask::rw-, other::r--.
const ACL: &[u8] = b"\x02\0\0\0\
    \x01\0\x06\0\xff\xff\xff\xff\
    \x02\0\x06\0\xe8\x03\0\0\
    \x04\0\x04\0\xff\xff\xff\xff\
    \x10\0\x06\0\xff\xff\xff\xff\
    \x20\0\x04\0\xff\xff\xff\xff";

/// One of everything that both a tree and an archive keep.
fn rich_tree(at: &Path) {
    let strange = OsStr::from_bytes(b"new\nline \xff\x1b[1m 'q'");
    let dir = at.join(strange);
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("file"), "content").unwrap();
    fs::write(at.join("setuid"), "s".repeat(200_000)).unwrap();
    chown(at.join("setuid"), Some(0), Some(12)).unwrap();
    fs::set_permissions(at.join("setuid"), fs::Permissions::from_mode(0o6755)).unwrap();
    fs::hard_link(at.join("setuid"), dir.join("same")).unwrap();
    fs::hard_link(at.join("setuid"), at.join("zz-same")).unwrap();
    fs::write(at.join("caps"), "x").unwrap();
    lsetxattr(
        at.join("caps"),
        c"security.capability",
        CAPABILITY,
        XattrFlags::empty(),
    )
    .unwrap();
    fs::write(at.join("acl"), "x").unwrap();
    lsetxattr(
        at.join("acl"),
        c"system.posix_acl_access",
        ACL,
        XattrFlags::empty(),
    )
    .unwrap();
    fs::write(at.join("note"), "x").unwrap();
    lsetxattr(
        at.join("note"),
        c"user.note",
        b"a\n\0=b",
        XattrFlags::empty(),
    )
    .unwrap();
    lsetxattr(
        at.join("note"),
        c"user.long",
        &[7; 3000],
        XattrFlags::empty(),
    )
    .unwrap();
    let sparse = fs::File::create(at.join("sparse")).unwrap();
    for i in 0..30u64 {
        sparse.write_at(b"island", (i * 2 + 1) << 16).unwrap();
    }
    sparse.set_len(8 << 20).unwrap();
    fs::File::create(at.join("hole"))
        .unwrap()
        .set_len(1 << 20)
        .unwrap();
    symlink("../../nowhere\n", at.join("dangling")).unwrap();
    lchown(at.join("dangling"), Some(1234), Some(4321)).unwrap();
    lsetxattr(
        at.join("dangling"),
        c"trusted.note",
        b"on a link",
        XattrFlags::empty(),
    )
    .unwrap();
    node(&at.join("fifo"), FileType::Fifo, 0o640, 0);
    chown(at.join("fifo"), Some(7), Some(8)).unwrap();
    fs::create_dir(at.join("sticky")).unwrap();
    chown(at.join("sticky"), Some(33), Some(33)).unwrap();
    fs::set_permissions(at.join("sticky"), fs::Permissions::from_mode(0o3711)).unwrap();
    lsetxattr(at.join("sticky"), c"user.dir", b"d", XattrFlags::empty()).unwrap();
    fs::create_dir(at.join("closed")).unwrap();
    fs::write(at.join("closed/inside"), "").unwrap();
    fs::set_permissions(at.join("closed"), fs::Permissions::from_mode(0o0)).unwrap();
    fs::write(at.join("before-1970"), "").unwrap();
    let mut all: Vec<PathBuf> = describe(at).into_keys().collect();
    all.sort_by(|a, b| b.cmp(a));
    for (i, path) in (0i64..).zip(&all) {
        set_time(&at.join(path), 1_000_000_000 + i * 86_400, 123_456_789 + i);
    }
    set_time(&at.join("before-1970"), -5, 0);
}

fn copy(source: &Path, image: &Path, owner: Owner, report: &dyn Report) -> Result<(), TreeError> {
    let options = CopyOptions {
        owner,
        ..CopyOptions::default()
    };
    let root = Root::open(image).unwrap();
    copy_tree(
        &root,
        source,
        Path::new("/"),
        &options,
        report,
        &Cancel::default(),
    )
    .map(|_| ())
}

fn same(left: &BTreeMap<PathBuf, String>, right: &BTreeMap<PathBuf, String>) {
    for (path, text) in left {
        assert_eq!(right.get(path), Some(text), "{path:?}");
    }
    assert_eq!(left.len(), right.len());
}

#[test]
fn root_copy_keeps_everything_that_cp_keeps() {
    need_root();
    let (source, ours, theirs) = (tmp(), tmp(), tmp());
    rich_tree(source.path());
    let from = describe(source.path());
    copy(source.path(), ours.path(), Owner::Keep, &Quiet).unwrap();
    run(Command::new("cp")
        .arg("-a")
        .arg("--sparse=auto")
        .arg(source.path().join("."))
        .arg(theirs.path()));
    same(&from, &describe(ours.path()));
    same(&describe(theirs.path()), &describe(ours.path()));
    same(&from, &describe(source.path()));
}

#[test]
fn root_copy_makes_everything_roots() {
    need_root();
    let (source, image) = (tmp(), tmp());
    rich_tree(source.path());
    // New directories inherit its group until they are told otherwise.
    fs::create_dir(image.path().join("sub")).unwrap();
    chown(image.path(), None, Some(50)).unwrap();
    fs::set_permissions(image.path(), fs::Permissions::from_mode(0o2755)).unwrap();
    copy(source.path(), image.path(), Owner::Root, &Quiet).unwrap();
    let mut checked = 0;
    for (path, text) in describe(image.path()) {
        if path != Path::new("sub") {
            assert!(text.contains(" owner 0:0 "), "{path:?} {text}");
            checked += 1;
        }
    }
    assert_eq!(checked, describe(source.path()).len());
    let mode = |name: &str| fs::metadata(image.path().join(name)).unwrap().mode() & 0o7777;
    assert_eq!(
        (mode("setuid"), mode("sticky"), mode("closed")),
        (0o6755, 0o3711, 0)
    );
    assert_eq!(
        xattrs(&image.path().join("caps"))["security.capability"],
        CAPABILITY
    );
}

#[test]
fn root_copy_leaves_devices_and_sockets_out() {
    need_root();
    let (source, image) = (tmp(), tmp());
    node(
        &source.path().join("null"),
        FileType::CharacterDevice,
        0o666,
        makedev(1, 3),
    );
    let _socket = std::os::unix::net::UnixListener::bind(source.path().join("sock")).unwrap();
    fs::write(source.path().join("file"), "").unwrap();
    let report = Warnings::default();
    copy(source.path(), image.path(), Owner::Root, &report).unwrap();
    assert_eq!(describe(image.path()).len(), 1);
    let warnings = report.0.lock().unwrap();
    assert_eq!(warnings.len(), 2);
    assert!(warnings[0].contains("null: it is a device"), "{warnings:?}");
    assert!(warnings[1].contains("sock: it is a socket"), "{warnings:?}");
}

#[test]
fn root_archives_of_gnu_tar_come_out_as_they_went_in() {
    need_root();
    let source = tmp();
    rich_tree(source.path());
    node(
        &source.path().join("null"),
        FileType::CharacterDevice,
        0o620,
        makedev(1, 3),
    );
    node(
        &source.path().join("disk"),
        FileType::BlockDevice,
        0o660,
        makedev(259, 70_000),
    );
    let long = PathBuf::from("d".repeat(150)).join("n".repeat(200));
    fs::create_dir(source.path().join(long.parent().unwrap())).unwrap();
    fs::write(source.path().join(&long), "long").unwrap();
    symlink("l".repeat(300), source.path().join("long-link")).unwrap();
    let from = describe(source.path());
    let pax = ["--format=posix", "--xattrs", "--xattrs-include=*"];
    for (options, precise) in [
        (&[&pax[..], &["--sparse"]].concat()[..], true),
        (
            &[&pax[..], &["--sparse", "--sparse-version=0.1"]].concat()[..],
            true,
        ),
        (
            &[&pax[..], &["--sparse", "--sparse-version=0.0"]].concat()[..],
            true,
        ),
        (&[&pax[..], &["--gzip"]].concat()[..], true),
        (&[&pax[..], &["--sparse", "--zstd"]].concat()[..], true),
        (&["--format=gnu", "--sparse"][..], false),
        (&["--format=gnu", "--bzip2"][..], false),
        (&["--format=gnu", "--xz"][..], false),
    ] {
        let (archive, image) = (tmp(), tmp());
        let tar = archive.path().join("x.tar");
        run(Command::new("tar")
            .args(options)
            .arg("-C")
            .arg(source.path())
            .arg("-cf")
            .arg(&tar)
            .arg("."));
        let root = Root::open(image.path()).unwrap();
        let report = Warnings::default();
        extract(&root, &tar, &report, &Cancel::default()).unwrap();
        assert!(report.0.lock().unwrap().is_empty(), "{:?}", report.0);
        let got = describe(image.path());
        let expect: BTreeMap<PathBuf, String> = from
            .iter()
            .map(|(path, text)| {
                (
                    path.clone(),
                    expected(text, precise, options.contains(&"--sparse")),
                )
            })
            .collect();
        let got = got
            .into_iter()
            .map(|(path, text)| {
                (
                    path,
                    expected(&text, precise, options.contains(&"--sparse")),
                )
            })
            .collect();
        same(&expect, &got);
    }
}

/// What an archive can hold of a description: without pax headers no fractions of seconds and no
/// attributes (an access control list's mask stays as the group's mode), without --sparse no holes.
fn expected(text: &str, precise: bool, holes: bool) -> String {
    let mut text = text.to_owned();
    if !holes {
        text = text.replace("holes true", "holes false");
    }
    if !precise {
        let (before, after) = text.split_once(" time ").unwrap();
        let (time, after) = after.split_once(" first ").unwrap();
        let seconds = time.split('.').next().unwrap();
        let links = after.split(" {").next().unwrap();
        text = format!("{before} time {seconds} first {links}");
    }
    text
}

#[test]
fn root_archives_give_owners_modes_and_attributes_to_existing_directories() {
    need_root();
    let (source, archive, image) = (tmp(), tmp(), tmp());
    fs::create_dir(source.path().join("srv")).unwrap();
    chown(source.path(), Some(1000), Some(1000)).unwrap();
    chown(source.path().join("srv"), Some(33), Some(44)).unwrap();
    fs::set_permissions(
        source.path().join("srv"),
        fs::Permissions::from_mode(0o2770),
    )
    .unwrap();
    fs::create_dir(image.path().join("srv")).unwrap();
    let tar = archive.path().join("x.tar");
    run(Command::new("tar")
        .arg("-C")
        .arg(source.path())
        .arg("-cf")
        .arg(&tar)
        .arg("."));
    let before = fs::metadata(image.path()).unwrap();
    let root = Root::open(image.path()).unwrap();
    extract(&root, &tar, &Quiet, &Cancel::default()).unwrap();
    let srv = fs::metadata(image.path().join("srv")).unwrap();
    assert_eq!(
        (srv.uid(), srv.gid(), srv.mode() & 0o7777),
        (33, 44, 0o2770)
    );
    let after = fs::metadata(image.path()).unwrap();
    assert_eq!(
        (before.uid(), before.mode()),
        (after.uid(), after.mode()),
        "the root stays"
    );
}

#[test]
fn root_hostile_archives_change_nothing_outside() {
    need_root();
    for (members, message) in [
        (&[("../../etc/x", "f", "")][..], "`..`"),
        (
            &[("evil", "l", "OUT"), ("evil/x", "f", "")],
            "symbolic link evil",
        ),
        (
            &[
                ("evil", "l", "../../../../../../../OUT"),
                ("evil/x", "f", ""),
            ],
            "symbolic link evil",
        ),
        (
            &[("a", "l", "."), ("a/evil", "l", "OUT"), ("evil/x", "d", "")],
            "symbolic link evil",
        ),
        (
            &[("evil", "l", "OUT"), ("h", "h", "evil/secret")],
            "symbolic link evil",
        ),
        (&[("h", "h", "OUT/secret")], "not there"),
        (&[("h", "h", "../outside/secret")], "`..`"),
    ] {
        let around = tmp();
        let outside = around.path().join("outside");
        let image = around.path().join("image");
        fs::create_dir(&outside).unwrap();
        fs::create_dir(&image).unwrap();
        fs::write(outside.join("secret"), "secret").unwrap();
        let tar = around.path().join("x.tar");
        let mut builder = tar::Builder::new(fs::File::create(&tar).unwrap());
        for (name, kind, link) in members {
            let link = link.replace("OUT", outside.to_str().unwrap());
            let mut header = tar::Header::new_gnu();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
            header.set_entry_type(match *kind {
                "l" => tar::EntryType::Symlink,
                "h" => tar::EntryType::Link,
                "d" => tar::EntryType::Directory,
                _ => tar::EntryType::Regular,
            });
            header.set_size(0);
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            header.set_cksum();
            builder.append(&header, &[][..]).unwrap();
        }
        builder.finish().unwrap();
        let before = describe(&outside);
        let names = fs::read_dir(around.path()).unwrap().count();
        let root = Root::open(&image).unwrap();
        let text = extract(&root, &tar, &Quiet, &Cancel::default())
            .unwrap_err()
            .to_string();
        assert!(text.contains(message), "{text}");
        same(&before, &describe(&outside));
        assert_eq!(fs::read_dir(around.path()).unwrap().count(), names);
        let last = members.last().unwrap().0.rsplit('/').next().unwrap();
        assert!(
            !describe(&image).keys().any(|p| p.ends_with(last)),
            "{text}"
        );
    }
}

/// While a directory of the image turns into a link to the host and back, nothing that is done
/// through it reaches the host.
#[test]
fn root_swapped_directories_never_lead_outside() {
    need_root();
    let around = tmp();
    let (outside, image) = (around.path().join("outside"), around.path().join("image"));
    for dir in ["outside/d/sub", "image/d/sub"] {
        fs::create_dir_all(around.path().join(dir)).unwrap();
    }
    fs::write(outside.join("d/keep"), "keep").unwrap();
    fs::write(outside.join("d/sub/keep"), "keep").unwrap();
    // Absolute and relative, both to the host.
    symlink(outside.join("d"), image.join("absolute")).unwrap();
    symlink("../outside/d", image.join("relative")).unwrap();
    let before = describe(&outside);
    let source = tmp();
    fs::create_dir_all(source.path().join("d/sub")).unwrap();
    fs::write(source.path().join("d/keep"), "changed").unwrap();
    fs::write(source.path().join("d/sub/new"), "new").unwrap();
    let tar = around.path().join("x.tar");
    run(Command::new("tar")
        .arg("-C")
        .arg(source.path())
        .arg("-cf")
        .arg(&tar)
        .arg("d"));

    let stop = Arc::new(AtomicBool::new(false));
    let swapper = std::thread::spawn({
        let (stop, image) = (Arc::clone(&stop), image.clone());
        move || {
            let mut swaps = 0u64;
            while !stop.load(Ordering::Relaxed) {
                for link in ["absolute", "relative"] {
                    for _ in 0..2 {
                        let flags = RenameFlags::EXCHANGE;
                        let (a, b) = (image.join("d"), image.join(link));
                        // Fails while the name is gone, which a removal may have caused.
                        swaps += u64::from(renameat_with(CWD, &a, CWD, &b, flags).is_ok());
                    }
                }
            }
            swaps
        }
    });
    let root = Root::open(&image).unwrap();
    let cancel = Cancel::default();
    // What the calls return is up to chance; what they touch is not.
    for _ in 0..400 {
        let _ = root.write("d/keep", "changed", 0o644);
        let _ = root.create_dir_all("d/sub/deeper", 0o755);
        let _ = root.append_line("d/sub/keep", "changed");
        let _ = copy(source.path(), &image, Owner::Root, &Quiet);
        let _ = extract(&root, &tar, &Quiet, &cancel);
        let _ = root.remove_tree("d/sub");
        let _ = root.remove_content("d");
        let _ = remove_files(&root, ["d/*", "d/**/keep"], &cancel);
    }
    stop.store(true, Ordering::Relaxed);
    assert!(swapper.join().unwrap() > 100, "the swapping worked");
    same(&before, &describe(&outside));
}

#[test]
fn root_removal_refuses_mount_points() {
    need_root();
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
    let none = None::<&str>;
    let private = nix::mount::MsFlags::MS_REC | nix::mount::MsFlags::MS_PRIVATE;
    nix::mount::mount(none, "/", none, private, none).unwrap();
    let (host, image) = (tmp(), tmp());
    fs::write(host.path().join("precious"), "x").unwrap();
    for dir in ["var/cache/mounted", "var/tmp"] {
        fs::create_dir_all(image.path().join(dir)).unwrap();
    }
    fs::write(image.path().join("var/file"), "").unwrap();
    let bind = nix::mount::MsFlags::MS_BIND;
    let mounted = image.path().join("var/cache/mounted");
    nix::mount::mount(Some(host.path()), &mounted, none, bind, none).unwrap();
    let file = image.path().join("var/file");
    nix::mount::mount(Some(&host.path().join("precious")), &file, none, bind, none).unwrap();
    let root = Root::open(image.path()).unwrap();
    for path in ["var/cache/mounted", "var/cache", "var"] {
        let text = root.remove_tree(path).unwrap_err().to_string();
        assert!(text.contains("something is mounted there"), "{text}");
        assert!(host.path().join("precious").exists());
    }
    assert!(root.remove_file("var/file").is_err());
    assert!(root.remove_content("var").is_err());
    nix::mount::umount(&mounted).unwrap();
    nix::mount::umount(&file).unwrap();
    assert!(root.remove_tree("var").unwrap());
    assert_eq!(fs::read(host.path().join("precious")).unwrap(), b"x");
}

#[test]
fn root_passwords_are_what_the_c_library_checks() {
    need_root();
    let image = tmp();
    fs::create_dir_all(image.path().join("etc")).unwrap();
    fs::write(
        image.path().join("etc/passwd"),
        "root::0:0::/root:/bin/sh\n",
    )
    .unwrap();
    let shadow = image.path().join("etc/shadow");
    fs::write(&shadow, "root:*:1::::::\n").unwrap();
    chown(&shadow, Some(0), Some(42)).unwrap();
    fs::set_permissions(&shadow, fs::Permissions::from_mode(0o640)).unwrap();
    let root = Root::open(image.path()).unwrap();
    let passwords: [&[u8]; 5] = [
        b"a",
        b"correct horse battery staple",
        b"p\xc3\xa4ss:w",
        &[b'x'; 511],
        b" ",
    ];
    for (method, prefix) in [("YESCRYPT", "$y$j9T$"), ("SHA512", "$6$")] {
        fs::write(
            image.path().join("etc/login.defs"),
            format!("ENCRYPT_METHOD {method}\n"),
        )
        .unwrap();
        // Without optimisation yescrypt takes most of a second.
        let count = if method == "YESCRYPT" {
            3
        } else {
            passwords.len()
        };
        for password in passwords.into_iter().take(count) {
            set_root_password(&root, RootPassword::Plain(password), None, None).unwrap();
            let text = fs::read_to_string(&shadow).unwrap();
            let hash = text.split(':').nth(1).unwrap();
            assert!(hash.starts_with(prefix), "{hash}");
            assert_eq!(crypt(password, hash), hash);
            assert_ne!(crypt(b"wrong", hash), hash);
        }
        let meta = fs::metadata(&shadow).unwrap();
        assert_eq!(
            (meta.uid(), meta.gid(), meta.mode() & 0o7777),
            (0, 42, 0o640)
        );
        let seeded = || {
            set_root_password(
                &root,
                RootPassword::Plain(b"x"),
                Some(b"seed"),
                Some(86_400 * 7),
            )
            .unwrap();
            fs::read_to_string(&shadow).unwrap()
        };
        assert_eq!(seeded(), seeded());
        assert!(seeded().contains(":7::::::"));
    }
}

/// The system's crypt(3), through perl, with both values on its standard input.
fn crypt(password: &[u8], setting: &str) -> String {
    use std::io::Write as _;
    let script = "local $/; my ($p, $s) = split /\\n/, <STDIN>; print crypt($p, $s)";
    let mut perl = Command::new("perl")
        .args(["-e", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = perl.stdin.take().unwrap();
    stdin.write_all(password).unwrap();
    stdin.write_all(format!("\n{setting}").as_bytes()).unwrap();
    drop(stdin);
    String::from_utf8(perl.wait_with_output().unwrap().stdout).unwrap()
}

fn tmp() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
