//! Holes in an image: making them, and copying without filling them.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::path::Path;

use rustix::fs::{FallocateFlags, SeekFrom, fallocate, seek};
use rustix::io::Errno;

use super::{DiskError, Place};
use crate::host::fail_point;

/// Makes a part of a file a hole that reads as zeros. Where the file system has no holes the bytes
/// are overwritten.
pub fn clear(file: &File, offset: u64, length: u64) -> io::Result<()> {
    if length == 0 {
        return Ok(());
    }
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    match fallocate(file, flags, offset, length) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => write_zeros(file, offset, length),
        Err(e) => Err(e.into()),
    }
}

fn write_zeros(file: &File, offset: u64, length: u64) -> io::Result<()> {
    use std::os::unix::fs::FileExt as _;
    let zeros = vec![0; 1 << 20];
    let mut done = 0;
    while done < length {
        let part = (length - done).min(zeros.len() as u64);
        file.write_all_at(&zeros[..part as usize], offset + done)?;
        done += part;
    }
    Ok(())
}

/// Copies the first `length` bytes of the file `from` to the start of `place`, without its holes.
pub(super) fn copy_into(from: &Path, place: &Place<'_>, length: u64) -> Result<(), DiskError> {
    let source = File::open(from).map_err(DiskError::io("open", from))?;
    let target = File::options()
        .write(true)
        .open(place.file)
        .map_err(DiskError::io("open", place.file))?;
    fail_point::reach("part-made", "")
        .and_then(|()| copy_data(&source, &target, place.offset, length))
        .map_err(DiskError::io("write", place.file))
}

fn copy_data(mut from: &File, mut to: &File, offset: u64, length: u64) -> io::Result<()> {
    let mut at = 0;
    while at < length {
        let start = match seek(from, SeekFrom::Data(at)) {
            Ok(start) => start.min(length),
            Err(Errno::NXIO) => break,
            // Without knowledge of holes everything is data.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => at,
            Err(e) => return Err(e.into()),
        };
        let end = match seek(from, SeekFrom::Hole(start)) {
            Ok(end) => end.min(length),
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL | Errno::OPNOTSUPP) => length,
            Err(e) => return Err(e.into()),
        };
        from.seek(io::SeekFrom::Start(start))?;
        to.seek(io::SeekFrom::Start(offset + start))?;
        // The kernel copies by itself between files.
        let copied = io::copy(&mut from.take(end - start), &mut to)?;
        if copied < end - start {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        at = end;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt as _, MetadataExt as _};

    use super::*;

    #[test]
    fn cleared_parts_are_zero_and_the_rest_is_not() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[7; 3 * 4096], 0).unwrap();
        for clearing in [clear, write_zeros] {
            file.write_all_at(&[7; 4096], 4096).unwrap();
            clearing(&file, 4096, 4096).unwrap();
            clearing(&file, 0, 0).unwrap();
            let mut bytes = vec![0; 3 * 4096];
            file.read_exact_at(&mut bytes, 0).unwrap();
            assert!(bytes[..4096].iter().all(|b| *b == 7));
            assert!(bytes[4096..8192].iter().all(|b| *b == 0));
            assert!(bytes[8192..].iter().all(|b| *b == 7));
        }
    }

    #[test]
    fn copies_land_at_their_place_without_holes() {
        let from = tempfile::NamedTempFile::new().unwrap();
        from.as_file().write_all_at(&[1; 100], 0).unwrap();
        from.as_file().write_all_at(&[2; 100], 9 << 20).unwrap();
        let to = tempfile::NamedTempFile::new().unwrap();
        to.as_file().set_len(20 << 20).unwrap();
        let place = Place {
            file: to.path(),
            offset: 1 << 20,
            size: 10 << 20,
        };
        copy_into(from.path(), &place, (9 << 20) + 100).unwrap();
        let mut byte = [0];
        for (at, expected) in [
            (0, 0),
            (1 << 20, 1),
            ((10 << 20) + 99, 2),
            ((10 << 20) + 100, 0),
        ] {
            to.as_file().read_exact_at(&mut byte, at).unwrap();
            assert_eq!(byte, [expected], "{at}");
        }
        assert!(to.as_file().metadata().unwrap().blocks() * 512 < 1 << 20);
    }
}
