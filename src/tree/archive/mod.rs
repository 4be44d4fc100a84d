//! Extracts a tar archive over an image.
//!
//! An archive is explicit where a directory tree cannot be: owners (by number), modes, times,
//! extended attributes, hard links, pipes and devices become what it says, also those of
//! directories that exist, the image's root excepted. Names are made safe before anything is
//! written for a member:
//!
//! - `..` in a name is an error; a leading `/` is dropped with a warning, as tar itself does;
//! - symbolic links that the image has are followed beneath its root (`lib -> usr/lib`), those that
//!   the archive itself made only when they are relative and stay inside: an archive that first
//!   makes `x -> /etc` and then writes to `x/passwd` means no good;
//! - the same holds for the target of a hard link.
//!
//! A file that cannot be completed is removed, or what had its name before stays, so a damaged
//! archive leaves no half of one.
//!
//! The blocks are read here and not by the `tar` crate's iterator: that one splits pax records at
//! newlines, which breaks binary attributes such as file capabilities, and reads extension headers
//! of any size into memory.

pub(crate) mod compression;
mod header;
pub(crate) mod members;
mod pax;
mod place;
pub(crate) mod sparse;

pub(crate) use pax::base64 as from_base64;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use self::members::Members;
use self::place::Placer;
use super::error::{TreeError, check};
use super::root::Root;
use super::shown::{shown, shown_bytes};
use crate::host::{Cancel, Report, fail_point};

/// What was extracted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extracted {
    /// Members, directories included.
    pub members: u64,
    /// Bytes of file content, holes left out.
    pub bytes: u64,
}

/// What is wrong with an archive or a member, before it is known which.
#[derive(Debug)]
pub(crate) struct Fault {
    pub problem: String,
    pub source: Option<io::Error>,
}

impl Fault {
    pub(crate) fn new(problem: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            source: None,
        }
    }

    /// Why reading failed: the disk, a cut or damaged archive.
    pub(crate) fn from_read(source: io::Error) -> Self {
        let problem = if source.kind() == io::ErrorKind::UnexpectedEof {
            "the archive is truncated"
        } else if source.raw_os_error().is_some() {
            "the archive cannot be read"
        } else {
            "the archive is corrupt"
        };
        Self {
            problem: problem.to_owned(),
            source: Some(source),
        }
    }
}

/// Extracts the tar archive `archive` of the host over the image. It may be compressed with gzip,
/// bzip2, xz or Zstandard, in several pieces too; its content tells, not its name.
///
/// # Errors
/// The first member that cannot be, or must not be, extracted ends it; members before it stay.
pub fn extract(
    root: &Root,
    archive: &Path,
    report: &dyn Report,
    cancel: &Cancel,
) -> Result<Extracted, TreeError> {
    let open = |e| TreeError::io("read", shown(archive), e);
    let file = File::open(archive).map_err(open)?;
    let size = file.metadata().map_err(open)?.len();
    let position = Arc::new(AtomicU64::new(0));
    let counted = Counted {
        file,
        position: Arc::clone(&position),
        cancel: cancel.clone(),
    };
    let whole = |fault: Fault| {
        if cancel.is_cancelled() {
            return TreeError::Cancelled;
        }
        TreeError::Archive {
            archive: shown(archive),
            place: String::new(),
            problem: fault.problem,
            source: fault.source,
        }
    };
    let (reader, compression) = compression::open(counted).map_err(whole)?;
    let mut members = Members::new(reader);
    let mut placer = Placer::new(root, cancel);
    let mut extracted = Extracted::default();
    loop {
        check(cancel)?;
        let member = match members.next() {
            Ok(Some(member)) => member,
            Ok(None) => break,
            Err(fault) => {
                check(cancel)?;
                return Err(after(archive, members.last_name(), fault));
            }
        };
        let name = shown_bytes(&member.name);
        extracted.bytes += placer.place(&member, &mut members).map_err(|e| {
            if cancel.is_cancelled() {
                return TreeError::Cancelled;
            }
            in_member(archive, &name, e)
        })?;
        extracted.members += 1;
        fail_point::reach("member-extracted", &name).map_err(|e| {
            in_member(
                archive,
                &name,
                TreeError::io("write", name.clone(), e).into(),
            )
        })?;
        let at = position.load(Ordering::Relaxed);
        report.progress(at.min(size), size);
    }
    let trailing = members.finish().map_err(whole)?;
    placer.finish().map_err(|e| match e {
        place::NotPlaced::Fault(fault) => whole(fault),
        place::NotPlaced::Tree(e) => e,
    })?;
    if trailing {
        report.warn(&format!(
            "{}: what follows the end of the archive is ignored",
            shown(archive)
        ));
    }
    if extracted.members == 0 && size > 0 {
        report.warn(&format!(
            "{}: the {compression} holds nothing",
            shown(archive)
        ));
    }
    placer.warnings(&shown(archive), report);
    Ok(extracted)
}

/// Whether these are the first bytes of a tar archive that is not compressed.
#[must_use]
pub fn is_tar(start: &[u8]) -> bool {
    header::looks_like_tar(start)
}

/// Opens a compressed file, which is told by its first bytes; nothing when it is not compressed.
///
/// # Errors
/// When it cannot be read.
pub fn open_compressed(path: &Path) -> io::Result<Option<Box<dyn Read>>> {
    compression::open_compressed(File::open(path)?)
}

/// An error of one member.
fn in_member(archive: &Path, name: &str, error: place::NotPlaced) -> TreeError {
    let fault = match error {
        place::NotPlaced::Fault(fault) => fault,
        place::NotPlaced::Tree(TreeError::Cancelled) => return TreeError::Cancelled,
        place::NotPlaced::Tree(TreeError::Io {
            action,
            path,
            source,
        }) => Fault {
            problem: format!("cannot {action} {path}"),
            source: Some(source),
        },
        place::NotPlaced::Tree(other) => Fault::new(other.to_string()),
    };
    TreeError::Archive {
        archive: shown(archive),
        place: format!("member {name}: "),
        problem: fault.problem,
        source: fault.source,
    }
}

/// An error where the next member should begin.
fn after(archive: &Path, last: &[u8], fault: Fault) -> TreeError {
    TreeError::Archive {
        archive: shown(archive),
        place: match last {
            [] => "at its beginning: ".to_owned(),
            last => format!("after member {}: ", shown_bytes(last)),
        },
        problem: fault.problem,
        source: fault.source,
    }
}

/// A file that tells how far it was read. It ends when that is asked for: a few of its bytes may be
/// gigabytes of nothing.
struct Counted {
    file: File,
    position: Arc<AtomicU64>,
    cancel: Cancel,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cancel.is_cancelled() {
            // Not `Interrupted`, which means: try again.
            return Err(io::Error::other("interrupted"));
        }
        let n = self.file.read(buffer)?;
        self.position.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

#[cfg(test)]
mod tests;
