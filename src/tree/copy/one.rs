//! Copies one file or directory, to another name if so wanted.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, open, openat2, readlinkat};

use super::{Copied, CopyOptions, copy_tree};
use crate::host::{Cancel, Report};
use crate::tree::error::TreeError;
use crate::tree::root::Root;
use crate::tree::shown::shown;
use crate::tree::stat::{Kind, Metadata};

/// Copies what is at `from` in the directory `source` of the host to `to` in the image, as `cp -r`
/// would: into a directory that is there, else to that very name. Directories above are made. Nothing
/// outside `source` is reached, through links neither, and links themselves are copied as such.
///
/// # Errors
/// When it is not there, or cannot be copied.
pub fn copy_one(
    root: &Root,
    source: &Path,
    from: &Path,
    to: &Path,
    options: &CopyOptions<'_>,
    report: &dyn Report,
    cancel: &Cancel,
) -> Result<Copied, TreeError> {
    let failed = |e: rustix::io::Errno| TreeError::io("read", shown(source.join(from)), e);
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let top = open(source, flags | OFlags::DIRECTORY, Mode::empty()).map_err(failed)?;
    let inside = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let file =
        openat2(&top, from, flags | OFlags::NOFOLLOW, Mode::empty(), inside).map_err(failed)?;
    let meta = Metadata::of(&file).map_err(failed)?;
    let name = from.components().next_back().and_then(|part| match part {
        Component::Normal(name) => Some(name),
        _ => None,
    });
    let target = target(root, to, name)?;
    match meta.kind {
        Kind::Directory => {
            let itself = itself(&file);
            root.create_dir_all(target.parent().unwrap_or(Path::new("")), 0o755)?;
            if root.metadata(&target)?.is_none() {
                root.create_dir_all(&target, meta.mode)?;
            }
            copy_tree(root, &itself, &target, options, report, cancel)
        }
        Kind::Symlink => {
            use std::os::unix::ffi::OsStringExt as _;
            let link = readlinkat(&file, c"", Vec::new())
                .map_err(failed)?
                .into_bytes();
            root.symlink(PathBuf::from(std::ffi::OsString::from_vec(link)), &target)?;
            Ok(one())
        }
        Kind::File => {
            let mut content = File::open(itself(&file))
                .map_err(|e| TreeError::io("read", shown(source.join(from)), e))?;
            root.write_from(&target, &mut content, meta.mode)?;
            Ok(one())
        }
        _ => Err(failed(rustix::io::Errno::INVAL)),
    }
}

fn one() -> Copied {
    Copied {
        entries: 1,
        ..Copied::default()
    }
}

/// The open file by a name that leads to nothing else.
fn itself(file: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Where `cp` puts it.
fn target(root: &Root, to: &Path, name: Option<&OsStr>) -> Result<PathBuf, TreeError> {
    Ok(match name {
        Some(name) if root.is_dir(to)? => to.join(name),
        _ => to.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Quiet;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn copies_as_cp_does_and_stays_inside() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["src/sub", "image/etc"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        fs::write(at("src/file"), "content").unwrap();
        fs::write(at("src/sub/inner"), "inner").unwrap();
        fs::write(at("outside"), "host").unwrap();
        symlink("../outside", at("src/link")).unwrap();
        symlink("..", at("src/up")).unwrap();
        let root = Root::open(at("image")).unwrap();
        let copy = |from: &str, to: &str| {
            let options = CopyOptions::default();
            let (source, cancel) = (at("src"), Cancel::default());
            let (from, to) = (Path::new(from), Path::new(to));
            copy_one(&root, &source, from, to, &options, &Quiet, &cancel)
        };
        for (from, to, path, content) in [
            (
                "file",
                "/etc/sudoers.d/admin",
                "etc/sudoers.d/admin",
                "content",
            ),
            ("file", "etc", "etc/file", "content"),
            ("./file", "/", "file", "content"),
            ("sub", "/opt/new", "opt/new/inner", "inner"),
            ("sub/", "etc", "etc/sub/inner", "inner"),
            (".", "etc/all", "etc/all/sub/inner", "inner"),
        ] {
            copy(from, to).unwrap();
            assert_eq!(
                fs::read_to_string(at("image").join(path)).unwrap(),
                content,
                "{from} {to}"
            );
        }
        copy("link", "l").unwrap();
        assert_eq!(
            fs::read_link(at("image/l")).unwrap(),
            Path::new("../outside")
        );
        for from in ["../outside", "up/outside", "/etc/passwd", "missing"] {
            assert!(copy(from, "x").is_err(), "{from}");
        }
        assert!(copy("file", "../../x").is_err() && !at("x").exists());
    }
}
