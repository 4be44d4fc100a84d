//! Images of Fedora boot. Their packages have Fedora's names, layout and scripts; what is in them comes
//! from Debian. Needs root, dnf, rpmbuild, createrepo_c, gpg, qemu and, for Debian's packages, the
//! network.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod machine;
mod shaped;
mod support;

use std::fs;

use machine::{Boot, report, settings};
use support::{Project, assert_no_leaks, root};

/// A project whose image reports on itself.
fn project(output: &str) -> Project {
    let repository = shaped::fedora();
    let project = Project::new();
    project.file(
        "mkosi.skeleton/etc/pki/rpm-gpg/RPM-GPG-KEY-testing",
        fs::read(repository.join("key")).unwrap(),
    );
    let distribution = format!(
        "[Distribution]\nDistribution=fedora\nRelease=44\nMirror=file://{}/mirror\n",
        repository.display()
    );
    project.file("mkosi.default", settings(output, &distribution));
    report(&project);
    // What the scripts of packages did, and what they did not.
    project.script(
        "mkosi.postinst",
        "#!/bin/sh\nset -ex\n\
         test -z \"$(ls -A /boot)\"\n\
         test ! -e /etc/kernel/install.d/50-dracut.install\n\
         test -s /usr/lib/modules/*/modules.dep\n\
         grep -q ^systemd-network: /etc/passwd\n\
         test -s /etc/ld.so.cache\n\
         test -e /etc/systemd/system/getty.target.wants/getty@tty1.service\n",
    );
    project
}

#[test]
#[ignore = "long: makes a distribution, builds a whole image and boots it twice"]
fn root_rpm_boots_fedora_from_both_firmwares() {
    root();
    let project = project(
        "Format=gpt_ext4\nBootProtocols=uefi,bios\nManifestFormat=json\n\n\
         [Validation]\nAutologin=yes\n",
    );
    project.run(&[]).succeeds().says("with dnf");
    assert_no_leaks(project.path());
    let manifest = fs::read_to_string(project.path().join("image.manifest")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let packages = manifest["packages"].as_array().unwrap();
    for name in ["kernel-core", "systemd-boot-unsigned", "grub2-pc-modules"] {
        assert!(packages.iter().any(|p| p["name"] == name), "{name}");
    }
    Boot::default()
        .run(&project, &[])
        .is_well()
        .has("mount:/", "/dev/vda3 ext4 rw")
        .has("mount:/efi", "vfat")
        .has("firmware", "uefi")
        .has_not("cmdline", "root=")
        .has("who", "root")
        .has("written", "/written")
        .has("efi", "./EFI/Linux/linux-6.1")
        .is("kernels", "");
    Boot::default()
        .run(&project, &["--boot-protocols=bios"])
        .is_well()
        .has("mount:/", "ext4 rw")
        .has("firmware", "bios")
        .has("cmdline", "root=PARTUUID=");
}
