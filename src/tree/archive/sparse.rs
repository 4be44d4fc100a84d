//! Where the data of a file with holes goes: GNU tar's four ways to write that down.

use std::io::Read;

use tar::{GnuExtSparseHeader, GnuSparseHeader, Header};

use super::Fault;
use super::header::{BLOCK, unsigned};
use super::members::Members;
use super::pax::Records;

/// The most pieces of data in one file; as a map in memory that is 64 MiB.
const MAX_EXTENTS: u64 = 4 << 20;

/// The most blocks of a map: each has room for 21 pieces.
const MAX_BLOCKS: u64 = MAX_EXTENTS / 21 + 1;

/// The pieces of a file and its size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Map {
    /// Offset and length of each piece, in order.
    pub extents: Vec<(u64, u64)>,
    /// The size with all holes.
    pub size: u64,
}

impl Map {
    /// Checks that the pieces are in order, inside the file, and are `stored` bytes together.
    fn checked(self, stored: u64) -> Result<Self, Fault> {
        let bad = || Fault::new("its map of holes contradicts itself");
        let mut end = 0u64;
        let mut sum = 0u64;
        for (offset, length) in &self.extents {
            if *offset < end {
                return Err(bad());
            }
            end = offset.checked_add(*length).ok_or_else(bad)?;
            sum = sum.checked_add(*length).ok_or_else(bad)?;
        }
        if end > self.size || sum != stored {
            return Err(bad());
        }
        Ok(self)
    }

    fn push(&mut self, offset: u64, length: u64) -> Result<(), Fault> {
        if self.extents.len() as u64 >= MAX_EXTENTS {
            return Err(Fault::new("its map of holes is too large"));
        }
        if length > 0 {
            self.extents.push((offset, length));
        }
        Ok(())
    }
}

/// GNU's old format: the map is in the header and in blocks that follow it.
pub(super) fn from_header<R: Read>(
    header: &Header,
    members: &mut Members<R>,
    stored: u64,
) -> Result<Map, Fault> {
    let gnu = header
        .as_gnu()
        .ok_or_else(|| Fault::new("it is a file with holes in an unknown format"))?;
    let mut map = Map {
        extents: Vec::new(),
        size: unsigned(&gnu.realsize, "size")?,
    };
    add_all(&mut map, &gnu.sparse)?;
    let mut more = gnu.isextended[0] != 0;
    let mut blocks = 0;
    while more {
        // Those that hold no piece could go on for ever.
        blocks += 1;
        if blocks > MAX_BLOCKS {
            return Err(Fault::new("its map of holes is too large"));
        }
        let mut block = GnuExtSparseHeader::new();
        *block.as_mut_bytes() = members
            .block()?
            .ok_or_else(|| Fault::from_read(std::io::ErrorKind::UnexpectedEof.into()))?;
        add_all(&mut map, block.sparse())?;
        more = block.is_extended();
    }
    map.checked(stored)
}

fn add_all(map: &mut Map, pieces: &[GnuSparseHeader]) -> Result<(), Fault> {
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        map.push(
            unsigned(&piece.offset, "map of holes")?,
            unsigned(&piece.numbytes, "map of holes")?,
        )?;
    }
    Ok(())
}

/// The pax formats 0.0, 0.1 and 1.0; `None` when the file has no holes. Of format 1.0 the map is
/// the beginning of the data and is read from there.
pub(super) fn from_records<R: Read>(
    records: &Records,
    members: &mut Members<R>,
) -> Result<Option<Map>, Fault> {
    let size = match records.number("GNU.sparse.realsize")? {
        Some(size) => Some(size),
        None => records.number("GNU.sparse.size")?,
    };
    let version = (
        records.number("GNU.sparse.major")?,
        records.number("GNU.sparse.minor")?,
    );
    let Some(size) = size else { return Ok(None) };
    let mut map = Map {
        extents: Vec::new(),
        size,
    };
    match version {
        (Some(1), Some(0)) => read_map(&mut map, members)?,
        (None | Some(0), _) => match records.get("GNU.sparse.map") {
            Some(text) => map_of_text(&mut map, text)?,
            None => map_of_pairs(&mut map, records)?,
        },
        (Some(major), minor) => {
            return Err(Fault::new(format!(
                "it is a file with holes in the unknown format {major}.{}",
                minor.unwrap_or_default()
            )));
        }
    }
    map.checked(members.left()).map(Some)
}

/// Format 1.0: lines of numbers at the beginning of the data, padded to a block.
fn read_map<R: Read>(map: &mut Map, members: &mut Members<R>) -> Result<(), Fault> {
    let mut numbers = Lines::default();
    let count = numbers.next(members)?;
    for _ in 0..count {
        let offset = numbers.next(members)?;
        map.push(offset, numbers.next(members)?)?;
    }
    Ok(())
}

/// Decimal numbers, each on a line, in whole blocks of a member's data.
#[derive(Default)]
struct Lines {
    block: Vec<u8>,
    at: usize,
}

impl Lines {
    fn next<R: Read>(&mut self, members: &mut Members<R>) -> Result<u64, Fault> {
        let bad = || Fault::new("its map of holes is malformed");
        let mut number: Option<u64> = None;
        loop {
            if self.at == self.block.len() {
                self.block = members.data_block()?.ok_or_else(bad)?.to_vec();
                self.at = 0;
            }
            let byte = self.block[self.at];
            self.at += 1;
            match byte {
                b'0'..=b'9' => {
                    let so_far = number.unwrap_or(0);
                    let next = so_far.checked_mul(10).ok_or_else(bad)?;
                    number = Some(next.checked_add(u64::from(byte - b'0')).ok_or_else(bad)?);
                }
                b'\n' => return number.ok_or_else(bad),
                _ => return Err(bad()),
            }
        }
    }
}

/// Format 0.1: `offset,length,offset,length`.
fn map_of_text(map: &mut Map, text: &[u8]) -> Result<(), Fault> {
    let bad = || Fault::new("its map of holes is malformed");
    let mut numbers = text.split(|byte| *byte == b',').map(|number| {
        std::str::from_utf8(number)
            .ok()
            .and_then(|number| number.parse().ok())
            .ok_or_else(bad)
    });
    while let Some(offset) = numbers.next() {
        let length = numbers.next().ok_or_else(bad)??;
        map.push(offset?, length)?;
    }
    Ok(())
}

/// Format 0.0: records of an offset and a length in turn.
fn map_of_pairs(map: &mut Map, records: &Records) -> Result<(), Fault> {
    let bad = || Fault::new("its map of holes is malformed");
    let mut offset = None;
    for (key, value) in records.iter() {
        let number = || -> Result<u64, Fault> {
            let text = std::str::from_utf8(value).map_err(|_| bad())?;
            text.parse().map_err(|_| bad())
        };
        match key {
            b"GNU.sparse.offset" => offset = Some(number()?),
            b"GNU.sparse.numbytes" => map.push(offset.take().ok_or_else(bad)?, number()?)?,
            _ => {}
        }
    }
    Ok(())
}

const _: () = assert!(BLOCK == size_of::<GnuExtSparseHeader>());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_must_not_contradict_themselves() {
        let map = |extents: &[(u64, u64)], size| Map {
            extents: extents.to_vec(),
            size,
        };
        assert!(map(&[(0, 5), (10, 5)], 20).checked(10).is_ok());
        assert!(map(&[], 20).checked(0).is_ok());
        for (extents, size, stored) in [
            (&[(0, 5), (3, 5)][..], 20, 10),
            (&[(10, 5), (0, 5)], 20, 10),
            (&[(10, 15)], 20, 15),
            (&[(0, 5)], 20, 6),
            (&[(u64::MAX, 2)], u64::MAX, 2),
        ] {
            assert!(map(extents, size).checked(stored).is_err(), "{extents:?}");
        }
    }

    #[test]
    fn reads_the_map_of_text() {
        let mut map = Map::default();
        map_of_text(&mut map, b"0,5,4096,10").unwrap();
        assert_eq!(map.extents, [(0, 5), (4096, 10)]);
        for bad in [&b"0"[..], b"0,", b"a,b", b"1,2,3"] {
            assert!(map_of_text(&mut Map::default(), bad).is_err());
        }
    }
}
