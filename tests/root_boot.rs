//! Images boot in virtual machines, and say from inside that everything is as it should be.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod machine;
mod support;

use std::fs;
use std::path::Path;

use machine::{Boot, Console, boot, project, project_of};
use support::{Project, assert_no_leaks, finish, root, tool};

/// What is compressed in an initrd.
fn unpacked(initrd: &[u8]) -> Vec<u8> {
    const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
    let start = initrd.windows(4).position(|part| part == ZSTD).unwrap();
    zstd::decode_all(&initrd[start..]).unwrap()
}

fn built(project: &Project) {
    project.run(&[]).succeeds();
    assert_no_leaks(project.path());
}

/// The partitions' types, names and sizes, by sfdisk.
fn partitions(project: &Project) -> Vec<(String, u64, u64)> {
    let image = project.path().join("image.raw");
    let json: serde_json::Value =
        serde_json::from_str(&tool("sfdisk", &["--json", &image.to_string_lossy()])).unwrap();
    let table = json["partitiontable"]["partitions"].as_array().unwrap();
    let entry = |p: &serde_json::Value| {
        (
            p["name"].as_str().unwrap().to_owned(),
            p["start"].as_u64().unwrap() * 512,
            p["size"].as_u64().unwrap() * 512,
        )
    };
    table.iter().map(entry).collect()
}

/// A boot partition as a file of its own, checked by fsck.
fn partition(project: &Project, name: &str) -> String {
    let (_, start, size) = partitions(project)
        .into_iter()
        .find(|(label, ..)| label.starts_with(name))
        .unwrap();
    let path = |name: &str| project.path().join(name).to_string_lossy().into_owned();
    let target = path("partition");
    tool(
        "dd",
        &[
            "bs=1M",
            "conv=sparse",
            "iflag=skip_bytes,count_bytes",
            &format!("if={}", path("image.raw")),
            &format!("of={target}"),
            &format!("skip={start}"),
            &format!("count={size}"),
        ],
    );
    fs::File::options()
        .write(true)
        .open(&target)
        .unwrap()
        .set_len(size)
        .unwrap();
    tool("fsck.vfat", &["-nv", &target]);
    target
}

#[test]
fn root_boots_ext4_and_keeps_its_initrd() {
    root();
    let project =
        project("Autologin=yes\nMachineID=0123456789abcdef0123456789abcdef\nCacheInitrd=yes\n");
    built(&project);
    let console = boot(&project);
    console
        .is_well()
        .has("mount:/", "/dev/vda2 ext4 rw")
        .has("mount:/efi", "/dev/vda1 vfat")
        .has("cmdline", "console=ttyS0 loglevel=4 rw")
        .has_not("cmdline", "root=")
        .has("firmware", "uefi")
        .is("processors", "2")
        .has("machine-id", "0123456789abcdef0123456789abcdef")
        .has("who", "root")
        .has("written", "/written")
        .has("efi", "./EFI/BOOT/BOOTX64.EFI")
        .has("efi", "./EFI/Linux/linux-6.1")
        // Made once, outside of the image.
        .has_not("kernels", "initrd");

    // The same image in a container, which brings its own kernel and no boot loader.
    let run = project.run(&["boot"]);
    Console::new(run.succeeds().stdout.clone())
        .is_well()
        .has("mount:/", "ext4 rw")
        .has("machine-id", "0123456789abcdef0123456789abcdef");
    project
        .run(&["--network-veth", "shell", "ls", "/sys/class/net"])
        .succeeds()
        .prints("host0");
    project
        .run(&["shell", "ls", "/sys/class/net"])
        .succeeds()
        .prints("lo");
    assert!(!Path::new("/sys/class/net/ve-image").exists());
    assert_no_leaks(project.path());

    let esp = partition(&project, "EFI");
    let listing = tool("mdir", &["-b", "-i", &esp, "::/EFI/Linux"]);
    let name = listing.trim();
    let uki = project
        .path()
        .join("uki.efi")
        .to_string_lossy()
        .into_owned();
    tool("mcopy", &["-i", &esp, name, &uki]);
    let sections = tool("objdump", &["-h", &uki]);
    for section in [".sbat", ".osrel", ".cmdline", ".uname", ".initrd", ".linux"] {
        assert!(sections.contains(section), "{section} in {sections}");
    }
    tool(
        "objcopy",
        &[
            "-O",
            "binary",
            "--only-section=.cmdline",
            &uki,
            &format!("{uki}.line"),
        ],
    );
    assert_eq!(
        fs::read(format!("{uki}.line")).unwrap(),
        b"no_timer_check console=ttyS0 loglevel=4 rw"
    );

    // The same again, with another file in it: dracut has nothing to do. Then something that it
    // takes changes.
    project.file("mkosi.extra/opt/new", "new");
    let cached = "Making the initrd: done in";
    let line = |run: &support::Run| {
        let line = run.stderr.lines().find(|line| line.contains(cached));
        line.unwrap_or_default().to_owned()
    };
    let run = project.run(&["-f"]);
    assert!(line(run.succeeds()).ends_with("cached"), "{}", run.stderr);
    project.file(
        "mkosi.extra/etc/modprobe.d/new.conf",
        "options loop max_loop=3\n",
    );
    let run = project.run(&["-f"]);
    assert!(!line(run.succeeds()).ends_with("cached"), "{}", run.stderr);
    assert!(project.path().join(".mkosi-initrds").is_dir());
    project.run(&["clean", "-f"]).succeeds();
    assert!(!project.path().join(".mkosi-initrds").exists());
}

#[test]
fn root_boots_sealed_and_signed_and_nothing_else() {
    root();
    let project = project(
        "Format=gpt_squashfs\nVerity=yes\nSecureBoot=yes\nSplitArtifacts=yes\n\n\
                 [Validation]\nCheckSum=yes\n\n[Output]\n",
    );
    project.run(&[]).exits(2).says("mkosi genkey");
    project.run(&["genkey"]).succeeds();
    let path = |name: &str| project.path().join(name).to_string_lossy().into_owned();
    let key = project.path().join("mkosi.secure-boot.key");
    let mode = std::os::unix::fs::PermissionsExt::mode(&key.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    project.run(&["genkey"]).exits(2).says("--force");
    let other = "--secure-boot-certificate=other.crt";
    project
        .run(&["--secure-boot-key=other.key", other, "genkey"])
        .succeeds();
    // Found out before any work.
    let before = project.untouched();
    project
        .run(&[other])
        .exits(2)
        .says("other.crt is not the certificate of")
        .says("mkosi genkey");
    before.check();

    let same = |flags: &[&str]| {
        let mut command = project.command(flags);
        command.env("SOURCE_DATE_EPOCH", "1700000000");
        finish(command).succeeds();
        assert_no_leaks(project.path());
    };
    same(&[]);
    let files = [
        "image.efi",
        "image.initrd",
        "image.manifest",
        "image.raw",
        "image.root.raw",
        "image.root.verity",
        "image.roothash",
        "image.vmlinuz",
    ];
    let sums = fs::read_to_string(path("SHA256SUMS")).unwrap();
    let named: Vec<_> = sums.lines().map(|l| l.split_once('*').unwrap().1).collect();
    assert_eq!(named, files);
    let hash = fs::read_to_string(path("image.roothash")).unwrap();

    let esp = partition(&project, "EFI");
    let certificate = path("mkosi.secure-boot.crt");
    let mut signed = 0;
    for directory in ["EFI/BOOT", "EFI/systemd", "EFI/Linux"] {
        let names = tool("mdir", &["-b", "-i", &esp, &format!("::/{directory}")]);
        for name in names.lines() {
            let program = path("program");
            tool("mcopy", &["-o", "-i", &esp, name, &program]);
            tool("sbverify", &["--cert", &certificate, &program]);
            signed += 1;
        }
    }
    assert_eq!(signed, 3);
    // The last of them is the unified kernel image, which is made of the other two.
    tool("cmp", &[&path("program"), &path("image.efi")]);
    for (section, file) in [(".linux", "image.vmlinuz"), (".initrd", "image.initrd")] {
        let only = format!("--only-section={section}");
        let (program, out) = (path("program"), path("section"));
        tool("objcopy", &["-O", "binary", &only, &program, &out]);
        tool("cmp", &[&out, &path(file)]);
    }
    for name in ["program", "section", "partition"] {
        fs::remove_file(path(name)).unwrap();
    }

    // The same again is the same, signatures included; but not without being told to replace it.
    fs::remove_file(path("image.raw")).unwrap();
    project
        .run(&[])
        .exits(2)
        .says("image.")
        .says("already exists");
    same(&["-f"]);
    tool(
        "sh",
        &[
            "-c",
            &format!(
                "cd {} && echo '{}' | sha256sum --check --quiet",
                path(""),
                sums.trim()
            ),
        ],
    );

    boot(&project)
        .is_well()
        .has("secure", "1")
        .has("cmdline", &format!("roothash={}", hash.trim()))
        .has("mapped", "root: verity")
        .has("mount:/", "overlay")
        .has("written", "/written");

    // Containers are given what was checked as a whole before.
    let run = project.run(&["boot"]);
    run.succeeds().says("checked against image.roothash");
    Console::new(run.stdout.clone())
        .is_well()
        .has("mount:/", "overlay")
        .has("written", "/written");
    assert_no_leaks(project.path());

    // Another key is enrolled: the firmware starts nothing.
    let refused = Boot {
        until: Some("Access Denied"),
        ..Boot::default()
    }
    .run(&project, &[other]);
    assert!(refused.text.contains("Access Denied"), "{}", refused.text);
    assert!(!refused.reported() && !refused.text.contains("Linux version"));

    project.run(&["clean"]).succeeds();
    let left = project.entries();
    assert!(
        !left.iter().any(|name| name.starts_with("image.")),
        "{left:?}"
    );
}

#[test]
#[ignore = "long: boots three times"]
fn root_boots_sealed_ext4_until_a_byte_changes() {
    use std::os::unix::fs::FileExt as _;
    root();
    let project = project("Verity=yes\n");
    built(&project);
    boot(&project)
        .is_well()
        .has("mapped", "root: verity")
        .has("secure", "");
    // In the file system's superblock, which is read at every mount.
    let (_, start, _) = partitions(&project)
        .into_iter()
        .find(|(label, ..)| label == "Root Partition")
        .unwrap();
    let image = fs::File::options()
        .read(true)
        .write(true)
        .open(project.path().join("image.raw"))
        .unwrap();
    let mut byte = [0];
    image.read_exact_at(&mut byte, start + 1024 + 120).unwrap();
    image
        .write_all_at(&[byte[0] ^ 1], start + 1024 + 120)
        .unwrap();
    let stopped = Boot {
        until: Some("is corrupted"),
        ..Boot::default()
    }
    .run(&project, &["--kernel-command-line=console=ttyS0"]);
    assert!(stopped.text.contains("is corrupted"), "{}", stopped.text);
    assert!(!stopped.reported());
}

#[test]
#[ignore = "long: a whole build and a boot"]
fn root_boots_btrfs_of_trixie_from_both_firmwares() {
    root();
    let project = project_of("trixie", "Format=gpt_btrfs\nBootProtocols=uefi,bios\n");
    built(&project);
    boot(&project)
        .is_well()
        .has("mount:/", "btrfs rw")
        .has("firmware", "uefi")
        .has_not("cmdline", "root=");
    Boot::default()
        .run(&project, &["--boot-protocols=bios"])
        .is_well()
        .has("mount:/", "btrfs rw")
        .has("firmware", "bios")
        .has("cmdline", "root=PARTUUID=");
}

#[test]
#[ignore = "long: a whole build and a boot"]
fn root_boots_xfs() {
    root();
    let project = project("Format=gpt_xfs\nHostonlyInitrd=yes\nSplitArtifacts=yes\n");
    built(&project);
    boot(&project).is_well().has("mount:/", "/dev/vda2 xfs rw");
    // Drivers of hardware that this machine does not have are left out, those of virtual machines not.
    let initrd = fs::read(project.path().join("image.initrd")).unwrap();
    let files = unpacked(&initrd);
    // With the directory of a file in the archive: lists of all drivers are in it, too.
    let has = |name: &str| {
        let path = format!("-amd64/kernel/{name}");
        files
            .windows(path.len())
            .any(|part| part == path.as_bytes())
    };
    assert!(has("drivers/block/virtio_blk.ko") && has("fs/xfs/xfs.ko"));
    assert!(
        !has("drivers/scsi/megaraid/megaraid_sas.ko") && !has("drivers/scsi/mpt3sas/mpt3sas.ko")
    );
}

#[test]
fn root_boots_from_a_bios() {
    root();
    let project =
        project("BootProtocols=bios\n\n[Partitions]\nHomeSize=64M\nSrvSize=64M\nSwapSize=64M\n");
    project.file("mkosi.extra/home/marker", "at home");
    project.file("mkosi.extra/srv/marker", "served");
    built(&project);
    // Nothing but the partitions' types says where they belong.
    boot(&project)
        .is_well()
        .has("mount:/", "/dev/vda5 ext4 rw")
        .has("mount:/home", "/dev/vda3 ext4 rw")
        .has("mount:/srv", "/dev/vda4 ext4 rw")
        .has("home", "at home")
        .has("srv", "served")
        .has("swap", "/dev/vda2")
        .is("fstab", "")
        .has("firmware", "bios")
        .has("cmdline", "root=PARTUUID=");
}

#[test]
#[ignore = "long: a whole build and a boot"]
fn root_boots_encrypted() {
    root();
    let project = project("Encrypt=all\nHostonlyInitrd=yes\n");
    project
        .file("mkosi.passphrase", "Sesam 17")
        .mode("mkosi.passphrase", 0o600);
    built(&project);
    let console = Boot {
        passphrase: Some("Sesam 17"),
        ..Boot::default()
    }
    .run(&project, &[]);
    console
        .is_well()
        .has("mapped", "root: crypt")
        .has("mount:/", "/dev/mapper/root ext4 rw");
    // No container opens it on a host without device mapper; a machine does.
    for verb in ["shell", "boot"] {
        project.run(&[verb]).exits(2).says("`mkosi qemu` starts it");
    }
}

#[test]
#[ignore = "long: a whole build and a boot"]
fn root_boots_sealed_btrfs() {
    root();
    let sealed = project("Format=gpt_btrfs\nCompress=zstd\nVerity=yes\n");
    built(&sealed);
    boot(&sealed)
        .is_well()
        .has("mapped", "root: verity")
        .has("mount:/", "overlay rw");
}

#[test]
#[ignore = "long: a whole build and a boot"]
fn root_boots_encrypted_btrfs() {
    root();
    let encrypted = project("Format=gpt_btrfs\nEncrypt=all\n");
    encrypted
        .file("mkosi.passphrase", "Sesam 17")
        .mode("mkosi.passphrase", 0o600);
    built(&encrypted);
    Boot {
        passphrase: Some("Sesam 17"),
        ..Boot::default()
    }
    .run(&encrypted, &[])
    .is_well()
    .has("mapped", "root: crypt")
    .has("mount:/", "/dev/dm-0 btrfs rw");
}

#[test]
#[ignore = "long: a whole build and a boot"]
fn root_boots_entries_and_finds_encrypted_data_by_type() {
    root();
    let project = project(
        "Encrypt=data\nWithUnifiedKernelImages=no\nSecureBoot=yes\nSplitArtifacts=yes\n\
         HostonlyInitrd=yes\n\n\
         [Partitions]\nXBootldrSize=128M\nHomeSize=64M\nSrvSize=64M\nSwapSize=64M\n",
    );
    project.run(&["genkey"]).succeeds();
    project
        .file("mkosi.passphrase", "Sesam 17")
        .mode("mkosi.passphrase", 0o600);
    project.file("mkosi.extra/home/marker", "at home");
    project.file("mkosi.extra/srv/marker", "served");
    built(&project);
    let boot_partition = partition(&project, "Extended Boot");
    let names = tool("mdir", &["-b", "-i", &boot_partition, "::/loader/entries"]);
    assert!(names.contains("linux-6.1"), "{names}");
    let path = |name: &str| project.path().join(name).to_string_lossy().into_owned();
    let kernel = path("image.vmlinuz");
    tool(
        "sbverify",
        &["--cert", &path("mkosi.secure-boot.crt"), &kernel],
    );
    assert!(!project.path().join("image.efi").exists());
    let console = Boot {
        passphrase: Some("Sesam 17"),
        ..Boot::default()
    }
    .run(&project, &[]);
    console
        .is_well()
        .has("mount:/", "ext4 rw")
        .has("secure", "1")
        .has("mount:/boot", "vfat")
        .has("mount:/home", "/dev/mapper/home ext4")
        .has("mount:/srv", "/dev/mapper/srv ext4")
        .has("home", "at home")
        .has("srv", "served")
        .has("swap", "/dev/vda")
        .has("mapped", "home: crypt")
        .is("fstab", "");
}

#[test]
fn root_too_small_boot_partitions_are_refused() {
    root();
    let project = project("\n[Partitions]\nESPSize=20M\n");
    let before = project.untouched();
    project
        .run(&[])
        .exits(1)
        .says("the esp partition has 20M but its files need")
        .says("set ESPSize=");
    before.check();
}
