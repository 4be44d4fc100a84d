//! Where a sparse file holds data.

use std::fs::File;
use std::io;
use std::ops::Range;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

/// The ranges of `file` that hold data, in bytes, in order and apart from each other. Each begins at a
/// multiple of `block` and ends at one, or at the file's end; `always` counts as data.
///
/// On a file system that does not know about holes, the whole file is data.
///
/// # Errors
/// The file cannot be asked.
pub fn of(file: &File, block: u64, always: &[Range<u64>]) -> io::Result<Vec<Range<u64>>> {
    let length = file.metadata()?.len();
    let mut found = always.to_vec();
    let mut at = 0;
    while at < length {
        let start = match seek(file, SeekFrom::Data(at)) {
            Ok(start) => start,
            // There is nothing but a hole from here on.
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL | Errno::OPNOTSUPP) => at,
            Err(error) => return Err(error.into()),
        };
        let end = match seek(file, SeekFrom::Hole(start)) {
            Ok(end) => end,
            Err(Errno::INVAL | Errno::OPNOTSUPP) => length,
            Err(error) => return Err(error.into()),
        };
        found.push(start..end);
        // A file that shrinks meanwhile must not keep this from ending.
        at = end.max(at + 1);
    }
    Ok(aligned(found, block, length))
}

/// Grows ranges to whole blocks and joins those that touch.
fn aligned(mut ranges: Vec<Range<u64>>, block: u64, length: u64) -> Vec<Range<u64>> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_unstable_by_key(|range| range.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        let start = range.start / block * block;
        let end = range.end.next_multiple_of(block).min(length);
        match joined.last_mut() {
            _ if start >= end => {}
            Some(last) if start <= last.end => last.end = last.end.max(end),
            _ => joined.push(start..end),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;

    #[test]
    #[allow(clippy::single_range_in_vec_init)] // lists of ranges are what is meant
    fn ranges_are_whole_blocks_and_apart() {
        for (ranges, expected) in [
            (vec![], vec![]),
            (vec![0..1], vec![0..10]),
            (vec![9..11], vec![0..20]),
            (vec![0..10, 10..20], vec![0..20]),
            (vec![25..26, 0..10], vec![0..10, 20..25]),
            (vec![0..20, 5..8, 15..22], vec![0..25]),
            (vec![24..25], vec![20..25]),
            (vec![30..40, 12..12], vec![]),
        ] {
            let length = 25;
            assert_eq!(aligned(ranges.clone(), 10, length), expected, "{ranges:?}");
        }
    }

    #[test]
    fn holes_are_left_out() {
        let file = tempfile::tempfile().unwrap();
        file.set_len((10 << 20) + 1).unwrap();
        file.write_all_at(b"x", 1 << 20).unwrap();
        file.write_all_at(b"x", (5 << 20) + 5000).unwrap();
        file.write_all_at(b"x", 10 << 20).unwrap();
        let found = of(&file, 4096, std::slice::from_ref(&(0..1))).unwrap();
        let (mib, block) = (1 << 20, 4096);
        assert_eq!(
            found,
            [
                0..block,
                mib..mib + block,
                5 * mib + block..5 * mib + 2 * block,
                10 * mib..10 * mib + 1
            ]
        );
    }

    #[test]
    fn nothing_and_only_a_hole() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(of(&file, 4096, &[]).unwrap(), []);
        file.set_len(1 << 30).unwrap();
        assert_eq!(of(&file, 4096, &[]).unwrap(), []);
    }
}
