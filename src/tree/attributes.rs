//! Owner, mode and time of something new in an image, set in the order in which they survive.
//!
//! Changing the owner clears set-user-ID bits and file capabilities, so it comes first; an access
//! control list changes the mode, so the mode comes after it; the time comes last.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd as _};

use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Uid, chmod, chownat, fchmod, fchown, futimens, openat, utimensat,
};
use rustix::io::Result;

use super::stat::times;
use super::xattrs::Of;

/// What a new file gets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attributes {
    /// User and group, `None` to leave the caller's.
    pub owner: Option<(u32, u32)>,
    /// Permission bits (`0o7777`); of no meaning for a symbolic link.
    pub mode: u32,
    /// Seconds and nanoseconds since 1970.
    pub mtime: (i64, u32),
}

impl Attributes {
    /// Sets them on an open file or directory; `xattrs` sets the extended ones in between.
    pub fn set_on(&self, fd: &impl AsFd, xattrs: impl FnOnce(Of<'_>) -> Result<()>) -> Result<()> {
        if let Some((uid, gid)) = self.owner {
            fchown(fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        }
        xattrs(Of::fd(fd))?;
        fchmod(fd, Mode::from_raw_mode(self.mode))?;
        futimens(fd, &times(self.mtime))
    }

    /// Sets them on a symbolic link, named pipe or device, by its name.
    pub fn set_at(
        &self,
        dir: &impl AsFd,
        name: &OsStr,
        xattrs: impl FnOnce(Of<'_>) -> Result<()>,
        is_link: bool,
    ) -> Result<()> {
        let nofollow = AtFlags::SYMLINK_NOFOLLOW;
        if let Some((uid, gid)) = self.owner {
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
            chownat(dir, name, Some(uid), Some(gid), nofollow)?;
        }
        xattrs(Of::name(dir, name))?;
        if !is_link {
            chmod_at(dir, name, self.mode)?;
        }
        utimensat(dir, name, &times(self.mtime), nofollow)
    }
}

/// Sets the mode of a name without following it: through the file itself, held open.
fn chmod_at(dir: &impl AsFd, name: &OsStr, mode: u32) -> Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = openat(dir, name, flags, Mode::empty())?;
    chmod(
        format!("/proc/self/fd/{}", fd.as_raw_fd()),
        Mode::from_raw_mode(mode),
    )
}
