//! Fedora Linux: its releases, mirrors, keys and packages. Mirrors come from the project's list.

use super::rpm::{DatabaseFormat, Location, Offer, Offers, RpmDatabase, RpmKey};
use super::{Boots, Facts, Repositories, Wanted, rpm_names};
use crate::config::values::Architecture;

/// A release that is supported and has had its first round of fixes.
pub const DEFAULT_RELEASE: &str = "44";
/// The development version.
const RAWHIDE: &str = "rawhide";
/// Numbered releases that can be built, the newest first: 45 is the branch of autumn 2026.
const NEWEST: u32 = 45;
const OLDEST: u32 = 25;
/// The oldest that is still on mirrors; a release stays until four weeks after the next but one.
const OLDEST_MIRRORED: u32 = 43;
/// Where older ones are.
const ARCHIVE: &str = "https://archives.fedoraproject.org/pub/archive";
/// The project's list of mirrors.
const METALINK: &str = "https://mirrors.fedoraproject.org/metalink";

/// Fedora Linux.
#[derive(Clone, Copy, Debug)]
pub struct Fedora;

/// The number of a release; rawhide is newer than all.
fn number(release: &str) -> u32 {
    release.parse().unwrap_or(u32::MAX)
}

impl Facts for Fedora {
    fn release(&self, name: &str) -> Result<String, String> {
        let is_known = name
            .parse()
            .is_ok_and(|number: u32| (OLDEST..=NEWEST).contains(&number));
        if name == RAWHIDE || is_known {
            return Ok(name.to_owned());
        }
        Err(format!("{RAWHIDE} and {NEWEST} to {OLDEST}"))
    }

    fn releases(&self) -> Vec<String> {
        (OLDEST..=NEWEST)
            .rev()
            .map(|number: u32| number.to_string())
            .chain([RAWHIDE.to_owned()])
            .collect()
    }

    fn architectures(&self, release: &str) -> Vec<&'static str> {
        let number = number(release);
        let mut known = vec!["x86_64", "aarch64", "ppc64le"];
        if number >= 26 {
            known.push("s390x");
        }
        // https://fedoraproject.org/wiki/Changes/RetireARMv7
        if number <= 36 {
            known.push("armhfp");
        }
        // https://fedoraproject.org/wiki/Changes/Noi686Repositories
        if number <= 30 {
            known.push("i386");
        }
        known
    }

    fn architecture_name(&self, _release: &str, architecture: Architecture) -> &'static str {
        rpm_names::red_hat_architecture(architecture)
    }

    fn base_packages(&self, _release: &str) -> Vec<String> {
        [
            "bash",
            "coreutils",
            "fedora-release",
            "filesystem",
            "glibc-minimal-langpack",
            "pam",
            "shadow-utils",
            "systemd",
            "util-linux",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    fn boot_packages(&self, release: &str, architecture: &str, boots: Boots) -> Vec<String> {
        let mut packages = vec!["dracut", "kmod", "systemd-udev"];
        if !boots.has_kernel {
            packages.extend(["kernel-core", "kernel-modules"]);
        }
        // Before, it was a part of systemd-udev.
        if boots.uefi && number(release) >= 38 {
            packages.push("systemd-boot-unsigned");
        }
        packages.extend(super::rpm_boot::red_hat(architecture, boots));
        packages.into_iter().map(str::to_owned).collect()
    }

    fn ssh_packages(&self, _release: &str) -> Vec<String> {
        ["openssh-server", "systemd-networkd"]
            .map(str::to_owned)
            .to_vec()
    }

    fn is_kernel(&self, package: &str) -> bool {
        super::rpm_boot::is_red_hat_kernel(package)
    }

    fn check_repositories(&self, wanted: &Wanted<'_>) -> Result<(), String> {
        offers(wanted).check(wanted)
    }

    fn has_rpm(&self) -> bool {
        true
    }

    fn repositories(&self, wanted: &Wanted<'_>) -> Repositories {
        let number = number(wanted.release);
        // https://fedoraproject.org/wiki/Changes/RelocateRPMToUsr and .../Sqlite_Rpmdb
        let database = RpmDatabase {
            path: if number >= 36 {
                RpmDatabase::NEW_PATH
            } else {
                RpmDatabase::OLD_PATH
            },
            format: if number >= 33 {
                DatabaseFormat::Sqlite
            } else {
                DatabaseFormat::Bdb
            },
        };
        let platform = match wanted.release {
            RAWHIDE => format!("platform:f{}", NEWEST + 1),
            number => format!("platform:f{number}"),
        };
        let offers = offers(wanted);
        Repositories::Rpm(offers.repositories(wanted, wanted.release, Some(platform), database))
    }
}

fn offers(wanted: &Wanted<'_>) -> Offers {
    let (release, architecture) = (wanted.release, wanted.architecture);
    let mut offers = Vec::new();
    let mut add = |id, enabled, list: &str, path: String| {
        offers.push(Offer {
            id,
            enabled,
            location: location(release, architecture, list, &path),
            path,
            keys: vec![key(if id == RAWHIDE { RAWHIDE } else { release })],
        });
    };
    let rawhide = |tree: &str| format!("development/{RAWHIDE}/Everything/{architecture}/{tree}");
    if release == RAWHIDE {
        add("rawhide", true, "rawhide", rawhide("os"));
        add(
            "rawhide-debuginfo",
            false,
            "rawhide-debug",
            rawhide("debug/tree"),
        );
    } else {
        let released = |tree: &str| format!("releases/{release}/Everything/{architecture}/{tree}");
        // The directories were given the name of what is in them with Fedora 28.
        let part = if number(release) >= 28 {
            "Everything/"
        } else {
            ""
        };
        let updates =
            |kind: &str, tree: &str| format!("updates/{kind}{release}/{part}{architecture}{tree}");
        add("fedora", true, &format!("fedora-{release}"), released("os"));
        let list = format!("updates-released-f{release}");
        add("updates", true, &list, updates("", ""));
        let list = format!("updates-testing-f{release}");
        add("updates-testing", false, &list, updates("testing/", ""));
        let list = format!("fedora-debug-{release}");
        add("fedora-debuginfo", false, &list, released("debug/tree"));
        let list = format!("updates-released-debug-f{release}");
        add("updates-debuginfo", false, &list, updates("", "/debug"));
        add("rawhide", false, "rawhide", rawhide("os"));
    }
    Offers {
        distribution: "Fedora Linux",
        offers,
        signs_metadata: false,
        default_mirror: None,
    }
}

fn location(release: &str, architecture: &str, list: &str, path: &str) -> Location {
    if number(release) >= OLDEST_MIRRORED || list.starts_with(RAWHIDE) {
        return Location::Metalink(format!("{METALINK}?repo={list}&arch={architecture}"));
    }
    let primary = match architecture {
        "x86_64" | "armhfp" => true,
        "aarch64" => number(release) >= 28,
        "i386" => number(release) <= 25,
        _ => false,
    };
    let tree = if primary {
        "fedora/linux"
    } else {
        "fedora-secondary"
    };
    Location::BaseUrl(format!("{ARCHIVE}/{tree}/{path}"))
}

/// The key of a release's packages. The project's file has those of the releases in support.
fn key(release: &str) -> RpmKey {
    let name = format!("RPM-GPG-KEY-fedora-{release}-primary");
    let url = if number(release) >= OLDEST_MIRRORED {
        "https://fedoraproject.org/fedora.gpg".to_owned()
    } else {
        format!("https://src.fedoraproject.org/rpms/fedora-repos/raw/f{release}/f/{name}")
    };
    RpmKey::find("fedora", &name, url)
}

#[cfg(test)]
mod tests {
    use super::super::rpm::tests::{addresses, wanted};
    use super::*;

    #[test]
    fn releases_and_architectures() {
        for (name, known) in [
            ("44", true),
            ("rawhide", true),
            ("25", true),
            ("24", false),
            ("f44", false),
        ] {
            assert_eq!(Fedora.release(name).is_ok(), known, "{name}");
        }
        assert_eq!(Fedora.release("99").unwrap_err(), "rawhide and 45 to 25");
        for (release, architecture, expected) in [
            ("44", Architecture::X86_64, Some("x86_64")),
            ("44", Architecture::I686, None),
            ("30", Architecture::I686, Some("i386")),
            ("36", Architecture::Armv7, Some("armhfp")),
            ("37", Architecture::Armv7, None),
            ("rawhide", Architecture::S390x, Some("s390x")),
        ] {
            let found = Fedora.architecture(release, architecture).ok();
            assert_eq!(found, expected, "{release}");
        }
    }

    #[test]
    fn repositories_follow_the_release() {
        let of = |release| {
            addresses(&offers(&wanted(release, "x86_64")).image(&wanted(release, "x86_64")))
        };
        assert_eq!(
            of("44"),
            [
                "fedora https://mirrors.fedoraproject.org/metalink?repo=fedora-44&arch=x86_64",
                "updates https://mirrors.fedoraproject.org/metalink?repo=updates-released-f44&arch=x86_64",
            ]
        );
        assert_eq!(
            of("27"),
            [
                "fedora https://archives.fedoraproject.org/pub/archive/fedora/linux/releases/27/Everything/x86_64/os",
                "updates https://archives.fedoraproject.org/pub/archive/fedora/linux/updates/27/x86_64",
            ]
        );
        assert_eq!(
            of("38")[1],
            "updates https://archives.fedoraproject.org/pub/archive/fedora/linux/updates/38/Everything/x86_64"
        );
        assert_eq!(
            of("rawhide"),
            ["rawhide https://mirrors.fedoraproject.org/metalink?repo=rawhide&arch=x86_64"]
        );
        let mut mirrored = wanted("44", "aarch64");
        mirrored.mirror = Some("https://mirror.example/fedora/linux/");
        assert_eq!(
            addresses(&offers(&mirrored).image(&mirrored)),
            [
                "fedora https://mirror.example/fedora/linux/releases/44/Everything/aarch64/os",
                "updates https://mirror.example/fedora/linux/updates/44/Everything/aarch64",
            ]
        );
    }

    #[test]
    fn the_database_is_where_the_release_has_it() {
        for (release, path, format) in [
            ("32", "/var/lib/rpm", DatabaseFormat::Bdb),
            ("35", "/var/lib/rpm", DatabaseFormat::Sqlite),
            ("36", "/usr/lib/sysimage/rpm", DatabaseFormat::Sqlite),
            ("rawhide", "/usr/lib/sysimage/rpm", DatabaseFormat::Sqlite),
        ] {
            let Repositories::Rpm(rpm) = Fedora.repositories(&wanted(release, "x86_64")) else {
                panic!("{release}");
            };
            assert_eq!(
                (rpm.database.path, rpm.database.format),
                (path, format),
                "{release}"
            );
        }
    }

    #[test]
    fn boot_packages_follow_release_and_protocols() {
        let boots = |uefi, bios| Boots {
            uefi,
            bios,
            ..Boots::default()
        };
        for (release, boots, expected) in [
            (
                "44",
                boots(true, false),
                "dracut kmod systemd-udev kernel-core kernel-modules systemd-boot-unsigned",
            ),
            (
                "30",
                boots(true, false),
                "dracut kmod systemd-udev kernel-core kernel-modules",
            ),
            (
                "44",
                boots(false, true),
                "dracut kmod systemd-udev kernel-core kernel-modules grub2-pc-modules grub2-tools",
            ),
        ] {
            let packages = Fedora.boot_packages(release, "x86_64", boots);
            assert_eq!(packages.join(" "), expected, "{release}");
        }
    }
}
