//! Alpine Linux.

use std::path::{Path, PathBuf};

use super::facts::plain_name;
use super::{ApkRepositories, Boots, Facts, Repositories, Wanted, location};
use crate::config::values::Architecture;

/// The newest stable branch; its packages get fixes for two years after the release.
pub const DEFAULT_RELEASE: &str = "3.24";
/// The project's content delivery network.
pub const DEFAULT_MIRROR: &str = "https://dl-cdn.alpinelinux.org/alpine";
/// The oldest stable branch that today's apk can install.
const OLDEST: u32 = 10;
/// The newest, as in [`DEFAULT_RELEASE`].
const NEWEST: u32 = 24;
/// The first one with the packages that images boot with.
const BOOTABLE: u32 = 22;
/// The branch that stable branches are made from.
const EDGE: &str = "edge";
/// Where hosts with apk have the keys of each architecture (package alpine-keys), and those that
/// they trust themselves.
pub(super) const KEYS: &str = "/usr/share/apk/keys";
const TRUSTED_KEYS: &str = "/etc/apk/keys";

/// The number behind `3.` of a stable branch: `3.24`, `v3.24`, `3.24.1`.
fn minor(name: &str) -> Option<u32> {
    let mut parts = name.strip_prefix('v').unwrap_or(name).split('.');
    let (Some("3"), Some(minor), patch, None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let patch_is_number = patch.is_none_or(|patch| patch.parse::<u32>().is_ok());
    let minor = minor.parse().ok().filter(|_| patch_is_number)?;
    (OLDEST..=NEWEST).contains(&minor).then_some(minor)
}

/// Alpine Linux.
#[derive(Clone, Copy, Debug)]
pub struct Alpine;

impl Facts for Alpine {
    fn release(&self, name: &str) -> Result<String, String> {
        match name {
            EDGE => Ok(EDGE.to_owned()),
            "latest-stable" | "latest" => Ok(DEFAULT_RELEASE.to_owned()),
            _ => minor(name)
                .map(|minor| format!("3.{minor}"))
                .ok_or_else(|| format!("3.{OLDEST} to 3.{NEWEST} and {EDGE}")),
        }
    }

    fn releases(&self) -> Vec<String> {
        (OLDEST..=NEWEST)
            .rev()
            .map(|minor| format!("3.{minor}"))
            .chain([EDGE.to_owned()])
            .collect()
    }

    fn architectures(&self, release: &str) -> Vec<&'static str> {
        let mut known = vec!["x86_64", "x86", "aarch64", "armv7", "ppc64le", "s390x"];
        if minor(release).is_none_or(|minor| minor >= 20) {
            known.push("riscv64");
        }
        if minor(release).is_none_or(|minor| minor >= 21) {
            known.push("loongarch64");
        }
        known
    }

    fn architecture_name(&self, _release: &str, architecture: Architecture) -> &'static str {
        match architecture {
            Architecture::I686 => "x86",
            Architecture::Armv7 => "armv7",
            other => other.as_str(),
        }
    }

    fn base_packages(&self, _release: &str) -> Vec<String> {
        // A package that only depends on others: busybox, OpenRC, apk.
        vec!["alpine-base".to_owned()]
    }

    fn boot_packages(&self, _release: &str, _architecture: &str, boots: Boots) -> Vec<String> {
        // dracut stands in for mkinitfs.
        let mut packages = vec!["dracut"];
        if !boots.has_kernel {
            packages.push("linux-lts");
        }
        if boots.uefi {
            packages.extend(["systemd-boot", "systemd-efistub"]);
        }
        if boots.bios {
            packages.push("grub-bios");
        }
        packages.into_iter().map(str::to_owned).collect()
    }

    fn ssh_packages(&self, _release: &str) -> Vec<String> {
        ["openssh-server", "openssh-keygen"]
            .map(str::to_owned)
            .to_vec()
    }

    fn is_kernel(&self, package: &str) -> bool {
        [
            "linux-lts",
            "linux-virt",
            "linux-stable",
            "linux-edge",
            "linux-rpi",
        ]
        .contains(&package)
    }

    fn repositories(&self, wanted: &Wanted<'_>) -> Repositories {
        let branch = match wanted.release {
            EDGE => EDGE.to_owned(),
            number => format!("v{number}"),
        };
        let mirror = location::url(wanted.mirror.unwrap_or(DEFAULT_MIRROR));
        let image = lines(&mirror, &branch, wanted, true);
        Repositories::Apk(ApkRepositories {
            repositories: match wanted.local_mirror {
                Some(local) => lines(&location::url(local), &branch, wanted, false),
                None => image.clone(),
            },
            image_repositories: if location::path(&mirror).is_some() {
                Vec::new()
            } else {
                image
            },
            key_files: if wanted.check_keys {
                key_files(Path::new("/"), wanted.architecture)
            } else {
                Vec::new()
            },
            check_keys: wanted.check_keys,
            installs_keys: false,
        })
    }

    fn check_repository(&self, entry: &str) -> Result<(), String> {
        let (tag, rest) = tagged(entry);
        let name = |text: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        };
        let good = if location::is_address(rest) {
            location::is_one_word(rest)
        } else {
            name(rest)
        };
        if good && tag.is_none_or(name) {
            return Ok(());
        }
        Err("a repository such as testing, an address, or @TAG=ADDRESS".to_owned())
    }

    fn check_package(&self, name: &str) -> Result<(), String> {
        plain_name(name, "@<>")?;
        // apk takes a name with this in it for a file of the host.
        if name.contains(".apk") {
            return Err("packages of repositories have no .apk in their names".to_owned());
        }
        Ok(())
    }

    fn has_systemd(&self) -> bool {
        false
    }

    fn unbootable(&self, release: &str, _architecture: &str, boots: Boots) -> Option<&'static str> {
        if minor(release).is_some_and(|minor| minor < BOOTABLE) {
            return Some(
                "systemd's programs for the firmware are in Alpine Linux since 3.22; take that or newer",
            );
        }
        (boots.verity || boots.encrypted).then_some(
            "protected partitions are opened by systemd, which Alpine Linux does not have; \
             leave out Verity and Encrypt",
        )
    }
}

/// The tag of an entry of `Repositories=`, and what is behind it: `@edge=https://…`.
fn tagged(entry: &str) -> (Option<&str>, &str) {
    match entry
        .strip_prefix('@')
        .and_then(|rest| rest.split_once('='))
    {
        Some((tag, rest)) => (Some(tag), rest),
        None => (None, entry),
    }
}

/// Lines of /etc/apk/repositories; `all` of them, or only those of the mirror.
fn lines(mirror: &str, branch: &str, wanted: &Wanted<'_>, all: bool) -> Vec<String> {
    let base = ["main", "community"];
    let there = |name: &&str| {
        let index = format!(
            "{mirror}/{branch}/{name}/{}/APKINDEX.tar.gz",
            wanted.architecture
        );
        location::path(&index).is_none_or(|path| path.exists())
    };
    let mut names: Vec<&str> = base.into_iter().filter(there).collect();
    if names.is_empty() {
        // apk says what is missing where nothing is.
        names.extend(base);
    }
    let mut lines: Vec<String> = names
        .into_iter()
        .map(|name| format!("{mirror}/{branch}/{name}"))
        .collect();
    for entry in wanted.additional {
        let (tag, rest) = tagged(entry);
        let is_address = location::is_address(rest);
        if is_address && !all {
            continue;
        }
        let address = if is_address {
            location::url(rest)
        } else {
            format!("{mirror}/{branch}/{rest}")
        };
        let line = match tag {
            Some(tag) => format!("@{tag} {address}"),
            None => address,
        };
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

/// The keys of the host below `root`: the distribution's for the architecture, where there are any,
/// or those that the host itself trusts.
fn key_files(root: &Path, architecture: &str) -> Vec<PathBuf> {
    let below = |path: &str| root.join(path.trim_start_matches('/'));
    for directory in [
        below(KEYS).join(architecture),
        below(KEYS),
        below(TRUSTED_KEYS),
    ] {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        let mut found: Vec<PathBuf> = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|e| e == "pub") && path.is_file())
            .collect();
        if !found.is_empty() {
            found.sort();
            return found;
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repositories(mirror: &str, local: Option<&str>, more: &[&str]) -> ApkRepositories {
        let more: Vec<String> = more.iter().map(|s| (*s).to_owned()).collect();
        let Repositories::Apk(apk) = Alpine.repositories(&Wanted {
            release: "3.24",
            architecture: "x86_64",
            mirror: Some(mirror),
            local_mirror: local,
            additional: &more,
            check_keys: true,
        }) else {
            unreachable!()
        };
        apk
    }

    #[test]
    fn names_of_releases() {
        assert_eq!(DEFAULT_RELEASE, format!("3.{NEWEST}"));
        for (name, expected) in [
            ("3.24", Some("3.24")),
            ("v3.18", Some("3.18")),
            ("3.22.1", Some("3.22")),
            ("edge", Some("edge")),
            ("latest-stable", Some(DEFAULT_RELEASE)),
            ("3.99", None),
            ("2.7", None),
            ("3.20.x", None),
            ("../etc", None),
        ] {
            assert_eq!(Alpine.release(name).ok().as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn not_every_branch_has_every_architecture() {
        for (release, architecture, expected) in [
            ("3.24", Architecture::X86_64, Some("x86_64")),
            ("3.24", Architecture::I686, Some("x86")),
            ("3.19", Architecture::Riscv64, None),
            ("3.20", Architecture::Riscv64, Some("riscv64")),
            ("3.20", Architecture::Loongarch64, None),
            ("edge", Architecture::Loongarch64, Some("loongarch64")),
        ] {
            let found = Alpine.architecture(release, architecture).ok();
            assert_eq!(found, expected, "{release} {architecture}");
        }
    }

    #[test]
    fn repositories_are_lines() {
        let more = [
            "testing",
            "community",
            "https://x/y/",
            "@edge=https://x/edge/main",
        ];
        let found = repositories("http://m/alpine/", None, &more);
        let lines = [
            "http://m/alpine/v3.24/main",
            "http://m/alpine/v3.24/community",
            "http://m/alpine/v3.24/testing",
            "https://x/y",
            "@edge https://x/edge/main",
        ];
        assert_eq!(found.repositories, lines);
        assert_eq!(found.image_repositories, lines);
        let found = repositories("http://m/alpine", Some("/srv/local"), &more);
        assert_eq!(
            found.repositories,
            [
                "file:///srv/local/v3.24/main",
                "file:///srv/local/v3.24/community",
                "file:///srv/local/v3.24/testing"
            ]
        );
        assert_eq!(found.image_repositories, lines);
        assert_eq!(
            repositories("/srv/m", None, &[]).image_repositories,
            [""; 0]
        );
    }

    #[test]
    fn keys_of_the_architecture_come_before_others() {
        let host = tempfile::tempdir().unwrap();
        let add = |path: &str| {
            let path = host.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        };
        let found = || {
            let found = key_files(host.path(), "x86_64");
            let name = |path: &PathBuf| path.strip_prefix(host.path()).unwrap().to_owned();
            found.iter().map(name).collect::<Vec<_>>()
        };
        assert_eq!(found(), Vec::<PathBuf>::new());
        add("etc/apk/keys/own.rsa.pub");
        add("etc/apk/keys/README");
        assert_eq!(found(), [Path::new("etc/apk/keys/own.rsa.pub")]);
        add("usr/share/apk/keys/x86_64/alpine.rsa.pub");
        assert_eq!(
            found(),
            [Path::new("usr/share/apk/keys/x86_64/alpine.rsa.pub")]
        );
    }

    #[test]
    fn what_boots_since_when() {
        let boots = Boots {
            uefi: true,
            bios: true,
            ..Boots::default()
        };
        assert_eq!(
            Alpine.boot_packages("3.24", "x86_64", boots).join(" "),
            "dracut linux-lts systemd-boot systemd-efistub grub-bios"
        );
        assert!(!Alpine.has_systemd());
        for (release, encrypted, expected) in [
            ("3.24", false, None),
            ("edge", false, None),
            ("3.21", false, Some("since 3.22")),
            ("3.24", true, Some("leave out")),
        ] {
            let boots = Boots { encrypted, ..boots };
            let reason = Alpine.unbootable(release, "x86_64", boots);
            match expected {
                None => assert_eq!(reason, None, "{release}"),
                Some(part) => assert!(reason.unwrap().contains(part), "{release}"),
            }
        }
    }

    #[test]
    fn names_of_packages_and_repositories() {
        for (name, good) in [
            ("bash", true),
            ("bash=5.2.26-r0", true),
            ("nginx@edge", true),
            ("so:libc.musl-x86_64.so.1", true),
            ("py3-pip>=23", true),
            ("x.apk", false),
            ("/x", false),
            ("./x", false),
            ("!bash", false),
            (".virtual", false),
            ("--allow-untrusted", false),
        ] {
            assert_eq!(Alpine.check_package(name).is_ok(), good, "{name}");
        }
        for (entry, good) in [
            ("testing", true),
            ("https://x/y", true),
            ("@edge=https://x/y", true),
            ("@edge=testing", true),
            ("@a b=https://x/y", false),
            ("https://x/y\nhttps://z", false),
            ("../main", false),
        ] {
            assert_eq!(Alpine.check_repository(entry).is_ok(), good, "{entry:?}");
        }
    }
}
