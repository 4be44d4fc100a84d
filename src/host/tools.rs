//! Which package of which distribution has a program: the advice given when it is missing.

use std::ffi::OsStr;
use std::fs;

use super::tool_packages::{Row, THINGS, TOOLS};
use super::{CommandError, HostError, printable};

/// Families of distributions that name packages alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Debian,
    Fedora,
    Arch,
    Suse,
}

impl Family {
    /// From the text of an os-release file: the distribution itself, else what it is like.
    fn from_os_release(text: &str) -> Option<Self> {
        let value = |key: &str| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
            Some(line.trim().trim_matches(['"', '\'']))
        };
        let ids = [value("ID"), value("ID_LIKE")];
        ids.into_iter()
            .flatten()
            .flat_map(str::split_whitespace)
            .find_map(|id| match id {
                "debian" | "ubuntu" => Some(Self::Debian),
                "fedora" | "rhel" | "centos" | "mageia" => Some(Self::Fedora),
                "arch" => Some(Self::Arch),
                "suse" | "opensuse" => Some(Self::Suse),
                id if id.starts_with("opensuse") || id.starts_with("sle") => Some(Self::Suse),
                _ => None,
            })
    }

    fn of_this_host() -> Option<Self> {
        ["/etc/os-release", "/usr/lib/os-release"]
            .iter()
            .find_map(|path| fs::read_to_string(path).ok())
            .and_then(|text| Self::from_os_release(&text))
    }

    fn install_command(self) -> &'static str {
        match self {
            Self::Debian => "apt install",
            Self::Fedora => "dnf install",
            Self::Arch => "pacman -S",
            Self::Suse => "zypper install",
        }
    }

    fn package(self, row: &Row) -> Option<&'static str> {
        let name = match self {
            Self::Debian => row.1,
            Self::Fedora => row.2,
            Self::Arch => row.3,
            Self::Suse => row.4,
        };
        Some(name).filter(|name| !name.is_empty())
    }
}

fn row(program: &str) -> Option<&'static Row> {
    let nth = TOOLS.binary_search_by(|row| row.0.cmp(program)).ok()?;
    TOOLS.get(nth)
}

/// How to get several programs, and things that are no programs, at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advice {
    /// The command that installs all that there are packages of.
    pub command: Option<String>,
    /// What this host's distribution has no package of.
    pub without: Vec<String>,
}

/// How to get all of this on this host. Things that are no programs are `debian-keyring`,
/// `ubuntu-keyring`, `archlinux-keyring`, `alpine-keys`, `firmware-ARCHITECTURE` and `qemu-user`.
#[must_use]
pub fn advice(names: &[&str]) -> Advice {
    advice_on(names, Family::of_this_host())
}

fn advice_on(names: &[&str], family: Option<Family>) -> Advice {
    let mut advice = Advice::default();
    let mut found = Vec::new();
    for name in names {
        let thing = || THINGS.iter().find(|thing| thing.0 == *name);
        let row = row(name).or_else(thing);
        match row.and_then(|row| family?.package(row)) {
            Some(package) => found.push(package),
            None => advice.without.push((*name).to_owned()),
        }
    }
    if let (Some(family), false) = (family, found.is_empty()) {
        found.sort_unstable();
        let names = packages(found.into_iter());
        advice.command = Some(format!("{} {names}", family.install_command()));
    }
    advice
}

/// The advice: a sentence that starts with a separator, or nothing when no package is known.
fn hint(programs: &[&str], family: Option<Family>) -> String {
    let rows: Vec<&Row> = programs.iter().filter_map(|program| row(program)).collect();
    let Some(family) = family else {
        // A distribution unknown to the table: the most common names are the best guess there is.
        let names = packages(rows.iter().filter_map(|row| {
            let all = [Family::Fedora, Family::Debian, Family::Arch, Family::Suse];
            all.into_iter().find_map(|family| family.package(row))
        }));
        return match names.as_str() {
            "" => String::new(),
            names => format!(": look for a package named {names}"),
        };
    };
    let names = packages(rows.iter().filter_map(|row| family.package(row)));
    let unknown: Vec<&str> = rows
        .iter()
        .filter(|row| family.package(row).is_none())
        .map(|row| row.0)
        .collect();
    let mut text = String::new();
    if !names.is_empty() {
        text = format!(": {} {names}", family.install_command());
    }
    if !unknown.is_empty() {
        let separator = if text.is_empty() { ':' } else { ';' };
        let unknown = unknown.join(", ");
        text.push_str(&format!(
            "{separator} this distribution has no package of {unknown}"
        ));
    }
    text
}

/// Joined by spaces, each once, in order.
fn packages<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut unique: Vec<&str> = Vec::new();
    for name in names {
        if !unique.contains(&name) {
            unique.push(name);
        }
    }
    unique.join(" ")
}

/// The error of a single program that a command line names.
pub(super) fn not_found(program: &OsStr) -> CommandError {
    let program = printable(&program.to_string_lossy());
    CommandError::NotFound {
        hint: hint(&[&program], Family::of_this_host()),
        program,
    }
}

/// The error of all programs that are missing; none if there are none.
pub(super) fn missing_error(programs: &[&str]) -> Result<(), HostError> {
    missing_error_on(programs, Family::of_this_host())
}

fn missing_error_on(programs: &[&str], family: Option<Family>) -> Result<(), HostError> {
    let (Some((last, others)), hint) = (programs.split_last(), hint(programs, family)) else {
        return Ok(());
    };
    Err(HostError::ToolsMissing(if others.is_empty() {
        format!("{last} is not installed{hint}")
    } else {
        format!("{} and {last} are not installed{hint}", others.join(", "))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_for_the_search() {
        for pair in TOOLS.windows(2) {
            assert!(pair[0].0 < pair[1].0, "{} {}", pair[0].0, pair[1].0);
        }
    }

    #[test]
    fn families() {
        let cases = [
            ("ID=debian\n", Some(Family::Debian)),
            (
                "NAME=x\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\n",
                Some(Family::Debian),
            ),
            (
                "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"",
                Some(Family::Fedora),
            ),
            ("ID=arch", Some(Family::Arch)),
            ("ID='opensuse-tumbleweed'", Some(Family::Suse)),
            ("ID=nixos", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(Family::from_os_release(text), expected, "{text}");
        }
    }

    #[test]
    fn one_command_gets_everything() {
        let names = [
            "mksquashfs",
            "swupd",
            "mkfs.xfs",
            "firmware-x86_64",
            "unsquashfs",
        ];
        let advice = advice_on(&names, Some(Family::Debian));
        let command = "apt install ovmf squashfs-tools xfsprogs";
        assert_eq!(advice.command.as_deref(), Some(command));
        assert_eq!(advice.without, ["swupd"]);
        let unknown = advice_on(&names, None);
        assert_eq!(unknown.command, None);
        assert_eq!(unknown.without, names);
        assert_eq!(advice_on(&[], Some(Family::Arch)), Advice::default());
    }

    #[test]
    fn one_error_names_every_missing_program() {
        let text =
            |programs: &[&str], family| missing_error_on(programs, family).unwrap_err().to_string();
        let debian = Some(Family::Debian);
        assert_eq!(
            text(&["mkfs.ext4"], debian),
            "mkfs.ext4 is not installed: apt install e2fsprogs"
        );
        assert_eq!(
            text(&["mkfs.ext4", "mksquashfs", "e2fsck"], debian),
            "mkfs.ext4, mksquashfs and e2fsck are not installed: apt install e2fsprogs squashfs-tools"
        );
        assert_eq!(
            text(&["gpg", "swupd"], Some(Family::Suse)),
            "gpg and swupd are not installed: zypper install gpg2; this distribution has no package of swupd"
        );
        assert_eq!(
            text(&["swupd"], debian),
            "swupd is not installed: this distribution has no package of swupd"
        );
        assert_eq!(
            text(&["mkfs.xfs"], None),
            "mkfs.xfs is not installed: look for a package named xfsprogs"
        );
        assert_eq!(text(&["my-tool"], debian), "my-tool is not installed");
        assert!(missing_error_on(&[], debian).is_ok());
    }
}
