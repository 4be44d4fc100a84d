//! Block maps: which blocks of an image hold data, with a checksum of each run of them, as bmaptool
//! reads them (format 2.0).

use std::fmt::Write as _;
use std::io::{self, Write};

use sha2::{Digest as _, Sha256};

use super::digest::Digest;
use crate::host::zeros::WriteZeros;

/// The unit that images are mapped in, in bytes.
pub const BLOCK: u64 = 4096;

/// What stands for the file's own checksum while that is computed.
const NO_CHECKSUM: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Blocks that hold data, one after another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Run {
    first: u64,
    last: u64,
    digest: Digest,
}

/// The map of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockMap {
    size: u64,
    runs: Vec<Run>,
}

impl BlockMap {
    /// How many blocks hold data.
    #[must_use]
    pub fn mapped(&self) -> u64 {
        self.runs.iter().map(|run| run.last - run.first + 1).sum()
    }

    /// The map as XML.
    #[must_use]
    pub fn to_xml(&self) -> String {
        let with = |checksum: &str| self.xml(checksum);
        let checksum = Digest::of(with(NO_CHECKSUM).as_bytes());
        with(&checksum.to_string())
    }

    fn xml(&self, checksum: &str) -> String {
        let mut text = format!(
            r#"<?xml version="1.0" ?>
<!-- The blocks of an image that hold data: "bmaptool copy" writes these and leaves out the rest. -->
<bmap version="2.0">
    <!-- In bytes. -->
    <ImageSize> {size} </ImageSize>
    <BlockSize> {BLOCK} </BlockSize>
    <BlocksCount> {blocks} </BlocksCount>
    <MappedBlocksCount> {mapped} </MappedBlocksCount>
    <ChecksumType> sha256 </ChecksumType>
    <!-- Of this file, with zeros in this place. -->
    <BmapFileChecksum> {checksum} </BmapFileChecksum>
    <BlockMap>
"#,
            size = self.size,
            blocks = self.size.div_ceil(BLOCK),
            mapped = self.mapped(),
        );
        for Run {
            first,
            last,
            digest,
        } in &self.runs
        {
            // Writing to a String cannot fail.
            let _ = if first == last {
                writeln!(
                    text,
                    r#"        <Range chksum="{digest}"> {first} </Range>"#
                )
            } else {
                writeln!(
                    text,
                    r#"        <Range chksum="{digest}"> {first}-{last} </Range>"#
                )
            };
        }
        text.push_str("    </BlockMap>\n</bmap>\n");
        text
    }
}

/// Makes the map of the image that is written to it from its first byte to its last: bytes are data,
/// zeros by number are holes. Both change at multiples of [`BLOCK`] only.
#[derive(Default)]
pub struct Mapper {
    position: u64,
    /// Where the run that is being hashed began.
    open: Option<(u64, Sha256)>,
    runs: Vec<Run>,
}

impl Mapper {
    /// The map of what was written.
    #[must_use]
    pub fn finish(mut self) -> BlockMap {
        self.end_run();
        BlockMap {
            size: self.position,
            runs: self.runs,
        }
    }

    fn end_run(&mut self) {
        if let Some((start, hash)) = self.open.take() {
            self.runs.push(Run {
                first: start / BLOCK,
                last: (self.position - 1) / BLOCK,
                digest: hash.into(),
            });
        }
    }
}

impl Write for Mapper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !bytes.is_empty() {
            let position = self.position;
            let (_, hash) = self.open.get_or_insert_with(|| (position, Sha256::new()));
            hash.update(bytes);
            self.position += bytes.len() as u64;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl WriteZeros for Mapper {
    fn zeros(&mut self, count: u64) -> io::Result<()> {
        if count > 0 {
            self.end_run();
            self.position += count;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> BlockMap {
        let mut mapper = Mapper::default();
        mapper.write_all(&[1; 4096]).unwrap();
        mapper.write_all(&[2; 4096]).unwrap();
        mapper.zeros(1 << 20).unwrap();
        mapper.zeros(4096).unwrap();
        mapper.write_all(&[3; 4096]).unwrap();
        mapper.zeros(4096).unwrap();
        mapper.write_all(&[4; 100]).unwrap();
        mapper.finish()
    }

    #[test]
    fn runs_are_hashed_one_by_one() {
        let map = map();
        let ranges: Vec<_> = map.runs.iter().map(|run| (run.first, run.last)).collect();
        assert_eq!(ranges, [(0, 1), (259, 259), (261, 261)]);
        assert_eq!(map.runs[2].digest, Digest::of(&[4; 100]));
        assert_eq!((map.mapped(), map.size), (4, 261 * 4096 + 100));
    }

    #[test]
    fn the_file_checks_itself() {
        let xml = map().to_xml();
        let checksum = xml
            .split("<BmapFileChecksum> ")
            .nth(1)
            .and_then(|rest| rest.split(' ').next())
            .unwrap();
        let blank = xml.replace(checksum, NO_CHECKSUM);
        assert_eq!(Digest::of(blank.as_bytes()).to_string(), checksum);
        for line in [
            "<ImageSize> 1069156 </ImageSize>",
            "<BlocksCount> 262 </BlocksCount>",
            "<MappedBlocksCount> 4 </MappedBlocksCount>",
            "> 0-1 </Range>",
            "> 259 </Range>",
        ] {
            assert!(xml.contains(line), "{line}: {xml}");
        }
    }

    #[test]
    fn an_image_without_data_has_an_empty_map() {
        let mut mapper = Mapper::default();
        mapper.zeros(8192).unwrap();
        let map = mapper.finish();
        assert_eq!((map.mapped(), map.runs.len()), (0, 0));
        assert!(map.to_xml().contains("<MappedBlocksCount> 0 <"));
    }
}
