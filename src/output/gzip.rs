//! gzip in parallel: one ordinary member whose deflate stream is made of blocks compressed side by side.
//!
//! Members put one after another would be simpler, but some readers stop after the first.

use std::io::{self, Write};
use std::sync::Arc;

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

use super::ordered::{Ordered, Stop};
use super::pieces::{Piece, Pieces};
use crate::host::zeros::WriteZeros;

/// How much each thread compresses at a time. Matches do not reach across, which at this size
/// costs about a hundredth of a percent.
const CHUNK: usize = 1 << 20;
/// Chunks that are being worked on, for each thread.
const AHEAD: usize = 4;
/// Magic number, deflate, no flags, no time, unknown system (RFC 1952): nothing that differs
/// between two runs.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// A compressed chunk and the checksum of what it was made of.
struct Packed {
    bytes: Vec<u8>,
    crc: Crc,
}

/// Compresses what is written to it into `inner`.
pub struct GzipWriter<W: Write> {
    inner: W,
    level: Compression,
    pool: Ordered<Vec<u8>, Arc<Packed>>,
    pieces: Pieces,
    zero: Option<Arc<Packed>>,
    crc: Crc,
}

impl<W: Write> GzipWriter<W> {
    /// A compressor at `level` 0 to 9 with `threads` threads.
    pub fn new(mut inner: W, level: u32, threads: usize) -> io::Result<Self> {
        let level = Compression::new(level);
        let work = move |data: Vec<u8>, _: &Stop| deflate(&data, level, false).map(Arc::new);
        let ahead = threads.saturating_mul(AHEAD);
        let pool = Ordered::new(threads, ahead, 2 * ahead, work)?;
        inner.write_all(&HEADER)?;
        Ok(Self {
            inner,
            level,
            pool,
            pieces: Pieces::new(CHUNK),
            zero: None,
            crc: Crc::new(),
        })
    }

    /// Writes the end of the stream and returns what it was written to.
    pub fn finish(self) -> io::Result<W> {
        let Self {
            mut inner,
            level,
            pool,
            pieces,
            mut crc,
            ..
        } = self;
        let last = deflate(&pieces.rest(), level, true)?;
        pool.finish(|packed| write(&mut inner, &mut crc, &packed))?;
        write(&mut inner, &mut crc, &last)?;
        inner.write_all(&crc.sum().to_le_bytes())?;
        // The length is stored modulo 2^32, which is how it is counted.
        inner.write_all(&crc.amount().to_le_bytes())?;
        inner.flush()?;
        Ok(inner)
    }

    fn end_chunk(&mut self, piece: Option<Piece>) -> io::Result<()> {
        match piece {
            None => Ok(()),
            Some(Piece::Zeros) => self.zero_chunk(),
            Some(Piece::Data(data)) => {
                let (inner, crc) = (&mut self.inner, &mut self.crc);
                self.pool.submit(data, |packed| write(inner, crc, &packed))
            }
        }
    }

    /// A chunk of zeros is always the same: it is compressed once.
    fn zero_chunk(&mut self) -> io::Result<()> {
        let zero = match &self.zero {
            Some(zero) => zero.clone(),
            None => {
                let zero = deflate(&vec![0; CHUNK], self.level, false)?;
                self.zero.insert(Arc::new(zero)).clone()
            }
        };
        let (inner, crc) = (&mut self.inner, &mut self.crc);
        self.pool.known(zero, |packed| write(inner, crc, &packed))
    }
}

impl<W: Write> Write for GzipWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (taken, piece) = self.pieces.add(bytes);
        self.end_chunk(piece)?;
        Ok(taken)
    }

    /// Does nothing: a chunk is written when it is full.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Write> WriteZeros for GzipWriter<W> {
    fn zeros(&mut self, mut count: u64) -> io::Result<()> {
        while count > 0 {
            let (taken, piece) = self.pieces.add_zeros(count);
            self.end_chunk(piece)?;
            count -= taken;
        }
        Ok(())
    }
}

fn write(inner: &mut impl Write, crc: &mut Crc, packed: &Packed) -> io::Result<()> {
    crc.combine(&packed.crc);
    inner.write_all(&packed.bytes)
}

/// One piece of a deflate stream, ending on a byte so that the next can follow.
fn deflate(chunk: &[u8], level: Compression, last: bool) -> io::Result<Packed> {
    let mut crc = Crc::new();
    crc.update(chunk);
    let mut state = Compress::new(level, false);
    let mut out = Vec::with_capacity(chunk.len() / 2 + 64);
    let flush = if last {
        FlushCompress::Finish
    } else {
        FlushCompress::Sync
    };
    loop {
        let consumed = state.total_in() as usize;
        let status = state
            .compress_vec(&chunk[consumed..], &mut out, flush)
            .map_err(io::Error::other)?;
        let taken = state.total_in() as usize == chunk.len();
        // A flush is complete when all is taken and room was left over.
        let complete = match status {
            Status::StreamEnd => true,
            Status::Ok | Status::BufError => !last && taken && out.len() < out.capacity(),
        };
        if complete {
            return Ok(Packed { bytes: out, crc });
        }
        out.reserve(out.capacity().max(64));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::*;

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u32;
        (0..length)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect()
    }

    fn compress(data: &[u8], level: u32, threads: usize) -> Vec<u8> {
        let mut writer = GzipWriter::new(Vec::new(), level, threads).unwrap();
        writer.write_all(data).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn one_member_that_any_reader_reads_whole() {
        for length in [0, 1, CHUNK, 4 * CHUNK, 4 * CHUNK + 1] {
            for data in [noise(length), vec![7; length]] {
                for level in [0, 1] {
                    let packed = compress(&data, level, 2);
                    let mut unpacked = Vec::new();
                    let mut reader = flate2::bufread::GzDecoder::new(&packed[..]);
                    reader.read_to_end(&mut unpacked).unwrap();
                    assert!(unpacked == data, "{length} at level {level}");
                    assert!(reader.into_inner().is_empty());
                }
            }
        }
    }

    #[test]
    fn the_number_of_threads_does_not_show() {
        let data: Vec<u8> = noise(3 * CHUNK).iter().map(|byte| byte & 0x0f).collect();
        assert!(compress(&data, 6, 1) == compress(&data, 6, 5));
    }

    #[test]
    fn zeros_make_the_same_stream_however_they_come() {
        let mut data = vec![0; 5 * CHUNK + 5];
        data[2 * CHUNK + 7] = 1;
        let mut counted = GzipWriter::new(Vec::new(), 6, 2).unwrap();
        counted.zeros(2 * CHUNK as u64 + 7).unwrap();
        counted.write_all(&[1]).unwrap();
        counted.zeros(3 * CHUNK as u64 - 3).unwrap();
        let packed = counted.finish().unwrap();
        assert!(packed == compress(&data, 6, 1));
        let mut unpacked = Vec::new();
        flate2::bufread::GzDecoder::new(&packed[..])
            .read_to_end(&mut unpacked)
            .unwrap();
        assert!(unpacked == data);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn pieces_of_any_size_make_the_same_stream(cuts in prop::collection::vec(1_usize..5000, 1..20)) {
            let data = noise(cuts.iter().sum());
            let mut writer = GzipWriter::new(Vec::new(), 6, 1).unwrap();
            let mut rest = &data[..];
            for cut in cuts {
                let (now, later) = rest.split_at(cut);
                writer.write_all(now).unwrap();
                rest = later;
            }
            prop_assert!(writer.finish().unwrap() == compress(&data, 6, 1));
        }
    }
}
