//! Where a path really is: every symbolic link on it followed, beneath the image's root.
//!
//! The result is only a better path. Whatever is done with it goes through [`Root`] again, so a tree
//! that changes in between can lead to another place in the image, never out of it.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{OFlags, readlinkat};
use rustix::io::Errno;

use super::error::TreeError;
use super::root::{Root, clean};

/// As many links as the kernel follows on one path.
const MAX_LINKS: usize = 40;

/// A symbolic link that a path led through.
#[derive(Debug)]
pub(crate) struct Link {
    /// Where the link is; no part of this path is a symbolic link.
    pub path: PathBuf,
    /// Whether what it holds begins with `/`.
    pub absolute: bool,
}

/// A path without symbolic links.
#[derive(Debug, Default)]
pub(crate) struct Resolved {
    /// The path; what follows a name that does not exist is kept as written.
    pub path: PathBuf,
    /// The links on the way, in order.
    pub links: Vec<Link>,
    /// Whether some `..` in a link pointed above the image's root.
    pub above_root: bool,
}

/// Follows the links on `path`; the last name only with `last`.
pub(crate) fn resolve(root: &Root, path: &Path, last: bool) -> Result<Resolved, TreeError> {
    let mut todo: VecDeque<OsString> = clean(path)?.iter().map(ToOwned::to_owned).collect();
    let mut found = Resolved::default();
    while let Some(name) = todo.pop_front() {
        if name == ".." {
            found.above_root |= !found.path.pop();
            continue;
        }
        found.path.push(&name);
        if todo.is_empty() && !last {
            break;
        }
        let Some(target) = link_at(root, &found.path)? else {
            continue;
        };
        if found.links.len() == MAX_LINKS {
            return Err(root.failed("follow the links of", path, Errno::LOOP));
        }
        found.links.push(Link {
            path: found.path.clone(),
            absolute: target.is_absolute(),
        });
        found.path.pop();
        for part in target.components().rev() {
            match part {
                Component::Normal(name) => todo.push_front(name.to_owned()),
                Component::ParentDir => todo.push_front("..".into()),
                _ => {}
            }
        }
        if target.is_absolute() {
            found.path.clear();
        }
    }
    Ok(found)
}

/// What the symbolic link at a path without links holds; `None` for anything else.
fn link_at(root: &Root, path: &Path) -> Result<Option<PathBuf>, TreeError> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let target = root
        .lookup_plain(path, flags)
        .and_then(|fd| readlinkat(fd, c"", Vec::new()));
    match target {
        Ok(target) => {
            use std::os::unix::ffi::OsStringExt as _;
            Ok(Some(OsString::from_vec(target.into_bytes()).into()))
        }
        // No link, nothing there, or a file where a directory should be: later steps say so.
        Err(Errno::INVAL | Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(e) => Err(root.failed("look at", path, e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn follows_links_beneath_the_root() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("usr/lib")).unwrap();
        for (target, link) in [
            ("usr/lib", "lib"),
            ("/usr/lib", "abs"),
            ("../../../usr/lib", "usr/up"),
            ("../usr/lib/os-release", "usr/os"),
            ("/missing/x", "dangling"),
            ("loop", "loop"),
        ] {
            symlink(target, dir.path().join(link)).unwrap();
        }
        let root = Root::open(dir.path()).unwrap();
        for (path, last, want, above) in [
            ("lib/x/y", true, "usr/lib/x/y", false),
            ("abs/x", true, "usr/lib/x", false),
            ("usr/up", true, "usr/lib", true),
            ("usr/up", false, "usr/up", false),
            ("usr/os", true, "usr/lib/os-release", false),
            ("dangling/z", true, "missing/x/z", false),
            ("nothing/here", true, "nothing/here", false),
        ] {
            let found = resolve(&root, Path::new(path), last).unwrap();
            assert_eq!(found.path, Path::new(want), "{path}");
            assert_eq!(found.above_root, above, "{path}");
        }
        assert!(resolve(&root, Path::new("loop/x"), true).is_err());
        let through = resolve(&root, Path::new("abs/x"), true).unwrap();
        assert_eq!(through.links.len(), 1);
        assert!(through.links[0].absolute);
    }
}
