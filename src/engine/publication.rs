//! What a publication changes in the output directory, noted before the first change: so that whoever
//! finds the hidden directory of a build that was killed meanwhile can take it back.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, RenameFlags, StatxFlags, fsync, openat, renameat, renameat_with,
    statx,
};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::publish::{NEW, OLD};
use super::whole_file::write_whole;
use crate::host::{
    clear_subvolume_read_only, is_read_only_subvolume, printable_path, set_subvolume_read_only,
};

/// The note, in the hidden directory. While it is there, nothing is decided yet.
const NOTE: &str = "publication.json";

/// What happens to the names of an output directory.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Publication {
    names: Vec<Name>,
}

/// One name.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Name {
    name: OsString,
    /// What gets the name; nothing, when the name goes.
    new: Option<Identity>,
    /// What has the name before.
    old: Option<Identity>,
    /// Whether that is a subvolume with the read-only flag.
    read_only: bool,
}

/// A file or directory, by what stays when it is renamed. Its device is left out: that of a subvolume
/// may change when the machine starts again.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    inode: u64,
    /// When it was made: seconds, nanoseconds; zeros where the file system does not know.
    born: (i64, u32),
}

impl Identity {
    fn of(path: &Path) -> Option<Self> {
        let wanted = StatxFlags::INO | StatxFlags::BTIME;
        let stat = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, wanted).ok()?;
        let time = stat.stx_btime;
        let known = StatxFlags::from_bits_retain(stat.stx_mask).contains(StatxFlags::BTIME);
        Some(Self {
            inode: stat.stx_ino,
            born: if known {
                (time.tv_sec, time.tv_nsec)
            } else {
                (0, 0)
            },
        })
    }
}

impl Publication {
    /// What putting `artifacts` (in `scratch`) in place and taking `retired` away will do to `output`.
    pub(super) fn of(
        artifacts: &[OsString],
        retired: &[OsString],
        scratch: &Path,
        output: &Path,
    ) -> Self {
        let new = |name: &OsString| Identity::of(&scratch.join(NEW).join(name));
        let names = artifacts
            .iter()
            .map(|name| (name, new(name)))
            .chain(retired.iter().map(|name| (name, None)));
        let names = names.map(|(name, new)| {
            let place = output.join(name);
            Name {
                name: name.clone(),
                new,
                old: Identity::of(&place),
                read_only: is_read_only_subvolume(&place),
            }
        });
        Self {
            names: names.collect(),
        }
    }

    /// Notes it in the hidden directory; where `durable`, so that a power failure does not take the note.
    pub(super) fn note(&self, scratch: &Path, durable: bool) -> io::Result<()> {
        let path = scratch.join(NOTE);
        write_whole(&path, &serde_json::to_vec(self)?)?;
        if durable {
            File::open(&path)?.sync_data()?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            fsync(openat(CWD, scratch, flags, Mode::empty())?)?;
        }
        Ok(())
    }

    /// The publication is done, or taken back.
    pub(super) fn forget(scratch: &Path) -> io::Result<()> {
        fs::remove_file(scratch.join(NOTE))
    }

    /// The publication that a hidden directory has a note of.
    fn read(scratch: &Path) -> io::Result<Option<Self>> {
        match fs::read(scratch.join(NOTE)) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn take_back(&self, scratch: &Path, output: &Path) -> Result<(), Errno> {
        for name in self.names.iter().rev() {
            if name.name.as_os_str() != Path::new(&name.name).file_name().unwrap_or_default() {
                // No build notes such a name.
                return Err(Errno::INVAL);
            }
            name.take_back(scratch, output)?;
        }
        Ok(())
    }
}

impl Name {
    fn take_back(&self, scratch: &Path, output: &Path) -> Result<(), Errno> {
        let name: &OsStr = &self.name;
        let (new, old, place) = (
            scratch.join(NEW).join(name),
            scratch.join(OLD).join(name),
            output.join(name),
        );
        let is = |path: &Path, identity: &Option<Identity>| {
            identity.is_some() && Identity::of(path) == *identity
        };
        let put = |from: &Path, to: &Path| renameat(CWD, from, CWD, to);
        if is(&place, &self.new) {
            // A subvolume with the read-only flag cannot be moved.
            clear_subvolume_read_only(&place);
            if is(&new, &self.old) {
                renameat_with(CWD, &new, CWD, &place, RenameFlags::EXCHANGE)?;
            } else {
                put(&place, &new)?;
            }
        }
        if is(&old, &self.old) && place.symlink_metadata().is_err() {
            put(&old, &place)?;
        }
        if self.read_only && is(&place, &self.old) {
            set_subvolume_read_only(&place, true).map_err(|_| Errno::IO)?;
        }
        Ok(())
    }
}

/// Puts back what the publication of a dead build, whose hidden directory is `scratch`, had replaced in
/// `output`; returns whether there was one.
///
/// # Errors
/// What to tell the user: the hidden directory must stay then.
pub(super) fn undo(scratch: &Path, output: &Path) -> Result<bool, String> {
    let failed = |error: io::Error| {
        format!(
            "a build was killed while its artifacts were put in place, and what they replaced could not be \
             put back ({error}); it is kept in {}",
            printable_path(scratch)
        )
    };
    let Some(publication) = Publication::read(scratch).map_err(failed)? else {
        return Ok(false);
    };
    publication
        .take_back(scratch, output)
        .map_err(|e| failed(e.into()))?;
    // From now on the directory holds nothing that is missed.
    Publication::forget(scratch).map_err(failed)?;
    Ok(true)
}

#[cfg(test)]
#[path = "publication_tests.rs"]
mod tests;
