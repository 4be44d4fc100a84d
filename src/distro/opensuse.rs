//! openSUSE Leap and Tumbleweed: releases, mirrors, keys and packages.

use super::rpm::{DatabaseFormat, Location, Offer, Offers, RpmDatabase, RpmKey};
use super::{Boots, Facts, Repositories, Wanted, rpm_names};
use crate::config::values::Architecture;

/// The rolling release.
pub const DEFAULT_RELEASE: &str = "tumbleweed";
/// The project's redirector to mirrors.
pub const DEFAULT_MIRROR: &str = "https://download.opensuse.org";
/// The rolling release.
const TUMBLEWEED: &str = "tumbleweed";
/// Releases of Leap that can be built, the newest first. The project keeps old ones where they were.
const LEAPS: [&str; 9] = [
    "16.1", "16.0", "15.6", "15.5", "15.4", "15.3", "15.2", "15.1", "15.0",
];
/// What `current`, `stable` and `leap` stand for.
const STABLE: &str = "16.0";

/// openSUSE.
#[derive(Clone, Copy, Debug)]
pub struct Opensuse;

/// Major and minor number of a release; Tumbleweed is newer than all.
fn number(release: &str) -> (u32, u32) {
    let mut parts = release.split('.').map(str::parse);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
        _ => (u32::MAX, 0),
    }
}

impl Facts for Opensuse {
    fn release(&self, name: &str) -> Result<String, String> {
        let name = match name {
            "current" | "stable" | "leap" => STABLE,
            other => other,
        };
        if name == TUMBLEWEED || LEAPS.contains(&name) {
            return Ok(name.to_owned());
        }
        Err(format!("{TUMBLEWEED}, {}", LEAPS.join(", ")))
    }

    fn releases(&self) -> Vec<String> {
        LEAPS
            .iter()
            .chain([&TUMBLEWEED])
            .map(|name| (*name).to_owned())
            .collect()
    }

    fn architectures(&self, release: &str) -> Vec<&'static str> {
        let mut known = vec!["x86_64"];
        // Since 15.3, Leap's own repositories have them all; before, they were ports.
        if number(release) >= (15, 3) {
            known.extend(["aarch64", "ppc64le", "s390x"]);
        }
        if release == TUMBLEWEED {
            known.extend(["armv7hl", "i586", "riscv64"]);
        }
        known
    }

    fn architecture_name(&self, _release: &str, architecture: Architecture) -> &'static str {
        match architecture {
            Architecture::I686 => "i586",
            other => rpm_names::architecture(other),
        }
    }

    fn base_packages(&self, release: &str) -> Vec<String> {
        let mut packages = vec![
            "aaa_base",
            "bash",
            "coreutils",
            "dbus-1",
            "filesystem",
            "pam",
            "shadow",
            "systemd",
            "util-linux",
        ];
        packages.push(match number(release) {
            (16, _) => "Leap-release",
            _ => "openSUSE-release",
        });
        packages.into_iter().map(str::to_owned).collect()
    }

    fn boot_packages(&self, release: &str, architecture: &str, boots: Boots) -> Vec<String> {
        let mut packages = vec!["dracut", "kmod", "udev"];
        if !boots.has_kernel {
            packages.push("kernel-default");
        }
        // Before, it was a part of udev.
        if boots.uefi && number(release) >= (15, 5) {
            packages.push("systemd-boot");
        }
        if boots.bios && matches!(architecture, "x86_64" | "i586") {
            packages.extend(["grub2", "grub2-i386-pc"]);
        }
        if boots.verity || boots.encrypted {
            packages.extend(["cryptsetup", "device-mapper"]);
        }
        packages.into_iter().map(str::to_owned).collect()
    }

    fn ssh_packages(&self, _release: &str) -> Vec<String> {
        ["openssh"].map(str::to_owned).to_vec()
    }

    fn is_kernel(&self, package: &str) -> bool {
        [
            "kernel-default",
            "kernel-longterm",
            "kernel-kvmsmall",
            "kernel-pae",
        ]
        .iter()
        .any(|name| package == *name || package.strip_prefix(name) == Some("-base"))
    }

    fn check_repositories(&self, wanted: &Wanted<'_>) -> Result<(), String> {
        offers(wanted).check(wanted)
    }

    fn has_rpm(&self) -> bool {
        true
    }

    fn repositories(&self, wanted: &Wanted<'_>) -> Repositories {
        let database = RpmDatabase {
            path: if number(wanted.release) >= (15, 3) {
                RpmDatabase::NEW_PATH
            } else {
                RpmDatabase::OLD_PATH
            },
            format: if number(wanted.release) >= (15, 3) {
                DatabaseFormat::Ndb
            } else {
                DatabaseFormat::Bdb
            },
        };
        Repositories::Rpm(offers(wanted).repositories(wanted, wanted.release, None, database))
    }
}

fn offers(wanted: &Wanted<'_>) -> Offers {
    let release = wanted.release;
    let mut offers = Vec::new();
    let mut add = |id, enabled, path: String| {
        offers.push(Offer {
            id,
            enabled,
            location: Location::BaseUrl(format!("{DEFAULT_MIRROR}/{path}")),
            keys: keys(release, wanted.architecture),
            path,
        });
    };
    if release == TUMBLEWEED {
        let port = port(wanted.architecture);
        add("oss", true, format!("{port}tumbleweed/repo/oss"));
        if port.is_empty() {
            add("update", true, "update/tumbleweed".to_owned());
        }
        add("non-oss", false, format!("{port}tumbleweed/repo/non-oss"));
    } else {
        let repository = |part| format!("distribution/leap/{release}/repo/{part}");
        let update = |part| format!("update/leap/{release}/{part}");
        add("oss", true, repository("oss"));
        // Since 16, updates are in the same repository.
        if number(release) < (16, 0) {
            add("update", true, update("oss"));
            if number(release) >= (15, 3) {
                add("update-backports", true, update("backports"));
                add("update-sle", true, update("sle"));
            }
            add("update-non-oss", false, update("non-oss"));
        }
        add("non-oss", false, repository("non-oss"));
    }
    Offers {
        distribution: "openSUSE",
        offers,
        signs_metadata: true,
        default_mirror: Some(DEFAULT_MIRROR),
    }
}

/// Where Tumbleweed for another architecture is.
const fn port(architecture: &str) -> &'static str {
    match architecture.as_bytes() {
        b"aarch64" => "ports/aarch64/",
        b"armv7hl" => "ports/armv7hl/",
        b"i586" => "ports/i586/",
        b"ppc64le" => "ports/ppc/",
        b"riscv64" => "ports/riscv/",
        b"s390x" => "ports/zsystems/",
        _ => "",
    }
}

/// The keys of lists of packages, and of the packages, some of which come from SUSE's distribution.
fn keys(release: &str, architecture: &str) -> Vec<RpmKey> {
    let (path, names): (_, &[(&str, &str)]) = match number(release) {
        (16, _) => (
            format!("distribution/leap/{release}"),
            &[
                ("opensuse", "RPM-GPG-KEY-openSUSE-2022"),
                ("suse", "RPM-GPG-KEY-SuSE-ALP-Main"),
                ("opensuse", "RPM-GPG-KEY-openSUSE-16-Backports"),
            ],
        ),
        (15, _) => (
            format!("distribution/leap/{release}"),
            &[
                ("opensuse", "RPM-GPG-KEY-openSUSE"),
                ("opensuse", "RPM-GPG-KEY-openSUSE-2022"),
                ("opensuse", "RPM-GPG-KEY-openSUSE-Backports-2023"),
                ("suse", "RPM-GPG-KEY-SuSE-SLE-15"),
                ("suse", "RPM-GPG-KEY-SuSE-SLE-Main-2023"),
            ],
        ),
        _ => (
            format!("{}tumbleweed", port(architecture)),
            &[
                ("opensuse", "RPM-GPG-KEY-openSUSE-Tumbleweed"),
                ("opensuse", "RPM-GPG-KEY-openSUSE"),
            ],
        ),
    };
    let url = format!("{DEFAULT_MIRROR}/{path}/repo/oss/repodata/repomd.xml.key");
    names
        .iter()
        .map(|(directory, name)| RpmKey::find(directory, name, url.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::rpm::tests::{addresses, wanted};
    use super::*;

    #[test]
    fn releases_and_architectures() {
        for (name, expected) in [
            ("tumbleweed", Some("tumbleweed")),
            ("leap", Some("16.0")),
            ("15.6", Some("15.6")),
            ("42.3", None),
        ] {
            assert_eq!(Opensuse.release(name).ok().as_deref(), expected, "{name}");
        }
        for (release, architecture, good) in [
            ("15.6", Architecture::Aarch64, true),
            ("15.2", Architecture::Aarch64, false),
            ("16.0", Architecture::I686, false),
            ("tumbleweed", Architecture::Riscv64, true),
            ("tumbleweed", Architecture::Loongarch64, false),
        ] {
            let found = Opensuse.architecture(release, architecture);
            assert_eq!(found.is_ok(), good, "{release} {architecture}");
        }
    }

    #[test]
    fn repositories_follow_the_release() {
        let of = |release, architecture| {
            let mut wanted = wanted(release, architecture);
            wanted.mirror = Some(DEFAULT_MIRROR);
            addresses(&offers(&wanted).image(&wanted))
        };
        let at = |id: &str, path: &str| format!("{id} {DEFAULT_MIRROR}/{path}");
        assert_eq!(
            of("tumbleweed", "x86_64"),
            [
                at("oss", "tumbleweed/repo/oss"),
                at("update", "update/tumbleweed")
            ]
        );
        assert_eq!(
            of("tumbleweed", "aarch64"),
            [at("oss", "ports/aarch64/tumbleweed/repo/oss")]
        );
        assert_eq!(
            of("16.0", "x86_64"),
            [at("oss", "distribution/leap/16.0/repo/oss")]
        );
        assert_eq!(
            of("15.6", "x86_64"),
            [
                at("oss", "distribution/leap/15.6/repo/oss"),
                at("update", "update/leap/15.6/oss"),
                at("update-backports", "update/leap/15.6/backports"),
                at("update-sle", "update/leap/15.6/sle"),
            ]
        );
    }

    #[test]
    fn lists_of_packages_must_be_signed() {
        let all = wanted("tumbleweed", "x86_64");
        let sources = offers(&all).build(&all);
        assert!(
            sources
                .iter()
                .all(|source| source.check_metadata && source.check_packages)
        );
        let mut unchecked = wanted("tumbleweed", "x86_64");
        unchecked.check_keys = false;
        let sources = offers(&unchecked).build(&unchecked);
        assert!(
            !sources
                .iter()
                .any(|source| source.check_metadata || source.check_packages)
        );
    }

    #[test]
    fn kernels_are_known() {
        for (name, kernel) in [
            ("kernel-default", true),
            ("kernel-default-base", true),
            ("kernel-default-devel", false),
            ("kernel-firmware-all", false),
        ] {
            assert_eq!(Opensuse.is_kernel(name), kernel, "{name}");
        }
    }
}
