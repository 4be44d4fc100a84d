//! Zstandard on all processors. Long runs of zeros become frames of their own, which are compressed
//! once and then copied: a file may have any number of frames (RFC 8878, section 3).

use std::io::{self, Write};

use zstd::stream::raw::{CParameter, Encoder, Operation as _, OutBuffer};

use crate::host::zeros::{WriteZeros, in_pieces, is_zero};

/// Zeros that become a frame of their own, where they begin at a multiple of this: short enough to
/// catch most of an image's holes, long enough for starting again to cost nothing.
const RUN: u64 = 16 << 20;
/// Room for what comes out of the compressor at once.
const OUT: usize = 128 << 10;

/// Compresses what is written to it into `inner`.
pub struct ZstdWriter<W: Write> {
    inner: W,
    encoder: Encoder<'static>,
    level: i32,
    out: Vec<u8>,
    /// Whether a frame has begun.
    open: bool,
    /// Whether there was a frame.
    any: bool,
    /// Bytes so far.
    position: u64,
    /// Zeros that have not been handed on yet; they begin at a multiple of [`RUN`].
    pending: u64,
    zero: Option<Vec<u8>>,
}

impl<W: Write> ZstdWriter<W> {
    /// A compressor at `level` with `threads` threads.
    pub fn new(inner: W, level: u32, threads: u32) -> io::Result<Self> {
        let level = i32::try_from(level).unwrap_or(i32::MAX);
        Ok(Self {
            inner,
            encoder: encoder(level, threads)?,
            level,
            out: vec![0; OUT],
            open: false,
            any: false,
            position: 0,
            pending: 0,
            zero: None,
        })
    }

    /// Writes the end of the last frame and returns what it was written to.
    pub fn finish(mut self) -> io::Result<W> {
        self.hand_on_pending()?;
        if self.open || !self.any {
            self.end_frame()?;
        }
        self.inner.flush()?;
        Ok(self.inner)
    }

    fn compress(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.open |= !bytes.is_empty();
        while !bytes.is_empty() {
            let step = self.encoder.run_on_buffers(bytes, &mut self.out)?;
            self.inner.write_all(&self.out[..step.bytes_written])?;
            bytes = &bytes[step.bytes_read..];
        }
        Ok(())
    }

    fn end_frame(&mut self) -> io::Result<()> {
        loop {
            let mut out = OutBuffer::around(&mut self.out[..]);
            let left = self.encoder.finish(&mut out, true)?;
            let written = out.pos();
            self.inner.write_all(&self.out[..written])?;
            if left == 0 {
                break;
            }
        }
        self.encoder.reinit()?;
        (self.open, self.any) = (false, true);
        Ok(())
    }

    /// Zeros that turned out to be too few for a frame of their own.
    fn hand_on_pending(&mut self) -> io::Result<()> {
        let pending = std::mem::take(&mut self.pending);
        in_pieces(pending, |piece| self.compress(piece))
    }

    fn zero_frame(&mut self) -> io::Result<()> {
        if self.open {
            self.end_frame()?;
        }
        let frame = match self.zero.take() {
            Some(frame) => frame,
            None => {
                let mut other = ZstdWriter {
                    inner: Vec::new(),
                    // As with any number of threads.
                    encoder: encoder(self.level, 1)?,
                    level: self.level,
                    out: vec![0; OUT],
                    open: false,
                    any: false,
                    position: 0,
                    pending: RUN,
                    zero: None,
                };
                other.hand_on_pending()?;
                other.finish()?
            }
        };
        self.inner.write_all(&frame)?;
        (self.zero, self.any) = (Some(frame), true);
        Ok(())
    }

    /// Takes zeros that reach at most to the next multiple of [`RUN`].
    fn some_zeros(&mut self, count: u64) -> io::Result<()> {
        if self.position % RUN == 0 || self.pending > 0 {
            self.pending += count;
            if self.pending == RUN {
                self.pending = 0;
                self.zero_frame()?;
            }
        } else {
            in_pieces(count, |piece| self.compress(piece))?;
        }
        self.position += count;
        Ok(())
    }
}

impl<W: Write> Write for ZstdWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = usize::try_from(RUN - self.position % RUN).unwrap_or(usize::MAX);
        let bytes = &bytes[..bytes.len().min(room)];
        let could_be_a_run = self.position % RUN == 0 || self.pending > 0;
        if could_be_a_run && !bytes.is_empty() && is_zero(bytes) {
            self.some_zeros(bytes.len() as u64)?;
        } else {
            self.hand_on_pending()?;
            self.compress(bytes)?;
            self.position += bytes.len() as u64;
        }
        Ok(bytes.len())
    }

    /// Does nothing: flushing would end a block early and so change the bytes.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Write> WriteZeros for ZstdWriter<W> {
    fn zeros(&mut self, mut count: u64) -> io::Result<()> {
        while count > 0 {
            let piece = count.min(RUN - self.position % RUN);
            self.some_zeros(piece)?;
            count -= piece;
        }
        Ok(())
    }
}

fn encoder(level: i32, threads: u32) -> io::Result<Encoder<'static>> {
    let mut encoder = Encoder::new(level)?;
    encoder.set_parameter(CParameter::ChecksumFlag(true))?;
    // At least one worker: the single-threaded code makes other bytes.
    encoder.set_parameter(CParameter::NbWorkers(threads.max(1)))?;
    Ok(encoder)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn unpack(packed: &[u8]) -> Vec<u8> {
        let mut data = Vec::new();
        let mut decoder = zstd::Decoder::new(packed).unwrap();
        decoder.read_to_end(&mut data).unwrap();
        data
    }

    fn pack(data: &[u8], piece: usize) -> Vec<u8> {
        let mut writer = ZstdWriter::new(Vec::new(), 3, 2).unwrap();
        for piece in data.chunks(piece) {
            writer.write_all(piece).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn zeros_make_the_same_stream_however_they_come() {
        let run = RUN as usize;
        let mut data = vec![0; 4 * run + 5];
        // One run is whole, one is broken in its middle, one at its first byte.
        data[run + 7] = 1;
        data[3 * run] = 1;
        let packed = pack(&data, 1 << 20);
        assert!(packed == pack(&data, 4097));
        assert!(unpack(&packed) == data);

        let mut counted = ZstdWriter::new(Vec::new(), 3, 1).unwrap();
        counted.zeros(RUN + 7).unwrap();
        counted.write_all(&[1]).unwrap();
        counted.zeros(2 * RUN - 8).unwrap();
        counted.write_all(&[1]).unwrap();
        counted.zeros(RUN + 4).unwrap();
        assert!(counted.finish().unwrap() == packed);
    }

    #[test]
    fn zeros_cost_nearly_nothing() {
        let mut writer = ZstdWriter::new(Vec::new(), 3, 1).unwrap();
        writer.zeros(1 << 40).unwrap();
        let packed = writer.finish().unwrap();
        assert!(packed.len() < (1 << 40) / 10_000, "{}", packed.len());
        let mut start = vec![1; 1 << 20];
        let mut decoder = zstd::Decoder::new(&packed[..]).unwrap();
        decoder.read_exact(&mut start).unwrap();
        assert!(is_zero(&start));
    }

    #[test]
    fn few_zeros_are_one_frame_with_what_is_around_them() {
        let data = vec![0; RUN as usize - 1];
        assert!(unpack(&pack(&data, 1 << 20)) == data);
        assert!(unpack(&pack(&[], 1)).is_empty());
    }
}
