//! What one name of a tree is, as far as it is compared.

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt as _;

use rustix::fs::readlinkat;
use rustix::io::Result;

use crate::tree::stat::{Kind, Metadata};

/// What one name is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What kind of file.
    pub kind: Kind,
    /// Permission bits with set-user-ID, set-group-ID and sticky.
    pub mode: u32,
    /// Owning user.
    pub uid: u32,
    /// Owning group.
    pub gid: u32,
    /// Bytes of content; only of regular files.
    pub size: Option<u64>,
    /// Where a symbolic link leads.
    pub target: Option<OsString>,
    /// Whether a device is one of blocks, and its numbers.
    pub device: Option<(bool, u32, u32)>,
}

/// In what a file differs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aspect {
    /// What kind of file it is.
    Kind,
    /// Its bytes.
    Content,
    /// Its permissions.
    Mode,
    /// Its user or group.
    Owner,
    /// Where the link leads.
    Target,
    /// Which device it stands for.
    Device,
    /// Extended attributes of these names.
    Attributes(Vec<String>),
}

impl Node {
    /// What `name` is, of which `meta` is known.
    pub(super) fn at(dir: impl AsFd, name: &OsStr, meta: &Metadata) -> Result<Self> {
        let target = match meta.kind {
            Kind::Symlink => Some(OsString::from_vec(
                readlinkat(dir, name, Vec::new())?.into_bytes(),
            )),
            _ => None,
        };
        let mut node = Self::of(meta);
        node.target = target;
        Ok(node)
    }

    /// What `meta` says; a link's target is not in it.
    pub(super) fn of(meta: &Metadata) -> Self {
        let (major, minor) = meta.device;
        Self {
            kind: meta.kind,
            // Nobody can change a link's mode, and file systems do not agree on it.
            mode: if meta.kind == Kind::Symlink {
                0o777
            } else {
                meta.mode
            },
            uid: meta.uid,
            gid: meta.gid,
            size: (meta.kind == Kind::File).then_some(meta.size),
            target: None,
            device: (meta.kind == Kind::Device).then_some((meta.is_block_device, major, minor)),
        }
    }

    /// In what two nodes differ, contents and extended attributes left out.
    pub(super) fn aspects(&self, other: &Self) -> Vec<Aspect> {
        if self.kind != other.kind {
            return vec![Aspect::Kind];
        }
        let mut aspects = Vec::new();
        if self.mode != other.mode {
            aspects.push(Aspect::Mode);
        }
        if (self.uid, self.gid) != (other.uid, other.gid) {
            aspects.push(Aspect::Owner);
        }
        if self.target != other.target {
            aspects.push(Aspect::Target);
        }
        if self.device != other.device {
            aspects.push(Aspect::Device);
        }
        aspects
    }
}
