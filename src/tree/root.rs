//! An image's root directory, and the one way to reach what is beneath it.
//!
//! Every path is resolved by the kernel with the image's root as `/` (`openat2`): symbolic links
//! inside the image, absolute ones and those with `..` too, lead to places inside the image, however
//! the tree changes meanwhile. What is then done to a name is done relative to the open directory
//! that holds it, and that last name is followed only by functions that say so.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{
    Gid, Mode, OFlags, ResolveFlags, Uid, fchmod, fchown, fremovexattr, mkdirat, open, openat2,
};
use rustix::io::Errno;

use super::error::TreeError;
use super::listing::{DIRECTORY, Entry, list};
use super::resolve::resolve;
use super::shown::shown;
use super::stat::{Kind, Metadata};
use super::xattrs::{self, Of};

/// Longer paths are opened in parts: the kernel takes up to 4095 bytes at once.
const PART: usize = 2048;

/// How often a look-up is tried again when directories were moved while it ran.
const RETRIES: usize = 1000;

/// The root directory of an image.
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
    path: PathBuf,
    privileged: bool,
}

/// A name in an open directory: where something is, or is going to be.
#[derive(Debug)]
pub(crate) struct Spot {
    /// The directory; several names in it may share it.
    pub dir: Arc<OwnedFd>,
    /// The name in it.
    pub name: OsString,
}

impl Root {
    /// Opens the directory that is an image's root; `path` itself is an ordinary path of the host.
    ///
    /// # Errors
    /// When there is no such directory, or the kernel has no `openat2`.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, TreeError> {
        let path = path.as_ref();
        let fd = open(path, DIRECTORY, Mode::empty())
            .map_err(|e| TreeError::io("open the image's root", shown(path), e))?;
        let root = Self {
            fd,
            path: path.to_owned(),
            privileged: rustix::process::geteuid().is_root(),
        };
        match root.lookup(Path::new(""), DIRECTORY) {
            Ok(_) => Ok(root),
            Err(source @ (Errno::NOSYS | Errno::PERM)) => Err(TreeError::NoOpenat2 {
                path: shown(path),
                source: source.into(),
            }),
            Err(e) => Err(TreeError::io("open the image's root", shown(path), e)),
        }
    }

    /// The root's path on the host, for programs that are told where the image is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The root directory itself.
    pub(crate) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Whether owners can be set. Without it everything belongs to the caller, as in the tests that
    /// need no root.
    pub(crate) fn privileged(&self) -> bool {
        self.privileged
    }

    /// Takes away what overlayfs noted at the root directory itself, as a layer of another overlay.
    ///
    /// # Errors
    /// When an attribute cannot be removed.
    pub fn remove_overlay_marks(&self) -> Result<(), TreeError> {
        let fail = |e| self.failed("set the attributes of", Path::new(""), e);
        for name in xattrs::names(Of::fd(&self.fd)).map_err(fail)? {
            if name.to_bytes().starts_with(b"trusted.overlay.") {
                fremovexattr(&self.fd, &*name).map_err(fail)?;
            }
        }
        Ok(())
    }

    /// Opens a directory for reading, following symbolic links inside the image.
    ///
    /// # Errors
    /// When it is missing or no directory.
    pub fn open_dir(&self, path: impl AsRef<Path>) -> Result<OwnedFd, TreeError> {
        let path = clean(path.as_ref())?;
        self.lookup(&path, DIRECTORY)
            .map_err(|e| self.failed("open the directory", &path, e))
    }

    /// The names in a directory, in byte order.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn list(&self, path: impl AsRef<Path>) -> Result<Vec<Entry>, TreeError> {
        let fd = self.open_dir(&path)?;
        list(&fd).map_err(|e| self.failed("list", path.as_ref(), e))
    }

    /// Makes a directory and those above it, as needed: owned by root, with exactly this mode. What
    /// exists stays as it is. A symbolic link on the way that leads nowhere gets its target made,
    /// so that `/var/run -> /run` works in a tree that has no `/run` yet.
    ///
    /// # Errors
    /// When something on the way is no directory.
    pub fn create_dir_all(&self, path: impl AsRef<Path>, mode: u32) -> Result<(), TreeError> {
        let path = clean(path.as_ref())?;
        match self.lookup(&path, DIRECTORY) {
            Ok(_) => return Ok(()),
            Err(Errno::NOENT) => {}
            Err(Errno::NOTDIR) => return Err(self.not_a_directory(&path)),
            Err(e) => return Err(self.failed("create the directory", &path, e)),
        }
        let real = resolve(self, &path, true)?.path;
        let mut above = self.lookup(Path::new(""), DIRECTORY);
        let mut done = PathBuf::new();
        for name in &real {
            done.push(name);
            let fail = |e| self.failed("create the directory", &done, e);
            let dir = above.map_err(fail)?;
            let made = match mkdirat(&dir, name, Mode::RWXU) {
                Ok(()) => true,
                Err(Errno::EXIST) => false,
                Err(e) => return Err(fail(e)),
            };
            let below = match super::listing::open_child(&dir, name) {
                Err(Errno::NOTDIR | Errno::LOOP) => return Err(self.not_a_directory(&done)),
                other => other.map_err(fail)?,
            };
            if made {
                self.own(&below).map_err(fail)?;
                fchmod(&below, Mode::from_raw_mode(mode)).map_err(fail)?;
            }
            above = Ok(below);
        }
        Ok(())
    }

    /// Gives an open file to root, where owners can be set.
    pub(crate) fn own(&self, fd: &OwnedFd) -> rustix::io::Result<()> {
        if self.privileged {
            fchown(fd, Some(Uid::ROOT), Some(Gid::ROOT))?;
        }
        Ok(())
    }

    /// What is at a path; a symbolic link there is not followed. `None` when there is nothing.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn metadata(&self, path: impl AsRef<Path>) -> Result<Option<Metadata>, TreeError> {
        let path = clean(path.as_ref())?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.describe(&path, flags)
    }

    /// As [`metadata`](Self::metadata), of what a symbolic link leads to.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn metadata_followed(&self, path: impl AsRef<Path>) -> Result<Option<Metadata>, TreeError> {
        let path = clean(path.as_ref())?;
        self.describe(&path, OFlags::PATH | OFlags::CLOEXEC)
    }

    fn describe(&self, path: &Path, flags: OFlags) -> Result<Option<Metadata>, TreeError> {
        match self.lookup(path, flags).and_then(Metadata::of) {
            Ok(found) => Ok(Some(found)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(e) => Err(self.failed("look at", path, e)),
        }
    }

    /// Whether anything has this name, a symbolic link that leads nowhere included.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn exists(&self, path: impl AsRef<Path>) -> Result<bool, TreeError> {
        Ok(self.metadata(path)?.is_some())
    }

    /// Whether a path leads to a directory, symbolic links followed.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn is_dir(&self, path: impl AsRef<Path>) -> Result<bool, TreeError> {
        let found = self.metadata_followed(path)?;
        Ok(found.is_some_and(|m| m.kind == Kind::Directory))
    }

    /// Whether a path leads to a regular file, symbolic links followed.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn is_file(&self, path: impl AsRef<Path>) -> Result<bool, TreeError> {
        let found = self.metadata_followed(path)?;
        Ok(found.is_some_and(|m| m.kind == Kind::File))
    }

    /// Opens a path that [`clean`] returned, beneath the root.
    pub(crate) fn lookup(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        self.lookup_how(path, flags, ResolveFlags::IN_ROOT)
    }

    /// As [`lookup`](Self::lookup), for a path that must not lead through any symbolic link.
    pub(crate) fn lookup_plain(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        self.lookup_how(path, flags, plain())
    }

    fn lookup_how(
        &self,
        path: &Path,
        flags: OFlags,
        how: ResolveFlags,
    ) -> rustix::io::Result<OwnedFd> {
        if path.as_os_str().len() <= PART {
            return open_in(&self.fd, path, flags, how);
        }
        // Past the first part symbolic links are refused: their targets would be resolved beneath
        // that part instead of beneath the root. Nothing so deep has links that matter.
        let mut parts = parts(path).into_iter().peekable();
        let mut how = how;
        let mut at = None;
        while let Some(part) = parts.next() {
            let last = parts.peek().is_none();
            let flags = if last {
                flags
            } else {
                OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC
            };
            let from = at.as_ref().unwrap_or(&self.fd);
            at = Some(open_in(from, &part, flags, how)?);
            how = plain();
        }
        at.ok_or(Errno::INVAL)
    }

    /// The open directory that holds a path's last name, and that name.
    pub(crate) fn spot(&self, path: &Path) -> Result<Spot, TreeError> {
        let path = clean(path)?;
        let (above, name) = split(&path)?;
        let dir = self
            .lookup(above, DIRECTORY)
            .map_err(|e| self.failed("open the directory", above, e))?;
        Ok(Spot {
            dir: Arc::new(dir),
            name: name.to_owned(),
        })
    }

    /// As [`spot`](Self::spot); directories that are missing are made, owned by root, mode 0755.
    pub(crate) fn spot_made(&self, path: &Path) -> Result<Spot, TreeError> {
        let path = clean(path)?;
        self.create_dir_all(split(&path)?.0, 0o755)?;
        self.spot(&path)
    }

    /// An error of the system about a path inside the image.
    pub(crate) fn failed(&self, action: &'static str, path: &Path, source: Errno) -> TreeError {
        TreeError::io(action, self.place(path), source)
    }

    /// A path inside the image, for messages: where it is on the host.
    pub(crate) fn place(&self, path: &Path) -> String {
        let inside = path.strip_prefix("/").unwrap_or(path);
        shown(if inside.as_os_str().is_empty() {
            self.path.clone()
        } else {
            self.path.join(inside)
        })
    }

    fn not_a_directory(&self, path: &Path) -> TreeError {
        let found = match self.metadata_followed(path) {
            Ok(Some(found)) => found.kind.with_article(),
            _ => "something that is no directory",
        };
        TreeError::InTheWay {
            what: "a directory",
            path: self.place(path),
            found,
        }
    }
}

/// No symbolic link, no way out.
fn plain() -> ResolveFlags {
    ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS
}

fn open_in(
    from: &OwnedFd,
    path: &Path,
    flags: OFlags,
    how: ResolveFlags,
) -> rustix::io::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    let how = how | ResolveFlags::NO_MAGICLINKS;
    let mut result = Err(Errno::AGAIN);
    for _ in 0..RETRIES {
        result = openat2(from.as_fd(), path, flags, Mode::empty(), how);
        // The kernel gives up rather than guess when a rename races with a `..`.
        if !matches!(result, Err(Errno::AGAIN | Errno::INTR)) {
            break;
        }
    }
    result
}

/// Cuts a long path at slashes.
fn parts(path: &Path) -> Vec<PathBuf> {
    let mut parts = vec![PathBuf::new()];
    for name in path {
        if let Some(part) = parts.last_mut() {
            if part.as_os_str().len() + name.len() < PART {
                part.push(name);
                continue;
            }
        }
        parts.push(PathBuf::from(name));
    }
    parts
}

/// A path inside an image without the leading `/`, without `.` and doubled slashes.
pub(crate) fn clean(path: &Path) -> Result<PathBuf, TreeError> {
    let bad = |why| TreeError::BadPath {
        path: shown(path),
        why,
    };
    if path.as_os_str().as_bytes().contains(&0) {
        return Err(bad("it holds a null byte"));
    }
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => return Err(bad("it holds `..`")),
            _ => {}
        }
    }
    Ok(clean)
}

/// The directory and the last name of a path that [`clean`] returned.
pub(crate) fn split(path: &Path) -> Result<(&Path, &OsStr), TreeError> {
    match (path.parent(), path.file_name()) {
        (Some(above), Some(name)) => Ok((above, name)),
        _ => Err(TreeError::BadPath {
            path: "/".to_owned(),
            why: "the image's root itself cannot be replaced",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn image() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        (dir, root)
    }

    #[test]
    fn cleans_paths() {
        for (given, want) in [("/etc//x/.", "etc/x"), ("./a", "a"), ("/", ""), ("", "")] {
            assert_eq!(clean(Path::new(given)).unwrap(), Path::new(want), "{given}");
        }
        for given in ["..", "a/../b", "/../x"] {
            let text = clean(Path::new(given)).unwrap_err().to_string();
            assert!(text.contains("`..`"), "{text}");
        }
        assert!(clean(Path::new(OsStr::from_bytes(b"a\0b"))).is_err());
    }

    #[test]
    fn links_stay_beneath_the_root() {
        let (dir, root) = image();
        std::fs::create_dir(dir.path().join("tmp")).unwrap();
        symlink("/tmp", dir.path().join("abs")).unwrap();
        symlink("../../../../tmp", dir.path().join("up")).unwrap();
        let inside = Metadata::of(root.open_dir("tmp").unwrap()).unwrap().id;
        for link in ["abs", "up", "/abs"] {
            let reached = Metadata::of(root.open_dir(link).unwrap()).unwrap().id;
            assert_eq!(reached, inside, "{link}");
        }
        symlink("/etc", dir.path().join("etc")).unwrap();
        assert!(root.open_dir("etc").is_err(), "a loop beneath the root");
    }

    #[test]
    fn makes_directories_with_exactly_the_mode() {
        let (dir, root) = image();
        symlink("/run", dir.path().join("dangling")).unwrap();
        root.create_dir_all("a/b/c", 0o750).unwrap();
        root.create_dir_all("dangling/x", 0o755).unwrap();
        for (path, mode) in [("a", 0o750), ("a/b/c", 0o750), ("run/x", 0o755)] {
            let found = std::fs::symlink_metadata(dir.path().join(path)).unwrap();
            assert!(found.is_dir(), "{path}");
            assert_eq!(found.permissions().mode() & 0o7777, mode, "{path}");
        }
        root.create_dir_all("a", 0o700).unwrap();
        assert_eq!(root.metadata("a").unwrap().unwrap().mode, 0o750, "kept");
    }

    #[test]
    fn a_file_on_the_way_is_named() {
        let (dir, root) = image();
        std::fs::write(dir.path().join("f"), "").unwrap();
        let text = root.create_dir_all("f/x", 0o755).unwrap_err().to_string();
        assert!(text.contains("/f"), "{text}");
        assert!(text.contains("is there already"), "{text}");
    }

    #[test]
    fn reaches_paths_longer_than_the_kernel_takes() {
        let (_dir, root) = image();
        let name = "n".repeat(250);
        let deep: PathBuf = std::iter::repeat_n(name.as_str(), 30).collect();
        root.create_dir_all(&deep, 0o755).unwrap();
        assert!(deep.as_os_str().len() > 4096);
        assert!(root.is_dir(&deep).unwrap());
        assert!(root.remove_tree(&name).unwrap());
        assert!(!root.exists(&name).unwrap());
    }
}
