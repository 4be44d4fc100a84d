//! Debian: its releases, mirrors, keys and packages.

use super::archive::{self, Archive};
use super::{Boots, Facts, MergedUsr, Repositories, Wanted};
use crate::config::values::Architecture;

/// What `Release=` means when the host is something else: the stable release.
pub const DEFAULT_RELEASE: &str = "trixie";
/// The project's content delivery network.
pub const DEFAULT_MIRROR: &str = "http://deb.debian.org/debian";
/// Security updates; never on mirrors of the main archive.
const SECURITY_MIRROR: &str = "http://deb.debian.org/debian-security";
/// Where releases go when they are no longer maintained.
const ARCHIVE_MIRROR: &str = "http://archive.debian.org/debian";
const ARCHIVE_SECURITY_MIRROR: &str = "http://archive.debian.org/debian-security";
/// The keyring of the package debian-archive-keyring, on the host and in the image.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// What is true of one release.
struct Release {
    /// The codename.
    name: &'static str,
    /// The number, as in `/etc/debian_version`; rolling suites have none.
    number: Option<&'static str>,
    /// Whether `NAME-updates` and a security suite exist.
    updates: bool,
    /// Whether it has left the mirrors for the archive.
    archived: bool,
    merged_usr: MergedUsr,
}

/// Releases that can be built, newest first. Merged /usr as debootstrap decides it: since buster;
/// the package that says so exists since bookworm; packages bring the links since trixie.
const RELEASES: &[Release] = &[
    release("sid", None, false, false, MergedUsr::Packages),
    release("forky", Some("14"), false, false, MergedUsr::Packages),
    release("trixie", Some("13"), true, false, MergedUsr::Packages),
    release(
        "bookworm",
        Some("12"),
        true,
        false,
        MergedUsr::LinksAndPackage,
    ),
    release("bullseye", Some("11"), true, false, MergedUsr::Links),
    release("buster", Some("10"), true, true, MergedUsr::Links),
    release("stretch", Some("9"), true, true, MergedUsr::Packages),
];

/// Suite names that move from release to release.
const ALIASES: &[(&str, &str)] = &[
    ("unstable", "sid"),
    ("testing", "forky"),
    ("stable", "trixie"),
    ("oldstable", "bookworm"),
    ("oldoldstable", "bullseye"),
];

const fn release(
    name: &'static str,
    number: Option<&'static str>,
    updates: bool,
    archived: bool,
    merged_usr: MergedUsr,
) -> Release {
    Release {
        name,
        number,
        updates,
        archived,
        merged_usr,
    }
}

/// A release by codename, number (`12`, `12.4`) or moving name (`stable`).
fn find(name: &str) -> Option<&'static Release> {
    let name = ALIASES
        .iter()
        .find(|(alias, _)| *alias == name)
        .map_or(name, |(_, codename)| codename);
    let number = name.split('.').next();
    RELEASES
        .iter()
        .find(|r| r.name == name || (r.number.is_some() && r.number == number))
}

/// The codename of a release, or the ones there are.
fn codename(name: &str) -> Result<&'static str, String> {
    find(name).map(|r| r.name).ok_or_else(|| {
        let known: Vec<&str> = RELEASES.iter().map(|r| r.name).collect();
        known.join(", ")
    })
}

/// Packages that a machine needs to boot the image: kernel, dracut, boot loaders. dracut stands in
/// for initramfs-tools.
fn boot_packages(release: &str, architecture: &str, boots: Boots) -> Vec<String> {
    let position = |name| RELEASES.iter().position(|r| r.name == name);
    // Releases are sorted from the newest.
    let since = |name| position(release).is_some_and(|nth| Some(nth) <= position(name));
    let mut packages = vec!["dracut".to_owned(), "udev".to_owned()];
    if !boots.has_kernel {
        let flavour = match architecture {
            "i386" => "686-pae",
            "armhf" => "armmp",
            "armel" => "rpi",
            "ppc64el" => "powerpc64le",
            other => other,
        };
        packages.push(format!("linux-image-{flavour}"));
    }
    let mut add = |names: &[&str]| packages.extend(names.iter().map(|name| (*name).to_owned()));
    // Before bookworm it was a part of the package systemd.
    if boots.uefi && since("bookworm") {
        add(&["systemd-boot", "systemd-boot-efi"]);
    }
    if boots.bios {
        add(&["grub-pc-bin", "grub2-common"]);
    }
    if boots.verity || boots.encrypted {
        add(&["dmsetup"]);
        if since("trixie") {
            add(&["systemd-cryptsetup"]);
        }
    }
    if boots.encrypted {
        add(&["cryptsetup"]);
    }
    packages
}

/// Debian.
#[derive(Clone, Copy, Debug)]
pub struct Debian;

impl Facts for Debian {
    fn release(&self, name: &str) -> Result<String, String> {
        codename(name).map(str::to_owned)
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

    fn boot_packages(&self, release: &str, architecture: &str, boots: Boots) -> Vec<String> {
        boot_packages(release, architecture, boots)
    }

    fn ssh_packages(&self, _release: &str) -> Vec<String> {
        // systemd-networkd comes with systemd.
        vec!["openssh-server".to_owned()]
    }

    fn is_kernel(&self, package: &str) -> bool {
        package.starts_with("linux-image-")
    }

    fn repositories(&self, wanted: &Wanted<'_>) -> Repositories {
        let release = find(wanted.release).unwrap_or(&RELEASES[0]);
        Repositories::Apt(archive(release).repositories(wanted, release.merged_usr))
    }

    fn check_repository(&self, entry: &str) -> Result<(), String> {
        archive::check_repository(entry)
    }
}

/// The architectures of a release that this program knows, by Debian's names.
fn architectures(release: &str) -> &'static [&'static str] {
    match release {
        "sid" | "forky" => &[
            "amd64", "arm64", "armhf", "i386", "loong64", "ppc64el", "riscv64", "s390x",
        ],
        "trixie" => &[
            "amd64", "arm64", "armhf", "i386", "ppc64el", "riscv64", "s390x",
        ],
        _ => &["amd64", "arm64", "armhf", "i386", "ppc64el", "s390x"],
    }
}

/// Where the archive has a release.
fn archive(release: &Release) -> Archive<'_> {
    Archive {
        release: release.name,
        mirror: if release.archived {
            ARCHIVE_MIRROR
        } else {
            DEFAULT_MIRROR
        },
        defaults: &[DEFAULT_MIRROR],
        keyring: KEYRING,
        components: &["main"],
        updates: release.updates,
        security: release.updates.then(|| security(release)),
    }
}

/// The repository and suite of a release's security updates.
fn security(release: &Release) -> (&'static str, String) {
    let mirror = if release.archived {
        ARCHIVE_SECURITY_MIRROR
    } else {
        SECURITY_MIRROR
    };
    // Renamed with bullseye.
    let suite = if matches!(release.name, "buster" | "stretch") {
        format!("{}/updates", release.name)
    } else {
        format!("{}-security", release.name)
    };
    (mirror, suite)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repositories(release: &str) -> Wanted<'_> {
        Wanted {
            release,
            architecture: "amd64",
            mirror: None,
            local_mirror: None,
            additional: &[],
            check_keys: true,
        }
    }

    fn lines(wanted: &Wanted<'_>) -> Vec<String> {
        let Repositories::Apt(apt) = Debian.repositories(wanted) else {
            unreachable!()
        };
        let sources = apt.image_sources.iter();
        sources.map(|source| source.line(false)).collect()
    }

    #[test]
    fn names_of_releases() {
        for (name, expected) in [
            ("bookworm", "bookworm"),
            ("12", "bookworm"),
            ("12.9", "bookworm"),
            ("stable", "trixie"),
            ("unstable", "sid"),
        ] {
            assert_eq!(codename(name), Ok(expected), "{name}");
        }
        assert!(codename("jammy").unwrap_err().contains("bookworm"));
    }

    #[test]
    fn not_every_release_has_every_architecture() {
        for (release, architecture, expected) in [
            ("bookworm", Architecture::X86_64, Ok("amd64")),
            ("bookworm", Architecture::Riscv64, Err(())),
            ("trixie", Architecture::Riscv64, Ok("riscv64")),
            ("sid", Architecture::Loongarch64, Ok("loong64")),
        ] {
            let found = Debian.architecture(release, architecture);
            assert_eq!(found.map_err(|_| ()), expected, "{release}");
        }
    }

    #[test]
    fn default_repositories_have_updates_and_security() {
        assert_eq!(
            lines(&repositories("bookworm")),
            [
                "deb http://deb.debian.org/debian bookworm main",
                "deb http://deb.debian.org/debian bookworm-updates main",
                "deb http://deb.debian.org/debian-security bookworm-security main",
            ]
        );
        assert_eq!(
            lines(&repositories("sid")),
            ["deb http://deb.debian.org/debian sid main"]
        );
        assert!(lines(&repositories("buster"))[2].contains("buster/updates"));
    }

    #[test]
    fn boot_packages_follow_release_and_protocols() {
        let uefi = Boots {
            uefi: true,
            ..Boots::default()
        };
        let everything = Boots {
            uefi: true,
            bios: true,
            verity: true,
            encrypted: true,
            has_kernel: true,
        };
        for (release, architecture, boots, packages) in [
            (
                "bookworm",
                "amd64",
                uefi,
                "dracut udev linux-image-amd64 systemd-boot systemd-boot-efi",
            ),
            ("bullseye", "arm64", uefi, "dracut udev linux-image-arm64"),
            (
                "trixie",
                "amd64",
                everything,
                "dracut udev systemd-boot systemd-boot-efi grub-pc-bin grub2-common dmsetup \
                 systemd-cryptsetup cryptsetup",
            ),
            (
                "bookworm",
                "i386",
                Boots {
                    bios: true,
                    encrypted: true,
                    ..Boots::default()
                },
                "dracut udev linux-image-686-pae grub-pc-bin grub2-common dmsetup cryptsetup",
            ),
        ] {
            assert_eq!(
                boot_packages(release, architecture, boots).join(" "),
                packages
            );
        }
    }
}
