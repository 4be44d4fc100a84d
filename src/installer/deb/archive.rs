//! The outer shape of a package (deb(5)): an ar archive of a mark, a control archive and a data archive.

use std::fs::File;
use std::io::{self, Read, Seek as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::copied::Copied;
use super::reserve::{Plain, Reserve, Shared};
use crate::tree::archive::Fault;
use crate::tree::archive::compression::{self, Limits};
use crate::tree::archive::members::Members;
use crate::tree::shown::shown_bytes;

const MAGIC: &[u8] = b"!<arch>\n";
/// The size of a member's header, and of its parts.
const HEADER: usize = 60;
const NAME: std::ops::Range<usize> = 0..16;
const SIZE: std::ops::Range<usize> = 48..58;
const END: std::ops::Range<usize> = 58..60;

/// What decompressing a package may take: dpkg-deb's strongest settings need 65 MiB with xz and a window
/// of 8 MiB with Zstandard. Many packages are read at once.
const LIMITS: Limits = Limits {
    zstd_window_log: 27,
    xz_memory: 128 << 20,
};

/// How a file begins that is compressed with xz (The .xz File Format, section 2.1.1.1).
const XZ_MAGIC: [u8; 6] = [0xfd, b'7', b'z', b'X', b'Z', 0];

/// Bytes that xz decompresses in a moment.
const SHORT: u64 = 16 << 10;

/// The most bytes of a control archive, decompressed.
const MAX_CONTROL: u64 = 64 << 20;

/// The most bytes after the mark of an archive's end: tar fills up to 10 KiB.
const MAX_TRAILING: usize = 1 << 20;

/// An open package.
#[derive(Debug)]
pub(super) struct Archive {
    file: Arc<File>,
    control: Part,
    data: Data,
    ahead: Arc<Mutex<Plain>>,
}

/// Where a data archive is.
#[derive(Clone, Debug)]
pub(super) struct Data {
    file: Arc<File>,
    part: Part,
    copied: Option<Arc<Copied>>,
}

impl Data {
    /// Its bytes, decompressed.
    pub fn read(&self) -> Result<Box<dyn Read>, Fault> {
        let (file, part) = (Arc::clone(&self.file), self.part);
        let original = move || unpacked(&file, part);
        match &self.copied {
            None => original(),
            Some(copied) => Ok(Box::new(copied.read(original).map_err(Fault::from_read)?)),
        }
    }

    /// Whether there is no copy of it, and decompressing it takes long.
    pub fn is_slow(&self) -> bool {
        let mut magic = [0; XZ_MAGIC.len()];
        self.copied.is_none()
            && self.part.end - self.part.start >= SHORT
            && read(&self.file, &mut magic, self.part.start).is_ok()
            && magic == XZ_MAGIC
    }
}

/// A member's place in the file.
#[derive(Clone, Copy, Debug)]
struct Part {
    start: u64,
    end: u64,
}

impl Archive {
    /// Opens a package and finds its parts.
    pub fn open(path: &Path) -> Result<Self, Fault> {
        let file = File::open(path).map_err(Fault::from_read)?;
        let length = file.metadata().map_err(Fault::from_read)?.len();
        let mut magic = [0; MAGIC.len()];
        read(&file, &mut magic, 0)?;
        if magic != MAGIC {
            return Err(Fault::new("it is no Debian package"));
        }
        let mut at = MAGIC.len() as u64;
        let (mark, part) = member(&file, at, length)?;
        if mark != b"debian-binary" {
            return Err(Fault::new("its first part does not say what it is"));
        }
        let mut version = vec![0; usize::try_from(part.end - part.start).unwrap_or(0).min(64)];
        read(&file, &mut version, part.start)?;
        if !version.starts_with(b"2.") {
            return Err(Fault::new(
                "it is of another version of the package format than 2",
            ));
        }
        at = after(part);
        let mut control = None;
        while at < length {
            let (name, part) = member(&file, at, length)?;
            at = after(part);
            let stem = name
                .split(|byte| *byte == b'.')
                .next()
                .unwrap_or_default()
                .to_vec();
            match (stem.as_slice(), control) {
                // Parts with an underscore are for who knows them.
                (b"control", None) => control = Some(part),
                (b"data", Some(control)) => {
                    let file = Arc::new(file);
                    let data = Data {
                        file: Arc::clone(&file),
                        part,
                        copied: None,
                    };
                    return Ok(Self {
                        file,
                        control,
                        data,
                        ahead: Arc::default(),
                    });
                }
                _ if name.starts_with(b"_") => {}
                _ => {
                    return Err(Fault::new(format!(
                        "its part {} is not expected there",
                        shown_bytes(&name)
                    )));
                }
            }
        }
        Err(Fault::new("it is truncated: a part of it is missing"))
    }

    /// The members of the control archive.
    pub fn control(&self) -> Result<Members<Box<dyn Read>>, Fault> {
        let limited = Limited {
            reader: unpacked(&self.file, self.control)?,
            left: MAX_CONTROL,
        };
        Ok(Members::new(Box::new(limited)))
    }

    /// The members of the data archive.
    pub fn data(&self) -> Result<Members<Box<dyn Read>>, Fault> {
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *ahead, Plain::Taken) {
            Plain::Whole(bytes) => Ok(Members::new(Box::new(io::Cursor::new(Shared(bytes))))),
            Plain::Nothing | Plain::Taken => Ok(Members::new(self.data.read()?)),
        }
    }

    /// Has the data archive read from this copy of it.
    pub fn use_copy(&mut self, copied: Copied) {
        self.data.copied = Some(Arc::new(copied));
    }

    /// What decompresses the data archive before it is asked for.
    pub fn reserve(&self) -> Reserve {
        Reserve::new(self.data.clone(), Arc::clone(&self.ahead))
    }

    /// Bytes of the data archive, compressed.
    pub fn data_size(&self) -> u64 {
        self.data.part.end - self.data.part.start
    }

    /// Writes the same package with neither of its parts compressed, or with another control archive.
    ///
    /// # Errors
    /// When a part is damaged, or the package cannot be written.
    pub fn expand(&self, control: Option<&[u8]>, target: &mut File) -> Result<(), Fault> {
        let mark = b"2.0\n";
        target.write_all(MAGIC).map_err(Fault::from_read)?;
        target
            .write_all(&header("debian-binary", mark.len() as u64))
            .and_then(|()| target.write_all(mark))
            .map_err(Fault::from_read)?;
        let control: Box<dyn Read> = match control {
            Some(bytes) => Box::new(io::Cursor::new(bytes.to_vec())),
            None => unpacked(&self.file, self.control)?,
        };
        for (name, mut content) in [("control.tar", control), ("data.tar", self.data.read()?)] {
            let at = target.stream_position().map_err(Fault::from_read)?;
            target
                .write_all(&header(name, 0))
                .map_err(Fault::from_read)?;
            let size = io::copy(&mut content, target).map_err(Fault::from_read)?;
            if size % 2 == 1 {
                target.write_all(b"\n").map_err(Fault::from_read)?;
            }
            target
                .write_all_at(&header(name, size), at)
                .map_err(Fault::from_read)?;
        }
        Ok(())
    }
}

fn unpacked(file: &Arc<File>, part: Part) -> Result<Box<dyn Read>, Fault> {
    let window = Window {
        file: Arc::clone(file),
        at: part.start,
        end: part.end,
    };
    Ok(compression::open_within(window, LIMITS)?.0)
}

/// Reads an archive on to its end, so that all of it is checked.
///
/// # Errors
/// When it is damaged, or something follows its end that would take for ever to decompress.
pub(super) fn finish(members: &mut Members<impl Read>) -> Result<(), Fault> {
    for _ in 0..MAX_TRAILING / 512 {
        if members.block()?.is_none() {
            return Ok(());
        }
    }
    Err(Fault::new("too much follows the end of an archive"))
}

/// Ends with an error where there is more than expected.
struct Limited<R> {
    reader: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buffer)?;
        self.left = self
            .left
            .checked_sub(n as u64)
            .ok_or_else(|| io::Error::other("it is larger than any control archive"))?;
        Ok(n)
    }
}

/// The header of a member, as dpkg-deb writes it, without a time.
fn header(name: &str, size: u64) -> Vec<u8> {
    format!(
        "{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n",
        0, 0, 0, 100_644
    )
    .into_bytes()
}

fn after(part: Part) -> u64 {
    part.end + part.end % 2
}

/// The member whose header is at `at`.
fn member(file: &File, at: u64, length: u64) -> Result<(Vec<u8>, Part), Fault> {
    let mut header = [0; HEADER];
    read(file, &mut header, at)?;
    if &header[END] != b"`\n" {
        return Err(Fault::new("it is damaged: the header of a part is wrong"));
    }
    let size = std::str::from_utf8(&header[SIZE])
        .ok()
        .and_then(|text| text.trim_end().parse::<u64>().ok())
        .ok_or_else(|| Fault::new("it is damaged: the size of a part is no number"))?;
    let start = at + HEADER as u64;
    let end = start
        .checked_add(size)
        .filter(|end| *end <= length)
        .ok_or_else(|| Fault::new("it is truncated"))?;
    let name = header[NAME].trim_ascii_end();
    let name = name.strip_suffix(b"/").unwrap_or(name);
    Ok((name.to_vec(), Part { start, end }))
}

fn read(file: &File, buffer: &mut [u8], at: u64) -> Result<(), Fault> {
    file.read_exact_at(buffer, at).map_err(|e| match e.kind() {
        io::ErrorKind::UnexpectedEof => Fault::new("it is truncated"),
        _ => Fault::from_read(e),
    })
}

/// A part of a file, read without moving the file's own position.
struct Window {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Read for Window {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        let n = self.file.read_at(&mut buffer[..wanted], self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ar, deb, tar};
    use super::*;

    fn problem(bytes: &[u8]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.deb");
        std::fs::write(&path, bytes).unwrap();
        Archive::open(&path).unwrap_err().problem
    }

    #[test]
    fn finds_both_parts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.deb");
        let control = tar(&[("./control", "Package: x\n")]);
        std::fs::write(&path, deb(&control, &tar(&[("./etc/x", "data")]))).unwrap();
        let archive = Archive::open(&path).unwrap();
        let first = |mut members: Members<Box<dyn Read>>| members.next().unwrap().unwrap().name;
        assert_eq!(first(archive.control().unwrap()), b"./control");
        assert_eq!(first(archive.data().unwrap()), b"./etc/x");
    }

    #[test]
    fn says_what_is_wrong() {
        let whole = deb(&tar(&[]), &tar(&[]));
        let cases = [
            (b"hello, world".to_vec(), "no Debian package"),
            (b"!<ar".to_vec(), "truncated"),
            (whole[..whole.len() - 100].to_vec(), "truncated"),
            (whole[..70].to_vec(), "truncated"),
            (
                ar(&[("debian-binary", b"3.0\n")]),
                "another version of the package format",
            ),
            (
                ar(&[("debian-binary", b"2.0\n"), ("data.tar", b"")]),
                "not expected",
            ),
            (ar(&[("control.tar", b"")]), "does not say what it is"),
            (ar(&[("debian-binary", b"2.0\n")]), "missing"),
        ];
        for (bytes, expected) in cases {
            let problem = problem(&bytes);
            assert!(problem.contains(expected), "{problem}");
        }
    }
}
