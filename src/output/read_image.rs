//! A finished image, read once for everything that is made of it: its compressed form, its block map,
//! its checksum. Each is made in a thread of its own, and holes are not read.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::ScopedJoinHandle;

use rustix::fs::{Advice, fadvise};

use super::bmap::{self, BlockMap, Mapper};
use super::digest::{Digest, Hasher, Hashing};
use super::{Compression, Compressor, OutputError};
use crate::host::extents;
use crate::host::zeros::WriteZeros;
use crate::host::{Host, fail_point};

/// How much is read at a time.
const PIECE: u64 = 1 << 20;
/// How many zeros are handed on at a time: nobody works on them for long.
const ZEROS: u64 = 64 << 20;
/// Pieces that may wait in front of a thread.
const AHEAD: usize = 4;

/// What to make of an image.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// Its compressed form, in a file that must not exist yet.
    pub compressed: Option<(&'a Path, Compression)>,
    /// Its block map, in which these ranges of bytes are data even where they are holes.
    pub map: Option<&'a [Range<u64>]>,
    /// A checksum: of the compressed file if there is one, else of the image.
    pub digest: bool,
}

/// What was made of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The block map, if wanted.
    pub map: Option<BlockMap>,
    /// The checksum, if wanted.
    pub digest: Option<Digest>,
}

/// A part of the image, in order.
#[derive(Clone)]
enum Piece {
    Data(Arc<Vec<u8>>),
    Zeros(u64),
}

/// Reads `image` and makes of it what is wanted. The image stays; a failure leaves no compressed file.
/// Progress counts the bytes of the image.
///
/// # Errors
/// The image cannot be read, what is made of it not be written, or an interruption.
pub fn read_image(image: &Path, wanted: Wanted<'_>, host: &Host) -> Result<Made, OutputError> {
    let source = File::open(image).map_err(OutputError::io("open", image))?;
    let always = wanted.map.unwrap_or_default();
    let plan = source
        .metadata()
        .and_then(|metadata| {
            let data = extents::of(&source, bmap::BLOCK, always)?;
            Ok((metadata.len(), data))
        })
        .map_err(OutputError::io("read", image))?;
    // Only advice.
    let _ = fadvise(&source, 0, None, Advice::Sequential);
    let target = match wanted.compressed {
        None => None,
        Some((path, compression)) => {
            let file = File::options()
                .write(true)
                .create_new(true)
                .open(path)
                .map_err(OutputError::io("create", path))?;
            Some((path, compression, file))
        }
    };
    let made = work(image, &source, plan, target, wanted, host);
    if let (Err(_), Some((path, _))) = (&made, wanted.compressed) {
        // The error at hand says what matters.
        let _ = fs::remove_file(path);
    }
    made
}

fn work(
    image: &Path,
    source: &File,
    (length, data): (u64, Vec<Range<u64>>),
    target: Option<(&Path, Compression, File)>,
    wanted: Wanted<'_>,
    host: &Host,
) -> Result<Made, OutputError> {
    std::thread::scope(|scope| {
        let mut takers = Vec::new();
        let mut pieces = || {
            let (to, from) = sync_channel(AHEAD);
            takers.push(to);
            from
        };
        let hasher = (wanted.digest && target.is_none()).then(|| {
            let pieces = pieces();
            scope.spawn(move || feed(Hasher::default(), &pieces))
        });
        let mapper = wanted.map.map(|_| {
            let pieces = pieces();
            scope.spawn(move || feed(Mapper::default(), &pieces))
        });
        let compressor = target.map(|(path, compression, file)| {
            let pieces = pieces();
            let thread = scope.spawn(move || {
                let file = BufWriter::with_capacity(1 << 20, Hashing::new(file, wanted.digest));
                let compressor = feed(Compressor::new(file, compression)?, &pieces)?;
                let mut file = compressor.finish()?;
                file.flush()?;
                let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
                Ok(file.finish().1)
            });
            (path, thread)
        });
        let read = Reader {
            source,
            takers,
            length,
            host,
        }
        .read(&data);
        // Who writes knows best why reading ended early.
        let compressed = compressor
            .map(|(path, thread)| joined(thread).map_err(OutputError::io("compress into", path)));
        let mapped = mapper.map(joined).transpose();
        let hashed = hasher.map(joined).transpose();
        if host.cancel.is_cancelled() {
            return Err(OutputError::Cancelled);
        }
        let compressed = compressed.transpose()?;
        read.map_err(OutputError::io("read", image))?;
        let failed = || OutputError::io("read", image);
        Ok(Made {
            map: mapped.map_err(failed())?.map(Mapper::finish),
            digest: match compressed {
                Some(digest) => digest,
                None => hashed.map_err(failed())?.map(Hasher::finish),
            },
        })
    })
}

/// Hands pieces on until there are no more.
fn feed<C: WriteZeros>(mut to: C, pieces: &Receiver<Piece>) -> io::Result<C> {
    while let Ok(piece) = pieces.recv() {
        match piece {
            Piece::Data(bytes) => to.write_all(&bytes)?,
            Piece::Zeros(count) => to.zeros(count)?,
        }
    }
    Ok(to)
}

fn joined<T>(thread: ScopedJoinHandle<'_, io::Result<T>>) -> io::Result<T> {
    let broken = |_| Err(io::Error::other("a thread broke down"));
    thread.join().unwrap_or_else(broken)
}

/// The thread that reads. The others end when it is gone.
struct Reader<'a> {
    source: &'a File,
    takers: Vec<SyncSender<Piece>>,
    length: u64,
    host: &'a Host,
}

impl Reader<'_> {
    fn read(self, data: &[Range<u64>]) -> io::Result<()> {
        let mut at = 0;
        for range in data {
            self.zeros(at..range.start)?;
            at = range.start;
            while at < range.end {
                let size = PIECE.min(range.end - at);
                let mut bytes = vec![0; size as usize];
                self.source.read_exact_at(&mut bytes, at)?;
                at += size;
                self.hand_on(&Piece::Data(Arc::new(bytes)), at)?;
            }
        }
        self.zeros(at..self.length)
    }

    fn zeros(&self, hole: Range<u64>) -> io::Result<()> {
        let mut at = hole.start;
        while at < hole.end {
            let count = ZEROS.min(hole.end - at);
            at += count;
            self.hand_on(&Piece::Zeros(count), at)?;
        }
        Ok(())
    }

    fn hand_on(&self, piece: &Piece, done: u64) -> io::Result<()> {
        if self.host.cancel.is_cancelled() {
            // Not `Interrupted`, which means: try again.
            return Err(io::Error::other("interrupted"));
        }
        fail_point::reach("image-reading", done)?;
        for taker in &self.takers {
            // A thread that takes no more has an error of its own.
            taker
                .send(piece.clone())
                .map_err(|_| io::Error::other("what was read could not be used"))?;
        }
        self.host.report.progress(done, self.length);
        Ok(())
    }
}

#[cfg(test)]
#[path = "read_image_tests.rs"]
mod tests;
