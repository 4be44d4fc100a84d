//! Images of Arch Linux boot. Their packages have Arch's names, layout, scripts and hooks; what is in
//! them comes from Debian. Needs root, pacman, repo-add, gpg, qemu and, for Debian's packages, the
//! network.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod machine;
mod pacman;
mod shaped;
mod signing;
mod support;

use std::fs;
use std::path::Path;

use machine::{boot, report, settings};
use pacman::{Package, Repository, keyring};
use signing::Key;
use support::{Project, assert_no_leaks, root};

const DEPMOD: &str = "[Trigger]\nType = Path\nOperation = Install\nTarget = usr/lib/modules/*/\n\n\
                      [Action]\nWhen = PostTransaction\nExec = /usr/share/libalpm/scripts/depmod\n\
                      NeedsTargets\n";
const DEPMOD_SCRIPT: &str = "#!/bin/sh\nwhile read -r path; do\n\
                             release=${path#usr/lib/modules/}\n\
                             depmod \"${release%%/*}\"\ndone\n";
const SYSUSERS: &str = "[Trigger]\nType = Path\nOperation = Install\nTarget = usr/lib/sysusers.d/*.conf\n\n\
                        [Action]\nWhen = PostTransaction\nExec = /usr/bin/systemd-sysusers\n";
const HWDB: &str = "[Trigger]\nType = Path\nOperation = Install\nTarget = usr/lib/udev/hwdb.d/*\n\n\
                    [Action]\nWhen = PostTransaction\nExec = /usr/bin/systemd-hwdb --usr update\n";
const SYSTEMD: &str = "post_install() {\n  systemd-machine-id-setup\n  \
                       systemctl enable getty@.service remote-fs.target\n}\n";
const GLIBC: &str = "post_install() {\n  ldconfig -r .\n}\n";
/// What the build has no use for: dracut stands in for it.
const MKINITCPIO: &str = "[Trigger]\nType = Path\nOperation = Install\n\
                          Target = usr/lib/modules/*/vmlinuz\n\n[Action]\nWhen = PostTransaction\n\
                          Exec = /usr/bin/touch /boot/initramfs-linux.img\n";

/// Makes the packages of a system that boots.
fn add_packages(repository: &Repository, key: &Key, tree: &Path, lists: &Path) {
    for package in [
        Package {
            info: &[
                "depend = bash",
                "depend = coreutils",
                "depend = filesystem",
                "depend = pam",
                "depend = shadow",
                "depend = systemd",
                "depend = util-linux",
            ],
            ..Package::new("base")
        },
        Package {
            info: &["depend = filesystem", "depend = common-libs"],
            script: GLIBC,
            ..Package::new("glibc")
        },
        Package {
            info: &["depend = glibc", "provides = sh"],
            ..Package::new("bash")
        },
        Package {
            info: &["depend = bash", "depend = dbus", "depend = kmod"],
            files: &[
                ("usr/share/libalpm/hooks/20-systemd-sysusers.hook", SYSUSERS),
                ("usr/share/libalpm/hooks/30-systemd-hwdb.hook", HWDB),
            ],
            script: SYSTEMD,
            ..Package::new("systemd")
        },
        Package {
            info: &["depend = glibc"],
            files: &[
                ("usr/share/libalpm/hooks/60-depmod.hook", DEPMOD),
                ("usr/share/libalpm/scripts/depmod", DEPMOD_SCRIPT),
            ],
            ..Package::new("kmod")
        },
        Package {
            info: &["provides = initramfs", "depend = systemd"],
            files: &[(
                "usr/share/libalpm/hooks/90-mkinitcpio-install.hook",
                MKINITCPIO,
            )],
            ..Package::new("a-mkinitcpio")
        },
        Package {
            info: &["provides = initramfs", "depend = systemd"],
            ..Package::new("dracut")
        },
        Package {
            info: &["depend = kmod", "depend = initramfs"],
            ..Package::new("linux")
        },
        Package::new("common-libs"),
        Package::new("coreutils"),
        Package::new("dbus"),
        Package::new("device-mapper"),
        Package::new("filesystem"),
        Package::new("grub"),
        Package::new("pam"),
        Package::new("shadow"),
        Package::new("util-linux"),
    ] {
        let list = lists.join(package.name);
        let listed = list.exists().then_some((tree, list.as_path()));
        repository.add(&Package { listed, ..package }, Some(key));
    }
}

#[test]
#[ignore = "long: makes a distribution, builds a whole image and boots it"]
fn root_pacman_boots_arch() {
    root();
    let key = Key::new("Tester <tester@example.com>");
    let repository = Repository::new();
    let (debian, tree) = shaped::debian();
    let lists = debian.path().join("lists");
    shaped::shape("arch", &tree, &lists);
    add_packages(&repository, &key, &tree, &lists);
    repository.index(Some(&key));
    drop(debian);

    let project = Project::new();
    keyring(&key, &project);
    let distribution = format!(
        "[Distribution]\nDistribution=arch\nMirror=file://{}\n",
        repository.mirror().display()
    );
    let output = "Format=gpt_ext4\nManifestFormat=json\n\n[Validation]\nAutologin=yes\n";
    project.file("mkosi.default", settings(output, &distribution));
    report(&project);
    project.run(&[]).succeeds().says("with pacman");
    assert_no_leaks(project.path());
    let manifest = fs::read_to_string(project.path().join("image.manifest")).unwrap();
    assert!(manifest.contains("\"dracut\"") && !manifest.contains("mkinitcpio"));
    boot(&project)
        .is_well()
        .has("mount:/", "/dev/vda2 ext4 rw")
        .has("mount:/efi", "vfat")
        .has("firmware", "uefi")
        .has_not("cmdline", "root=")
        .has("who", "root")
        .has("written", "/written")
        .has("efi", "./EFI/Linux/linux-6.1")
        .is("kernels", "");
}
