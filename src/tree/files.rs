//! Reading and writing single files of an image.
//!
//! Two ways to write, and each caller picks one. [`Root::write`] puts a new file at exactly this
//! name: a symbolic link that has the name is replaced, as `/etc/hostname` must be. [`Root::update`]
//! and [`Root::append_line`] change a file that exists, so they follow a link to it, as
//! `/etc/os-release` demands. Either way a file that exists is replaced at once, by renaming.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Uid, chownat, fchmod, fchown, openat, readlinkat, renameat,
    symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::error::TreeError;
use super::resolve::resolve;
use super::root::{Root, Spot, clean};
use super::stat::{Kind, Metadata};
use super::xattrs::{self, Of};

/// The largest file that is read as a whole; settings and lists are far smaller.
const READ_LIMIT: u64 = 64 << 20;

impl Root {
    /// The content of a regular file, symbolic links followed inside the image.
    ///
    /// # Errors
    /// When it is missing, no regular file, or larger than 64 MiB.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Vec<u8>, TreeError> {
        let path = path.as_ref();
        self.read_if_present(path)?
            .ok_or_else(|| self.failed("read", path, Errno::NOENT))
    }

    /// As [`read`](Self::read), `None` when the file is missing.
    ///
    /// # Errors
    /// When it is no regular file, or larger than 64 MiB.
    pub fn read_if_present(&self, path: impl AsRef<Path>) -> Result<Option<Vec<u8>>, TreeError> {
        let path = clean(path.as_ref())?;
        // Without O_NONBLOCK a named pipe would wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let fd = match self.lookup(&path, flags) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(e) => return Err(self.failed("read", &path, e)),
        };
        let meta = Metadata::of(&fd).map_err(|e| self.failed("read", &path, e))?;
        match meta.kind {
            Kind::File => {}
            Kind::Directory => return Err(self.failed("read", &path, Errno::ISDIR)),
            _ => return Err(self.failed("read", &path, Errno::INVAL)),
        }
        let mut bytes = Vec::new();
        File::from(fd)
            .take(READ_LIMIT + 1)
            .read_to_end(&mut bytes)
            .map_err(|e| TreeError::io("read", self.place(&path), e))?;
        if bytes.len() as u64 > READ_LIMIT {
            return Err(TreeError::TooLarge {
                path: self.place(&path),
                limit: READ_LIMIT,
            });
        }
        Ok(Some(bytes))
    }

    /// Puts a file of root's at this name, with exactly this mode, making directories above it as
    /// needed. What has the name, a symbolic link too, is replaced; a directory is an error.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(
        &self,
        path: impl AsRef<Path>,
        bytes: impl AsRef<[u8]>,
        mode: u32,
    ) -> Result<(), TreeError> {
        let path = path.as_ref();
        let spot = self.spot_made(path)?;
        self.place_file(&spot, path, |file| {
            file.write_all(bytes.as_ref())?;
            if self.privileged() {
                fchown(&file, Some(Uid::ROOT), Some(Gid::ROOT))?;
            }
            Ok(fchmod(&file, Mode::from_raw_mode(mode))?)
        })
    }

    /// As [`write`](Self::write), with everything that can be read from `content`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write_from(
        &self,
        path: impl AsRef<Path>,
        content: &mut File,
        mode: u32,
    ) -> Result<(), TreeError> {
        let path = path.as_ref();
        let spot = self.spot_made(path)?;
        self.place_file(&spot, path, |file| {
            std::io::copy(content, file)?;
            if self.privileged() {
                fchown(&file, Some(Uid::ROOT), Some(Gid::ROOT))?;
            }
            Ok(fchmod(&file, Mode::from_raw_mode(mode))?)
        })
    }

    /// Rewrites a file that exists, following a symbolic link to it; mode, owner and extended
    /// attributes stay. Nothing is written when `change` returns what it was given.
    ///
    /// # Errors
    /// When the file is missing or cannot be written, and what `change` returns.
    pub fn update(
        &self,
        path: impl AsRef<Path>,
        change: impl FnOnce(&[u8]) -> Result<Vec<u8>, TreeError>,
    ) -> Result<(), TreeError> {
        let path = path.as_ref();
        let old = self.read(path)?;
        let new = change(&old)?;
        if new == old {
            return Ok(());
        }
        let real = resolve(self, path, true)?.path;
        let spot = self.spot(&real)?;
        let fail = |e| self.failed("write", &real, e);
        let before = openat(
            &spot.dir,
            &spot.name,
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(fail)?;
        let meta = Metadata::of(&before).map_err(fail)?;
        self.place_file(&spot, &real, |file| {
            file.write_all(&new)?;
            if self.privileged() {
                let owner = (Uid::from_raw(meta.uid), Gid::from_raw(meta.gid));
                fchown(&file, Some(owner.0), Some(owner.1))?;
            }
            for name in xattrs::names(Of::fd(&before))? {
                if let Some(value) = xattrs::get(Of::fd(&before), &name)? {
                    xattrs::set(Of::fd(&file), &name, &value)?;
                }
            }
            Ok(fchmod(&file, Mode::from_raw_mode(meta.mode))?)
        })
    }

    /// Adds a line at the end of a file, following a symbolic link to it. A missing file is made,
    /// mode 0644; a last line without a newline gets one.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn append_line(
        &self,
        path: impl AsRef<Path>,
        line: impl AsRef<[u8]>,
    ) -> Result<(), TreeError> {
        let path = path.as_ref();
        let line = line.as_ref();
        if self.metadata_followed(path)?.is_none() {
            let real = resolve(self, path, true)?.path;
            return self.write(real, [line, b"\n"].concat(), 0o644);
        }
        self.update(path, |old| {
            let mut new = old.to_vec();
            if !new.is_empty() && !new.ends_with(b"\n") {
                new.push(b'\n');
            }
            new.extend_from_slice(line);
            new.push(b'\n');
            Ok(new)
        })
    }

    /// Puts a symbolic link of root's at this name, making directories above it as needed. What has
    /// the name is replaced; a directory is an error. The target is stored as given.
    ///
    /// # Errors
    /// When the link cannot be made.
    pub fn symlink(
        &self,
        target: impl AsRef<Path>,
        path: impl AsRef<Path>,
    ) -> Result<(), TreeError> {
        let path = path.as_ref();
        let spot = self.spot_made(path)?;
        self.place_node(&spot, path, "a symbolic link", |dir, name| {
            symlinkat(target.as_ref(), dir, name)?;
            if self.privileged() {
                let nofollow = AtFlags::SYMLINK_NOFOLLOW;
                chownat(dir, name, Some(Uid::ROOT), Some(Gid::ROOT), nofollow)?;
            }
            Ok(())
        })
    }

    /// What a symbolic link holds; `None` when there is no symbolic link.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn read_link(&self, path: impl AsRef<Path>) -> Result<Option<PathBuf>, TreeError> {
        let path = clean(path.as_ref())?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let target = self
            .lookup(&path, flags)
            .and_then(|fd| readlinkat(fd, c"", Vec::new()));
        match target {
            Ok(target) => Ok(Some(OsString::from_vec(target.into_bytes()).into())),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::INVAL) => Ok(None),
            Err(e) => Err(self.failed("look at", &path, e)),
        }
    }

    /// Puts a new file at a name. One that the name is free for is made in place, else `fill`
    /// completes it under another name before it takes this one. When `fill` fails nothing is left
    /// of the new file, and what had the name before is still there.
    pub(crate) fn place_file(
        &self,
        spot: &Spot,
        path: &Path,
        fill: impl FnOnce(&mut File) -> std::io::Result<()>,
    ) -> Result<(), TreeError> {
        let fail = |e| self.failed("write", path, e);
        let dir = &*spot.dir;
        let (fd, name) = match create(dir, &spot.name) {
            Ok(fd) => (fd, None),
            Err(Errno::EXIST) => {
                let (fd, name) = with_temporary_name(|name| create(dir, name)).map_err(fail)?;
                (fd, Some(name))
            }
            Err(e) => return Err(fail(e)),
        };
        let filled =
            fill(&mut File::from(fd)).map_err(|e| TreeError::io("write", self.place(path), e));
        self.settle(spot, path, "a file", name, filled)
    }

    /// Lets `make` put something at another name that is free, and renames it. When that fails
    /// nothing is left of it, and what had the name before is still there.
    pub(crate) fn place_node(
        &self,
        spot: &Spot,
        path: &Path,
        what: &'static str,
        mut make: impl FnMut(&OwnedFd, &OsStr) -> rustix::io::Result<()>,
    ) -> Result<(), TreeError> {
        let made = with_temporary_name(|name| {
            let made = make(&spot.dir, name);
            // What has the name when it was taken is somebody else's.
            if !matches!(made, Ok(()) | Err(Errno::EXIST)) {
                let _ = unlinkat(&spot.dir, name, AtFlags::empty());
            }
            made
        });
        let ((), name) = made.map_err(|e| self.failed("write", path, e))?;
        self.settle(spot, path, what, Some(name), Ok(()))
    }

    /// Renames what was made under a temporary name, or removes what was not completed.
    fn settle(
        &self,
        spot: &Spot,
        path: &Path,
        what: &'static str,
        temporary: Option<OsString>,
        made: Result<(), TreeError>,
    ) -> Result<(), TreeError> {
        let dir = &*spot.dir;
        let result = match (&temporary, made) {
            (None, Ok(())) => return Ok(()),
            (Some(temporary), Ok(())) => match renameat(dir, temporary, dir, &spot.name) {
                Ok(()) => return Ok(()),
                Err(e) => Err(self.not_placed(spot, path, what, e)),
            },
            (_, Err(e)) => Err(e),
        };
        // The first error is the one that matters.
        let _ = unlinkat(
            dir,
            temporary.as_ref().unwrap_or(&spot.name),
            AtFlags::empty(),
        );
        result
    }

    fn not_placed(&self, spot: &Spot, path: &Path, what: &'static str, e: Errno) -> TreeError {
        match Metadata::at(&spot.dir, &spot.name) {
            Ok(found) if found.kind == Kind::Directory => TreeError::InTheWay {
                what,
                path: self.place(path),
                found: found.kind.with_article(),
            },
            _ => self.failed("write", path, e),
        }
    }
}

/// Makes a regular file where there is nothing.
fn create(dir: &OwnedFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(dir, name, flags, Mode::RUSR | Mode::WUSR)
}

/// Calls `make` with names until one is free.
fn with_temporary_name<T>(
    mut make: impl FnMut(&OsStr) -> rustix::io::Result<T>,
) -> rustix::io::Result<(T, OsString)> {
    let mut result = Err(Errno::EXIST);
    for _ in 0..TRIES {
        let name = temporary_name();
        match make(&name) {
            Err(Errno::EXIST) => {}
            other => {
                result = other.map(|made| (made, name));
                break;
            }
        }
    }
    result
}

/// More names than any earlier process with this number can have left.
const TRIES: usize = 1000;

/// A name that is short, so that it fits where the real name is as long as possible.
pub(crate) fn temporary_name() -> OsString {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!(".mkosi-{}-{number}", std::process::id()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    fn image() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("etc")).unwrap();
        fs::create_dir_all(dir.path().join("usr/lib")).unwrap();
        let root = Root::open(dir.path()).unwrap();
        (dir, root)
    }

    #[test]
    fn write_replaces_links_and_hard_links() {
        let (dir, root) = image();
        let outside = tempfile::NamedTempFile::new().unwrap();
        fs::write(outside.path(), "host").unwrap();
        symlink(outside.path(), dir.path().join("etc/a")).unwrap();
        fs::hard_link(outside.path(), dir.path().join("etc/b")).ok();
        for name in ["etc/a", "etc/b", "/etc/new/c"] {
            root.write(name, "image", 0o640).unwrap();
            let inside = dir.path().join(name.trim_start_matches('/'));
            assert_eq!(fs::read_to_string(&inside).unwrap(), "image");
            let meta = fs::symlink_metadata(&inside).unwrap();
            assert!(meta.is_file());
            assert_eq!(meta.permissions().mode() & 0o7777, 0o640);
        }
        assert_eq!(fs::read_to_string(outside.path()).unwrap(), "host");
        let left = fs::read_dir(dir.path().join("etc")).unwrap().count();
        assert_eq!(left, 3, "no temporary files");
    }

    #[test]
    fn update_follows_the_link_and_keeps_the_mode() {
        let (dir, root) = image();
        let real = dir.path().join("usr/lib/os-release");
        fs::write(&real, "A=1\n").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o604)).unwrap();
        symlink("../usr/lib/os-release", dir.path().join("etc/os-release")).unwrap();
        root.append_line("etc/os-release", "B=2").unwrap();
        assert_eq!(fs::read_to_string(&real).unwrap(), "A=1\nB=2\n");
        assert_eq!(fs::metadata(&real).unwrap().mode() & 0o777, 0o604);
        assert_eq!(
            root.read_link("etc/os-release").unwrap().unwrap(),
            Path::new("../usr/lib/os-release")
        );
    }

    #[test]
    fn reads_only_regular_files() {
        let (dir, root) = image();
        assert_eq!(root.read_if_present("etc/none").unwrap(), None);
        assert!(root.read("etc/none").is_err());
        assert!(root.read("etc").is_err());
        let fifo = dir.path().join("etc/fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            Mode::RUSR,
            0,
        )
        .unwrap();
        assert!(root.read("etc/fifo").is_err(), "and does not wait for it");
    }

    #[test]
    fn a_directory_is_never_replaced() {
        let (_dir, root) = image();
        for result in [root.write("etc", "x", 0o644), root.symlink("usr", "etc")] {
            let text = result.unwrap_err().to_string();
            assert!(text.contains("a directory is there already"), "{text}");
        }
        assert!(root.is_dir("etc").unwrap());
    }

    #[test]
    fn appends_through_a_link_that_leads_nowhere_yet() {
        let (dir, root) = image();
        symlink("/usr/lib/later", dir.path().join("etc/later")).unwrap();
        root.append_line("etc/later", "x").unwrap();
        root.append_line("etc/later", "y").unwrap();
        let text = fs::read_to_string(dir.path().join("usr/lib/later")).unwrap();
        assert_eq!(text, "x\ny\n");
    }
}
