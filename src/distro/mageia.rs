//! Mageia: its releases, mirrors, keys and packages. Mirrors come from the project's list.

use super::rpm::{DatabaseFormat, Location, Offer, Offers, RpmDatabase, RpmKey};
use super::{Boots, Facts, Repositories, Wanted, rpm_names};
use crate::config::values::Architecture;

/// The stable release.
pub const DEFAULT_RELEASE: &str = "9";
/// Releases that can be built, the newest first; cauldron is the development version.
const RELEASES: [&str; 5] = ["cauldron", "10", "9", "8", "7"];
/// The project's list of mirrors.
const MIRROR_LIST: &str = "https://www.mageia.org/mirrorlist/";
/// A mirror with https, for the key.
const KEY_MIRROR: &str = "https://mirrors.kernel.org/mageia";

/// Mageia.
#[derive(Clone, Copy, Debug)]
pub struct Mageia;

/// What 32-bit PCs are called.
fn small(release: &str) -> &'static str {
    match release {
        "cauldron" | "10" => "i686",
        _ => "i586",
    }
}

impl Facts for Mageia {
    fn release(&self, name: &str) -> Result<String, String> {
        if RELEASES.contains(&name) {
            return Ok(name.to_owned());
        }
        Err(RELEASES.join(", "))
    }

    fn releases(&self) -> Vec<String> {
        RELEASES.iter().map(|name| (*name).to_owned()).collect()
    }

    fn architectures(&self, release: &str) -> Vec<&'static str> {
        vec!["x86_64", "aarch64", "armv7hl", small(release)]
    }

    fn architecture_name(&self, release: &str, architecture: Architecture) -> &'static str {
        match architecture {
            Architecture::I686 => small(release),
            other => rpm_names::architecture(other),
        }
    }

    fn base_packages(&self, _release: &str) -> Vec<String> {
        [
            "basesystem-minimal",
            "bash",
            "coreutils",
            "systemd",
            "util-linux",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    fn boot_packages(&self, _release: &str, architecture: &str, boots: Boots) -> Vec<String> {
        let mut packages = vec!["dracut"];
        if !boots.has_kernel {
            packages.push(match architecture {
                "i586" | "i686" | "armv7hl" => "kernel-desktop-latest",
                _ => "kernel-server-latest",
            });
        }
        if boots.bios {
            packages.push("grub2");
        }
        if boots.verity || boots.encrypted {
            packages.push("cryptsetup");
        }
        packages.into_iter().map(str::to_owned).collect()
    }

    fn is_kernel(&self, package: &str) -> bool {
        ["kernel-server", "kernel-desktop", "kernel-linus"]
            .iter()
            .any(|name| package.starts_with(name) && !package.contains("-devel"))
    }

    fn check_repositories(&self, wanted: &Wanted<'_>) -> Result<(), String> {
        offers(wanted).check(wanted)
    }

    fn has_rpm(&self) -> bool {
        true
    }

    fn repositories(&self, wanted: &Wanted<'_>) -> Repositories {
        let database = RpmDatabase {
            path: RpmDatabase::OLD_PATH,
            format: if matches!(wanted.release, "7" | "8") {
                DatabaseFormat::Bdb
            } else {
                DatabaseFormat::Sqlite
            },
        };
        Repositories::Rpm(offers(wanted).repositories(wanted, wanted.release, None, database))
    }
}

fn offers(wanted: &Wanted<'_>) -> Offers {
    let (release, architecture) = (wanted.release, wanted.architecture);
    let key = RpmKey::find(
        "mageia",
        "RPM-GPG-KEY-Mageia",
        format!(
            "{KEY_MIRROR}/distrib/{release}/{architecture}/media/core/release/media_info/pubkey"
        ),
    );
    let repositories = [
        ("mageia", "core", "release"),
        ("updates", "core", "updates"),
        ("updates-testing", "core", "updates_testing"),
        ("nonfree", "nonfree", "release"),
        ("nonfree-updates", "nonfree", "updates"),
        ("tainted", "tainted", "release"),
        ("tainted-updates", "tainted", "updates"),
    ];
    Offers {
        distribution: "Mageia",
        offers: repositories
            .map(|(id, section, repository)| Offer {
                id,
                // The development version has no updates besides itself.
                enabled: id == "mageia" || (id == "updates" && release != "cauldron"),
                location: Location::MirrorList(format!(
                    "{MIRROR_LIST}?release={release}&arch={architecture}&section={section}\
                     &repo={repository}"
                )),
                path: format!("distrib/{release}/{architecture}/media/{section}/{repository}"),
                keys: vec![key.clone()],
            })
            .into(),
        signs_metadata: false,
        default_mirror: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::rpm::tests::{addresses, wanted};
    use super::*;

    #[test]
    fn repositories_follow_the_release() {
        let nine = wanted("9", "x86_64");
        let list = "https://www.mageia.org/mirrorlist/?release=9&arch=x86_64&section=core";
        assert_eq!(
            addresses(&offers(&nine).image(&nine)),
            [
                format!("mageia {list}&repo=release"),
                format!("updates {list}&repo=updates")
            ]
        );
        let named = ["tainted".to_owned()];
        let mut mirrored = wanted("cauldron", "aarch64");
        mirrored.mirror = Some("https://mirrors.kernel.org/mageia/");
        mirrored.additional = &named;
        let tree = "https://mirrors.kernel.org/mageia/distrib/cauldron/aarch64/media";
        assert_eq!(
            addresses(&offers(&mirrored).image(&mirrored)),
            [
                format!("mageia {tree}/core/release"),
                format!("tainted {tree}/tainted/release")
            ]
        );
    }

    #[test]
    fn releases_and_architectures() {
        assert_eq!(Mageia.release("9").as_deref(), Ok("9"));
        assert_eq!(Mageia.release("6").unwrap_err(), "cauldron, 10, 9, 8, 7");
        assert_eq!(Mageia.architecture("9", Architecture::I686), Ok("i586"));
        assert!(Mageia.architecture("9", Architecture::S390x).is_err());
        assert!(Mageia.is_kernel("kernel-server-latest"));
        assert!(!Mageia.is_kernel("kernel-server-devel-latest"));
    }
}
