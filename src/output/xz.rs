//! xz in parallel: blocks of fixed size, compressed side by side, and blocks of zeros not at all.

use std::io::{self, Write};
use std::sync::Arc;

use liblzma::stream::{Action, Filters, LzmaOptions, MtStreamBuilder, Status, Stream};

use super::ordered::{Ordered, Stop};
use super::pieces::{Piece, Pieces};
use super::xz_container::{self as container, Block, Index, Unfinished};
use crate::host::zeros::WriteZeros;

/// What xz may use at most, in bytes: two threads at level 6, whose true use stays a little below.
const MEMORY: u64 = 288 << 20;
/// What is compressed independently: twice the dictionary of level 6, for half a percent of size.
const BLOCK: usize = 16 << 20;
/// Finished blocks that may wait for an earlier one: each may be as large as it was before.
const RESULTS: usize = 2;
/// How often a thread looks whether it shall go on, in bytes that it has compressed.
const STEP: usize = 1 << 20;
/// Sizes of dictionaries by level, as powers of two (xz(1), compression preset levels); none is
/// larger than a block.
const DICTIONARIES: [u32; 10] = [18, 20, 21, 22, 22, 23, 23, 24, 24, 24];

/// Compresses what is written to it into `inner`.
pub struct XzWriter<W: Write> {
    inner: W,
    pool: Ordered<Vec<u8>, Arc<Block>>,
    pieces: Pieces,
    level: u32,
    zero: Option<Arc<Block>>,
    index: Index,
}

impl<W: Write> XzWriter<W> {
    /// A compressor at `level` 0 to 9 with up to `threads` threads, fewer where memory forbids.
    pub fn new(mut inner: W, level: u32, threads: u32) -> io::Result<Self> {
        let threads = affordable(level, threads) as usize;
        let work = move |data: Vec<u8>, stop: &Stop| compress(&data, level, stop).map(Arc::new);
        let pool = Ordered::new(threads, threads, threads + RESULTS, work)?;
        inner.write_all(&container::header())?;
        Ok(Self {
            inner,
            pool,
            pieces: Pieces::new(BLOCK),
            level,
            zero: None,
            index: Index::default(),
        })
    }

    /// Writes the end of the stream and returns what it was written to.
    pub fn finish(self) -> io::Result<W> {
        let Self {
            mut inner,
            mut pool,
            pieces,
            mut index,
            ..
        } = self;
        let rest = pieces.rest();
        if !rest.is_empty() {
            pool.submit(rest, |block| write(&mut inner, &mut index, &block))?;
        }
        pool.finish(|block| write(&mut inner, &mut index, &block))?;
        inner.write_all(&index.end()?)?;
        inner.flush()?;
        Ok(inner)
    }

    fn end_block(&mut self, piece: Option<Piece>) -> io::Result<()> {
        match piece {
            None => Ok(()),
            Some(Piece::Zeros) => self.zero_block(),
            Some(Piece::Data(data)) => {
                let (inner, index) = (&mut self.inner, &mut self.index);
                self.pool.submit(data, |block| write(inner, index, &block))
            }
        }
    }

    /// A block of zeros is always the same: it is compressed once.
    fn zero_block(&mut self) -> io::Result<()> {
        let zero = match &self.zero {
            Some(zero) => zero.clone(),
            None => {
                let zero = compress(&vec![0; BLOCK], self.level, &Stop::default())?;
                self.zero.insert(Arc::new(zero)).clone()
            }
        };
        let (inner, index) = (&mut self.inner, &mut self.index);
        self.pool.known(zero, |block| write(inner, index, &block))
    }
}

impl<W: Write> Write for XzWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (taken, piece) = self.pieces.add(bytes);
        self.end_block(piece)?;
        Ok(taken)
    }

    /// Does nothing: a block is written when it is full.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Write> WriteZeros for XzWriter<W> {
    fn zeros(&mut self, mut count: u64) -> io::Result<()> {
        while count > 0 {
            let (taken, piece) = self.pieces.add_zeros(count);
            self.end_block(piece)?;
            count -= taken;
        }
        Ok(())
    }
}

fn write(inner: &mut impl Write, index: &mut Index, block: &Block) -> io::Result<()> {
    index.add(block);
    inner.write_all(&block.bytes)
}

fn dictionary(level: u32) -> u32 {
    DICTIONARIES[(level as usize).min(DICTIONARIES.len() - 1)]
}

fn compress(data: &[u8], level: u32, stop: &Stop) -> io::Result<Block> {
    let dictionary = dictionary(level);
    let mut options = LzmaOptions::new_preset(level)?;
    options.dict_size(1 << dictionary);
    let mut stream = Stream::new_raw_encoder(Filters::new().lzma2(&options))?;
    let mut block = Unfinished::new(STEP);
    loop {
        if stop.is_set() {
            return Err(io::Error::other("interrupted"));
        }
        let done = usize::try_from(stream.total_in()).unwrap_or(usize::MAX);
        let rest = data.get(done..).unwrap_or_default();
        let (piece, action) = if rest.len() > STEP {
            (&rest[..STEP], Action::Run)
        } else {
            (rest, Action::Finish)
        };
        block.bytes.reserve_exact(STEP);
        if stream.process_vec(piece, &mut block.bytes, action)? == Status::StreamEnd {
            return Ok(block.finish(data, dictionary));
        }
    }
}

/// How many of `threads` threads fit into the memory allowed.
fn affordable(level: u32, threads: u32) -> u32 {
    let usage = |threads| {
        MtStreamBuilder::new()
            .preset(level)
            .block_size(BLOCK as u64)
            .threads(threads)
            .memusage()
    };
    let fits = (2..=threads).take_while(|threads| usage(*threads) <= MEMORY);
    fits.last().unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn memory_holds_two_threads_at_the_default_level() {
        assert_eq!(affordable(6, 1), 1);
        assert_eq!(affordable(6, 2), 2);
        assert_eq!(affordable(6, 256), 2);
        assert_eq!(affordable(9, 256), 1);
        assert!(affordable(0, 256) > 2);
    }

    #[test]
    fn zeros_make_the_same_stream_however_they_come() {
        let mut data = vec![0; 3 * BLOCK + 5];
        data[BLOCK + 7] = 1;
        let mut written = XzWriter::new(Vec::new(), 0, 2).unwrap();
        written.write_all(&data).unwrap();
        let written = written.finish().unwrap();

        let mut counted = XzWriter::new(Vec::new(), 0, 1).unwrap();
        counted.zeros(BLOCK as u64 + 7).unwrap();
        counted.write_all(&[1]).unwrap();
        counted.zeros(2 * BLOCK as u64 - 3).unwrap();
        assert!(counted.finish().unwrap() == written);

        let mut unpacked = Vec::new();
        let mut decoder = liblzma::read::XzDecoder::new(&written[..]);
        decoder.read_to_end(&mut unpacked).unwrap();
        assert!(unpacked == data);
    }

    #[test]
    fn stopping_ends_a_block_early() {
        let stop = Stop::default();
        assert!(compress(b"text", 0, &stop).is_ok());
        stop.set();
        assert!(compress(b"text", 0, &stop).is_err());
    }
}
