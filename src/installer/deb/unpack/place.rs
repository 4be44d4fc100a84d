//! Puts links, devices and other names of a package where they belong.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{AtFlags, FileType, Mode, linkat, mknodat, unlinkat};
use rustix::io::Errno;

use super::Work;
use crate::installer::deb::names::{as_path, path_of};
use crate::installer::deb::outcome::Failed;
use crate::tree::TreeError;
use crate::tree::archive::Fault;
use crate::tree::attributes::Attributes;
use crate::tree::shown::shown_bytes;

/// Where something goes, and how it shall be there.
pub(super) struct Spot<'a> {
    pub path: &'a [u8],
    pub name: &'a OsStr,
    pub attributes: Attributes,
}

impl Work<'_> {
    /// Makes something under a name after removing what is there, which belongs to no package. In a
    /// tree that was filled before, dpkg decides about what is there.
    pub(super) fn free<T>(
        &self,
        path: &[u8],
        name: &OsStr,
        make: impl Fn(&OwnedFd) -> io::Result<T>,
    ) -> Result<T, Failed> {
        let (dir, _) = self.dir()?;
        let fail = |e: io::Error| Failed::Tree(TreeError::io("create", self.place(path), e));
        match make(dir) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                if self.tree.installed.is_some() {
                    return Err(self.obstacle(path, None));
                }
            }
            other => return other.map_err(fail),
        }
        match unlinkat(dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => make(dir).map_err(fail),
            Err(Errno::ISDIR | Errno::PERM) => Err(self.obstacle(path, None)),
            Err(e) => Err(self.failed("replace", path, e)),
        }
    }

    pub(super) fn node(
        &self,
        spot: &Spot<'_>,
        is_link: bool,
        make: impl Fn(&OwnedFd, &OsStr) -> rustix::io::Result<()>,
    ) -> Result<(), Failed> {
        self.free(spot.path, spot.name, |dir| Ok(make(dir, spot.name)?))?;
        let (dir, _) = self.dir()?;
        spot.attributes
            .set_at(dir, spot.name, |_| Ok(()), is_link)
            .map_err(|e| self.failed("set the attributes of", spot.path, e))
    }

    pub(super) fn special_file(
        &self,
        spot: &Spot<'_>,
        kind: FileType,
        device: u64,
    ) -> Result<(), Failed> {
        self.node(spot, false, |dir, name| {
            mknodat(dir, name, kind, Mode::RUSR, device)
        })
    }

    pub(super) fn hard_link(&self, spot: &Spot<'_>, target: &[u8]) -> Result<(), Failed> {
        let target = path_of(target)?;
        if !self.names.contains(&target) || target == spot.path {
            return Err(Fault::new(format!(
                "it is a hard link to {}, which the package does not hold before it",
                shown_bytes(&target)
            ))
            .into());
        }
        let either = [target.as_slice(), spot.path];
        if either.iter().any(|path| self.conffiles.contains(path)) {
            return Err(self.obstacle(spot.path, None));
        }
        let slash = target.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        let (above, name) = (&target[..slash], OsStr::from_bytes(&target[slash + 1..]));
        self.refuse_own_links(above)?;
        let (real, from) = self.tree.places.open(self.tree.root, &as_path(above))?;
        let owned = [&real, &b"/"[..], name.as_bytes()].concat();
        let owned = owned.strip_prefix(b"/").unwrap_or(&owned);
        if self.tree.claims.owner(owned) != Some(self.number) {
            // It was left out.
            return Err(self.obstacle(spot.path, None));
        }
        self.free(spot.path, spot.name, |dir| {
            Ok(linkat(&from, name, dir, spot.name, AtFlags::empty())?)
        })
    }
}
