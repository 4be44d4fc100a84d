//! Takes a directory's content out of an image, for a file system of its own.

use std::path::Path;

use rustix::fs::{CWD, Mode, futimens, mkdirat, renameat};
use rustix::io::Errno;

use super::copy::{CopyOptions, Select, copy_tree};
use super::error::TreeError;
use super::root::{Root, clean};
use super::shown::shown;
use super::stat::{Kind, Metadata, times};
use crate::host::{Cancel, Report};

/// Moves the directory `path` of the image to `target`, at which nothing is and which is on the same
/// file system as the image's tree or on another. The image keeps an empty directory with the same
/// attributes, so that something can be mounted there. Where the image has none, both are made.
///
/// # Errors
/// [`TreeError::InTheWay`] when `path` is something else than a directory, such as a symbolic link.
pub fn set_aside(
    root: &Root,
    path: &Path,
    target: &Path,
    report: &dyn Report,
    cancel: &Cancel,
) -> Result<(), TreeError> {
    let path = clean(path)?;
    match root.metadata(&path)? {
        None => root.create_dir_all(&path, 0o755)?,
        Some(meta) if meta.kind == Kind::Directory => {}
        Some(meta) => {
            return Err(TreeError::InTheWay {
                what: "a mount point",
                path: root.place(&path),
                found: meta.kind.with_article(),
            });
        }
    }
    let spot = root.spot(&path)?;
    let fail = |e| root.failed("move the content of", &path, e);
    let above = Metadata::of(&spot.dir).map_err(fail)?;
    match renameat(&spot.dir, &spot.name, CWD, target) {
        Ok(()) => {}
        // A tree put together by overlayfs, or a target elsewhere.
        Err(Errno::XDEV) => {
            mkdirat(CWD, target, Mode::RWXU)
                .map_err(|e| TreeError::io("create", shown(target), e))?;
            let source = root.path().join(&path);
            let options = CopyOptions::faithful(None);
            let to = Root::open(target)?;
            copy_tree(&to, &source, Path::new(""), &options, report, cancel)?;
            root.remove_tree(&path)?;
        }
        Err(e) => return Err(fail(e)),
    }
    let options = CopyOptions {
        select: &|_, _| Select::Skip,
        ..CopyOptions::faithful(None)
    };
    copy_tree(root, target, &path, &options, report, cancel)?;
    futimens(&*spot.dir, &times(above.mtime)).map_err(fail)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;
    use crate::host::Quiet;

    fn aside(tree: &Path, path: &str, target: &Path) -> Result<(), TreeError> {
        let root = Root::open(tree).unwrap();
        let path = Path::new(path);
        set_aside(&root, path, target, &Quiet, &Cancel::default())
    }

    #[test]
    fn the_content_goes_and_the_directory_stays_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, target) = (dir.path().join("tree"), dir.path().join("home"));
        fs::create_dir_all(tree.join("home/user")).unwrap();
        fs::write(tree.join("home/user/file"), "x").unwrap();
        fs::set_permissions(tree.join("home"), fs::Permissions::from_mode(0o2751)).unwrap();
        let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        for path in ["home", ""] {
            let file = fs::File::open(tree.join(path)).unwrap();
            file.set_modified(old).unwrap();
        }
        aside(&tree, "/home", &target).unwrap();
        assert_eq!(fs::read_to_string(target.join("user/file")).unwrap(), "x");
        assert_eq!(fs::read_dir(tree.join("home")).unwrap().count(), 0);
        for path in [&tree.join("home"), &target] {
            let metadata = fs::metadata(path).unwrap();
            assert_eq!(metadata.mode() & 0o7777, 0o2751, "{path:?}");
            assert_eq!(metadata.mtime(), 1_000_000, "{path:?}");
        }
        assert_eq!(fs::metadata(&tree).unwrap().mtime(), 1_000_000);
    }

    #[test]
    fn what_is_missing_is_made_and_what_is_no_directory_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir(&tree).unwrap();
        aside(&tree, "srv", &dir.path().join("srv")).unwrap();
        for path in [tree.join("srv"), dir.path().join("srv")] {
            assert_eq!(fs::metadata(path).unwrap().mode() & 0o7777, 0o755);
        }
        symlink("/etc", tree.join("home")).unwrap();
        let error = aside(&tree, "home", &dir.path().join("home")).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("cannot put a mount point at "), "{text}");
        assert!(
            text.ends_with("home: a symbolic link is there already"),
            "{text}"
        );
    }
}
