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
use super::layout::Slot;
use super::{DiskError, Place};
use crate::host::{CommandError, Host, fail_point};

/// Bytes before the encrypted file system: cryptsetup's default for LUKS2. The file system is so much
/// smaller than the partition.
pub const HEADER: u64 = 16 << 20;
/// How much of the header is copied at once.
const PIECE: usize = 1 << 20;

/// The file system of a partition before it is encrypted, in a file of its own that goes with this
/// value.
pub(super) struct Clear {
    path: PathBuf,
    slot: Slot,
}

impl Clear {
    /// Makes room for the file system of the partition `slot`, in a directory that nobody else can
    /// read.
    pub(super) fn create(slot: &Slot, scratch: &Path) -> Result<Self, DiskError> {
        let path = scratch.join(format!("clear-{}", slot.kind.short_name()));
        let file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(DiskError::io("create", &path))?;
        // From here on it is this value's to remove.
        let clear = Self {
            path,
            slot: slot.clone(),
        };
        file.set_len(clear.place().size)
            .map_err(DiskError::io("set the size of", &clear.path))?;
        Ok(clear)
    }

    /// Where the file system has to be made: all of the file.
    pub(super) fn place(&self) -> Place<'_> {
        Place {
            file: &self.path,
            offset: 0,
            size: self.slot.size.saturating_sub(HEADER),
        }
    }

    /// Encrypts the finished file system of `size` bytes into its partition of the image, which must
    /// be a hole still, and removes the file. Returns how much of the partition is used.
    pub(super) fn encrypt_into(
        self,
        size: u64,
        image: &File,
        image_path: &Path,
        uuid: Uuid,
        passphrase: &Passphrase,
        host: &Host,
    ) -> Result<u64, DiskError> {
        let header = header::format(uuid, passphrase, host).map_err(|error| match error {
            HeaderError::Command(CommandError::Cancelled) => DiskError::Cancelled,
            HeaderError::Command(source) => DiskError::Command {
                doing: format!("encrypt the {} partition", self.slot.kind.short_name()),
                source,
            },
            HeaderError::Unexpected(what) => DiskError::LuksHeader { what },
            HeaderError::Io(source) => DiskError::io("write a LUKS header for", image_path)(source),
        })?;
        let clear = File::options()
            .read(true)
            .write(true)
            .open(&self.path)
            .and_then(|file| file.set_len(size).map(|()| file))
            .map_err(DiskError::io("open", &self.path))?;
        let cipher = Xts::new(&header.key);
        let target = self.slot.offset + HEADER;
        let whole = payload::encrypt(&clear, image, target, &cipher, host)
            .map_err(DiskError::io("write encrypted data to", image_path))?;
        if !whole {
            return Err(DiskError::Cancelled);
        }
        // The header last: without it nothing takes the partition for an encrypted one.
        fail_point::reach("part-encrypted", self.slot.kind.short_name())
            .and_then(|()| copy(&header, image, self.slot.offset))
            .map_err(DiskError::io("write", image_path))?;
        Ok(size + HEADER)
    }
}

impl Drop for Clear {
    fn drop(&mut self) {
        // The workspace goes with everything in it at the end of the build anyway.
        let _ = fs::remove_file(&self.path);
    }
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
