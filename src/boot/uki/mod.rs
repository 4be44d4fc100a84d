//! Unified kernel images: systemd's stub with kernel, initrd and command line as sections of it.
//!
//! Source: the UAPI Group's "Unified Kernel Image (UKI)" specification.

mod pe;

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

pub use pe::PeError;

use self::pe::{DATA, Pe, SECTION_HEADER, Section, read32};

/// Sections begin at multiples of this in memory, whatever the stub says: pages are protected.
const PAGE: u32 = 4096;
/// What a shim that checks revocations reads where the stub has no such section of its own.
const SBAT: &str = "sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md\n\
                    mkosi.uki,1,mkosi unified kernel image,mkosi.uki,1,https://uapi-group.org/specifications/specs/unified_kernel_image/\n";

/// What goes into an image.
#[derive(Clone, Copy, Debug)]
pub struct Uki<'a> {
    /// systemd's stub.
    pub stub: &'a Path,
    /// The kernel.
    pub kernel: &'a Path,
    /// Its release, as `uname -r` prints it.
    pub release: &'a str,
    /// The initrd.
    pub initrd: &'a Path,
    /// The kernel's command line.
    pub command_line: &'a str,
    /// The content of the image's os-release.
    pub os_release: &'a [u8],
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum UkiError {
    /// The stub cannot be used.
    #[error("the stub cannot be used: {0}")]
    Stub(#[from] PeError),
    /// A part changed its size while it was copied.
    #[error("a file changed while it was copied")]
    Changed,
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A section to be added.
struct Part<'a> {
    name: &'static str,
    size: u32,
    from: Source<'a>,
}

enum Source<'a> {
    Bytes(&'a [u8]),
    File(File),
}

impl<'a> Part<'a> {
    fn bytes(name: &'static str, bytes: &'a [u8]) -> Result<Self, PeError> {
        Ok(Self {
            name,
            size: u32::try_from(bytes.len()).map_err(|_| PeError::TooLarge)?,
            from: Source::Bytes(bytes),
        })
    }

    fn file(name: &'static str, path: &Path) -> Result<Self, UkiError> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        Ok(Self {
            name,
            size: u32::try_from(size).map_err(|_| PeError::TooLarge)?,
            from: Source::File(file),
        })
    }
}

/// Writes the image.
///
/// # Errors
/// When the stub is none, or a file cannot be read or written.
pub fn write(uki: &Uki<'_>, output: &mut File) -> Result<(), UkiError> {
    let mut bytes = Vec::new();
    File::open(uki.stub)?.read_to_end(&mut bytes)?;
    let stub = Pe::parse(bytes)?;
    let mut parts = Vec::new();
    if stub.content(".sbat").is_none() {
        parts.push(Part::bytes(".sbat", SBAT.as_bytes())?);
    }
    parts.extend([
        Part::bytes(".osrel", uki.os_release)?,
        Part::bytes(".cmdline", uki.command_line.as_bytes())?,
        Part::bytes(".uname", uki.release.as_bytes())?,
        Part::file(".initrd", uki.initrd)?,
        // Last: a kernel that is run in place may use the memory after it.
        Part::file(".linux", uki.kernel)?,
    ]);
    assemble(stub, parts, output)
}

fn assemble(stub: Pe, parts: Vec<Part<'_>>, output: &mut File) -> Result<(), UkiError> {
    for part in &parts {
        if stub.content(part.name).is_some() {
            return Err(PeError::Twice(part.name).into());
        }
    }
    let plan = Plan::new(&stub, &parts)?;
    output.set_len(0)?;
    output.seek(SeekFrom::Start(0))?;
    output.write_all(&plan.headers)?;
    for (section, offset) in stub.sections.iter().zip(&plan.moved) {
        let start = section.raw_offset as usize;
        let content = stub.bytes.get(start..start + section.raw_size as usize);
        output.seek(SeekFrom::Start(u64::from(*offset)))?;
        output.write_all(content.ok_or(PeError::Damaged)?)?;
    }
    for (at, value) in &plan.patches {
        output.seek(SeekFrom::Start(u64::from(*at)))?;
        output.write_all(&value.to_le_bytes())?;
    }
    for (part, offset) in parts.into_iter().zip(&plan.added) {
        output.seek(SeekFrom::Start(u64::from(*offset)))?;
        let copied = match part.from {
            Source::Bytes(bytes) => output.write_all(bytes).map(|()| bytes.len() as u64)?,
            Source::File(file) => io::copy(&mut file.take(u64::from(part.size)), output)?,
        };
        if copied != u64::from(part.size) {
            return Err(UkiError::Changed);
        }
    }
    // The last section's padding.
    output.set_len(u64::from(plan.end))?;
    output.flush()?;
    Ok(())
}

/// Where everything comes to lie.
struct Plan {
    /// Everything before the first section.
    headers: Vec<u8>,
    /// Where the stub's sections go in the file.
    moved: Vec<u32>,
    /// Where the added ones go.
    added: Vec<u32>,
    /// Numbers inside of the stub's sections that change with them.
    patches: Vec<(u32, u32)>,
    /// The size of the file.
    end: u32,
}

impl Plan {
    fn new(stub: &Pe, parts: &[Part<'_>]) -> Result<Self, PeError> {
        let count = stub.sections.len() + parts.len();
        let table_end = stub.table + count * SECTION_HEADER;
        let header_size = up(to_u32(table_end)?, stub.file_alignment)?;
        let lowest = stub.sections.iter().map(|section| section.address).min();
        if lowest.is_none_or(|lowest| header_size > lowest) {
            return Err(PeError::HeaderFull);
        }
        let mut headers = stub
            .bytes
            .get(..stub.table)
            .ok_or(PeError::Damaged)?
            .to_vec();
        headers.resize(header_size as usize, 0);

        let mut at = header_size;
        let mut moved = Vec::new();
        let mut address = 0;
        let mut table = stub.table;
        for section in &stub.sections {
            let mut header = section.header;
            if section.raw_size > 0 {
                header[20..24].copy_from_slice(&at.to_le_bytes());
            }
            // Relocations and line numbers of object files: none that count in a program.
            header[24..36].fill(0);
            headers[table..table + SECTION_HEADER].copy_from_slice(&header);
            table += SECTION_HEADER;
            moved.push(at);
            at = up(add(at, section.raw_size)?, stub.file_alignment)?;
            address = address.max(section.end()?);
        }
        let mut added = Vec::new();
        let mut data = read32(&stub.bytes, stub.optional + 8)?;
        for part in parts {
            let start = up(address, stub.section_alignment.max(PAGE))?;
            let raw = up(part.size, stub.file_alignment)?;
            let header = section_header(part, start, raw, at);
            headers[table..table + SECTION_HEADER].copy_from_slice(&header);
            table += SECTION_HEADER;
            added.push(at);
            at = add(at, raw)?;
            address = add(start, part.size)?;
            data = add(data, raw)?;
        }
        let mut set = |at: usize, value: u32| {
            headers[at..at + 4].copy_from_slice(&value.to_le_bytes());
        };
        // The symbol table is not carried along.
        set(stub.new_header + 12, 0);
        set(stub.new_header + 16, 0);
        set(stub.optional + 8, data);
        set(stub.optional + 56, up(address, stub.section_alignment)?);
        set(stub.optional + 60, header_size);
        // Nobody looks at the checksum of what is no driver; 0 stands for none.
        set(stub.optional + 64, 0);
        let sections = u16::try_from(count).map_err(|_| PeError::HeaderFull)?;
        headers[stub.new_header + 6..stub.new_header + 8].copy_from_slice(&sections.to_le_bytes());
        if let Some(range) = stub.certificates() {
            headers[range].fill(0);
        }
        Ok(Self {
            patches: patches(stub, &moved)?,
            headers,
            moved,
            added,
            end: at,
        })
    }
}

fn section_header(part: &Part<'_>, address: u32, raw: u32, offset: u32) -> [u8; SECTION_HEADER] {
    let mut header = [0; SECTION_HEADER];
    for (place, byte) in header[..8].iter_mut().zip(part.name.bytes()) {
        *place = byte;
    }
    for (at, value) in [
        (8, part.size),
        (12, address),
        (16, raw),
        (20, offset),
        (36, DATA),
    ] {
        header[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    header
}

/// Offsets into the file that the stub's debug directory holds, with their new values.
fn patches(stub: &Pe, moved: &[u32]) -> Result<Vec<(u32, u32)>, PeError> {
    let place = |offset: u32| {
        let inside = |section: &Section| {
            offset >= section.raw_offset && offset - section.raw_offset < section.raw_size
        };
        let nth = stub.sections.iter().position(inside)?;
        let new = moved.get(nth)?;
        Some(new + (offset - stub.sections[nth].raw_offset))
    };
    let mut patches = Vec::new();
    for (field, address) in stub.debug_offsets()? {
        let target = stub.offset_of(address);
        let (Some(field), target) = (place(to_u32(field)?), target) else {
            continue;
        };
        let target = match target {
            Some(target) => place(to_u32(target)?).unwrap_or(0),
            None => 0,
        };
        patches.push((field, target));
    }
    Ok(patches)
}

fn up(value: u32, alignment: u32) -> Result<u32, PeError> {
    value
        .checked_next_multiple_of(alignment)
        .ok_or(PeError::TooLarge)
}

fn add(a: u32, b: u32) -> Result<u32, PeError> {
    a.checked_add(b).ok_or(PeError::TooLarge)
}

fn to_u32(value: usize) -> Result<u32, PeError> {
    u32::try_from(value).map_err(|_| PeError::TooLarge)
}

/// The machine type of an executable for UEFI: the COFF header's.
///
/// # Errors
/// When it is none.
pub fn machine(bytes: &[u8]) -> Result<u16, PeError> {
    let pe = Pe::parse(bytes.to_vec())?;
    pe::read16(&pe.bytes, pe.new_header + 4)
}

#[cfg(test)]
mod tests;
