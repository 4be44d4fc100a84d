//! The parts of a PE/COFF executable that adding sections to it takes to know.
//!
//! Source: Microsoft's "PE Format". All numbers are little-endian.

/// Bytes in an entry of the section table.
pub(super) const SECTION_HEADER: usize = 40;
/// Contains initialized data, may be read.
pub(super) const DATA: u32 = 0x4000_0040;
/// Offset of the new header's offset in the DOS header.
const NEW_HEADER: usize = 0x3c;
/// Signature and COFF header.
const COFF: usize = 24;
/// Entries of the data directory.
const CERTIFICATES: usize = 4;
const DEBUG: usize = 6;
/// Alignments beyond these make no sense: 2 MiB in memory, and the format's limit in the file.
const LARGEST_PAGE: u32 = 2 << 20;
const LARGEST_SECTOR: u32 = 64 << 10;
/// Bytes in an entry of the debug directory.
const DEBUG_ENTRY: usize = 28;

/// Why a file cannot be extended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeError {
    /// No executable for UEFI.
    #[error("it is no PE executable")]
    NotPe,
    /// Something in it lies outside of it.
    #[error("its headers are damaged")]
    Damaged,
    /// No room for more section headers before the first section.
    #[error("its header has no room for more sections")]
    HeaderFull,
    /// Sections would end beyond 4 GiB.
    #[error("together with its sections it would be larger than 4 GiB")]
    TooLarge,
    /// A section of this name is there already.
    #[error("it has a section {0} already")]
    Twice(&'static str),
}

/// A section as the section table has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section {
    pub header: [u8; SECTION_HEADER],
    pub virtual_size: u32,
    pub address: u32,
    pub raw_size: u32,
    pub raw_offset: u32,
}

impl Section {
    /// The name, without the zeros after it.
    pub fn name(&self) -> &[u8] {
        let end = self.header[..8].iter().position(|b| *b == 0).unwrap_or(8);
        &self.header[..end]
    }

    /// The first address after it.
    pub fn end(&self) -> Result<u32, PeError> {
        self.address
            .checked_add(self.virtual_size.max(self.raw_size))
            .ok_or(PeError::Damaged)
    }
}

/// An executable whose sections are known.
#[derive(Clone, Debug)]
pub(super) struct Pe {
    pub bytes: Vec<u8>,
    /// Where the COFF header's signature is.
    pub new_header: usize,
    /// Where the section table is.
    pub table: usize,
    pub sections: Vec<Section>,
    pub section_alignment: u32,
    pub file_alignment: u32,
    /// Where the optional header is.
    pub optional: usize,
    /// Where the data directory is, and how many entries it has.
    directory: (usize, usize),
}

impl Pe {
    pub fn parse(bytes: Vec<u8>) -> Result<Self, PeError> {
        if !bytes.starts_with(b"MZ") {
            return Err(PeError::NotPe);
        }
        let new_header = read32(&bytes, NEW_HEADER)? as usize;
        let signature = bytes.get(new_header..new_header.saturating_add(4));
        if signature != Some(b"PE\0\0".as_slice()) {
            return Err(PeError::NotPe);
        }
        let count = read16(&bytes, new_header + 6)?;
        let optional_size = read16(&bytes, new_header + 20)?;
        let optional = new_header + COFF;
        // PE32 and PE32+ differ in the width of a few fields before the data directory.
        let directory = match read16(&bytes, optional)? {
            0x10b => optional + 96,
            0x20b => optional + 112,
            _ => return Err(PeError::NotPe),
        };
        let entries = read32(&bytes, directory - 4)? as usize;
        let table = optional + usize::from(optional_size);
        if directory.saturating_add(entries.saturating_mul(8)) > table {
            return Err(PeError::Damaged);
        }
        let mut sections = Vec::new();
        for nth in 0..usize::from(count) {
            sections.push(section(&bytes, table + nth * SECTION_HEADER)?);
        }
        let alignment = |at, most: u32| match read32(&bytes, optional + at)? {
            value if value.is_power_of_two() && value <= most => Ok(value),
            _ => Err(PeError::Damaged),
        };
        Ok(Self {
            section_alignment: alignment(32, LARGEST_PAGE)?,
            file_alignment: alignment(36, LARGEST_SECTOR)?,
            new_header,
            table,
            sections,
            optional,
            directory: (directory, entries),
            bytes,
        })
    }

    /// The contents of a section, as long as it is in memory or in the file, whichever is less.
    pub fn content(&self, name: &str) -> Option<&[u8]> {
        let section = self
            .sections
            .iter()
            .find(|section| section.name() == name.as_bytes())?;
        let start = section.raw_offset as usize;
        let size = section.raw_size.min(section.virtual_size) as usize;
        self.bytes.get(start..start.checked_add(size)?)
    }

    /// The bytes of the data directory that point to signatures, which come after the sections and
    /// are no longer true when anything changes.
    pub fn certificates(&self) -> Option<std::ops::Range<usize>> {
        let (start, entries) = self.directory;
        let at = start + CERTIFICATES * 8;
        (entries > CERTIFICATES).then_some(at..at + 8)
    }

    /// Where offsets into the file are kept in entries of the debug directory, each with the address
    /// of what it points to.
    pub fn debug_offsets(&self) -> Result<Vec<(usize, u32)>, PeError> {
        let (start, entries) = self.directory;
        if entries <= DEBUG {
            return Ok(Vec::new());
        }
        let address = read32(&self.bytes, start + DEBUG * 8)?;
        let size = read32(&self.bytes, start + DEBUG * 8 + 4)? as usize;
        let Some(begin) = self.offset_of(address).filter(|_| size > 0) else {
            return Ok(Vec::new());
        };
        (0..size / DEBUG_ENTRY)
            .map(|nth| {
                let entry = begin + nth * DEBUG_ENTRY;
                Ok((entry + 24, read32(&self.bytes, entry + 20)?))
            })
            .collect()
    }

    /// Where in the file an address of the program is.
    pub fn offset_of(&self, address: u32) -> Option<usize> {
        let section = self.sections.iter().find(|section| {
            address >= section.address && address - section.address < section.raw_size
        })?;
        Some((section.raw_offset + (address - section.address)) as usize)
    }
}

fn section(bytes: &[u8], at: usize) -> Result<Section, PeError> {
    let slice = bytes
        .get(at..at.saturating_add(SECTION_HEADER))
        .ok_or(PeError::Damaged)?;
    let mut header = [0; SECTION_HEADER];
    header.copy_from_slice(slice);
    let section = Section {
        header,
        virtual_size: read32(bytes, at + 8)?,
        address: read32(bytes, at + 12)?,
        raw_size: read32(bytes, at + 16)?,
        raw_offset: read32(bytes, at + 20)?,
    };
    let end = u64::from(section.raw_offset) + u64::from(section.raw_size);
    if section.raw_size > 0 && end > bytes.len() as u64 {
        return Err(PeError::Damaged);
    }
    Ok(section)
}

pub(super) fn read16(bytes: &[u8], at: usize) -> Result<u16, PeError> {
    match bytes.get(at..at.saturating_add(2)) {
        Some(&[a, b]) => Ok(u16::from_le_bytes([a, b])),
        _ => Err(PeError::Damaged),
    }
}

pub(super) fn read32(bytes: &[u8], at: usize) -> Result<u32, PeError> {
    match bytes.get(at..at.saturating_add(4)) {
        Some(&[a, b, c, d]) => Ok(u32::from_le_bytes([a, b, c, d])),
        _ => Err(PeError::Damaged),
    }
}
