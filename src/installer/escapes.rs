//! Links that must not be in a tree while programs of the host install packages into it.
//!
//! Those programs take the tree's path and follow links as the host resolves them. A skeleton tree
//! with `var -> /srv` would make them write to the host's `/srv`.

use std::fs;
use std::path::Path;

use walkdir::WalkDir;

use super::InstallError;

/// Where package managers write files of names known beforehand: no link may leave the tree here,
/// whatever it leads to.
const WRITTEN: [&str; 10] = [
    "etc/apt",
    "etc/dnf",
    "etc/dpkg",
    "etc/yum",
    "etc/yum.repos.d",
    "etc/zypp",
    "usr/lib/sysimage",
    "var/cache",
    "var/lib",
    "var/log",
];
/// Of these, where package managers of the host write also when the tree holds packages, whose links
/// need not lead anywhere as the host sees them: the directories, and what is directly in them.
const WRITTEN_LATER: [&str; 14] = [
    "etc/dnf",
    "etc/yum",
    "etc/yum.repos.d",
    "etc/zypp",
    "run",
    "usr/lib/sysimage",
    "usr/lib/sysimage/rpm",
    "var/cache",
    "var/lib/dnf",
    "var/lib/rpm",
    "var/lib/yum",
    "var/lib/zypp",
    "var/log",
    "var/log/zypp",
];

/// Fails when a link in the tree leads to a directory of the host, or to anything of the host where
/// package managers write.
pub fn refuse(root: &Path) -> Result<(), InstallError> {
    let Ok(real_root) = root.canonicalize() else {
        return Ok(());
    };
    for entry in WalkDir::new(root).follow_links(false).into_iter().flatten() {
        if !entry.path_is_symlink() {
            continue;
        }
        let path = entry.path();
        let inside = path.strip_prefix(root).unwrap_or(path);
        let escape = match path.canonicalize() {
            Ok(target) if target.starts_with(&real_root) => None,
            Ok(target) if target.is_dir() || is_written(inside) => Some(target),
            Ok(_) => None,
            // It leads nowhere yet: a program could make what it names.
            Err(_) if is_written(inside) => fs::read_link(path)
                .ok()
                .filter(|target| leaves(inside, target)),
            Err(_) => None,
        };
        if let Some(target) = escape {
            return Err(InstallError::Escapes {
                link: Path::new("/").join(inside),
                target,
            });
        }
    }
    Ok(())
}

/// What is above [`WRITTEN_LATER`].
const ABOVE: [&str; 5] = ["etc", "usr", "usr/lib", "var", "var/lib"];

/// As [`refuse`], for a tree that holds packages: fails only when the host would write through a link
/// to a place outside the tree.
pub fn refuse_written(root: &Path) -> Result<(), InstallError> {
    let Ok(real_root) = root.canonicalize() else {
        return Ok(());
    };
    for directory in ABOVE {
        let path = root.join(directory);
        if path.is_symlink()
            || path
                .canonicalize()
                .is_ok_and(|p| !p.starts_with(&real_root))
        {
            outside(root, &path, &real_root)?;
        }
    }
    for directory in WRITTEN_LATER {
        let path = root.join(directory);
        let Ok(real) = path.canonicalize() else {
            if path.is_symlink() {
                outside(root, &path, &real_root)?;
            }
            continue;
        };
        if !real.starts_with(&real_root) {
            return Err(InstallError::Escapes {
                link: Path::new("/").join(directory),
                target: real,
            });
        }
        let Ok(entries) = fs::read_dir(&path) else {
            continue;
        };
        for entry in entries.flatten() {
            if entry.path().is_symlink() {
                outside(root, &entry.path(), &real_root)?;
            }
        }
    }
    Ok(())
}

/// Fails when the link at `path` leads out of the tree as the host sees it.
fn outside(root: &Path, path: &Path, real_root: &Path) -> Result<(), InstallError> {
    let inside = path.strip_prefix(root).unwrap_or(path);
    let target = match path.canonicalize() {
        Ok(target) => (!target.starts_with(real_root)).then_some(target),
        Err(_) => fs::read_link(path)
            .ok()
            .filter(|target| leaves(inside, target)),
    };
    match target {
        None => Ok(()),
        Some(target) => Err(InstallError::Escapes {
            link: Path::new("/").join(inside),
            target,
        }),
    }
}

fn is_written(path: &Path) -> bool {
    WRITTEN.iter().any(|prefix| path.starts_with(prefix))
}

/// Whether a link's text leads out of the root, by its words alone.
fn leaves(link: &Path, target: &Path) -> bool {
    use std::path::Component;
    let mut depth = link.components().count().saturating_sub(1);
    for part in target.components() {
        match part {
            Component::RootDir | Component::Prefix(_) => return true,
            Component::ParentDir => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return true,
            },
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_to_the_host_are_refused() {
        let host = tempfile::tempdir().unwrap();
        for (link, target, good) in [
            ("lib", "usr/lib".to_owned(), true),
            ("etc/localtime", "/etc/passwd".to_owned(), true),
            ("var", host.path().display().to_string(), false),
            ("etc/apt/apt.conf", "/nowhere/at/all".to_owned(), false),
            ("etc/apt/apt.conf", "../../../nowhere".to_owned(), false),
            ("etc/apt/apt.conf", "other.conf".to_owned(), true),
            ("var/lib/dpkg", "/etc/passwd".to_owned(), false),
        ] {
            let root = tempfile::tempdir().unwrap();
            let path = root.path().join(link);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::create_dir_all(root.path().join("usr/lib")).unwrap();
            symlink(&target, &path).unwrap();
            assert_eq!(refuse(root.path()).is_ok(), good, "{link} -> {target}");
        }
    }

    #[test]
    fn a_filled_tree_may_have_links_where_the_host_does_not_write() {
        for (link, target, good) in [
            ("var/run", "/run", true),
            ("etc/mtab", "/proc/self/mounts", true),
            ("var/lib/rpm", "../../usr/lib/sysimage/rpm", true),
            ("var/lib/rpm", "/usr/lib/sysimage/rpm", false),
            ("var/log", "/tmp", false),
            ("var/log/dnf.log", "/etc/passwd", false),
            ("var/lib", "/tmp", false),
            ("var/cache/dnf", "/nowhere/at/all", false),
            ("etc/dnf", "../../../../../nowhere", false),
        ] {
            let root = tempfile::tempdir().unwrap();
            let path = root.path().join(link);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::create_dir_all(root.path().join("usr/lib/sysimage/rpm")).unwrap();
            symlink(target, &path).unwrap();
            let found = refuse_written(root.path());
            assert_eq!(found.is_ok(), good, "{link} -> {target}");
        }
    }
}
