//! CentOS and CentOS Stream: releases, mirrors, keys and packages, with EPEL. Mirrors come from the
//! projects' lists.

use super::rpm::{DatabaseFormat, Location, Offer, Offers, RpmDatabase, RpmKey};
use super::{Boots, Facts, Repositories, Wanted, rpm_boot, rpm_names};
use crate::config::values::Architecture;

/// CentOS Stream 10.
pub const DEFAULT_RELEASE: &str = "10";
/// Releases that can be built, the newest first.
const RELEASES: &[Release] = &[
    Release {
        name: "10-stream",
        number: 10,
        vault: None,
    },
    Release {
        name: "9-stream",
        number: 9,
        vault: None,
    },
    Release {
        name: "8-stream",
        number: 8,
        vault: Some("8-stream"),
    },
    Release {
        name: "8",
        number: 8,
        vault: Some("8.5.2111"),
    },
    Release {
        name: "7",
        number: 7,
        vault: Some("7.9.2009"),
    },
];
/// Where releases go when they are no longer maintained.
const VAULT: &str = "https://vault.centos.org";
/// The project's list of mirrors.
const METALINK: &str = "https://mirrors.centos.org/metalink";
/// Fedora's list of mirrors, which has EPEL.
const EPEL_METALINK: &str = "https://mirrors.fedoraproject.org/metalink";
/// EPEL for releases that are no longer maintained.
const EPEL_ARCHIVE: &str = "https://archives.fedoraproject.org/pub/archive/epel";
/// Where the project publishes its keys.
const KEYS: &str = "https://www.centos.org/keys";
const EPEL_KEYS: &str = "https://dl.fedoraproject.org/pub/epel";

/// What is true of one release.
struct Release {
    /// As on mirrors.
    name: &'static str,
    number: u32,
    /// Its directory in the vault, if it has moved there.
    vault: Option<&'static str>,
}

/// CentOS.
#[derive(Clone, Copy, Debug)]
pub struct Centos {
    /// With Fedora's packages for it.
    pub epel: bool,
}

/// A release by name (`9-stream`) or number (`9`, `8.5`, `7.9.2009`); a number that was given to both
/// CentOS Linux and Stream is CentOS Linux.
fn find(name: &str) -> Option<&'static Release> {
    let number = name.split('.').next().unwrap_or(name);
    let exact = RELEASES.iter().find(|release| release.name == number);
    exact.or_else(|| {
        let number: u32 = number.parse().ok()?;
        RELEASES.iter().find(|release| release.number == number)
    })
}

fn number(release: &str) -> u32 {
    find(release).map_or(u32::MAX, |release| release.number)
}

impl Facts for Centos {
    fn release(&self, name: &str) -> Result<String, String> {
        find(name)
            .map(|release| release.name.to_owned())
            .ok_or_else(|| {
                let known: Vec<&str> = RELEASES.iter().map(|release| release.name).collect();
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
        let mut known = vec!["x86_64", "aarch64", "ppc64le"];
        match number(release) {
            7 => known.extend(["i386", "armhfp"]),
            8 => {}
            _ => known.push("s390x"),
        }
        known
    }

    fn architecture_name(&self, _release: &str, architecture: Architecture) -> &'static str {
        rpm_names::red_hat_architecture(architecture)
    }

    fn base_packages(&self, release: &str) -> Vec<String> {
        let mut packages = vec![
            "bash",
            "coreutils",
            "filesystem",
            "pam",
            "shadow-utils",
            "systemd",
            "util-linux",
        ];
        packages.push(match release {
            "7" => "centos-release",
            "8" => "centos-linux-release",
            _ => "centos-stream-release",
        });
        // Before, all languages were in glibc-common.
        if number(release) >= 8 {
            packages.push("glibc-minimal-langpack");
        }
        packages.into_iter().map(str::to_owned).collect()
    }

    fn boot_packages(&self, release: &str, architecture: &str, boots: Boots) -> Vec<String> {
        let number = number(release);
        let mut packages = vec!["dracut", "kmod"];
        if !boots.has_kernel {
            packages.push(if number >= 8 { "kernel-core" } else { "kernel" });
            if number >= 8 {
                packages.push("kernel-modules");
            }
        }
        if number >= 8 {
            packages.push("systemd-udev");
        }
        // EPEL has it for 9; 10 has it itself, and before it was in systemd-udev or nowhere.
        if boots.uefi && (number >= 10 || (number == 9 && self.epel)) {
            packages.push("systemd-boot-unsigned");
        }
        packages.extend(
            rpm_boot::red_hat(architecture, boots)
                .into_iter()
                // veritysetup has been a package of its own since 8.
                .filter(|name| number >= 8 || *name != "veritysetup"),
        );
        packages.into_iter().map(str::to_owned).collect()
    }

    fn is_kernel(&self, package: &str) -> bool {
        rpm_boot::is_red_hat_kernel(package)
    }

    fn check_repositories(&self, wanted: &Wanted<'_>) -> Result<(), String> {
        self.offers(wanted).check(wanted)
    }

    fn has_rpm(&self) -> bool {
        true
    }

    fn repositories(&self, wanted: &Wanted<'_>) -> Repositories {
        let number = number(wanted.release);
        let database = RpmDatabase {
            path: if number >= 10 {
                RpmDatabase::NEW_PATH
            } else {
                RpmDatabase::OLD_PATH
            },
            format: if number >= 9 {
                DatabaseFormat::Sqlite
            } else {
                DatabaseFormat::Bdb
            },
        };
        let platform = (number >= 8).then(|| format!("platform:el{number}"));
        let offers = self.offers(wanted);
        Repositories::Rpm(offers.repositories(wanted, &number.to_string(), platform, database))
    }
}

impl Centos {
    fn offers(self, wanted: &Wanted<'_>) -> Offers {
        let mut offers = match find(wanted.release) {
            Some(release) if release.number == 7 => seven(release, wanted.architecture),
            Some(release) => modern(release, wanted.architecture),
            None => Vec::new(),
        };
        offers.extend(self.epel(number(wanted.release), wanted.architecture));
        Offers {
            distribution: "CentOS",
            offers,
            signs_metadata: false,
            default_mirror: None,
        }
    }

    fn epel(self, number: u32, architecture: &str) -> Vec<Offer> {
        let name = format!("RPM-GPG-KEY-EPEL-{number}");
        let keys = vec![RpmKey::find("epel", &name, format!("{EPEL_KEYS}/{name}"))];
        let offer = |id, enabled, list: String, path: String| Offer {
            id,
            enabled,
            location: if number == 7 {
                Location::BaseUrl(format!("{EPEL_ARCHIVE}/{path}"))
            } else {
                Location::Metalink(format!("{EPEL_METALINK}?repo={list}&arch={architecture}"))
            },
            path: format!("epel/{path}"),
            keys: keys.clone(),
        };
        let tree = if number == 7 { "" } else { "Everything/" };
        vec![
            offer(
                "epel",
                self.epel,
                format!("epel-{number}"),
                format!("{number}/{tree}{architecture}"),
            ),
            offer(
                "epel-testing",
                false,
                format!("testing-epel{number}"),
                format!("testing/{number}/{tree}{architecture}"),
            ),
        ]
    }
}

/// CentOS 7.
fn seven(release: &Release, architecture: &str) -> Vec<Offer> {
    let mut keys = vec![key("RPM-GPG-KEY-CentOS-7")];
    if architecture != "x86_64" {
        let name = match architecture {
            "aarch64" => "RPM-GPG-KEY-CentOS-7-aarch64".to_owned(),
            "armhfp" => "RPM-GPG-KEY-CentOS-SIG-AltArch-Arm32".to_owned(),
            other => format!("RPM-GPG-KEY-CentOS-SIG-AltArch-7-{other}"),
        };
        keys.push(key(&name));
    }
    let vault = release.vault.unwrap_or(release.name);
    let alternative = if architecture == "x86_64" {
        ""
    } else {
        "altarch/"
    };
    let repositories = [
        ("base", "os", true),
        ("updates", "updates", true),
        ("extras", "extras", true),
        ("centosplus", "centosplus", false),
        ("fasttrack", "fasttrack", false),
    ];
    repositories
        .map(|(id, directory, enabled)| {
            let path = format!("{directory}/{architecture}");
            Offer {
                id,
                enabled,
                location: Location::BaseUrl(format!("{VAULT}/{alternative}{vault}/{path}")),
                path: format!("{}/{path}", release.name),
                keys: keys.clone(),
            }
        })
        .into()
}

/// CentOS 8 and everything after it.
fn modern(release: &Release, architecture: &str) -> Vec<Offer> {
    let official = if release.number >= 10 {
        "RPM-GPG-KEY-CentOS-Official-SHA256"
    } else {
        "RPM-GPG-KEY-CentOS-Official"
    };
    let mut repositories = vec![
        ("baseos", "BaseOS", true),
        ("appstream", "AppStream", true),
        ("highavailability", "HighAvailability", false),
    ];
    if release.number == 8 {
        repositories.extend([
            ("powertools", "PowerTools", false),
            ("crb", "PowerTools", false),
        ]);
    } else {
        repositories.extend([
            ("crb", "CRB", false),
            ("nfv", "NFV", false),
            ("rt", "RT", false),
        ]);
    }
    let offer = |(id, directory, enabled): (&'static str, &str, bool)| {
        let path = format!("{directory}/{architecture}/os");
        Offer {
            id,
            enabled,
            location: match release.vault {
                Some(vault) => Location::BaseUrl(format!("{VAULT}/{vault}/{path}")),
                None => {
                    let list = format!("centos-{id}-{}", release.name);
                    Location::Metalink(format!(
                        "{METALINK}?repo={list}&arch={architecture}&protocol=https,http"
                    ))
                }
            },
            path: format!("{}/{path}", release.name),
            keys: vec![key(official)],
        }
    };
    let mut offers: Vec<Offer> = repositories.into_iter().map(offer).collect();
    offers.push(match release.vault {
        Some(vault) => {
            let path = format!("extras/{architecture}/os");
            Offer {
                id: "extras",
                enabled: true,
                location: Location::BaseUrl(format!("{VAULT}/{vault}/{path}")),
                path: format!("{}/{path}", release.name),
                keys: vec![key(official)],
            }
        }
        None => Offer {
            id: "extras-common",
            enabled: true,
            location: Location::Metalink(format!(
                "{METALINK}?repo=centos-extras-sig-extras-common-{}&arch={architecture}\
                 &protocol=https,http",
                release.name
            )),
            path: format!("SIGs/{}/extras/{architecture}/extras-common", release.name),
            keys: vec![
                key("RPM-GPG-KEY-CentOS-SIG-Extras-SHA512"),
                key("RPM-GPG-KEY-CentOS-SIG-Extras"),
            ],
        },
    });
    offers
}

fn key(name: &str) -> RpmKey {
    RpmKey::find("centos", name, format!("{KEYS}/{name}"))
}

#[cfg(test)]
mod tests {
    use super::super::rpm::tests::{addresses, wanted};
    use super::*;

    const CENTOS: Centos = Centos { epel: false };

    #[test]
    fn names_of_releases() {
        for (name, expected) in [
            ("10", Some("10-stream")),
            ("9-stream", Some("9-stream")),
            ("9.4", Some("9-stream")),
            ("8", Some("8")),
            ("8-stream", Some("8-stream")),
            ("7.9.2009", Some("7")),
            ("6", None),
            ("stream", None),
        ] {
            assert_eq!(CENTOS.release(name).ok().as_deref(), expected, "{name}");
        }
        assert_eq!(
            CENTOS.release("6").unwrap_err(),
            "10-stream, 9-stream, 8-stream, 8, 7"
        );
    }

    #[test]
    fn repositories_follow_the_release() {
        let of = |centos: Centos, release, architecture| {
            let wanted = wanted(release, architecture);
            addresses(&centos.offers(&wanted).image(&wanted))
        };
        let metalink = "https://mirrors.centos.org/metalink?repo=centos";
        assert_eq!(
            of(Centos { epel: true }, "9-stream", "x86_64"),
            [
                format!("baseos {metalink}-baseos-9-stream&arch=x86_64&protocol=https,http"),
                format!("appstream {metalink}-appstream-9-stream&arch=x86_64&protocol=https,http"),
                format!(
                    "extras-common {metalink}-extras-sig-extras-common-9-stream&arch=x86_64&protocol=https,http"
                ),
                "epel https://mirrors.fedoraproject.org/metalink?repo=epel-9&arch=x86_64"
                    .to_owned(),
            ]
        );
        assert_eq!(
            of(CENTOS, "8", "aarch64"),
            [
                "baseos https://vault.centos.org/8.5.2111/BaseOS/aarch64/os",
                "appstream https://vault.centos.org/8.5.2111/AppStream/aarch64/os",
                "extras https://vault.centos.org/8.5.2111/extras/aarch64/os",
            ]
        );
        assert_eq!(
            of(CENTOS, "8-stream", "x86_64")[0],
            "baseos https://vault.centos.org/8-stream/BaseOS/x86_64/os"
        );
        assert_eq!(
            of(CENTOS, "7", "x86_64"),
            [
                "base https://vault.centos.org/7.9.2009/os/x86_64",
                "updates https://vault.centos.org/7.9.2009/updates/x86_64",
                "extras https://vault.centos.org/7.9.2009/extras/x86_64",
            ]
        );
        assert!(of(CENTOS, "7", "ppc64le")[0].contains("/altarch/7.9.2009/os/ppc64le"));
    }

    #[test]
    fn repositories_that_projects_name_are_known() {
        for (release, names) in [
            ("9-stream", "baseos,appstream,crb,epel"),
            ("8-stream", "baseos,appstream,crb,powertools,extras"),
            ("7", "base,updates,extras"),
        ] {
            let names: Vec<String> = names.split(',').map(str::to_owned).collect();
            let mut wanted = wanted(release, "x86_64");
            wanted.additional = &names;
            CENTOS.check_repositories(&wanted).unwrap();
            let other = ["asahi-linux".to_owned()];
            wanted.additional = &other;
            assert!(
                CENTOS
                    .check_repositories(&wanted)
                    .unwrap_err()
                    .contains("asahi-linux")
            );
        }
    }

    #[test]
    fn packages_follow_the_release() {
        for (release, has) in [
            ("10-stream", "centos-stream-release"),
            ("8", "centos-linux-release"),
            ("7", "centos-release"),
        ] {
            assert!(
                CENTOS.base_packages(release).contains(&has.to_owned()),
                "{release}"
            );
        }
        let uefi = Boots {
            uefi: true,
            ..Boots::default()
        };
        for (release, expected) in [
            (
                "10-stream",
                "dracut kmod kernel-core kernel-modules systemd-udev systemd-boot-unsigned",
            ),
            (
                "9-stream",
                "dracut kmod kernel-core kernel-modules systemd-udev",
            ),
            ("7", "dracut kmod kernel"),
        ] {
            let packages = CENTOS.boot_packages(release, "x86_64", uefi);
            assert_eq!(packages.join(" "), expected, "{release}");
        }
    }
}
