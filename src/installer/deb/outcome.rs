//! What unpacking a package begins with, and what comes of it.

use super::claims::Claims;
use super::filter::Filter;
use super::installed::Installed;
use super::owners::Owners;
use super::places::Places;
use super::special::Special;
use crate::host::Cancel;
use crate::tree::archive::Fault;
use crate::tree::{Root, TreeError};

/// What all packages of a tree share.
pub(super) struct Tree<'a> {
    pub root: &'a Root,
    pub filter: &'a Filter,
    pub owners: &'a Owners,
    pub special: &'a Special,
    pub claims: &'a Claims,
    pub places: &'a Places,
    /// The packages that are there already; none in a tree that is being filled.
    pub installed: Option<&'a Installed>,
    pub cancel: &'a Cancel,
}

/// How a package is unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Configuration files stand beside their place until the package is configured.
    Usual,
    /// Configuration files are in their place as well: the first packages of a system need each
    /// other's before any of them can be configured.
    First,
}

/// What a package holds, for dpkg's database.
#[derive(Debug, Default)]
pub(super) struct Unpacked {
    /// Every path of the archive as `/etc/x`, those left out included, in the archive's order.
    pub paths: Vec<Vec<u8>>,
    /// What dpkg has to decide; the package is not complete then.
    pub obstacle: Option<Obstacle>,
    /// Everything written that is no directory, with the time of its last change, to see later
    /// whether it still is what was written.
    pub written: Vec<Vec<u8>>,
}

/// Why dpkg must unpack a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Obstacle {
    pub path: Vec<u8>,
    /// The package that has the path, with a directory on one side only.
    pub mixed: Option<usize>,
}

/// Why a package was not unpacked.
#[derive(Debug)]
pub(super) enum Failed {
    /// Something about the package.
    Package(Fault),
    /// Something about the tree.
    Tree(TreeError),
    /// Something that dpkg has to decide.
    Obstacle(Obstacle),
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        Self::Package(fault)
    }
}

impl From<TreeError> for Failed {
    fn from(error: TreeError) -> Self {
        Self::Tree(error)
    }
}
