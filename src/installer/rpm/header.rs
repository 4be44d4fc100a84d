//! What a file of an rpm package says of the package: its header, as rpm's file format has it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::distro::provenance::Identity;
use crate::host::hex;

/// What headers begin with: three bytes, the version, and four that are reserved.
const MAGIC: [u8; 8] = [0x8e, 0xad, 0xe8, 0x01, 0, 0, 0, 0];
/// The lead, which nobody reads any more, and what it begins with.
const LEAD: usize = 96;
const LEAD_MAGIC: [u8; 4] = [0xed, 0xab, 0xee, 0xdb];
/// An entry of a header's index: tag, type, offset and count.
const ENTRY: usize = 16;
/// As many entries and bytes as rpm takes itself (`HEADER_TAGS_MAX` and `HEADER_DATA_MAX`), but for memory.
const MOST_ENTRIES: u32 = 0xffff;
const MOST_BYTES: u32 = 64 << 20;

/// Tags of headers (rpmtag.h).
pub(super) mod tag {
    pub(in super::super) const NAME: u32 = 1000;
    pub(in super::super) const VERSION: u32 = 1001;
    pub(in super::super) const RELEASE: u32 = 1002;
    pub(in super::super) const EPOCH: u32 = 1003;
    pub(in super::super) const SUMMARY: u32 = 1004;
    pub(in super::super) const BUILD_TIME: u32 = 1006;
    pub(in super::super) const BUILD_HOST: u32 = 1007;
    pub(in super::super) const SIZE: u32 = 1009;
    pub(in super::super) const VENDOR: u32 = 1011;
    pub(in super::super) const LICENSE: u32 = 1014;
    pub(in super::super) const GROUP: u32 = 1016;
    pub(in super::super) const URL: u32 = 1020;
    pub(in super::super) const ARCHITECTURE: u32 = 1022;
    pub(in super::super) const FILE_MODES: u32 = 1030;
    pub(in super::super) const FILE_FLAGS: u32 = 1037;
    pub(in super::super) const SOURCE: u32 = 1044;
    pub(in super::super) const DIRECTORY_INDEXES: u32 = 1116;
    pub(in super::super) const BASE_NAMES: u32 = 1117;
    pub(in super::super) const DIRECTORY_NAMES: u32 = 1118;
    pub(in super::super) const LONG_SIZE: u32 = 5009;
}

/// The values of one header.
#[derive(Debug, Default)]
pub(super) struct Header {
    /// Type, offset and count by tag.
    index: HashMap<u32, (u32, usize, usize)>,
    data: Vec<u8>,
}

/// What a package says of itself.
#[derive(Debug)]
pub(super) struct Package {
    pub header: Header,
    /// The SHA-256 of the header, by which rpm's database names it, in hexadecimal.
    pub digest: String,
    /// Where the header begins and ends in the file.
    pub range: (u64, u64),
}

impl Package {
    /// Reads the package at `path` up to its content.
    ///
    /// # Errors
    /// When it cannot be read or is no package.
    pub fn read(path: &Path) -> io::Result<Self> {
        Self::from(BufReader::new(File::open(path)?))
    }

    fn from(mut reader: impl Read) -> io::Result<Self> {
        let mut lead = [0; LEAD];
        reader.read_exact(&mut lead)?;
        if lead[..4] != LEAD_MAGIC {
            return Err(damaged("no package begins like this"));
        }
        let (_, signature) = blob(&mut reader)?;
        // The next header begins at a multiple of eight.
        let padding = signature.len().next_multiple_of(8) - signature.len();
        reader.read_exact(&mut [0; 8][..padding])?;
        let start = (LEAD + signature.len() + padding) as u64;
        let (entries, bytes) = blob(&mut reader)?;
        Ok(Self {
            header: Header::parse(entries, &bytes),
            digest: hex(&Sha256::digest(&bytes)),
            range: (start, start + bytes.len() as u64),
        })
    }

    /// Name, version with epoch and release, and architecture.
    pub fn key(&self) -> Identity {
        let text = |tag| self.header.text(tag).unwrap_or_default();
        let epoch = self.header.numbers(tag::EPOCH).first().copied();
        let epoch = epoch.map_or_else(String::new, |epoch| format!("{epoch}:"));
        (
            text(tag::NAME),
            format!("{epoch}{}-{}", text(tag::VERSION), text(tag::RELEASE)),
            text(tag::ARCHITECTURE),
        )
    }
}

/// How many entries a header has, and all of its bytes.
fn blob(reader: &mut impl Read) -> io::Result<(usize, Vec<u8>)> {
    let mut bytes = vec![0; 16];
    reader.read_exact(&mut bytes)?;
    if bytes[..8] != MAGIC {
        return Err(damaged("no header begins like this"));
    }
    let entries = number(&bytes, 8)?;
    let length = number(&bytes, 12)?;
    if entries > MOST_ENTRIES || length > MOST_BYTES {
        return Err(damaged("the header is too long"));
    }
    let rest = entries as usize * ENTRY + length as usize;
    let read = reader.take(rest as u64).read_to_end(&mut bytes)?;
    if read < rest {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok((entries as usize, bytes))
}

impl Header {
    fn parse(entries: usize, bytes: &[u8]) -> Self {
        let mut index = HashMap::new();
        for nth in 0..entries {
            let at = 16 + nth * ENTRY;
            let [tag, kind, offset, count] =
                [0, 4, 8, 12].map(|field| number(bytes, at + field).unwrap_or_default());
            index.insert(tag, (kind, offset as usize, count as usize));
        }
        let data = bytes[16 + entries * ENTRY..].to_vec();
        Self { index, data }
    }

    /// The first text of a tag.
    pub fn text(&self, tag: u32) -> Option<String> {
        self.texts(tag).into_iter().next()
    }

    /// The texts of a tag; none where it has none.
    pub fn texts(&self, tag: u32) -> Vec<String> {
        /// One text, several, and one for each language.
        const KINDS: [u32; 3] = [6, 8, 9];
        let Some(&(kind, offset, count)) = self.index.get(&tag) else {
            return Vec::new();
        };
        if !KINDS.contains(&kind) {
            return Vec::new();
        }
        let rest = self.data.get(offset..).unwrap_or_default();
        let texts = rest.split(|byte| *byte == 0).take(count);
        texts
            .map(|text| String::from_utf8_lossy(text).into_owned())
            .collect()
    }

    /// The numbers of a tag; none where it has none.
    pub fn numbers(&self, tag: u32) -> Vec<u64> {
        let Some(&(kind, offset, count)) = self.index.get(&tag) else {
            return Vec::new();
        };
        let size = match kind {
            3 => 2,
            4 => 4,
            5 => 8,
            _ => return Vec::new(),
        };
        let rest = self.data.get(offset..).unwrap_or_default();
        let numbers = rest.chunks_exact(size).take(count);
        let value = |bytes: &[u8]| bytes.iter().fold(0, |sum, b| sum << 8 | u64::from(*b));
        numbers.map(value).collect()
    }
}

fn number(bytes: &[u8], at: usize) -> io::Result<u32> {
    let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
    four.map(u32::from_be_bytes)
        .ok_or_else(|| ErrorKind::UnexpectedEof.into())
}

fn damaged(problem: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with these tags: type, count and bytes.
    fn header(tags: &[(u32, u32, u32, &[u8])]) -> Vec<u8> {
        let mut index = Vec::new();
        let mut data: Vec<u8> = Vec::new();
        for (tag, kind, count, bytes) in tags {
            for number in [*tag, *kind, data.len() as u32, *count] {
                index.extend(number.to_be_bytes());
            }
            data.extend(*bytes);
        }
        let mut all = MAGIC.to_vec();
        all.extend((tags.len() as u32).to_be_bytes());
        all.extend((data.len() as u32).to_be_bytes());
        all.extend(index);
        all.extend(data);
        all
    }

    fn package(main: &[u8]) -> Vec<u8> {
        let mut file = LEAD_MAGIC.to_vec();
        file.resize(LEAD, 0);
        file.extend(header(&[(273, 6, 1, b"x\0y")]));
        file.resize(file.len().next_multiple_of(8), 0);
        file.extend(main);
        file.extend(b"content");
        file
    }

    #[test]
    fn a_package_says_what_it_is() {
        let main = header(&[
            (tag::NAME, 6, 1, b"a\0"),
            (tag::VERSION, 6, 1, b"1\0"),
            (tag::RELEASE, 6, 1, b"2\0"),
            (tag::EPOCH, 4, 1, &[0, 0, 0, 3]),
            (tag::ARCHITECTURE, 6, 1, b"noarch\0"),
            (tag::BASE_NAMES, 8, 2, b"x\0y\0"),
            (tag::FILE_MODES, 3, 2, &[1, 2, 3, 4]),
        ]);
        let read = Package::from(package(&main).as_slice()).unwrap();
        let (name, version, architecture) = read.key();
        assert_eq!(
            (&*name, &*version, &*architecture),
            ("a", "3:1-2", "noarch")
        );
        assert_eq!(read.header.texts(tag::BASE_NAMES), ["x", "y"]);
        assert_eq!(read.header.numbers(tag::FILE_MODES), [0x102, 0x304]);
        assert_eq!(read.digest, hex(&Sha256::digest(&main)));
        assert_eq!(read.range.1 - read.range.0, main.len() as u64);
        assert_eq!(read.range.0 % 8, 0);
    }

    #[test]
    fn nothing_else_is_taken_for_a_package() {
        // An index that points anywhere gives nothing.
        let wild = header(&[(tag::NAME, 6, 9, b"a\0"), (tag::SIZE, 4, 9, &[1])]);
        let mut wild = package(&wild);
        let at = wild.len() - b"content".len() - 3 - ENTRY + 8;
        wild[at..at + 4].copy_from_slice(&u32::MAX.to_be_bytes());
        let read = Package::from(wild.as_slice()).unwrap();
        assert!(read.header.numbers(tag::SIZE).is_empty());
        let mut long = package(&[]);
        long.extend(MAGIC);
        long.extend([0xff; 8]);
        for file in [&b"x"[..], &[0; 200], &long, &package(&MAGIC)] {
            Package::from(file).unwrap_err();
        }
    }
}
