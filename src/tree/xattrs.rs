//! Extended attributes of open files, and of names that cannot be opened.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{
    XattrFlags, fgetxattr, flistxattr, fremovexattr, fsetxattr, lgetxattr, llistxattr, lsetxattr,
};
use rustix::io::{Errno, Result};

/// The most bytes one attribute, and one file's list of names, can have (`XATTR_SIZE_MAX`,
/// `XATTR_LIST_MAX` of the kernel).
pub(crate) const MAX: usize = 65536;

/// What most files' names fit into.
const USUAL: usize = 1024;

/// The file whose attributes are meant.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Of<'a> {
    /// A file open for reading or writing.
    Fd(BorrowedFd<'a>),
    /// A name in an open directory, never followed: for links, pipes and devices.
    Name(BorrowedFd<'a>, &'a OsStr),
}

impl<'a> Of<'a> {
    pub fn fd(fd: &'a impl AsFd) -> Self {
        Self::Fd(fd.as_fd())
    }

    pub fn name(dir: &'a impl AsFd, name: &'a OsStr) -> Self {
        Self::Name(dir.as_fd(), name)
    }
}

/// The path of a name in an open directory. The kernel follows the first part to the open directory
/// itself, and the `l` calls do not follow the name.
fn through_proc(dir: BorrowedFd<'_>, name: &OsStr) -> Vec<u8> {
    let mut path = format!("/proc/self/fd/{}/", dir.as_raw_fd()).into_bytes();
    path.extend_from_slice(name.as_bytes());
    path
}

/// The names of a file's attributes, sorted: each file system lists them in an order of its own. None where
/// the file system has no attributes.
pub(crate) fn names(of: Of<'_>) -> Result<Vec<CString>> {
    let mut usual = [0u8; USUAL];
    match list_into(of, &mut usual) {
        Ok(length) => Ok(split(&usual[..length.min(USUAL)])),
        Err(Errno::RANGE) => {
            let mut large = vec![0u8; MAX];
            let length = list_into(of, &mut large)?;
            large.truncate(length);
            Ok(split(&large))
        }
        Err(Errno::NOTSUP) => Ok(Vec::new()),
        Err(e) => Err(e),
    }
}

fn list_into(of: Of<'_>, buffer: &mut [u8]) -> Result<usize> {
    match of {
        Of::Fd(fd) => flistxattr(fd, buffer),
        Of::Name(dir, name) => llistxattr(through_proc(dir, name), buffer),
    }
}

fn split(list: &[u8]) -> Vec<CString> {
    let mut names: Vec<CString> = list
        .split(|b| *b == 0)
        .filter(|name| !name.is_empty())
        .filter_map(|name| CString::new(name).ok())
        .collect();
    names.sort_unstable();
    names
}

/// One attribute's value; `None` when it is gone by now.
pub(crate) fn get(of: Of<'_>, name: &CStr) -> Result<Option<Vec<u8>>> {
    let mut small = [0u8; 256];
    let result = match get_into(of, name, &mut small) {
        Err(Errno::RANGE) => {
            let mut large = vec![0u8; MAX];
            get_into(of, name, &mut large).map(|length| {
                large.truncate(length);
                large
            })
        }
        other => other.map(|length| small[..length.min(small.len())].to_vec()),
    };
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NODATA) => Ok(None),
        Err(e) => Err(e),
    }
}

fn get_into(of: Of<'_>, name: &CStr, buffer: &mut [u8]) -> Result<usize> {
    match of {
        Of::Fd(fd) => fgetxattr(fd, name, buffer),
        Of::Name(dir, file) => lgetxattr(through_proc(dir, file), name, buffer),
    }
}

/// Sets one attribute.
pub(crate) fn set(of: Of<'_>, name: &CStr, value: &[u8]) -> Result<()> {
    match of {
        Of::Fd(fd) => fsetxattr(fd, name, value, XattrFlags::empty()),
        Of::Name(dir, file) => lsetxattr(through_proc(dir, file), name, value, XattrFlags::empty()),
    }
}

/// Removes one attribute; it may be gone already.
pub(crate) fn remove(fd: impl AsFd, name: &CStr) -> Result<()> {
    match fremovexattr(fd, name) {
        Ok(()) | Err(Errno::NODATA) => Ok(()),
        Err(e) => Err(e),
    }
}

/// Whether an attribute is a note of overlayfs on how a tree is stored.
pub(crate) fn is_of_overlay(name: &CStr) -> bool {
    let name = name.to_bytes();
    name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.")
}

/// Whether an attribute belongs to the file itself and goes along when the file is copied. SELinux
/// labels come from the host's policy, overlayfs' marks from how a tree happens to be stored, and
/// file systems have attributes of their own that mean nothing elsewhere.
pub(crate) fn travels(name: &CStr) -> bool {
    is_general(name) && name.to_bytes() != b"security.selinux" && !is_of_overlay(name)
}

/// Whether an attribute means the same in every file system.
pub(crate) fn is_general(name: &CStr) -> bool {
    let name = name.to_bytes();
    let free = [&b"user."[..], b"security.", b"trusted."]
        .iter()
        .any(|space| name.starts_with(space));
    // XFS shows access control lists under names of its own, too.
    (free && !name.starts_with(b"trusted.SGI_ACL_"))
        || name == b"system.posix_acl_access"
        || name == b"system.posix_acl_default"
}

/// Copies the attributes that are `wanted`; returns the names of those that the target's file system
/// does not take.
pub(crate) fn copy(from: Of<'_>, to: Of<'_>, wanted: fn(&CStr) -> bool) -> Result<Vec<CString>> {
    let mut refused = Vec::new();
    for name in names(from)? {
        if !wanted(&name) {
            continue;
        }
        let Some(value) = get(from, &name)? else {
            continue;
        };
        match set(to, &name, &value) {
            Ok(()) => {}
            Err(Errno::NOTSUP) => refused.push(name),
            Err(e) => return Err(e),
        }
    }
    Ok(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_which_attributes_travel() {
        for (name, want) in [
            (c"user.note", true),
            (c"security.capability", true),
            (c"security.selinux", false),
            (c"trusted.overlay.opaque", false),
            (c"user.overlay.whiteout", false),
            (c"system.posix_acl_access", true),
            (c"system.nfs4_acl", false),
            (c"trusted.SGI_ACL_FILE", false),
            (c"btrfs.compression", false),
        ] {
            assert_eq!(travels(name), want, "{name:?}");
        }
    }

    #[test]
    fn copies_values_of_every_size() {
        let dir = tempfile::tempdir().unwrap();
        let a = std::fs::File::create(dir.path().join("a")).unwrap();
        let b = std::fs::File::create(dir.path().join("b")).unwrap();
        let long = vec![7u8; 1500];
        set(Of::fd(&a), c"user.short", b"x\0\n").unwrap();
        set(Of::fd(&a), c"user.long", &long).unwrap();
        assert!(copy(Of::fd(&a), Of::fd(&b), travels).unwrap().is_empty());
        assert_eq!(get(Of::fd(&b), c"user.short").unwrap().unwrap(), b"x\0\n");
        assert_eq!(get(Of::fd(&b), c"user.long").unwrap().unwrap(), long);
        assert_eq!(get(Of::fd(&b), c"user.none").unwrap(), None);
        let parent = std::fs::File::open(dir.path()).unwrap();
        let by_name = Of::name(&parent, OsStr::new("b"));
        assert_eq!(names(by_name).unwrap().len(), 2);
    }
}
