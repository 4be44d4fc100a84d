//! Trees to make images of, and how to compare, count and check them.

// Each test program uses a part of this.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::ffi::{CString, OsString};
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{
    FileExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink,
};
use std::path::{Path, PathBuf};
use std::process::Command as Process;
use std::sync::Arc;

use mkosi::disk::btrfs::Btrfs;
use mkosi::disk::layout::Slot;
use mkosi::disk::squashfs::{self, Squashfs};
use mkosi::disk::{self, Assembled, Content, DiskError, DiskSpec, FileSystem, Passphrase};
use mkosi::host::{Cancel, Host, HostRunner, Quiet};
use rustix::fs::XattrFlags;

pub fn host() -> Host {
    assert!(nix::unistd::geteuid().is_root(), "these tests need root");
    Host::new(Arc::new(HostRunner), Arc::new(Quiet), Cancel::default())
}

/// Makes an image of a tree.
pub fn assemble(
    spec: &DiskSpec,
    tree: &Path,
    output: &Path,
    host: &Host,
) -> Result<Assembled, DiskError> {
    assemble_with(spec, tree, output, None, host)
}

/// Makes an image of a tree with encrypted partitions.
pub fn assemble_with(
    spec: &DiskSpec,
    tree: &Path,
    output: &Path,
    passphrase: Option<&Passphrase>,
    host: &Host,
) -> Result<Assembled, DiskError> {
    // On a disk, as a workspace is.
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let site = disk::Site {
        booting: None,
        tree,
        output,
        scratch: scratch.path(),
        passphrase,
    };
    let result = disk::assemble(spec, &site, host);
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    result
}

/// Runs a checker; its output, which must end with success.
pub fn tool(program: &str, args: &[&str]) -> String {
    let output = Process::new(program)
        .args(args)
        .env("LC_ALL", "C")
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {text}");
    text
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A tree with one of everything that is hard to carry over.
pub fn awkward_tree() -> tempfile::TempDir {
    let tree = tempfile::Builder::new().prefix("tree").tempdir().unwrap();
    let root = tree.path();
    let at = |path: &str| root.join(path);
    for directory in ["etc", "usr/bin", "dev", "run", "var/tmp", "empty", "many"] {
        fs::create_dir_all(at(directory)).unwrap();
    }
    fs::set_permissions(root, fs::Permissions::from_mode(0o751)).unwrap();
    fs::set_permissions(at("var/tmp"), fs::Permissions::from_mode(0o1777)).unwrap();

    fs::write(at("usr/bin/su"), vec![0x7f; 70_000]).unwrap();
    fs::set_permissions(at("usr/bin/su"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::write(at("usr/bin/ping"), b"ping").unwrap();
    tool("setcap", &["cap_net_raw+ep", text(&at("usr/bin/ping"))]);
    fs::hard_link(at("usr/bin/su"), at("usr/bin/su-twin")).unwrap();
    fs::hard_link(at("usr/bin/su"), at("etc/su-third")).unwrap();
    fs::write(at("etc/nothing"), b"").unwrap();
    fs::write(at("etc/zeros"), vec![0; 3 << 20]).unwrap();
    fs::write(at("etc/new\nline \"q\" \x1b"), b"odd name").unwrap();
    fs::write(
        root.join(std::ffi::OsStr::from_bytes(b"etc/\xff\xfe")),
        b"no text",
    )
    .unwrap();
    fs::write(at(&format!("etc/{}", "n".repeat(255))), b"long name").unwrap();
    for number in 0..3000 {
        fs::write(
            at(&format!("many/file-with-a-longer-name-{number:05}")),
            number.to_string(),
        )
        .unwrap();
    }
    let deep = (0..40).fold(at("deep"), |path, _| path.join("d".repeat(100)));
    create_deep(&deep);

    let sparse = File::create(at("var/sparse")).unwrap();
    sparse.set_len(5 << 30).unwrap();
    sparse.write_all_at(b"start", 0).unwrap();
    sparse.write_all_at(b"middle", (2 << 30) + 12_345).unwrap();

    symlink("etc", at("short-link")).unwrap();
    symlink("x".repeat(59), at("link-59")).unwrap();
    symlink("x".repeat(60), at("link-60")).unwrap();
    symlink("/".to_owned() + &"y/".repeat(2000), at("long-link")).unwrap();

    for (name, kind, mode, major, minor) in [
        ("dev/null", 'c', 0o666, 1, 3),
        ("dev/wide", 'c', 0o600, 300, 70_000),
        ("dev/disk", 'b', 0o660, 8, 1),
        ("run/fifo", 'p', 0o640, 0, 0),
    ] {
        let kind = match kind {
            'c' => nix::sys::stat::SFlag::S_IFCHR,
            'b' => nix::sys::stat::SFlag::S_IFBLK,
            _ => nix::sys::stat::SFlag::S_IFIFO,
        };
        let mode = nix::sys::stat::Mode::from_bits_truncate(mode);
        nix::sys::stat::mknod(&at(name), kind, mode, nix::sys::stat::makedev(major, minor))
            .unwrap();
        fs::set_permissions(at(name), fs::Permissions::from_mode(mode.bits())).unwrap();
    }
    std::os::unix::net::UnixListener::bind(at("run/socket")).unwrap();

    for (name, uid, gid) in [
        ("etc/nothing", 1000, 65_534),
        ("usr/bin/su", 70_000, 4_000_000_000),
        ("short-link", 42, 43),
        ("var/tmp", 5, 6),
    ] {
        std::os::unix::fs::lchown(at(name), Some(uid), Some(gid)).unwrap();
    }
    // Changing the owner clears set-user-ID.
    fs::set_permissions(at("usr/bin/su"), fs::Permissions::from_mode(0o6755)).unwrap();

    let set = |path: &str, name: &str, value: &[u8]| {
        rustix::fs::lsetxattr(at(path), name, value, XattrFlags::empty()).unwrap();
    };
    set("etc/nothing", "user.short", b"v");
    set("etc/nothing", "user.empty", b"");
    set("etc/zeros", "user.large", &vec![b'l'; 2000]);
    set("etc/zeros", "trusted.other", b"t");
    set("var/tmp", "user.directory", b"d");
    set(
        "usr/bin/su",
        "security.selinux",
        b"system_u:object_r:su_exec_t:s0\0",
    );
    // Access and default ACLs for the user 1 (`daemon` here, somebody else elsewhere).
    let acl = |entries: &[(u16, u16, u32)]| {
        let mut bytes = 2_u32.to_le_bytes().to_vec();
        for (tag, permissions, id) in entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(permissions.to_le_bytes());
            bytes.extend(id.to_le_bytes());
        }
        bytes
    };
    let none = u32::MAX;
    let entries = [
        (1, 7, none),
        (2, 5, 1),
        (4, 5, none),
        (16, 5, none),
        (32, 5, none),
    ];
    set("empty", "system.posix_acl_access", &acl(&entries));
    set("empty", "system.posix_acl_default", &acl(&entries));

    for (number, path) in paths(root).iter().enumerate() {
        // Whole seconds: the fractions are known to get lost.
        let seconds = 1_000_000_000 + number as i64 * 1000;
        touch(&root.join(path), seconds);
    }
    touch(root, 1_234_567_890);
    tree
}

/// Makes a directory whose path is longer than the system takes at once.
fn create_deep(path: &Path) {
    let mut parent =
        rustix::fs::open("/", rustix::fs::OFlags::PATH, rustix::fs::Mode::empty()).unwrap();
    for part in path.components().skip(1) {
        let name = part.as_os_str();
        let _ = rustix::fs::mkdirat(&parent, name, 0o755.into());
        parent = rustix::fs::openat(
            &parent,
            name,
            rustix::fs::OFlags::PATH,
            rustix::fs::Mode::empty(),
        )
        .unwrap();
    }
}

pub fn touch(path: &Path, seconds: i64) {
    let time = rustix::fs::Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    let times = rustix::fs::Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(
        rustix::fs::CWD,
        path,
        &times,
        rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
    )
    .unwrap();
}

/// Everything below `root` but what lies deeper than a path can say, relative and sorted.
pub fn paths(root: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = walkdir::WalkDir::new(root)
        .min_depth(1)
        .into_iter()
        .filter_map(Result::ok)
        .map(|entry| entry.path().strip_prefix(root).unwrap().to_owned())
        .filter(|path| path.as_os_str().len() < 3000 && !path.starts_with("lost+found"))
        .collect();
    found.sort();
    found
}

pub fn count(root: &Path) -> Content {
    let mut content = Content::default();
    let mut seen = std::collections::HashSet::new();
    for entry in walkdir::WalkDir::new(root)
        .into_iter()
        .filter_map(Result::ok)
    {
        let metadata = entry.metadata().unwrap();
        if entry.depth() > 0 {
            content.names += 1;
            content.name_bytes += entry.file_name().len() as u64;
        }
        if !metadata.is_dir() && !seen.insert(metadata.ino()) {
            continue;
        }
        content.inodes += 1;
        content.directories += u64::from(metadata.is_dir());
        if metadata.is_file() {
            content.data_bytes += (metadata.blocks() * 512)
                .min(metadata.len())
                .next_multiple_of(4096);
        }
        content.long_symlinks += u64::from(metadata.is_symlink() && metadata.len() > 59);
        content.with_xattrs += u64::from(!xattrs(entry.path()).is_empty());
    }
    content
}

pub fn xattrs(path: &Path) -> BTreeMap<OsString, Vec<u8>> {
    let mut names = vec![0_u8; 64 << 10];
    let length = rustix::fs::llistxattr(path, &mut names[..]).unwrap_or(0);
    names[..length]
        .split(|byte| *byte == 0)
        // XFS shows access control lists twice.
        .filter(|name| !name.is_empty() && !name.starts_with(b"trusted.SGI_ACL_"))
        .map(|name| {
            let mut value = vec![0_u8; 64 << 10];
            let length =
                rustix::fs::lgetxattr(path, CString::new(name).unwrap(), &mut value[..]).unwrap();
            value.truncate(length);
            (std::ffi::OsStr::from_bytes(name).to_owned(), value)
        })
        .collect()
}

/// Everything about a file that shall survive, as text to compare.
pub fn describe(root: &Path, path: &Path, sockets: bool) -> Option<String> {
    let full = root.join(path);
    let metadata = fs::symlink_metadata(&full).unwrap();
    if metadata.file_type().is_socket() && !sockets {
        return None;
    }
    let directory = metadata.is_dir();
    let target = metadata.is_symlink().then(|| fs::read_link(&full).unwrap());
    let digest = metadata.is_file().then(|| {
        // Only the parts around the data of a large sparse file: the rest is checked by its size.
        let file = File::open(&full).unwrap();
        let mut parts = Vec::new();
        for offset in [0, (2 << 30) + 12_345] {
            let rest = metadata.len().saturating_sub(offset).min(4 << 20);
            let mut buffer = vec![0; rest as usize];
            file.read_exact_at(&mut buffer, offset).unwrap();
            parts.push(crc_of(&buffer));
        }
        parts
    });
    Some(format!(
        "{:o} {}:{} links {} rdev {:x} size {} mtime {} target {target:?} data {digest:?} xattrs {:?}",
        metadata.mode(),
        metadata.uid(),
        metadata.gid(),
        if directory { 0 } else { metadata.nlink() },
        metadata.rdev(),
        if directory { 0 } else { metadata.len() },
        metadata.mtime(),
        xattrs(&full),
    ))
}

fn crc_of(bytes: &[u8]) -> u32 {
    crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(bytes)
}

pub fn assert_same_trees(expected: &Path, found: &Path, sockets: bool) {
    let without_socket = |root: &Path| {
        let mut list = paths(root);
        if !sockets {
            list.retain(|path| path != Path::new("run/socket"));
        }
        list
    };
    assert_eq!(without_socket(expected), without_socket(found));
    for path in without_socket(expected)
        .iter()
        .map(PathBuf::as_path)
        .chain([Path::new("")])
    {
        assert_eq!(
            describe(expected, path, sockets),
            describe(found, path, sockets),
            "{}",
            path.display()
        );
    }
}

/// A file system of every kind that fits into a partition.
pub fn file_systems() -> [FileSystem; 4] {
    [
        FileSystem::Ext4,
        FileSystem::Xfs,
        FileSystem::Btrfs(Btrfs::default()),
        FileSystem::Squashfs(Squashfs {
            compress: Some(squashfs::Algorithm::Zstd),
            program: None,
        }),
    ]
}

/// A plain tree that every file system can hold: some files, one of them large, holes and links.
pub fn plain_tree() -> tempfile::TempDir {
    let tree = tempfile::Builder::new().prefix("tree").tempdir().unwrap();
    let at = |path: &str| tree.path().join(path);
    fs::create_dir_all(at("usr/lib")).unwrap();
    let noise: Vec<u8> = (0..20_u64 << 20)
        .map(|n| (n.wrapping_mul(n).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
        .collect();
    fs::write(at("usr/lib/large"), noise).unwrap();
    for number in 0..1000 {
        fs::write(
            at(&format!("usr/recognisable-{number:04}")),
            number.to_string(),
        )
        .unwrap();
    }
    let sparse = File::create(at("sparse")).unwrap();
    sparse.set_len(1 << 30).unwrap();
    sparse.write_all_at(b"middle", 512 << 20).unwrap();
    symlink("usr/lib", at("lib")).unwrap();
    tree
}

/// A partition of an image as a sparse file of its own, made by dd.
pub fn extract(image: &Path, slot: &Slot) -> PathBuf {
    let file = image.with_extension(slot.kind.short_name());
    tool(
        "dd",
        &[
            "bs=1M",
            "conv=sparse",
            "iflag=skip_bytes,count_bytes",
            &format!("if={}", text(image)),
            &format!("of={}", text(&file)),
            &format!("skip={}", slot.offset),
            &format!("count={}", slot.size),
        ],
    );
    // A hole at the end is no reason to be shorter.
    let opened = File::options().write(true).open(&file).unwrap();
    opened.set_len(slot.size).unwrap();
    file
}

/// Checks a file system, that of a whole file, with its own tool and without repairing it.
pub fn check_file_system(file_system: &FileSystem, file: &Path) {
    let file = text(file);
    match file_system {
        FileSystem::Ext4 => tool("e2fsck", &["-fn", file]),
        FileSystem::Xfs => tool("xfs_repair", &["-n", "-f", file]),
        FileSystem::Btrfs(_) => tool("btrfs", &["check", "--check-data-csum", file]),
        FileSystem::Squashfs(_) => tool("unsquashfs", &["-lls", file]),
        FileSystem::Fat => tool("fsck.vfat", &["-nv", file]),
    };
}

/// Mounts the file system of a whole file for the time of a call.
pub fn with_mounted(
    file_system: &FileSystem,
    file: &Path,
    writable: bool,
    call: impl FnOnce(&Path),
) {
    let mount = tempfile::tempdir().unwrap();
    let options = match (writable, file_system) {
        (true, FileSystem::Xfs) => "loop,nouuid",
        (true, _) => "loop",
        (false, FileSystem::Ext4) => "loop,ro,noload",
        (false, FileSystem::Xfs) => "loop,ro,nouuid,norecovery",
        (false, _) => "loop,ro",
    };
    let kind = file_system.name();
    let arguments = ["-t", kind, "-o", options, text(file), text(mount.path())];
    tool("mount", &arguments);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| call(mount.path())));
    tool("umount", &[text(mount.path())]);
    result.unwrap();
}
