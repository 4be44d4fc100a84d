use std::sync::Arc;

use super::*;
use crate::config::testing::Fixture;
use crate::host::Recorder;

fn host(without: &[&str]) -> Host {
    let recorder = Recorder::default();
    for program in without {
        recorder.without(program);
    }
    Host::new(Arc::new(recorder), Arc::new(Quiet), Cancel::default())
}

fn feature<'a>(features: &'a [Feature], name: &str) -> &'a Feature {
    let found = features.iter().find(|feature| feature.name == name);
    found.unwrap_or_else(|| panic!("{name} is not in {features:?}"))
}

#[test]
fn each_format_needs_its_own_programs() {
    let context = Fixture::new().context();
    let all = features::formats(&context, &host(&[]));
    assert!(all.iter().all(|feature| feature.works), "{all:?}");
    let some = features::formats(&context, &host(&["mksquashfs", "mkfs.xfs", "qemu-img"]));
    for (name, missing) in [
        ("directory", None),
        ("gpt_ext4", None),
        ("gpt_squashfs", Some("mksquashfs")),
        ("plain_squashfs", Some("mksquashfs")),
        ("gpt_xfs", Some("mkfs.xfs")),
        ("QCow2", Some("qemu-img")),
    ] {
        let missing: Vec<String> = missing.into_iter().map(str::to_owned).collect();
        assert_eq!(feature(&some, name).missing, missing, "{name}");
    }
}

#[test]
fn every_distribution_is_there_with_who_installs_it() {
    let context = Fixture::new().context();
    let found =
        features::distributions(&context, &host(&["pacman", "dnf", "dnf5", "dnf-3", "yum"]));
    let arch = feature(&found, "arch");
    assert!(arch.missing.contains(&"pacman".to_owned()), "{arch:?}");
    assert!(!feature(&found, "fedora").works);
    assert_eq!(feature(&found, "debian").note, "by apt");
}

#[test]
fn protection_needs_programs() {
    let context = Fixture::new().context();
    let found = features::protection(&context, &host(&["cryptsetup", "sbsign", "gpg"]));
    for (name, works) in [
        ("Encrypt", false),
        ("Verity", true),
        ("Bootable (uefi)", true),
        ("Bootable (bios)", true),
        ("SecureBoot", false),
        ("Sign", false),
        ("Ssh", true),
    ] {
        assert_eq!(feature(&found, name).works, works, "{name}: {found:?}");
    }
}

#[test]
fn people_read_it_in_columns() {
    let groups = [Group {
        name: "Formats",
        features: vec![
            Feature::needing("tar", Vec::new()),
            Feature::needing("gpt_xfs", vec!["mkfs.xfs".into()]).with_note("slow"),
            Feature::fact("root", true, "yes"),
        ],
    }];
    let advice = Advice {
        command: Some("apt install xfsprogs".into()),
        without: vec!["swupd".into()],
    };
    let expected = "\
Formats
  + tar
  x gpt_xfs  missing: mkfs.xfs; slow
  + root     yes

All that is missing and that this host has packages of:
  apt install xfsprogs
No package here is known to have: swupd
";
    assert_eq!(text(&groups, &advice, 80, Paint::PLAIN), expected);
    let nothing = text(&[], &Advice::default(), 80, Paint::PLAIN);
    assert_eq!(nothing, "Nothing is missing.\n");
}
