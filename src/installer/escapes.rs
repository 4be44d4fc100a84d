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
const WRITTEN: [&str; 5] = ["etc/apt", "etc/dpkg", "var/cache", "var/lib", "var/log"];

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
}
