//! gzip in parallel: one ordinary member whose deflate stream is made of blocks compressed side by side.
//!
//! Members put one after another would be simpler, but some readers stop after the first.

use std::io::{self, Write};

use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use rayon::prelude::*;

/// How much each thread compresses at a time. Matches do not reach across, which at this size
/// costs about a hundredth of a percent.
const CHUNK: usize = 1 << 20;
/// Magic number, deflate, no flags, no time, unknown system (RFC 1952): nothing that differs
/// between two runs.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// Compresses what is written to it into `inner`.
pub struct GzipWriter<W: Write> {
    inner: W,
    level: Compression,
    pool: rayon::ThreadPool,
    batch: usize,
    waiting: Vec<u8>,
    crc: Crc,
    started: bool,
}

impl<W: Write> GzipWriter<W> {
    /// A compressor at `level` 0 to 9 with `threads` threads.
    pub fn new(inner: W, level: u32, threads: usize) -> io::Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(io::Error::other)?;
        Ok(Self {
            inner,
            level: Compression::new(level),
            pool,
            batch: threads.max(1) * 2 * CHUNK,
            waiting: Vec::new(),
            crc: Crc::new(),
            started: false,
        })
    }

    /// Writes the end of the stream and returns what it was written to.
    pub fn finish(mut self) -> io::Result<W> {
        self.compress(true)?;
        self.inner.write_all(&self.crc.sum().to_le_bytes())?;
        // The length is stored modulo 2^32, which is how it is counted.
        self.inner.write_all(&self.crc.amount().to_le_bytes())?;
        self.inner.flush()?;
        Ok(self.inner)
    }

    fn compress(&mut self, last: bool) -> io::Result<()> {
        if !self.started {
            self.inner.write_all(&HEADER)?;
            self.started = true;
        }
        let chunks: Vec<&[u8]> = if self.waiting.is_empty() {
            vec![&[]]
        } else {
            self.waiting.chunks(CHUNK).collect()
        };
        let (level, count) = (self.level, chunks.len());
        let compressed: Vec<io::Result<Vec<u8>>> = self.pool.install(|| {
            chunks
                .into_par_iter()
                .enumerate()
                .map(|(index, chunk)| deflate(chunk, level, last && index + 1 == count))
                .collect()
        });
        for piece in compressed {
            self.inner.write_all(&piece?)?;
        }
        self.waiting.clear();
        Ok(())
    }
}

impl<W: Write> Write for GzipWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.batch - self.waiting.len());
        let bytes = &bytes[..taken];
        self.crc.update(bytes);
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() == self.batch {
            self.compress(false)?;
        }
        Ok(taken)
    }

    /// Does nothing: a block is written when it is full.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One piece of a deflate stream, ending on a byte so that the next can follow.
fn deflate(chunk: &[u8], level: Compression, last: bool) -> io::Result<Vec<u8>> {
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
            return Ok(out);
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
        // A batch of two threads is four chunks.
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
