//! Where a sparse file holds data.

use std::fs::File;
use std::io;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

/// A run of bytes that may hold something else than zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The first byte, from the start of the file.
    pub start: u64,
    /// The first byte after it.
    pub end: u64,
}

/// The data in `size` bytes from `offset` on, in order, cut to that range. A file system that cannot
/// tell holes from data reports everything as data.
///
/// # Errors
/// The file cannot be asked.
pub fn data_extents(file: &File, offset: u64, size: u64) -> io::Result<Vec<Extent>> {
    let end = offset + size;
    let mut extents = Vec::new();
    let mut position = offset;
    while position < end {
        let (start, stop) = match seek(file, SeekFrom::Data(position)) {
            Ok(start) if start < end => (start, seek(file, SeekFrom::Hole(start))?.min(end)),
            // Nothing but a hole up to the end.
            Ok(_) | Err(Errno::NXIO) => break,
            Err(Errno::INVAL | Errno::OPNOTSUPP) => (position, end),
            Err(e) => return Err(e.into()),
        };
        extents.push(Extent { start, end: stop });
        position = stop;
    }
    Ok(extents)
}
