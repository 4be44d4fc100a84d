//! Copying one file, link, pipe, socket or device.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, linkat, makedev, mknodat, openat, readlinkat, symlinkat,
    unlinkat,
};
use rustix::io::Errno;

use super::content::copy_content;
use super::dir::Dir;
use super::lock;
use crate::host::fail_point;
use crate::tree::error::TreeError;
use crate::tree::listing::Entry;
use crate::tree::stat::{Kind, Metadata};
use crate::tree::xattrs::Of;

/// How often a name is freed again when something else takes it each time.
const RETRIES: usize = 16;

/// Copies one entry that is no directory.
pub(super) fn copy_entry(
    dir: &Dir<'_>,
    entry: &Entry,
    buffer: &mut Vec<u8>,
) -> Result<(), TreeError> {
    match entry.kind {
        Kind::File => copy_file(dir, &entry.name, buffer),
        Kind::Symlink => copy_link(dir, &entry.name),
        Kind::Fifo => copy_node(dir, &entry.name),
        Kind::Socket | Kind::Device if dir.job.options.faithful => copy_node(dir, &entry.name),
        Kind::Socket | Kind::Device | Kind::Directory => {
            lock(&dir.job.warnings).push(format!(
                "left out {}: it is {}",
                dir.job.source_place(&dir.path.join(&entry.name)),
                entry.kind.with_article()
            ));
            Ok(())
        }
    }
}

fn copy_file(dir: &Dir<'_>, name: &OsStr, buffer: &mut Vec<u8>) -> Result<(), TreeError> {
    let read = |e| not_read(dir, name, e);
    // Neither waits nor becomes a controlling terminal, should the name have changed its kind.
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let from = openat(&dir.from, name, flags, Mode::empty()).map_err(read)?;
    let meta = Metadata::of(&from).map_err(read)?;
    if meta.kind != Kind::File {
        return Err(read(Errno::STALE));
    }
    once(dir, name, &meta, || {
        copy_opened(dir, name, &from, &meta, buffer)
    })
}

/// Copies something that may have several names: at its first name it is copied, at the others
/// linked.
fn once(
    dir: &Dir<'_>,
    name: &OsStr,
    meta: &Metadata,
    copy: impl FnOnce() -> Result<(), TreeError>,
) -> Result<(), TreeError> {
    if meta.links < 2 {
        return copy();
    }
    let copies = dir.job.links.copies(meta.id);
    let mut copies = lock(&copies);
    for copied in &*copies {
        let there = dir.job.root.spot(copied)?;
        let linked = make(dir, name, meta.kind.with_article(), || {
            linkat(&there.dir, &there.name, &dir.to, name, AtFlags::empty())
        });
        match linked {
            Ok(()) => return Ok(()),
            // Another file system or subvolume, or too many names for it: one more copy.
            Err(NotMade::Refused(Errno::XDEV | Errno::MLINK)) => {}
            Err(e) => return Err(e.into_error(dir, name)),
        }
    }
    copy()?;
    copies.push(dir.image.join(name));
    Ok(())
}

fn copy_opened(
    dir: &Dir<'_>,
    name: &OsStr,
    from: &OwnedFd,
    meta: &Metadata,
    buffer: &mut Vec<u8>,
) -> Result<(), TreeError> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let to = make(dir, name, "a file", || {
        openat(&dir.to, name, flags, Mode::RUSR | Mode::WUSR)
    })
    .map_err(|e| e.into_error(dir, name))?;
    fail_point::reach("file-created", name.to_string_lossy())
        .map_err(|e| TreeError::io("write", dir.job.root.place(&dir.image.join(name)), e))?;
    let bytes = copy_content(dir.job, from, &to, meta, buffer)
        .map_err(|e| dir.job.root.failed("write", &dir.image.join(name), e))?;
    dir.job.bytes.fetch_add(bytes, Ordering::Relaxed);
    dir.attributes(meta)
        .set_on(&to, |to| {
            dir.copy_xattrs(Of::fd(from), to, || dir.image.join(name))
        })
        .map_err(|e| not_set(dir, name, e))
}

fn copy_link(dir: &Dir<'_>, name: &OsStr) -> Result<(), TreeError> {
    let read = |e| not_read(dir, name, e);
    let target = readlinkat(&dir.from, name, Vec::new()).map_err(read)?;
    let meta = Metadata::at(&dir.from, name).map_err(read)?;
    once(dir, name, &meta, || {
        make(dir, name, "a symbolic link", || {
            symlinkat(&*target, &dir.to, name)
        })
        .map_err(|e| e.into_error(dir, name))?;
        copy_attributes(dir, name, &meta)
    })
}

/// Copies a named pipe, a socket or a device.
fn copy_node(dir: &Dir<'_>, name: &OsStr) -> Result<(), TreeError> {
    let meta = Metadata::at(&dir.from, name).map_err(|e| not_read(dir, name, e))?;
    let kind = match meta.kind {
        Kind::Fifo => FileType::Fifo,
        Kind::Socket => FileType::Socket,
        Kind::Device if meta.is_block_device => FileType::BlockDevice,
        Kind::Device => FileType::CharacterDevice,
        _ => return Err(not_read(dir, name, Errno::STALE)),
    };
    let device = makedev(meta.device.0, meta.device.1);
    once(dir, name, &meta, || {
        make(dir, name, meta.kind.with_article(), || {
            mknodat(&dir.to, name, kind, Mode::RUSR, device)
        })
        .map_err(|e| e.into_error(dir, name))?;
        copy_attributes(dir, name, &meta)
    })
}

fn copy_attributes(dir: &Dir<'_>, name: &OsStr, meta: &Metadata) -> Result<(), TreeError> {
    let is_link = meta.kind == Kind::Symlink;
    let xattrs =
        |to: Of<'_>| dir.copy_xattrs(Of::name(&dir.from, name), to, || dir.image.join(name));
    dir.attributes(meta)
        .set_at(&dir.to, name, xattrs, is_link)
        .map_err(|e| not_set(dir, name, e))
}

/// Why a name was not made.
enum NotMade {
    /// The system refused.
    Refused(Errno),
    /// Something is there that is not replaced.
    InTheWay(&'static str, Kind),
}

impl NotMade {
    fn into_error(self, dir: &Dir<'_>, name: &OsStr) -> TreeError {
        let image = dir.image.join(name);
        match self {
            Self::Refused(e) => dir.job.root.failed("write", &image, e),
            Self::InTheWay(what, found) => TreeError::InTheWay {
                what,
                path: dir.job.root.place(&image),
                found: found.with_article(),
            },
        }
    }
}

/// Makes a name with a call that fails where it exists; what has it before is removed, unless it is
/// a directory.
fn make<T>(
    dir: &Dir<'_>,
    name: &OsStr,
    what: &'static str,
    call: impl Fn() -> rustix::io::Result<T>,
) -> Result<T, NotMade> {
    let mut result = call();
    for _ in 0..RETRIES {
        if !matches!(result, Err(Errno::EXIST)) {
            break;
        }
        match unlinkat(&dir.to, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(e) => {
                return Err(match Metadata::at(&dir.to, name) {
                    Ok(found) if found.kind == Kind::Directory => {
                        NotMade::InTheWay(what, found.kind)
                    }
                    _ => NotMade::Refused(e),
                });
            }
        }
        result = call();
    }
    result.map_err(NotMade::Refused)
}

fn not_read(dir: &Dir<'_>, name: &OsStr, e: Errno) -> TreeError {
    TreeError::io("read", dir.job.source_place(&dir.path.join(name)), e)
}

fn not_set(dir: &Dir<'_>, name: &OsStr, e: Errno) -> TreeError {
    dir.job
        .root
        .failed("set the attributes of", &dir.image.join(name), e)
}
