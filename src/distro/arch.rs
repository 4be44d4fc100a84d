//! Arch Linux, and its port to ARM.

use std::path::PathBuf;

use super::facts::plain_name;
use super::{Boots, Facts, PacmanRepositories, PacmanRepository, Repositories, Wanted, location};
use crate::config::values::Architecture;

/// Arch has no releases.
pub const DEFAULT_RELEASE: &str = "rolling";
/// The project's mirror near the caller.
const MIRROR: &str = "https://geo.mirror.pkgbuild.com";
/// ARM has a project of its own, with servers laid out in another way.
const ARM_MIRROR: &str = "http://mirror.archlinuxarm.org";
/// Where pacman keeps keyrings, and where Debian's archlinux-keyring does.
const KEYRINGS: [&str; 2] = ["/usr/share/pacman/keyrings", "/usr/share/keyrings"];

/// The project's mirror; ARM has a project of its own.
#[must_use]
pub const fn default_mirror(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::Aarch64 | Architecture::Armv7 => ARM_MIRROR,
        _ => MIRROR,
    }
}

fn is_arm(architecture: &str) -> bool {
    architecture != "x86_64"
}

/// Arch Linux.
#[derive(Clone, Copy, Debug)]
pub struct Arch;

impl Facts for Arch {
    fn release(&self, name: &str) -> Result<String, String> {
        match name {
            "rolling" | "latest" | "current" => Ok(DEFAULT_RELEASE.to_owned()),
            _ => Err(DEFAULT_RELEASE.to_owned()),
        }
    }

    fn releases(&self) -> Vec<String> {
        vec![DEFAULT_RELEASE.to_owned()]
    }

    fn architectures(&self, _release: &str) -> Vec<&'static str> {
        vec!["x86_64", "aarch64", "armv7h"]
    }

    fn architecture_name(&self, _release: &str, architecture: Architecture) -> &'static str {
        match architecture {
            Architecture::Armv7 => "armv7h",
            other => other.as_str(),
        }
    }

    fn base_packages(&self, _release: &str) -> Vec<String> {
        // A package that only depends on others, systemd and pacman among them.
        vec!["base".to_owned()]
    }

    fn boot_packages(&self, _release: &str, architecture: &str, boots: Boots) -> Vec<String> {
        // dracut stands in for mkinitcpio; systemd-boot is a part of systemd.
        let mut packages = vec!["dracut"];
        if !boots.has_kernel {
            packages.push(if is_arm(architecture) {
                "linux-aarch64"
            } else {
                "linux"
            });
        }
        if boots.bios {
            packages.push("grub");
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
        let name = package.rsplit('/').next().unwrap_or(package);
        [
            "linux",
            "linux-lts",
            "linux-zen",
            "linux-hardened",
            "linux-rt",
            "linux-rt-lts",
            "linux-aarch64",
            "linux-aarch64-rc",
        ]
        .contains(&name)
    }

    fn repositories(&self, wanted: &Wanted<'_>) -> Repositories {
        let arm = is_arm(wanted.architecture);
        let layout = if arm { "$arch/$repo" } else { "$repo/os/$arch" };
        let default = if arm { ARM_MIRROR } else { MIRROR };
        let mirror = location::url(wanted.mirror.unwrap_or(default));
        let used = wanted
            .local_mirror
            .map_or_else(|| mirror.clone(), location::url);
        let server = format!("{used}/{layout}");
        let base: &[&str] = if arm {
            &["core", "extra", "alarm", "aur"]
        } else {
            &["core", "extra"]
        };
        let there: Vec<&str> = base
            .iter()
            .copied()
            .filter(|name| has(&server, name, wanted.architecture))
            .collect();
        // pacman says what is missing where nothing is.
        let base = if there.is_empty() { base } else { &there };
        let mut repositories: Vec<PacmanRepository> = Vec::new();
        let mut add = |name: &str, server: &str| {
            if !repositories.iter().any(|known| known.name == name) {
                repositories.push(PacmanRepository::new(name, server));
            }
        };
        for entry in wanted.additional {
            match repository(entry) {
                // As in pacman.conf: testing repositories go before those that they are about.
                Some((name, None)) if name.ends_with("-testing") => add(name, &server),
                _ => {}
            }
        }
        for name in base {
            add(name, &server);
        }
        for entry in wanted.additional {
            match repository(entry) {
                Some((name, None)) => add(name, &server),
                Some((name, Some(address))) if wanted.local_mirror.is_none() => {
                    add(name, &location::url(address));
                }
                _ => {}
            }
        }
        let keyring = if arm { "archlinuxarm" } else { "archlinux" };
        Repositories::Pacman(PacmanRepositories {
            repositories,
            architectures: Vec::new(),
            options: Vec::new(),
            image_server: location::path(&mirror)
                .is_none()
                .then(|| format!("{mirror}/{layout}")),
            keyring,
            key_files: if wanted.check_keys {
                key_files(keyring)
            } else {
                Vec::new()
            },
            key_directory: None,
            check_keys: wanted.check_keys,
            installs_keyring: false,
        })
    }

    fn check_repository(&self, entry: &str) -> Result<(), String> {
        let good = repository(entry).is_some_and(|(name, address)| {
            is_repository_name(name) && address.is_none_or(location::is_one_word)
        });
        if good {
            return Ok(());
        }
        Err("a repository such as multilib, or NAME=ADDRESS".to_owned())
    }

    fn check_package(&self, name: &str) -> Result<(), String> {
        // A repository may be named before the package: `extra/vim`.
        let (repository, package) = match name.split_once('/') {
            Some((repository, package)) => (Some(repository), package),
            None => (None, name),
        };
        plain_name(package, "@<>/")?;
        if package.contains('/') || repository.is_some_and(|name| !is_repository_name(name)) {
            return Err("expected a package, a group or REPOSITORY/PACKAGE".to_owned());
        }
        Ok(())
    }

    fn unbootable(&self, _release: &str, architecture: &str, boots: Boots) -> Option<&'static str> {
        match architecture {
            "x86_64" => None,
            "aarch64" if boots.bios => {
                Some("no machine of aarch64 has a BIOS; set BootProtocols=uefi")
            }
            "aarch64" => None,
            _ => Some(
                "kernels of Arch Linux ARM for 32 bits are started by the boot loaders of single boards, \
                 each in its own way; images with UEFI firmware boot on x86_64 and aarch64",
            ),
        }
    }
}

/// The name in an entry of `Repositories=`, and the address: `multilib`, `NAME=https://…`, or an
/// address whose last part, `$arch` and the like left out, is the name.
fn repository(entry: &str) -> Option<(&str, Option<&str>)> {
    if location::is_address(entry) && !entry.split(['/', ':']).next().unwrap_or("").contains('=') {
        let parts = entry.trim_end_matches('/').rsplit('/');
        let is_name = |part: &&str| !["os", "$arch", "x86_64", "aarch64", "armv7h"].contains(part);
        return parts
            .into_iter()
            .find(is_name)
            .map(|name| (name, Some(entry)));
    }
    match entry.split_once('=') {
        Some((name, address)) if location::is_address(address) => Some((name, Some(address))),
        Some(_) => None,
        None => Some((entry, None)),
    }
}

/// Names become sections of pacman.conf and names of files.
pub(crate) fn is_repository_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "@._+-".contains(c);
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(fits)
        // The section of pacman's own options, and the name of the database of what is installed.
        && !["options", "local"].contains(&name)
}

/// Whether a server has a repository: known for one on the disk, assumed for one on the network.
fn has(server: &str, name: &str, architecture: &str) -> bool {
    let address = server.replace("$repo", name).replace("$arch", architecture);
    location::path(&address).is_none_or(|path| path.join(format!("{name}.db")).exists())
}

fn key_files(keyring: &str) -> Vec<PathBuf> {
    let files = [".gpg", "-trusted", "-revoked"];
    let all = KEYRINGS.iter().flat_map(|directory| {
        files.map(|suffix| PathBuf::from(format!("{directory}/{keyring}{suffix}")))
    });
    all.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repositories(
        mirror: Option<&str>,
        local: Option<&str>,
        more: &[&str],
    ) -> PacmanRepositories {
        let more: Vec<String> = more.iter().map(|s| (*s).to_owned()).collect();
        let Repositories::Pacman(pacman) = Arch.repositories(&Wanted {
            release: "rolling",
            architecture: "x86_64",
            mirror,
            local_mirror: local,
            additional: &more,
            check_keys: true,
        }) else {
            unreachable!()
        };
        pacman
    }

    fn lines(found: &PacmanRepositories) -> Vec<String> {
        let line = |r: &PacmanRepository| format!("{} {}", r.name, r.servers.join(" "));
        found.repositories.iter().map(line).collect()
    }

    #[test]
    fn repositories_have_servers() {
        let found = repositories(
            Some("http://m/arch/"),
            None,
            &[
                "multilib",
                "core-testing",
                "mine=https://x/$arch",
                "https://y/their/$arch",
            ],
        );
        assert_eq!(
            lines(&found),
            [
                "core-testing http://m/arch/$repo/os/$arch",
                "core http://m/arch/$repo/os/$arch",
                "extra http://m/arch/$repo/os/$arch",
                "multilib http://m/arch/$repo/os/$arch",
                "mine https://x/$arch",
                "their https://y/their/$arch",
            ]
        );
        assert_eq!(found.image_server.unwrap(), "http://m/arch/$repo/os/$arch");
        let found = repositories(None, Some("/srv/local"), &["mine=https://x/$arch"]);
        assert_eq!(
            lines(&found),
            [
                "core file:///srv/local/$repo/os/$arch",
                "extra file:///srv/local/$repo/os/$arch"
            ]
        );
        assert!(found.image_server.unwrap().starts_with(MIRROR));
    }

    #[test]
    fn a_mirror_on_the_disk_has_what_is_there() {
        let mirror = tempfile::tempdir().unwrap();
        let core = mirror.path().join("core/os/x86_64");
        std::fs::create_dir_all(&core).unwrap();
        std::fs::write(core.join("core.db"), "").unwrap();
        let found = repositories(mirror.path().to_str(), None, &[]);
        assert_eq!(found.repositories.len(), 1);
        assert_eq!(found.image_server, None);
    }

    #[test]
    fn names_of_repositories() {
        for (entry, good) in [
            ("multilib", true),
            ("mine=https://example.com/$arch", true),
            ("https://example.com/mine/$arch", true),
            ("options", false),
            ("local", false),
            ("a]", false),
            ("-x", false),
            ("mine=https://x y", false),
            ("mine=nothing", false),
            ("https://example.com/a\nSigLevel=Never", false),
        ] {
            assert_eq!(Arch.check_repository(entry).is_ok(), good, "{entry:?}");
        }
    }

    #[test]
    fn names_of_packages() {
        for (name, good) in [
            ("vim", true),
            ("extra/vim", true),
            ("gnome", true),
            ("python>=3.12", true),
            ("a@b", true),
            ("extra/../vim", false),
            ("/tmp/x.pkg.tar.zst", false),
            ("./x", false),
            ("extra//vim", false),
            ("-U", false),
            ("--config=/x", false),
            ("options/x", false),
            ("a b", false),
        ] {
            assert_eq!(Arch.check_package(name).is_ok(), good, "{name:?}");
        }
    }

    #[test]
    fn arch_is_for_pcs_and_its_port_for_arm() {
        let name = |architecture| Arch.architecture("rolling", architecture);
        assert_eq!(name(Architecture::X86_64), Ok("x86_64"));
        assert_eq!(name(Architecture::Aarch64), Ok("aarch64"));
        assert!(name(Architecture::I686).unwrap_err().contains("x86_64"));
        assert_eq!(Arch.release("current").as_deref(), Ok("rolling"));
        assert!(Arch.release("2026.11.01").unwrap_err().contains("rolling"));
        let boots = |bios: bool| Boots {
            uefi: !bios,
            bios,
            ..Boots::default()
        };
        let reason = |architecture, bios| Arch.unbootable("rolling", architecture, boots(bios));
        assert_eq!(reason("x86_64", true), None);
        assert_eq!(reason("aarch64", false), None);
        assert!(reason("aarch64", true).unwrap().contains("uefi"));
        assert!(reason("armv7h", false).is_some());
        for (architecture, kernel) in [("x86_64", "linux"), ("aarch64", "linux-aarch64")] {
            let packages = Arch.boot_packages("rolling", architecture, boots(false));
            assert_eq!(packages, ["dracut", kernel]);
            assert!(Arch.is_kernel(kernel));
        }
    }
}
