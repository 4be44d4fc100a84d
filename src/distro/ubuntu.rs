//! Ubuntu: its releases, mirrors, keys and packages.

use super::archive::{self, Archive};
use super::{Boots, Facts, MergedUsr, Repositories, Wanted};
use crate::config::values::Architecture;

/// The newest release with long-term support, 26.04.
pub const DEFAULT_RELEASE: &str = "resolute";
/// Programs for PCs.
const ARCHIVE: &str = "http://archive.ubuntu.com/ubuntu";
/// Security updates of the same.
const SECURITY: &str = "http://security.ubuntu.com/ubuntu";
/// Everything of all other architectures.
const PORTS: &str = "http://ports.ubuntu.com/ubuntu-ports";
/// Where releases go within months of their last update; those with long-term support stay.
const OLD_RELEASES: &str = "http://old-releases.ubuntu.com/ubuntu";
/// The keyring of the package ubuntu-keyring (elsewhere ubuntu-archive-keyring).
const KEYRING: &str = "/usr/share/keyrings/ubuntu-archive-keyring.gpg";

/// What is true of one release.
struct Release {
    /// The codename.
    name: &'static str,
    /// Year and month.
    number: &'static str,
    /// Whether it has left the mirrors.
    archived: bool,
}

const fn current(name: &'static str, number: &'static str) -> Release {
    Release {
        name,
        number,
        archived: false,
    }
}

const fn archived(name: &'static str, number: &'static str) -> Release {
    Release {
        name,
        number,
        archived: true,
    }
}

/// Releases that can be built, newest first: those that start with systemd and have its packages.
/// As in /usr/share/distro-info/ubuntu.csv.
const RELEASES: &[Release] = &[
    current("stonking", "26.10"),
    current("resolute", "26.04"),
    archived("questing", "25.10"),
    archived("plucky", "25.04"),
    archived("oracular", "24.10"),
    current("noble", "24.04"),
    archived("mantic", "23.10"),
    archived("lunar", "23.04"),
    archived("kinetic", "22.10"),
    current("jammy", "22.04"),
    archived("impish", "21.10"),
    archived("hirsute", "21.04"),
    archived("groovy", "20.10"),
    current("focal", "20.04"),
    archived("eoan", "19.10"),
    archived("disco", "19.04"),
    archived("cosmic", "18.10"),
    current("bionic", "18.04"),
    archived("artful", "17.10"),
    archived("zesty", "17.04"),
    archived("yakkety", "16.10"),
    current("xenial", "16.04"),
];

/// PC architectures are on the main archive, all others on the ports archive.
#[must_use]
pub const fn default_mirror(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::X86_64 | Architecture::I686 => ARCHIVE,
        _ => PORTS,
    }
}

/// A release by codename or number (`22.04`, `22.04.3`).
fn find(name: &str) -> Option<&'static Release> {
    let numbered = |release: &Release| {
        name.strip_prefix(release.number)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let name = name.to_ascii_lowercase();
    RELEASES.iter().find(|r| r.name == name || numbered(r))
}

/// Whether a release is `name` or newer.
fn since(release: &str, name: &str) -> bool {
    let position = |name| RELEASES.iter().position(|r| r.name == name);
    position(release).is_some_and(|nth| Some(nth) <= position(name))
}

/// Merged /usr as debootstrap decides it: since disco; the package that says so exists since
/// kinetic; packages bring the links since plucky.
fn merged_usr(release: &str) -> MergedUsr {
    if since(release, "plucky") || !since(release, "disco") {
        MergedUsr::Packages
    } else if since(release, "kinetic") {
        MergedUsr::LinksAndPackage
    } else {
        MergedUsr::Links
    }
}

/// The architectures that have a whole system, by Debian's names. Later than disco, i386 is there
/// only for old programs on amd64.
fn architectures(release: &str) -> &'static [&'static str] {
    if since(release, "focal") {
        &["amd64", "arm64", "armhf", "ppc64el", "riscv64", "s390x"]
    } else if since(release, "eoan") {
        &["amd64", "arm64", "armhf", "ppc64el", "s390x"]
    } else {
        &["amd64", "arm64", "armhf", "i386", "ppc64el", "s390x"]
    }
}

/// Packages that a machine needs to boot the image. dracut stands in for initramfs-tools.
fn boot_packages(release: &str, boots: Boots) -> Vec<String> {
    let mut packages = vec!["dracut", "udev"];
    if !boots.has_kernel {
        packages.push("linux-image-generic");
    }
    // Before kinetic it was a part of the package systemd.
    if boots.uefi && since(release, "kinetic") {
        packages.extend(["systemd-boot", "systemd-boot-efi"]);
    }
    if boots.bios {
        packages.extend(["grub-pc-bin", "grub2-common"]);
    }
    if boots.verity || boots.encrypted {
        packages.push("dmsetup");
        if since(release, "oracular") {
            packages.push("systemd-cryptsetup");
        }
    }
    if boots.encrypted {
        packages.push("cryptsetup");
    }
    packages.into_iter().map(str::to_owned).collect()
}

/// Ubuntu.
#[derive(Clone, Copy, Debug)]
pub struct Ubuntu;

impl Facts for Ubuntu {
    fn release(&self, name: &str) -> Result<String, String> {
        find(name).map(|r| r.name.to_owned()).ok_or_else(|| {
            let known: Vec<String> = RELEASES
                .iter()
                .map(|r| format!("{} ({})", r.name, r.number))
                .collect();
            known.join(", ")
        })
    }

    fn releases(&self) -> Vec<String> {
        RELEASES
            .iter()
            .map(|release| release.name.to_owned())
            .collect()
    }

    fn architectures(&self, release: &str) -> Vec<&'static str> {
        architectures(release).to_vec()
    }

    fn architecture_name(&self, _release: &str, architecture: Architecture) -> &'static str {
        architecture.debian()
    }

    fn base_packages(&self, _release: &str) -> Vec<String> {
        archive::base_packages()
    }

    fn boot_packages(&self, release: &str, _architecture: &str, boots: Boots) -> Vec<String> {
        boot_packages(release, boots)
    }

    fn is_kernel(&self, package: &str) -> bool {
        package.starts_with("linux-image-")
    }

    fn repositories(&self, wanted: &Wanted<'_>) -> Repositories {
        let release = find(wanted.release).unwrap_or(&RELEASES[0]);
        let pc = matches!(wanted.architecture, "amd64" | "i386");
        let (mirror, security) = match (release.archived, pc) {
            (true, _) => (OLD_RELEASES, OLD_RELEASES),
            (false, true) => (ARCHIVE, SECURITY),
            (false, false) => (PORTS, PORTS),
        };
        let archive = Archive {
            release: release.name,
            mirror,
            defaults: &[ARCHIVE, PORTS],
            keyring: KEYRING,
            // dracut and systemd-boot are in universe in most releases.
            components: &["main", "universe"],
            updates: true,
            security: Some((security, format!("{}-security", release.name))),
        };
        Repositories::Apt(archive.repositories(wanted, merged_usr(release.name)))
    }

    fn check_repository(&self, entry: &str) -> Result<(), String> {
        archive::check_repository(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_releases() {
        for (name, expected) in [
            ("noble", "noble"),
            ("Noble", "noble"),
            ("22.04", "jammy"),
            ("22.04.3", "jammy"),
            ("16.04", "xenial"),
        ] {
            assert_eq!(Ubuntu.release(name).as_deref(), Ok(expected), "{name}");
        }
        for name in ["22", "22.041", "bookworm", "trusty", ""] {
            let known = Ubuntu.release(name).unwrap_err();
            assert!(known.contains("jammy (22.04)"), "{name}: {known}");
        }
    }

    #[test]
    fn not_every_release_has_every_architecture() {
        for (release, architecture, expected) in [
            ("noble", Architecture::X86_64, Some("amd64")),
            ("noble", Architecture::I686, None),
            ("bionic", Architecture::I686, Some("i386")),
            ("bionic", Architecture::Riscv64, None),
            ("jammy", Architecture::Riscv64, Some("riscv64")),
            ("jammy", Architecture::Loongarch64, None),
        ] {
            let found = Ubuntu.architecture(release, architecture).ok();
            assert_eq!(found, expected, "{release} {architecture}");
        }
    }

    #[test]
    fn repositories_follow_release_and_architecture() {
        for (release, architecture, mirror, expected) in [
            ("noble", "amd64", ARCHIVE, [ARCHIVE, ARCHIVE, SECURITY]),
            ("noble", "arm64", PORTS, [PORTS; 3]),
            ("impish", "amd64", ARCHIVE, [OLD_RELEASES; 3]),
            ("impish", "arm64", PORTS, [OLD_RELEASES; 3]),
            (
                "impish",
                "amd64",
                "http://m",
                ["http://m", "http://m", OLD_RELEASES],
            ),
        ] {
            let Repositories::Apt(apt) = Ubuntu.repositories(&Wanted {
                release,
                architecture,
                mirror: Some(mirror),
                local_mirror: None,
                additional: &["multiverse".to_owned()],
                check_keys: true,
            }) else {
                unreachable!()
            };
            let uris: Vec<&str> = apt.sources.iter().map(|s| s.uri.as_str()).collect();
            assert_eq!(uris, expected, "{release} {architecture} {mirror}");
            let suites: Vec<&str> = apt.sources.iter().map(|s| s.suite.as_str()).collect();
            assert_eq!(suites[0], release);
            assert_eq!(suites[2], format!("{release}-security"));
            assert_eq!(
                apt.sources[0].components.join(" "),
                "main universe multiverse"
            );
            assert_eq!(apt.keyrings.len(), 1);
        }
    }

    #[test]
    fn usr_is_merged_as_in_the_release() {
        for (release, expected) in [
            ("bionic", MergedUsr::Packages),
            ("focal", MergedUsr::Links),
            ("jammy", MergedUsr::Links),
            ("noble", MergedUsr::LinksAndPackage),
            ("resolute", MergedUsr::Packages),
        ] {
            assert_eq!(merged_usr(release), expected, "{release}");
        }
    }

    #[test]
    fn boot_packages_follow_the_release() {
        let boots = Boots {
            uefi: true,
            verity: true,
            ..Boots::default()
        };
        for (release, packages) in [
            ("jammy", "dracut udev linux-image-generic dmsetup"),
            (
                "resolute",
                "dracut udev linux-image-generic systemd-boot systemd-boot-efi dmsetup \
                 systemd-cryptsetup",
            ),
        ] {
            assert_eq!(boot_packages(release, boots).join(" "), packages);
        }
    }
}
