//! Mounts that go when the value that stands for them does.

use std::ffi::OsString;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};

use super::{HostError, fail_point};

/// How often, and how long apart, unmounting is tried while something still uses the mount: a
/// process that was killed takes a moment to let go.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// The directories of an overlay.
#[derive(Clone, Copy, Debug)]
pub struct Overlay<'a> {
    /// What is never written to, the uppermost first. At least one.
    pub lower: &'a [&'a Path],
    /// Where changes go.
    pub upper: &'a Path,
    /// An empty directory on the file system of `upper`, for the kernel's own use.
    pub work: &'a Path,
    /// Further mount options, separated by commas, or nothing.
    pub options: &'a str,
}

/// Something mounted, unmounted when this value is dropped. Values kept in a `Vec` go first to
/// last; mounts on top of each other have to be dropped in reverse, as local variables are.
#[derive(Debug)]
pub struct Mount {
    target: PathBuf,
    mounted: bool,
}

impl Mount {
    /// Shows the file or directory `source` at `target` (of the same kind), without what is mounted
    /// below it.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn bind(source: &Path, target: &Path) -> Result<Self, HostError> {
        Self::new(Some(source), target, None, MsFlags::MS_BIND, None)
    }

    /// As [`Mount::bind`], but nothing can be written through `target`.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn bind_read_only(source: &Path, target: &Path) -> Result<Self, HostError> {
        let mount = Self::bind(source, target)?;
        // The kernel ignores the flag when the mount is made: it takes a second call.
        let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        nix_mount(None, &mount.target, None, flags, None)
            .map_err(HostError::path("make read-only", target))?;
        Ok(mount)
    }

    /// An empty file system in memory. `options` as in `mode=0755,size=50%`, or nothing.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn tmpfs(target: &Path, options: &str) -> Result<Self, HostError> {
        // No restrictions: a system may be installed there, whose scripts use its devices.
        let flags = MsFlags::empty();
        let data = Some(OsString::from(options));
        Self::new(Some(Path::new("tmpfs")), target, Some("tmpfs"), flags, data)
    }

    /// Several directories as one. Fails where the kernel has no overlayfs, or where `upper` is on a
    /// file system that cannot be one's upper layer (such as another overlay).
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn overlay(overlay: &Overlay<'_>, target: &Path) -> Result<Self, HostError> {
        let data = Some(overlay_options(overlay));
        let flags = MsFlags::empty();
        Self::new(
            Some(Path::new("overlay")),
            target,
            Some("overlay"),
            flags,
            data,
        )
    }

    /// The file system of type `kind` on a block device. `options` are the file system's own,
    /// separated by commas, or nothing.
    ///
    /// # Errors
    /// The kernel refuses it; it may lack the file system.
    pub fn device(
        device: &Path,
        target: &Path,
        kind: &str,
        read_only: bool,
        options: &str,
    ) -> Result<Self, HostError> {
        // What an image contains may be anybody's: its device nodes are of no use to a build.
        let mut flags = MsFlags::MS_NODEV;
        if read_only {
            flags |= MsFlags::MS_RDONLY;
        }
        let data = Some(OsString::from(options));
        Self::new(Some(device), target, Some(kind), flags, data)
    }

    fn new(
        source: Option<&Path>,
        target: &Path,
        kind: Option<&str>,
        flags: MsFlags,
        data: Option<OsString>,
    ) -> Result<Self, HostError> {
        let failed = |e: Errno| HostError::path("mount", target)(e);
        // The target itself must not be a symbolic link, which mount(2) would follow.
        let open = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle =
            openat(CWD, target, open, Mode::empty()).map_err(HostError::path("mount", target))?;
        let metadata = target
            .symlink_metadata()
            .map_err(HostError::path("mount", target))?;
        if metadata.is_symlink() {
            return Err(failed(Errno::ELOOP));
        }
        let place = PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd()));
        nix_mount(source, &place, kind, flags, data.as_ref()).map_err(failed)?;
        let mount = Self {
            target: target.to_owned(),
            mounted: true,
        };
        fail_point::reach("mount-made", target.display())
            .map_err(HostError::path("mount", target))?;
        Ok(mount)
    }

    /// Where it is mounted.
    #[must_use]
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Unmounts now. When this returns, everything written is with the device or directory below.
    ///
    /// # Errors
    /// While something still uses the mount; it is detached then, so that it is out of the way, but
    /// what was written may not be complete.
    pub fn unmount(mut self) -> Result<(), HostError> {
        self.try_unmount()
            .map_err(HostError::path("unmount", &self.target))
    }

    fn try_unmount(&mut self) -> nix::Result<()> {
        if !self.mounted {
            return Ok(());
        }
        self.mounted = false;
        for _ in 0..TRIES {
            match umount2(&self.target, MntFlags::UMOUNT_NOFOLLOW) {
                Err(Errno::EBUSY) => std::thread::sleep(PAUSE),
                // Somebody else unmounted it.
                Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => return Ok(()),
                Err(e) => return Err(e),
            }
        }
        umount2(
            &self.target,
            MntFlags::UMOUNT_NOFOLLOW | MntFlags::MNT_DETACH,
        )?;
        Err(Errno::EBUSY)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = self.try_unmount();
    }
}

fn nix_mount(
    source: Option<&Path>,
    target: &Path,
    kind: Option<&str>,
    flags: MsFlags,
    data: Option<&OsString>,
) -> nix::Result<()> {
    mount(source, target, kind, flags, data.map(OsString::as_os_str))
}

/// The mount options of an overlay, with the characters escaped that separate options and layers.
fn overlay_options(overlay: &Overlay<'_>) -> OsString {
    let mut text = b"lowerdir=".to_vec();
    for (nth, lower) in overlay.lower.iter().enumerate() {
        if nth > 0 {
            text.push(b':');
        }
        push_escaped(&mut text, lower, b"\\,:");
    }
    text.extend(b",upperdir=");
    push_escaped(&mut text, overlay.upper, b"\\,");
    text.extend(b",workdir=");
    push_escaped(&mut text, overlay.work, b"\\,");
    if !overlay.options.is_empty() {
        text.push(b',');
        text.extend(overlay.options.as_bytes());
    }
    OsString::from_vec(text)
}

fn push_escaped(text: &mut Vec<u8>, path: &Path, special: &[u8]) {
    for &byte in path.as_os_str().as_bytes() {
        if special.contains(&byte) {
            text.push(b'\\');
        }
        text.push(byte);
    }
}

/// Takes away everything that is mounted below `directory`, the innermost first: what a program left
/// there that was killed while it worked. Does nothing outside of [`super::namespace::isolate`], where
/// the mounts would be the host's.
pub fn detach_below(directory: &Path) {
    if !super::namespace::is_isolated() {
        return;
    }
    let Ok(table) = std::fs::read("/proc/self/mountinfo") else {
        return;
    };
    let points = table.split(|byte| *byte == b'\n').filter_map(mount_point);
    let mut below: Vec<PathBuf> = points
        .filter(|point| point != directory && point.starts_with(directory))
        .collect();
    // Later mounts may cover earlier ones of the same name.
    below.reverse();
    for point in below {
        let _ = umount2(&point, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW);
    }
}

/// The mount point in a line of /proc/PID/mountinfo (proc(5)), where white space and backslashes are
/// octal numbers behind a backslash.
fn mount_point(line: &[u8]) -> Option<PathBuf> {
    let field = line.split(|byte| *byte == b' ').nth(4)?;
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let octal = (*first == b'\\')
            .then(|| tail.get(..3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match octal {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    Some(PathBuf::from(OsString::from_vec(bytes)))
}

/// The path of the directory `path` (as seen from inside `root`) for a mount in a tree of unknown
/// origin.
///
/// # Errors
/// [`HostError::Escapes`] when a symbolic link is on the way or `..` leads out.
pub fn mount_point_inside(root: &Path, path: &Path) -> Result<PathBuf, HostError> {
    let relative = path.strip_prefix("/").unwrap_or(path);
    let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root_handle =
        openat(CWD, root, directory, Mode::empty()).map_err(HostError::path("open", root))?;
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match openat2(&root_handle, relative, directory, Mode::empty(), how) {
        Ok(_) => Ok(root.join(relative)),
        Err(rustix::io::Errno::LOOP | rustix::io::Errno::XDEV) => Err(HostError::Escapes {
            path: path.to_owned(),
            root: root.to_owned(),
        }),
        Err(e) => Err(HostError::path("open", root.join(relative))(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_with_odd_names() {
        let line =
            |point: &str| format!("36 35 98:0 / {point} rw,noatime shared:1 - ext4 /dev/x rw");
        for (written, expected) in [
            ("/srv/tree", "/srv/tree"),
            (r"/a\040b\011c\134d", "/a b\tc\\d"),
            (r"/odd\9", r"/odd\9"),
        ] {
            let point = mount_point(line(written).as_bytes()).unwrap();
            assert_eq!(point, Path::new(expected));
        }
        assert_eq!(mount_point(b"36 35"), None);
    }

    #[test]
    fn awkward_names_stay_one_option() {
        let overlay = Overlay {
            lower: &[Path::new("/a:b"), Path::new("/c,d\\e")],
            upper: Path::new("/up:per,"),
            work: Path::new("/work"),
            options: "index=off",
        };
        assert_eq!(
            overlay_options(&overlay),
            r"lowerdir=/a\:b:/c\,d\\e,upperdir=/up:per\,,workdir=/work,index=off"
        );
    }

    #[test]
    fn mount_points_stay_inside() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        std::fs::create_dir_all(root.join("boot/efi")).unwrap();
        std::os::unix::fs::symlink("/etc", root.join("efi")).unwrap();
        std::os::unix::fs::symlink("boot", root.join("link")).unwrap();
        let inside = mount_point_inside(&root, Path::new("/boot/efi")).unwrap();
        assert_eq!(inside, root.join("boot/efi"));
        for path in ["/efi", "link/efi", "../x", "boot/../../root"] {
            let error = mount_point_inside(&root, Path::new(path)).unwrap_err();
            assert!(
                matches!(error, HostError::Escapes { .. }),
                "{path}: {error}"
            );
        }
        assert!(mount_point_inside(&root, Path::new("missing")).is_err());
    }
}
