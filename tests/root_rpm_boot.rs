//! Images of Fedora, CentOS, Mageia and openSUSE boot. Their packages have the distribution's names, layout
//! and scripts; what is in them comes from Debian. Needs root, dnf, zypper, rpmbuild, createrepo_c, gpg, qemu
//! and, for Debian's packages, the network.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod machine;
mod shaped;
mod support;

use std::fs;
use std::path::Path;

use machine::{Boot, Console, report, settings};
use support::{Project, assert_no_leaks, root};

/// A project whose image reports on itself. `checks` are lines of a script that runs in the tree.
fn project(repository: &Path, distribution: &str, output: &str, checks: &str) -> Project {
    let project = Project::new();
    project.file(
        "mkosi.skeleton/etc/pki/rpm-gpg/RPM-GPG-KEY-testing",
        fs::read(repository.join("key")).unwrap(),
    );
    let distribution = format!(
        "[Distribution]\n{distribution}\nMirror=file://{}/mirror\n",
        repository.display()
    );
    let output =
        format!("Format=gpt_ext4\nManifestFormat=json\n{output}\n\n[Validation]\nAutologin=yes\n");
    project.file("mkosi.default", settings(&output, &distribution));
    report(&project);
    // What the scripts of packages did, and what they did not.
    project.script(
        "mkosi.postinst",
        &format!(
            "#!/bin/sh\nset -ex\n\
             test -s /usr/lib/modules/*/modules.dep\n\
             grep -q ^systemd-network: /etc/passwd\n\
             test -s /etc/ld.so.cache\n\
             test -e /etc/systemd/system/getty.target.wants/getty@tty1.service\n{checks}"
        ),
    );
    project
}

/// Builds the image; its manifest must have these packages.
fn build(project: &Project, by: &str, names: &[&str]) {
    project.run(&[]).succeeds().says(by);
    assert_no_leaks(project.path());
    let manifest = fs::read_to_string(project.path().join("image.manifest")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let packages = manifest["packages"].as_array().unwrap();
    for name in names {
        assert!(packages.iter().any(|p| p["name"] == *name), "{name}");
    }
}

/// Boots an image for both firmwares from each of them.
fn boots_from_both(project: &Project) -> Console {
    let console = Boot::default().run(project, &[]);
    console
        .is_well()
        .has("mount:/", "/dev/vda3 ext4 rw")
        .has("mount:/efi", "vfat")
        .has("firmware", "uefi")
        .has_not("cmdline", "root=")
        .has("who", "root")
        .has("written", "/written")
        .has("efi", "./EFI/Linux/linux-6.1");
    boots_from_bios(project);
    console
}

fn boots_from_bios(project: &Project) {
    Boot::default()
        .run(project, &["--boot-protocols=bios"])
        .is_well()
        .has("mount:/", "ext4 rw")
        .has("firmware", "bios")
        .has("cmdline", "root=PARTUUID=");
}

#[test]
#[ignore = "long: makes a distribution, builds a whole image and boots it twice"]
fn root_rpm_boots_fedora_from_both_firmwares() {
    root();
    let project = project(
        &shaped::fedora(),
        "Distribution=fedora\nRelease=44",
        "BootProtocols=uefi,bios",
        "test -z \"$(ls -A /boot)\"\ntest ! -e /etc/kernel/install.d/50-dracut.install\n",
    );
    let names = ["kernel-core", "systemd-boot-unsigned", "grub2-pc-modules"];
    build(&project, "with dnf", &names);
    boots_from_both(&project).is("kernels", "");
}

#[test]
#[ignore = "long: makes a distribution, builds a whole image and boots it twice"]
fn root_rpm_boots_centos_from_both_firmwares() {
    root();
    let project = project(
        &shaped::family("centos"),
        "Distribution=centos_epel\nRelease=9-stream",
        "BootProtocols=uefi,bios",
        "ls /boot/symvers-*.gz\n! ls /boot/initr*\ntest -s /var/lib/rpm/rpmdb.sqlite\n",
    );
    let names = [
        "kernel-core",
        "kernel-modules-core",
        "systemd-boot-unsigned",
    ];
    build(&project, "with dnf", &names);
    boots_from_both(&project);
}

#[test]
#[ignore = "long: makes a distribution, builds a whole image and boots it"]
fn root_rpm_boots_mageia() {
    root();
    let project = project(
        &shaped::family("mageia"),
        "Distribution=mageia\nRelease=9",
        "BootProtocols=bios",
        "test -L /boot/vmlinuz-server\ntest -s /var/lib/rpm/rpmdb.sqlite\n",
    );
    build(&project, "with dnf", &["kernel-server", "grub2"]);
    boots_from_bios(&project);
}

#[test]
#[ignore = "long: makes a distribution, builds a whole image and boots it twice"]
fn root_rpm_boots_opensuse_from_both_firmwares() {
    root();
    let project = project(
        &shaped::family("opensuse"),
        "Distribution=opensuse\nRelease=tumbleweed",
        "BootProtocols=uefi,bios",
        "test -L /boot/vmlinuz\n! test -e /boot/initrd\n! ls /boot/initrd-*\n",
    );
    let names = ["kernel-default", "systemd-boot", "grub2-i386-pc"];
    build(&project, "with zypper", &names);
    boots_from_both(&project).has("kernels", "vmlinuz");
}
