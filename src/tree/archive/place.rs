//! Puts members of an archive where they belong, and refuses those that lead elsewhere.

use std::collections::{BTreeMap, HashSet};
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ftruncate, linkat, makedev, mkdirat, mknodat, symlinkat,
};
use rustix::io::Errno;

use super::Fault;
use super::members::{Content, Member, Members};
use super::sparse::Map;
use crate::host::{Cancel, Report};
use crate::tree::attributes::Attributes;
use crate::tree::error::{TreeError, check};
use crate::tree::listing::DIRECTORY;
use crate::tree::resolve::{Resolved, resolve};
use crate::tree::root::{Root, Spot, split};
use crate::tree::shown::shown;
use crate::tree::stat::{Kind, Metadata};
use crate::tree::xattrs::{self, Of};

/// Read and written at once.
const BUFFER: usize = 256 * 1024;

/// Why a member was not extracted.
pub(super) enum NotPlaced {
    /// Something about the archive.
    Fault(Fault),
    /// Something about the image.
    Tree(TreeError),
}

impl From<Fault> for NotPlaced {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<TreeError> for NotPlaced {
    fn from(error: TreeError) -> Self {
        Self::Tree(error)
    }
}

/// Extracts the members of one archive.
pub(super) struct Placer<'a> {
    root: &'a Root,
    cancel: &'a Cancel,
    buffer: Vec<u8>,
    /// Where the symbolic links are that this archive made.
    own_links: HashSet<PathBuf>,
    /// The directory of the last member: the next one is often beside it.
    above: Option<Above>,
    /// Directories, whose attributes are set when nothing is put into them any more.
    directories: BTreeMap<PathBuf, (Attributes, Xattrs)>,
    absolute: u64,
    text_acls: u64,
    refused: BTreeMap<CString, u64>,
}

type Xattrs = Vec<(CString, Vec<u8>)>;

/// A directory that members are put into.
struct Above {
    /// As the archive names it.
    named: PathBuf,
    /// Where it really is.
    at: Resolved,
    dir: Arc<OwnedFd>,
}

impl<'a> Placer<'a> {
    pub fn new(root: &'a Root, cancel: &'a Cancel) -> Self {
        Self {
            root,
            cancel,
            buffer: vec![0; BUFFER],
            own_links: HashSet::new(),
            above: None,
            directories: BTreeMap::new(),
            absolute: 0,
            text_acls: 0,
            refused: BTreeMap::new(),
        }
    }

    /// Extracts one member; returns how many bytes of content it had.
    pub fn place<R: io::Read>(
        &mut self,
        member: &Member,
        members: &mut Members<R>,
    ) -> Result<u64, NotPlaced> {
        let path = path_of(&member.name, "its name")?;
        if member.name.starts_with(b"/") {
            self.absolute += 1;
        }
        if member.text_acl {
            self.text_acls += 1;
        }
        if path.as_os_str().is_empty() {
            return match member.content {
                // The image's root keeps its owner and mode: `tar -C tree -c .` records those of
                // whoever made the tree.
                Content::Directory => Ok(0),
                _ => Err(Fault::new("it would replace the image's root").into()),
            };
        }
        if member.content == Content::Directory {
            self.directory(&path, member)?;
            return Ok(0);
        }
        // Checked before the first thing is made for this member.
        let linked = match &member.content {
            Content::HardLink(target) => Some(self.link_target(target)?),
            _ => None,
        };
        let (spot, real) = self.spot(&path)?;
        let bytes = self.make(member, members, &spot, &real, linked.as_ref())?;
        self.placed(&real);
        let is_link = match (&member.content, &linked) {
            (Content::Symlink(_), _) => true,
            (_, Some((_, target))) => self.own_links.contains(target),
            _ => false,
        };
        if is_link {
            self.own_links.insert(real);
        }
        Ok(bytes)
    }

    fn make<R: io::Read>(
        &mut self,
        member: &Member,
        members: &mut Members<R>,
        spot: &Spot,
        real: &Path,
        linked: Option<&(Spot, PathBuf)>,
    ) -> Result<u64, NotPlaced> {
        let root = self.root;
        let node = |kind, device| {
            move |dir: &OwnedFd, name: &OsStr| mknodat(dir, name, kind, Mode::RUSR, device)
        };
        match &member.content {
            Content::File(map) => return self.file(member, members, spot, real, map.as_ref()),
            Content::Symlink(target) => {
                if target.is_empty() {
                    return Err(Fault::new("it is a symbolic link to nothing").into());
                }
                let target = OsStr::from_bytes(target);
                self.node(member, spot, real, "a symbolic link", |dir, name| {
                    symlinkat(target, dir, name)
                })?;
            }
            Content::HardLink(_) => {
                let Some((there, _)) = linked else {
                    return Err(Fault::new("it links to nothing").into());
                };
                // Renaming one name of a file onto another one would leave both.
                let id = |spot: &Spot| Metadata::at(&spot.dir, &spot.name).map(|m| m.id).ok();
                if id(there).is_some_and(|there| id(spot) == Some(there)) {
                    return Ok(0);
                }
                root.place_node(spot, real, "a hard link", |dir, name| {
                    linkat(&there.dir, &there.name, dir, name, AtFlags::empty())
                })?;
            }
            Content::Fifo => {
                self.node(member, spot, real, "a named pipe", node(FileType::Fifo, 0))?;
            }
            Content::Char(major, minor) => {
                let make = node(FileType::CharacterDevice, makedev(*major, *minor));
                self.node(member, spot, real, "a device", make)?;
            }
            Content::Block(major, minor) => {
                let make = node(FileType::BlockDevice, makedev(*major, *minor));
                self.node(member, spot, real, "a device", make)?;
            }
            // Made by `directory`.
            Content::Directory => {}
        }
        Ok(0)
    }

    /// A link, pipe or device with its attributes.
    fn node(
        &mut self,
        member: &Member,
        spot: &Spot,
        real: &Path,
        what: &'static str,
        make: impl Fn(&OwnedFd, &OsStr) -> rustix::io::Result<()>,
    ) -> Result<(), NotPlaced> {
        let attributes = self.attributes(member);
        let is_link = matches!(member.content, Content::Symlink(_));
        let refused = &mut self.refused;
        self.root.place_node(spot, real, what, |dir, name| {
            make(dir, name)?;
            let xattrs = |of: Of<'_>| set_all(of, &member.xattrs, refused);
            attributes.set_at(dir, name, xattrs, is_link)
        })?;
        Ok(())
    }

    /// A regular file with its content and attributes.
    fn file<R: io::Read>(
        &mut self,
        member: &Member,
        members: &mut Members<R>,
        spot: &Spot,
        real: &Path,
        map: Option<&Map>,
    ) -> Result<u64, NotPlaced> {
        let attributes = self.attributes(member);
        let whole = [(0, members.left())];
        let (extents, size) = match map {
            Some(map) => (map.extents.as_slice(), map.size),
            None => (&whole[..], members.left()),
        };
        let cancel = self.cancel;
        let buffer = &mut self.buffer;
        let refused = &mut self.refused;
        // What stopped the writing, when it was not the writing itself.
        let mut cause: Option<NotPlaced> = None;
        let result = self.root.place_file(spot, real, |file| {
            match write_extents(file, members, extents, buffer, cancel) {
                Ok(()) => {}
                Err(Stopped::Write(e)) => return Err(e),
                Err(Stopped::Other(e)) => {
                    cause = Some(e);
                    return Err(io::ErrorKind::Other.into());
                }
            }
            if map.is_some() {
                ftruncate(&*file, size)?;
            }
            let xattrs = |of: Of<'_>| set_all(of, &member.xattrs, refused);
            Ok(attributes.set_on(file, xattrs)?)
        });
        match (result, cause) {
            (_, Some(cause)) => Err(cause),
            (Err(e), None) => Err(e.into()),
            (Ok(()), None) => Ok(extents.iter().map(|(_, length)| length).sum()),
        }
    }

    /// A directory: made, or one that exists and gets the archive's attributes. One that is reached
    /// through a link of the image keeps its own: the archive means the link's place.
    fn directory(&mut self, path: &Path, member: &Member) -> Result<(), NotPlaced> {
        let (spot, real) = self.spot(path)?;
        let fail = |e| self.root.failed("create the directory", &real, e);
        match mkdirat(&spot.dir, &spot.name, Mode::RWXU) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let there = Metadata::at(&spot.dir, &spot.name).map_err(fail)?;
                if there.kind == Kind::Symlink {
                    let target = resolve(self.root, path, true)?;
                    self.refuse_own_links(&target)?;
                    self.root.create_dir_all(&target.path, 0o755)?;
                    return Ok(());
                }
                if there.kind != Kind::Directory {
                    return Err(NotPlaced::Tree(TreeError::InTheWay {
                        what: "a directory",
                        path: self.root.place(&real),
                        found: there.kind.with_article(),
                    }));
                }
            }
            Err(e) => return Err(fail(e).into()),
        }
        let attributes = self.attributes(member);
        self.directories
            .insert(real, (attributes, member.xattrs.clone()));
        Ok(())
    }

    /// What a hard link is to be linked to.
    fn link_target(&mut self, target: &[u8]) -> Result<(Spot, PathBuf), NotPlaced> {
        let path = path_of(target, "the target of the hard link")?;
        let (above, name) = split(&path)?;
        let at = resolve(self.root, above, true)?;
        self.refuse_own_links(&at)?;
        let real = at.path.join(name);
        let missing = || {
            Fault::new(format!(
                "it is a hard link to {}, which is not there",
                shown(&path)
            ))
        };
        let dir = match self.root.lookup_plain(&at.path, DIRECTORY) {
            Ok(dir) => dir,
            Err(Errno::NOENT | Errno::NOTDIR) => return Err(missing().into()),
            Err(e) => return Err(self.root.failed("open the directory", &at.path, e).into()),
        };
        match Metadata::at(&dir, name) {
            Ok(found) if found.kind == Kind::Directory => {
                let problem = format!("it is a hard link to the directory {}", shown(&path));
                return Err(Fault::new(problem).into());
            }
            Ok(_) => {}
            Err(Errno::NOENT) => return Err(missing().into()),
            Err(e) => return Err(self.root.failed("look at", &real, e).into()),
        }
        let spot = Spot {
            dir: Arc::new(dir),
            name: name.to_owned(),
        };
        Ok((spot, real))
    }

    /// The open directory for a member and the path where the member really goes. Directories that
    /// are missing are made.
    fn spot(&mut self, path: &Path) -> Result<(Spot, PathBuf), NotPlaced> {
        let (named, name) = split(path)?;
        if self.above.as_ref().is_none_or(|above| above.named != named) {
            let at = resolve(self.root, named, true)?;
            self.refuse_own_links(&at)?;
            self.root.create_dir_all(&at.path, 0o755)?;
            let dir = self
                .root
                .lookup_plain(&at.path, DIRECTORY | OFlags::NOFOLLOW)
                .map_err(|e| self.root.failed("open the directory", &at.path, e))?;
            self.above = Some(Above {
                named: named.to_owned(),
                at,
                dir: Arc::new(dir),
            });
        }
        let Some(above) = &self.above else {
            return Err(Fault::new("it has no directory").into());
        };
        let spot = Spot {
            dir: Arc::clone(&above.dir),
            name: name.to_owned(),
        };
        Ok((spot, above.at.path.join(name)))
    }

    /// Something new is at this path: what was known of it before no longer holds.
    fn placed(&mut self, real: &Path) {
        self.own_links.remove(real);
        self.above = self.above.take().filter(|above| {
            !above.at.path.starts_with(real) && above.at.links.iter().all(|l| l.path != real)
        });
    }

    fn refuse_own_links(&self, at: &Resolved) -> Result<(), Fault> {
        for link in &at.links {
            let leads_out = link.absolute || at.above_root;
            if leads_out && self.own_links.contains(&link.path) {
                return Err(Fault::new(format!(
                    "its path leads through the symbolic link {}, which this archive made and which {}",
                    shown(&link.path),
                    if link.absolute {
                        "is absolute"
                    } else {
                        "leads out of the image"
                    }
                )));
            }
        }
        Ok(())
    }

    fn attributes(&self, member: &Member) -> Attributes {
        Attributes {
            owner: self.root.privileged().then_some((member.uid, member.gid)),
            mode: member.mode,
            mtime: member.mtime,
        }
    }

    /// Sets the attributes of all directories, the deepest first.
    pub fn finish(&mut self) -> Result<(), NotPlaced> {
        for (path, (attributes, values)) in std::mem::take(&mut self.directories).iter().rev() {
            let refused = &mut self.refused;
            self.root
                .lookup_plain(path, DIRECTORY)
                .and_then(|dir| attributes.set_on(&dir, |of| set_all(of, values, refused)))
                .map_err(|e| self.root.failed("set the attributes of", path, e))?;
        }
        Ok(())
    }

    /// Tells what was done differently from what the archive says.
    pub fn warnings(&self, archive: &str, report: &dyn Report) {
        if self.absolute > 0 {
            report.warn(&format!(
                "{archive}: {} of its names begin with `/`; they are taken beneath the image's root",
                self.absolute
            ));
        }
        if self.text_acls > 0 {
            report.warn(&format!(
                "{archive}: {} of its members have access control lists as text, which are not \
                 restored; tar stores them as they are with --xattrs --xattrs-include='*'",
                self.text_acls
            ));
        }
        for (name, count) in &self.refused {
            report.warn(&format!(
                "{archive}: the image's file system does not take the extended attribute {}: it is \
                 missing from {count} of the members",
                shown(OsStr::from_bytes(name.to_bytes()))
            ));
        }
    }
}

/// A name of a member as a path inside the image.
fn path_of(name: &[u8], what: &str) -> Result<PathBuf, Fault> {
    if name.is_empty() {
        return Err(Fault::new(format!("{what} is empty")));
    }
    if name.contains(&0) {
        return Err(Fault::new(format!("{what} holds a null byte")));
    }
    let mut path = PathBuf::new();
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                return Err(Fault::new(format!(
                    "{what} holds `..` and could lead out of the image"
                )));
            }
            part => path.push(OsStr::from_bytes(part)),
        }
    }
    Ok(path)
}

/// Why a file was not completed.
enum Stopped {
    Write(io::Error),
    Other(NotPlaced),
}

fn write_extents<R: io::Read>(
    file: &File,
    members: &mut Members<R>,
    extents: &[(u64, u64)],
    buffer: &mut [u8],
    cancel: &Cancel,
) -> Result<(), Stopped> {
    for (offset, length) in extents {
        let mut done = 0;
        while done < *length {
            check(cancel).map_err(|e| Stopped::Other(e.into()))?;
            let wanted =
                usize::try_from(length - done).map_or(buffer.len(), |left| left.min(buffer.len()));
            let n = members
                .read(&mut buffer[..wanted])
                .map_err(|e| Stopped::Other(e.into()))?;
            if n == 0 {
                let short = Fault::new("its data is shorter than its size");
                return Err(Stopped::Other(short.into()));
            }
            file.write_all_at(&buffer[..n], offset + done)
                .map_err(Stopped::Write)?;
            done += n as u64;
        }
    }
    Ok(())
}

/// Sets the extended attributes that an archive may carry, counting those not taken.
fn set_all(
    of: Of<'_>,
    values: &[(CString, Vec<u8>)],
    refused: &mut BTreeMap<CString, u64>,
) -> rustix::io::Result<()> {
    for (name, value) in values {
        // Labels are what an archive with explicit attributes may be for.
        let label = name.as_c_str() == c"security.selinux";
        if !label && !xattrs::travels(name) {
            continue;
        }
        match xattrs::set(of, name, value) {
            Ok(()) => {}
            Err(e) if e == Errno::NOTSUP || (label && e == Errno::INVAL) => {
                *refused.entry(name.clone()).or_default() += 1;
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
