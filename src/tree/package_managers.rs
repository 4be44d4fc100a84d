//! What package managers leave in an image: databases, caches and logs, as lists of paths.

use super::error::TreeError;
use super::globs::remove_files;
use super::root::Root;
use crate::host::Cancel;

/// One package manager's traces. Paths count from the image's root; caches and logs are patterns.
pub(crate) struct PackageManager {
    /// Its programs: with one of them in the image, the image can install packages itself.
    pub programs: &'static [&'static str],
    /// What it knows about installed packages and repositories.
    pub databases: &'static [&'static str],
    /// What it can download or make again, and backups of its databases.
    pub caches: &'static [&'static str],
    /// What it logged.
    pub logs: &'static [&'static str],
}

/// Every package manager that builds images, and those below them.
pub(crate) const PACKAGE_MANAGERS: &[PackageManager] = &[
    // dpkg
    PackageManager {
        programs: &["usr/bin/dpkg"],
        databases: &["var/lib/dpkg"],
        caches: &[
            "var/lib/dpkg/*-old",
            "var/lib/dpkg/lock",
            "var/lib/dpkg/lock-frontend",
            "var/lib/dpkg/triggers/Lock",
            "var/cache/debconf/*-old",
        ],
        logs: &[
            "var/log/dpkg.log*",
            "var/log/alternatives.log*",
            "var/log/bootstrap.log",
        ],
    },
    // apt
    PackageManager {
        programs: &["usr/bin/apt-get", "usr/bin/apt"],
        databases: &["var/lib/apt"],
        caches: &[
            "var/lib/apt/lists/*",
            "var/cache/apt/*.bin",
            "var/cache/apt/archives/*.deb",
            "var/cache/apt/archives/partial/*",
            "var/cache/apt/archives/lock",
        ],
        logs: &["var/log/apt/*"],
    },
    // rpm
    PackageManager {
        programs: &["usr/bin/rpm"],
        databases: &["var/lib/rpm", "usr/lib/sysimage/rpm"],
        caches: &["var/lib/rpm/__db.*", "usr/lib/sysimage/rpm/__db.*"],
        logs: &[],
    },
    // dnf and yum
    PackageManager {
        programs: &[
            "usr/bin/dnf",
            "usr/bin/dnf5",
            "usr/bin/dnf-3",
            "usr/bin/microdnf",
            "usr/bin/yum",
        ],
        databases: &["var/lib/dnf", "var/lib/yum", "usr/lib/sysimage/libdnf5"],
        caches: &["var/cache/dnf/*", "var/cache/libdnf5/*", "var/cache/yum/*"],
        logs: &[
            "var/log/dnf*.log*",
            "var/log/hawkey.log*",
            "var/log/yum.log*",
        ],
    },
    // zypper
    PackageManager {
        programs: &["usr/bin/zypper"],
        databases: &["var/lib/zypp"],
        caches: &["var/cache/zypp/*", "var/cache/zypper/*"],
        logs: &["var/log/zypp/*", "var/log/zypper.log*"],
    },
    // pacman
    PackageManager {
        programs: &["usr/bin/pacman"],
        databases: &["var/lib/pacman"],
        caches: &["var/cache/pacman/pkg/*", "var/lib/pacman/sync/*"],
        logs: &["var/log/pacman.log*"],
    },
    // apk
    PackageManager {
        programs: &["sbin/apk", "usr/sbin/apk", "usr/bin/apk"],
        databases: &["lib/apk", "usr/lib/apk"],
        caches: &["var/cache/apk/*", "etc/apk/cache/*"],
        logs: &["var/log/apk.log*"],
    },
    // swupd
    PackageManager {
        programs: &["usr/bin/swupd"],
        databases: &["var/lib/swupd"],
        caches: &["var/cache/swupd/*"],
        logs: &["var/log/swupd/*"],
    },
];

/// Whether an image keeps its package databases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CleanPackageMetadata {
    /// Those of package managers that are not in the image go: nothing in it reads them.
    #[default]
    Auto,
    /// All go.
    Yes,
    /// All stay.
    No,
}

/// Removes package databases. A directory above them that becomes empty stays.
///
/// # Errors
/// When something cannot be removed.
pub fn remove_package_metadata(
    root: &Root,
    which: CleanPackageMetadata,
    cancel: &Cancel,
) -> Result<(), TreeError> {
    if which == CleanPackageMetadata::No {
        return Ok(());
    }
    for manager in PACKAGE_MANAGERS {
        if which == CleanPackageMetadata::Auto && has_program(root, manager)? {
            continue;
        }
        remove_files(root, manager.databases, cancel)?;
    }
    Ok(())
}

/// Whether anything in the image says which packages are installed.
///
/// # Errors
/// When the system does not tell.
pub fn has_package_database(root: &Root) -> Result<bool, TreeError> {
    for database in PACKAGE_MANAGERS.iter().flat_map(|m| m.databases) {
        if root.is_dir(database)? && !root.list(database)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn has_program(root: &Root, manager: &PackageManager) -> Result<bool, TreeError> {
    for program in manager.programs {
        if root.is_file(program)? {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        for file in [
            "usr/bin/dpkg",
            "var/lib/dpkg/status",
            "var/lib/apt/extended_states",
            "usr/lib/sysimage/rpm/rpmdb.sqlite",
        ] {
            root.write(file, "", 0o644).unwrap();
        }
        root.symlink("../../usr/lib/sysimage/rpm", "var/lib/rpm")
            .unwrap();
        (dir, root)
    }

    #[test]
    fn keeps_the_databases_of_programs_that_are_there() {
        for (which, dpkg, apt, rpm) in [
            (CleanPackageMetadata::Auto, true, false, false),
            (CleanPackageMetadata::Yes, false, false, false),
            (CleanPackageMetadata::No, true, true, true),
        ] {
            let (_dir, root) = image();
            remove_package_metadata(&root, which, &Cancel::default()).unwrap();
            let there = |path| root.exists(path).unwrap();
            assert_eq!(there("var/lib/dpkg"), dpkg, "{which:?}");
            assert_eq!(there("var/lib/apt"), apt, "{which:?}");
            assert_eq!(there("usr/lib/sysimage/rpm"), rpm, "{which:?}");
            assert_eq!(there("var/lib/rpm"), rpm, "{which:?}");
        }
    }

    #[test]
    fn every_pattern_is_one() {
        for manager in PACKAGE_MANAGERS {
            for list in [manager.databases, manager.caches, manager.logs] {
                for pattern in list {
                    crate::tree::globs::Pattern::parse(pattern).unwrap();
                }
            }
        }
    }
}
