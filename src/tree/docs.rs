//! Removes documentation, and keeps what licences demand: Debian and its relatives have the terms of
//! each package in `/usr/share/doc`.

use std::ffi::OsStr;
use std::path::Path;

use super::error::{TreeError, check};
use super::root::Root;
use super::stat::Kind;
use crate::host::Cancel;

/// Directories with nothing but documentation. They stay, empty, for programs that look there.
const DIRECTORIES: &[&str] = &[
    "usr/share/man",
    "usr/share/info",
    "usr/share/gtk-doc",
    "usr/share/gnome/help",
    "usr/share/help",
    "usr/share/omf",
    "usr/share/lintian",
    "usr/share/linda",
];

/// Where each package has a directory, with its licence.
const DOC: &str = "usr/share/doc";

/// Links made by update-alternatives, to manual pages too.
const ALTERNATIVES: &str = "etc/alternatives";

/// How the names of files with licence terms begin, in lower case.
const LICENCES: &[&str] = &["copyright", "licence", "license", "copying", "notice"];

/// Removes documentation. What `update-alternatives` linked to it, and links that lead nowhere
/// afterwards, go too.
///
/// # Errors
/// When something cannot be removed.
pub fn remove_docs(root: &Root, cancel: &Cancel) -> Result<(), TreeError> {
    for directory in DIRECTORIES {
        check(cancel)?;
        root.remove_content(directory)?;
    }
    if root.is_dir(DOC)? {
        prune(root, Path::new(DOC), false, cancel)?;
        remove_dangling(root, Path::new(DOC), |_| true)?;
    }
    if root.is_dir(ALTERNATIVES)? {
        remove_dangling(root, Path::new(ALTERNATIVES), |target| {
            let target = target.strip_prefix("/").unwrap_or(target);
            let mut all = DIRECTORIES.iter().chain([&DOC]);
            all.any(|directory| target.starts_with(directory))
        })?;
    }
    Ok(())
}

/// Removes what holds no licence; `all` in a directory of licences, where everything stays.
fn prune(root: &Root, path: &Path, all: bool, cancel: &Cancel) -> Result<(), TreeError> {
    check(cancel)?;
    for entry in root.list(path)? {
        let below = path.join(&entry.name);
        let licence = all || is_licence(&entry.name);
        match entry.kind {
            Kind::Directory => {
                prune(root, &below, licence, cancel)?;
                root.remove_empty_dir(&below)?;
            }
            Kind::File if licence => {}
            // A package may share the directory of another one, which has the licence.
            Kind::Symlink if licence || path == Path::new(DOC) => {}
            _ => {
                root.remove_file(&below)?;
            }
        }
    }
    Ok(())
}

fn is_licence(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_lowercase();
    LICENCES.iter().any(|start| name.starts_with(start))
}

/// Removes links that lead nowhere from a directory and those in it.
fn remove_dangling(
    root: &Root,
    path: &Path,
    meant: impl Fn(&Path) -> bool + Copy,
) -> Result<(), TreeError> {
    for entry in root.list(path)? {
        let below = path.join(&entry.name);
        match entry.kind {
            Kind::Directory => remove_dangling(root, &below, meant)?,
            Kind::Symlink => {
                let target = root.read_link(&below)?.unwrap_or_default();
                if meant(&target) && root.metadata_followed(&below)?.is_none() {
                    root.remove_file(&below)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_licences_and_removes_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        let gone = [
            "usr/share/man/man1/x.1.gz",
            "usr/share/info/dir",
            "usr/share/gnome/help/x/C/y.page",
            "usr/share/doc/a/README.gz",
            "usr/share/doc/a/examples/x",
            "usr/share/doc/only-readme/README",
        ];
        let kept = [
            "usr/share/doc/a/copyright",
            "usr/share/doc/b/LICENSE.txt",
            "usr/share/doc/b/licenses/GPL-3.0",
            "usr/share/common-licenses/GPL-3",
            "usr/bin/x",
        ];
        for file in gone.iter().chain(&kept) {
            root.write(file, "", 0o644).unwrap();
        }
        let links = [
            ("a", "usr/share/doc/shares", true),
            ("only-readme", "usr/share/doc/dangling", false),
            ("../a/copyright", "usr/share/doc/c/copyright", true),
            ("../d/copyright", "usr/share/doc/c/copyright.d", false),
            (
                "/usr/share/man/man1/x.1.gz",
                "etc/alternatives/x.1.gz",
                false,
            ),
            ("/usr/bin/x", "etc/alternatives/x", true),
            ("/usr/bin/missing", "etc/alternatives/y", true),
        ];
        for (target, link, _) in links {
            root.symlink(target, link).unwrap();
        }
        remove_docs(&root, &Cancel::default()).unwrap();
        for file in gone {
            assert!(!root.exists(file).unwrap(), "{file}");
        }
        for file in kept {
            assert!(root.exists(file).unwrap(), "{file}");
        }
        for (_, link, stays) in links {
            assert_eq!(root.exists(link).unwrap(), stays, "{link}");
        }
        assert!(root.is_dir("usr/share/man").unwrap());
        assert!(!root.exists("usr/share/doc/only-readme").unwrap());
    }

    #[test]
    fn an_image_without_docs_is_fine() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        remove_docs(&root, &Cancel::default()).unwrap();
    }
}
