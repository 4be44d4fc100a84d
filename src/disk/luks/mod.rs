//! Encrypted partitions: LUKS2, made in plain files without device mapper.
//!
//! The file system is first made in a file of the workspace, in the clear. cryptsetup then makes a
//! header for a new key, and the file system is encrypted with that key, behind the header, into the
//! image. Clear text never is in the image, nor in the output's directory unless the workspace is
//! there.

mod header;
mod passphrase;
mod payload;
mod whole;
mod xts;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use uuid::Uuid;

pub use self::passphrase::Passphrase;

use self::header::{Header, HeaderError};
use self::xts::Xts;
use super::DiskError;
use super::layout::Slot;
use crate::host::{CommandError, Host};

/// Bytes before the encrypted file system: cryptsetup's default for LUKS2. The file system is so much
/// smaller than the partition.
pub const HEADER: u64 = 16 << 20;
/// How much of the header is copied at once.
const PIECE: usize = 1 << 20;

/// What it takes to encrypt partitions.
#[derive(Clone, Debug)]
pub struct Encryption {
    /// Opens every one of them.
    pub passphrase: Passphrase,
    /// A directory that nobody else can read, for file systems before they are encrypted.
    pub scratch: PathBuf,
}

/// The file system of a partition before it is encrypted, in a file of its own that goes with this
/// value.
pub(super) struct Clear {
    path: PathBuf,
    slot: Slot,
}

impl Clear {
    /// Where the file system of the partition `slot` has to be made.
    pub(super) fn create(slot: &Slot, scratch: &Path) -> Result<Self, DiskError> {
        let name = format!("clear-{}", slot.kind.short_name());
        let path = scratch.join(name);
        let slot = payload(slot)?;
        let file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(DiskError::io("create", &path))?;
        // From here on it is this value's to remove.
        let clear = Self { path, slot };
        file.set_len(clear.slot.size)
            .map_err(DiskError::io("set the size of", &clear.path))?;
        Ok(clear)
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The place in the file: all of it.
    pub(super) fn slot(&self) -> &Slot {
        &self.slot
    }

    /// Encrypts the finished file system into the partition `slot` of the image, whose part there
    /// must be a hole still, and removes the file.
    pub(super) fn encrypt_into(
        self,
        image: &File,
        image_path: &Path,
        slot: &Slot,
        uuid: Uuid,
        passphrase: &Passphrase,
        host: &Host,
    ) -> Result<(), DiskError> {
        let header = header::format(uuid, passphrase, host).map_err(|error| match error {
            HeaderError::Command(CommandError::Cancelled) => DiskError::Cancelled,
            HeaderError::Command(source) => DiskError::Command {
                doing: format!("encrypt the {} partition", slot.kind.short_name()),
                source,
            },
            HeaderError::Unexpected(what) => DiskError::LuksHeader { what },
            HeaderError::Io(source) => DiskError::io("write a LUKS header for", image_path)(source),
        })?;
        let clear = File::open(&self.path).map_err(DiskError::io("open", &self.path))?;
        let cipher = Xts::new(&header.key);
        let whole = payload::encrypt(&clear, image, slot.offset + HEADER, &cipher, host)
            .map_err(DiskError::io("write encrypted data to", image_path))?;
        if !whole {
            return Err(DiskError::Cancelled);
        }
        // The header last: without it nothing takes the partition for an encrypted one.
        copy(&header, image, slot.offset).map_err(DiskError::io("write", image_path))
    }
}

impl Drop for Clear {
    fn drop(&mut self) {
        // The workspace goes with everything in it at the end of the build anyway.
        let _ = fs::remove_file(&self.path);
    }
}

/// The file system in the partition `slot`, as if it began where its own file does.
pub(super) fn payload(slot: &Slot) -> Result<Slot, DiskError> {
    let size = slot.size.saturating_sub(HEADER);
    if size == 0 {
        return Err(DiskError::TooSmall {
            kind: slot.kind,
            size: slot.size,
            needed: 2 * HEADER,
        });
    }
    Ok(Slot {
        offset: 0,
        size,
        ..slot.clone()
    })
}

fn copy(header: &Header, image: &File, target: u64) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    for at in (0..HEADER).step_by(PIECE) {
        header.file.read_exact_at(&mut buffer, at)?;
        image.write_all_at(&buffer, target + at)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
