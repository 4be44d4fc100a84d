//! Compression of artifacts while they are written, on all processors and in bounded memory.
//!
//! The bytes do not depend on the number of processors: work is cut into pieces of fixed size.

use std::io::{self, Read, Write};

use bzip2::write::BzEncoder;
use serde::Serialize;

use super::gzip::GzipWriter;
use super::xz::XzWriter;
use super::zstd_frames::ZstdWriter;
use crate::host::Host;
use crate::host::zeros::WriteZeros;

/// A compression format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Compression {
    /// xz with CRC64 checks.
    Xz,
    /// Zstandard with checksums.
    Zstd,
    /// gzip.
    Gz,
    /// bzip2, on one processor: nobody should choose it any more.
    Bz2,
}

impl Compression {
    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Gz => "gzip",
            Self::Bz2 => "bzip2",
        }
    }

    /// What a compressed file's name ends in.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Xz => ".xz",
            Self::Zstd => ".zst",
            Self::Gz => ".gz",
            Self::Bz2 => ".bz2",
        }
    }

    /// The level where none is asked for: each format's own default.
    #[must_use]
    pub const fn default_level(self) -> u32 {
        match self {
            Self::Xz | Self::Gz => 6,
            Self::Bz2 => 9,
            Self::Zstd => 3,
        }
    }

    /// The highest level.
    #[must_use]
    pub const fn highest_level(self) -> u32 {
        match self {
            Self::Xz | Self::Gz | Self::Bz2 => 9,
            Self::Zstd => 19,
        }
    }
}

/// Compresses what is written to it. [`Compressor::finish`] must be called: without it the end of
/// the stream is missing.
pub struct Compressor<W: Write>(Inner<W>);

enum Inner<W: Write> {
    Xz(Box<XzWriter<W>>),
    Zstd(Box<ZstdWriter<W>>),
    Gz(Box<GzipWriter<W>>),
    Bz2(Box<BzEncoder<W>>),
}

impl<W: Write> Compressor<W> {
    /// A compressor that writes to `inner`, at the format's default level, on all processors.
    ///
    /// # Errors
    /// The compressor cannot be set up.
    pub fn new(inner: W, compression: Compression) -> io::Result<Self> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self::with(inner, compression, compression.default_level(), threads)
    }

    /// A compressor at `level` (lowered to the highest there is) with up to `threads` threads.
    ///
    /// # Errors
    /// The compressor cannot be set up.
    pub fn with(
        inner: W,
        compression: Compression,
        level: u32,
        threads: usize,
    ) -> io::Result<Self> {
        let level = level.min(compression.highest_level());
        let threads = u32::try_from(threads).unwrap_or(u32::MAX).clamp(1, 256);
        Ok(Self(match compression {
            Compression::Xz => Inner::Xz(Box::new(XzWriter::new(inner, level, threads)?)),
            Compression::Zstd => Inner::Zstd(Box::new(ZstdWriter::new(inner, level, threads)?)),
            Compression::Gz => {
                Inner::Gz(Box::new(GzipWriter::new(inner, level, threads as usize)?))
            }
            Compression::Bz2 => {
                let level = bzip2::Compression::new(level.max(1));
                Inner::Bz2(Box::new(BzEncoder::new(inner, level)))
            }
        }))
    }

    /// Writes the end of the stream and returns what it was written to.
    ///
    /// # Errors
    /// What is left cannot be written.
    pub fn finish(self) -> io::Result<W> {
        match self.0 {
            Inner::Xz(writer) => writer.finish(),
            Inner::Zstd(writer) => writer.finish(),
            Inner::Gz(writer) => writer.finish(),
            Inner::Bz2(writer) => writer.finish(),
        }
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Inner::Xz(writer) => writer.write(bytes),
            Inner::Zstd(writer) => writer.write(bytes),
            Inner::Gz(writer) => writer.write(bytes),
            Inner::Bz2(writer) => writer.write(bytes),
        }
    }

    /// Does nothing: flushing would end a block early and so change the bytes.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Write> WriteZeros for Compressor<W> {
    fn zeros(&mut self, count: u64) -> io::Result<()> {
        match &mut self.0 {
            Inner::Xz(writer) => writer.zeros(count),
            Inner::Zstd(writer) => writer.zeros(count),
            Inner::Gz(writer) => writer.zeros(count),
            Inner::Bz2(writer) => io::copy(&mut io::repeat(0).take(count), writer).map(drop),
        }
    }
}

/// Moves everything from `from` to `to`, reporting how much of `total` is done and stopping when the
/// build is cancelled.
///
/// # Errors
/// Something cannot be read or written, or an interruption.
pub fn pump(from: &mut impl Read, to: &mut impl Write, total: u64, host: &Host) -> io::Result<u64> {
    let mut buffer = vec![0; 256 << 10];
    let mut done = 0;
    loop {
        if host.cancel.is_cancelled() {
            // Not `Interrupted`, which means: try again.
            return Err(io::Error::other("interrupted"));
        }
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok(done),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(&buffer[..read])?;
        done += read as u64;
        host.report.progress(done, total.max(done));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Compression; 4] = [
        Compression::Xz,
        Compression::Zstd,
        Compression::Gz,
        Compression::Bz2,
    ];

    fn sample() -> Vec<u8> {
        (0..20_u32 << 20)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 29) as u8)
            .collect()
    }

    fn pack(data: &[u8], compression: Compression, level: u32, threads: usize) -> Vec<u8> {
        let mut writer = Compressor::with(Vec::new(), compression, level, threads).unwrap();
        for piece in data.chunks(100_003) {
            writer.write_all(piece).unwrap();
            writer.flush().unwrap();
        }
        writer.finish().unwrap()
    }

    fn unpack(packed: &[u8], compression: Compression) -> Vec<u8> {
        let mut data = Vec::new();
        let mut reader: Box<dyn Read + '_> = match compression {
            Compression::Xz => Box::new(liblzma::read::XzDecoder::new(packed)),
            Compression::Zstd => Box::new(zstd::Decoder::new(packed).unwrap()),
            Compression::Gz => Box::new(flate2::read::GzDecoder::new(packed)),
            Compression::Bz2 => Box::new(bzip2::read::BzDecoder::new(packed)),
        };
        reader.read_to_end(&mut data).unwrap();
        data
    }

    #[test]
    fn what_goes_in_comes_out_whatever_the_threads() {
        let data = sample();
        for compression in ALL {
            let one = pack(&data, compression, 1, 1);
            assert!(one == pack(&data, compression, 1, 2), "{compression:?}");
            assert!(unpack(&one, compression) == data, "{compression:?}");
            assert!(one.len() < data.len() / 2);
        }
    }

    #[test]
    fn nothing_compresses_to_a_valid_stream() {
        for compression in ALL {
            let packed = pack(&[], compression, compression.default_level(), 2);
            assert!(!packed.is_empty());
            assert!(unpack(&packed, compression).is_empty());
        }
    }

    #[test]
    fn levels_beyond_the_highest_are_lowered() {
        for compression in ALL {
            let highest = pack(b"text", compression, compression.highest_level(), 1);
            assert_eq!(pack(b"text", compression, 99, 1), highest);
        }
    }

    #[test]
    fn xz_is_checked_by_crc64() {
        let packed = pack(b"text", Compression::Xz, 6, 1);
        // Stream flags: the second byte's lower half names the check; 4 is CRC64.
        assert_eq!(packed[..8], [0xfd, b'7', b'z', b'X', b'Z', 0, 0, 4]);
    }
}
