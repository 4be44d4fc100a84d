//! Unpacks one package's files into the tree, as dpkg does with a package that was never installed.
//!
//! What needs dpkg's own judgement is not decided here: a path that another package has too, one that
//! is diverted or whose owner an administrator has set, something in the way. Such an [`Obstacle`] ends
//! the work on the package, and dpkg unpacks it later over what is there.

mod place;

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::{Read, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, makedev, mkdirat, symlinkat, unlinkat};
use rustix::io::Errno;

use self::place::Spot;
use super::archive::finish;
use super::claims::{Claimed, DirectoryClaim, Shape};
use super::control::Package;
use super::names::{as_path, create, path_of, read_whole};
use super::outcome::{Failed, Obstacle, Tree, Unpacked, Way};
use crate::tree::TreeError;
use crate::tree::archive::Fault;
use crate::tree::archive::members::{Content, Member, Members};
use crate::tree::attributes::Attributes;
use crate::tree::shown::shown_bytes;
use crate::tree::stat::{Kind, Metadata};
use crate::tree::xattrs::{self, Of};

/// Written at once.
const BUFFER: usize = 256 * 1024;

/// The most bytes of all names of a package: about a million files. Debian's largest have a tenth.
const MAX_NAMES: usize = 128 << 20;

/// Unpacks a package, the one of this number in apt's order.
pub(super) fn unpack(
    tree: &Tree<'_>,
    number: usize,
    package: &Package,
    way: Way,
) -> Result<Unpacked, Failed> {
    let mut work = Work {
        tree,
        number,
        way,
        conffiles: package.conffiles.iter().map(Vec::as_slice).collect(),
        names: HashSet::new(),
        own_links: HashSet::new(),
        names_size: 0,
        above: None,
        buffer: vec![0; BUFFER],
        found: Unpacked::default(),
    };
    match work.all(package) {
        Ok(()) => {}
        Err(Failed::Obstacle(obstacle)) => work.found.obstacle = Some(obstacle),
        Err(other) => return Err(other),
    }
    Ok(work.found)
}

struct Work<'a> {
    tree: &'a Tree<'a>,
    number: usize,
    way: Way,
    conffiles: HashSet<&'a [u8]>,
    /// What the archive has had so far that is no directory.
    names: HashSet<Vec<u8>>,
    own_links: HashSet<Vec<u8>>,
    names_size: usize,
    above: Option<Above>,
    buffer: Vec<u8>,
    found: Unpacked,
}

/// The directory of the last member: the next one is often beside it.
struct Above {
    named: Vec<u8>,
    real: Vec<u8>,
    dir: OwnedFd,
}

impl Work<'_> {
    fn all(&mut self, package: &Package) -> Result<(), Failed> {
        let mut members = package.archive.data()?;
        loop {
            if self.tree.cancel.is_cancelled() {
                return Err(TreeError::Cancelled.into());
            }
            let member = match members.next() {
                Ok(Some(member)) => member,
                Ok(None) => break,
                Err(fault) => {
                    let last = shown_bytes(members.last_name());
                    return Err(Failed::Package(Fault {
                        problem: format!("after its file {last}, {}", fault.problem),
                        source: fault.source,
                    }));
                }
            };
            self.member(&member, &mut members)
                .map_err(|failed| in_member(&member, failed))?;
        }
        finish(&mut members)?;
        self.check_lists(package)?;
        Ok(())
    }

    /// Lists that come with a package must speak of what is in it.
    fn check_lists(&self, package: &Package) -> Result<(), Fault> {
        let lies = |list: &str, path: &[u8]| {
            Fault::new(format!(
                "its {list} names {}, which it does not hold",
                shown_bytes(path)
            ))
        };
        for path in &package.conffiles {
            if !self.names.contains(path) {
                return Err(lies("list of configuration files", path));
            }
        }
        let sums = package.file("md5sums").map(|file| file.content.as_slice());
        for line in sums.unwrap_or_default().split(|byte| *byte == b'\n') {
            let Some(name) = line.get(32..).map(<[u8]>::trim_ascii_start) else {
                continue;
            };
            let name = name.strip_prefix(b"./").unwrap_or(name);
            let path = [b"/", name].concat();
            if !name.is_empty() && !self.names.contains(&path) {
                return Err(lies("list of checksums", &path));
            }
        }
        Ok(())
    }

    fn member<R: Read>(&mut self, member: &Member, members: &mut Members<R>) -> Result<(), Failed> {
        let path = path_of(&member.name)?;
        // A name takes some room besides its bytes.
        self.names_size += path.len() + 64;
        if self.names_size > MAX_NAMES {
            return Err(Fault::new("the package holds too many files").into());
        }
        let is_directory = member.content == Content::Directory;
        if path == b"/." {
            if !is_directory {
                return Err(Fault::new("it would replace the root directory").into());
            }
            self.found.paths.push(path);
            return Ok(());
        }
        let again = if is_directory {
            self.names.contains(&path)
        } else {
            !self.names.insert(path.clone())
        };
        if again {
            return Err(Fault::new("the package holds it twice").into());
        }
        self.found.paths.push(path.clone());
        if !is_directory && self.is_installed(&path) {
            return Err(self.obstacle(&path, None));
        }
        let is_link = matches!(member.content, Content::Symlink(_));
        if self.tree.filter.excludes(&path, is_directory || is_link) {
            return Ok(());
        }
        if self.tree.special.contains(&path) {
            return Err(self.obstacle(&path, None));
        }
        let name = self.enter(&path)?;
        let owner = self.tree.owners.resolve(member);
        let attributes = Attributes {
            owner: self.tree.root.privileged().then_some(owner),
            mode: member.mode,
            mtime: member.mtime,
        };
        if is_directory {
            return self.directory(&path, &name, member, owner);
        }
        self.claim(&path, &name, Shape::Single)?;
        let spot = Spot {
            path: &path,
            name: OsStr::from_bytes(&name),
            attributes,
        };
        match &member.content {
            Content::File(map) => {
                if map.is_some() {
                    return Err(Fault::new("it is stored with holes, as no package has it").into());
                }
                self.file(&spot, member, members)?;
            }
            Content::Symlink(target) => {
                if self.conffiles.contains(path.as_slice()) {
                    return Err(self.obstacle(&path, None));
                }
                if target.is_empty() || target.contains(&0) {
                    return Err(Fault::new("it is a symbolic link to nothing").into());
                }
                let target = OsStr::from_bytes(target);
                self.node(&spot, true, |dir, name| symlinkat(target, dir, name))?;
                self.own_links.insert(path.clone());
            }
            Content::HardLink(target) => self.hard_link(&spot, target)?,
            Content::Fifo => self.special_file(&spot, FileType::Fifo, 0)?,
            Content::Char(major, minor) => {
                self.special_file(&spot, FileType::CharacterDevice, makedev(*major, *minor))?;
            }
            Content::Block(major, minor) => {
                self.special_file(&spot, FileType::BlockDevice, makedev(*major, *minor))?;
            }
            Content::Directory => {}
        }
        self.found.written.push(path);
        Ok(())
    }

    /// Opens the directory that a path is in, and returns the path's last name.
    fn enter(&mut self, path: &[u8]) -> Result<Vec<u8>, Failed> {
        let slash = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        let (named, name) = (&path[..slash], path[slash + 1..].to_vec());
        if self.above.as_ref().is_none_or(|above| above.named != named) {
            self.refuse_own_links(named)?;
            let relative = Path::new(OsStr::from_bytes(named.strip_prefix(b"/").unwrap_or(named)));
            let (real, dir) = self.tree.places.open(self.tree.root, relative)?;
            self.above = Some(Above {
                named: named.to_vec(),
                real,
                dir,
            });
        }
        Ok(name)
    }

    /// No archive that was made from a directory tree has something beneath its own link.
    fn refuse_own_links(&self, directory: &[u8]) -> Result<(), Fault> {
        if self.own_links.is_empty() {
            return Ok(());
        }
        let ends = directory
            .iter()
            .enumerate()
            .skip(1)
            .filter(|(_, byte)| **byte == b'/')
            .map(|(end, _)| end)
            .chain([directory.len()]);
        for end in ends {
            if self.own_links.contains(&directory[..end]) {
                return Err(Fault::new(format!(
                    "its path leads through {}, a symbolic link of the same package",
                    shown_bytes(&directory[..end])
                )));
            }
        }
        Ok(())
    }

    fn dir(&self) -> Result<(&OwnedFd, &[u8]), Fault> {
        let above = self.above.as_ref();
        let above = above.ok_or_else(|| Fault::new("it has no directory"))?;
        Ok((&above.dir, &above.real))
    }

    fn obstacle(&self, path: &[u8], mixed: Option<usize>) -> Failed {
        Failed::Obstacle(Obstacle {
            path: path.to_vec(),
            mixed,
        })
    }

    /// Whether a package that was there before has the path.
    fn is_installed(&self, path: &[u8]) -> bool {
        let installed = self.tree.installed;
        installed.is_some_and(|installed| installed.has(path))
    }

    /// Makes sure that no other package has the path.
    fn claim(&self, path: &[u8], name: &[u8], shape: Shape) -> Result<Vec<u8>, Failed> {
        let (_, above) = self.dir()?;
        let real = if above.is_empty() {
            name.to_vec()
        } else {
            [above, b"/", name].concat()
        };
        match self.tree.claims.claim(&real, self.number, shape) {
            Claimed::First | Claimed::Shared => Ok(real),
            Claimed::Taken { by, shape: other } => {
                Err(self.obstacle(path, (other != shape).then_some(by)))
            }
        }
    }

    fn directory(
        &self,
        path: &[u8],
        name: &[u8],
        member: &Member,
        owner: (u32, u32),
    ) -> Result<(), Failed> {
        let real = self.claim(path, name, Shape::Directory)?;
        let (dir, _) = self.dir()?;
        let name = OsStr::from_bytes(name);
        let made = match mkdirat(dir, name, Mode::from_raw_mode(0o755)) {
            // Somebody's that is missing may not have been a directory.
            Ok(()) if self.is_installed(path) => {
                unlinkat(dir, name, AtFlags::REMOVEDIR)
                    .map_err(|e| self.failed("remove the directory", path, e))?;
                return Err(self.obstacle(path, None));
            }
            Ok(()) => true,
            Err(Errno::EXIST) => {
                let there = Metadata::at(dir, name).map_err(|e| self.failed("look at", path, e))?;
                let fits = match there.kind {
                    Kind::Directory => true,
                    // Such as `lib -> usr/lib`.
                    Kind::Symlink => self.tree.root.is_dir(as_path(path))?,
                    _ => false,
                };
                if !fits {
                    return Err(self.obstacle(path, None));
                }
                false
            }
            Err(e) => return Err(self.failed("create the directory", path, e)),
        };
        let wanted = DirectoryClaim {
            package: self.number,
            owner,
            mode: member.mode,
            mtime: member.mtime,
        };
        self.tree.claims.directory(&real, wanted, made);
        Ok(())
    }

    fn file<R: Read>(
        &mut self,
        spot: &Spot<'_>,
        member: &Member,
        members: &mut Members<R>,
    ) -> Result<(), Failed> {
        if !self.conffiles.contains(spot.path) {
            return self.write(spot, spot.name, member, members);
        }
        let (dir, _) = self.dir()?;
        let there = match Metadata::at(dir, spot.name) {
            Ok(found) => Some(found.kind),
            Err(Errno::NOENT) => None,
            Err(e) => return Err(self.failed("look at", spot.path, e)),
        };
        // dpkg goes where a link leads that stands in for a configuration file.
        if !matches!(there, None | Some(Kind::File)) {
            return Err(self.obstacle(spot.path, None));
        }
        let beside = [spot.name.as_bytes(), b".dpkg-new"].concat();
        let beside = OsStr::from_bytes(&beside);
        self.write(spot, beside, member, members)?;
        if self.way == Way::First && there.is_none() {
            let (dir, _) = self.dir()?;
            let copied = read_whole(dir, beside).and_then(|content| {
                let mut file = create(dir, spot.name)?;
                file.write_all(&content)?;
                spot.attributes.set_on(&file, |_| Ok(()))?;
                Ok(())
            });
            copied.map_err(|e| TreeError::io("write", self.place(spot.path), e))?;
        }
        Ok(())
    }

    fn write<R: Read>(
        &mut self,
        spot: &Spot<'_>,
        name: &OsStr,
        member: &Member,
        members: &mut Members<R>,
    ) -> Result<(), Failed> {
        let mut file = self.free(spot.path, name, |dir| create(dir, name))?;
        loop {
            let n = members.read(&mut self.buffer)?;
            if n == 0 {
                break;
            }
            if self.tree.cancel.is_cancelled() {
                return Err(TreeError::Cancelled.into());
            }
            file.write_all(&self.buffer[..n])
                .map_err(|e| TreeError::io("write", self.place(spot.path), e))?;
        }
        let set = |of: Of<'_>| {
            let travels = member.xattrs.iter().filter(|(key, _)| xattrs::travels(key));
            for (key, value) in travels {
                xattrs::set(of, key, value)?;
            }
            Ok(())
        };
        spot.attributes
            .set_on(&file, set)
            .map_err(|e| self.failed("set the attributes of", spot.path, e))
    }

    fn failed(&self, action: &'static str, path: &[u8], error: Errno) -> Failed {
        Failed::Tree(self.tree.root.failed(action, &as_path(path), error))
    }

    fn place(&self, path: &[u8]) -> String {
        self.tree.root.place(&as_path(path))
    }
}

/// Says which member it was.
fn in_member(member: &Member, failed: Failed) -> Failed {
    match failed {
        Failed::Package(fault) => Failed::Package(Fault {
            problem: format!("its file {}: {}", shown_bytes(&member.name), fault.problem),
            source: fault.source,
        }),
        other => other,
    }
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;
