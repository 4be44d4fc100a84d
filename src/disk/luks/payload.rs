//! Encrypts a file system on all cores, into its place in an image.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use super::whole::{matters, merged};
use super::xts::Xts;
use crate::disk::extents::{Extent, data_extents};
use crate::host::Host;

/// Bytes that are encrypted under one number: dm-crypt's largest sector.
pub(super) const UNIT: usize = 4096;
/// dm-crypt counts in sectors of 512 bytes, however large its own are.
const NUMBERED: u64 = 512;
/// Bytes that one task encrypts.
const PIECE: u64 = 1 << 20;

/// Encrypts `clear` into `image` at `target`. Returns false when the build was cancelled.
///
/// Holes stay holes, which leaves a sparse image sparse; see [`super::whole`] for why that works. It
/// shows which blocks are in use, as dm-crypt does once it lets `fstrim` through.
pub(super) fn encrypt(
    clear: &File,
    image: &File,
    target: u64,
    cipher: &Xts,
    host: &Host,
) -> io::Result<bool> {
    let size = clear.metadata()?.len();
    let mut extents = data_extents(clear, 0, size)?;
    extents.extend(matters(clear, size)?);
    let extents = merged(extents, UNIT as u64, size);
    let total = extents.iter().map(|extent| extent.end - extent.start).sum();
    let done = AtomicU64::new(0);
    pieces(&extents)
        .into_par_iter()
        .try_for_each_init(Vec::new, |buffer, piece| {
            if host.cancel.is_cancelled() {
                return Ok(());
            }
            let length = piece.end - piece.start;
            buffer.resize(length as usize, 0);
            clear.read_exact_at(buffer, piece.start)?;
            let numbers = (piece.start / NUMBERED..).step_by(UNIT / NUMBERED as usize);
            for (unit, number) in buffer.chunks_exact_mut(UNIT).zip(numbers) {
                cipher.encrypt(unit, number);
            }
            image.write_all_at(buffer, target + piece.start)?;
            let before = done.fetch_add(length, Ordering::Relaxed);
            host.report.progress(before + length, total);
            Ok::<(), io::Error>(())
        })?;
    Ok(!host.cancel.is_cancelled())
}

/// Extents cut into pieces for the tasks.
fn pieces(extents: &[Extent]) -> Vec<Extent> {
    let cut = |extent: &Extent| {
        let end = extent.end;
        (extent.start..end)
            .step_by(PIECE as usize)
            .map(move |start| Extent {
                start,
                end: end.min(start + PIECE),
            })
    };
    extents.iter().flat_map(cut).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::host::{Cancel, Quiet, Recorder};

    fn host() -> Host {
        let runner = Arc::new(Recorder::default());
        Host::new(runner, Arc::new(Quiet), Cancel::default())
    }

    #[test]
    fn only_data_and_the_ends_are_encrypted_each_under_its_own_number() {
        const SIZE: usize = 12 << 20;
        let cipher = Xts::new(&[5; 64]);
        let clear = tempfile::tempfile().unwrap();
        clear.set_len(SIZE as u64).unwrap();
        let text: Vec<u8> = (0..3 * UNIT + 100).map(|index| index as u8).collect();
        clear.write_all_at(&text, 5 << 20).unwrap();
        let image = tempfile::tempfile().unwrap();
        image.set_len(20 << 20).unwrap();
        assert!(encrypt(&clear, &image, 2 << 20, &cipher, &host()).unwrap());

        let mut expected = vec![0; 20 << 20];
        for (start, end) in [
            (0, 1 << 20),
            (5 << 20, (5 << 20) + 4 * UNIT),
            (SIZE - (1 << 20), SIZE),
        ] {
            for at in (start..end).step_by(UNIT) {
                let unit = &mut expected[(2 << 20) + at..][..UNIT];
                clear.read_exact_at(unit, at as u64).unwrap();
                cipher.encrypt(unit, at as u64 / 512);
            }
        }
        let mut found = vec![0; 20 << 20];
        image.read_exact_at(&mut found, 0).unwrap();
        assert!(found == expected);
    }

    #[test]
    fn a_cancelled_build_stops() {
        let (clear, image) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        clear.set_len(4096).unwrap();
        let host = host();
        host.cancel.cancel();
        assert!(!encrypt(&clear, &image, 0, &Xts::new(&[0; 64]), &host).unwrap());
        assert_eq!(image.metadata().unwrap().len(), 0);
    }

    #[test]
    fn pieces_cover_extents() {
        let extent = |start: u64, end: u64| Extent { start, end };
        assert_eq!(
            pieces(&[extent(4096, PIECE + 8192), extent(8 * PIECE, 9 * PIECE)]),
            [
                extent(4096, PIECE + 4096),
                extent(PIECE + 4096, PIECE + 8192),
                extent(8 * PIECE, 9 * PIECE)
            ]
        );
    }
}
