//! A package's data archive as it is read: from a copy that is fast to decompress where there is one, or
//! from the package.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::PathBuf;

use super::frames::Frames;
use crate::tree::archive::Fault;

/// A copy of a data archive, in frames.
#[derive(Debug)]
pub(super) struct Copied {
    path: PathBuf,
    file: File,
}

impl Copied {
    /// The copy in this file, which was opened at this path.
    pub const fn new(path: PathBuf, file: File) -> Self {
        Self { path, file }
    }

    /// Reads the copy. Where it turns out to be damaged it is removed, and reading goes on in the
    /// package, which `original` opens.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn read<F>(&self, original: F) -> io::Result<Reader<F>>
    where
        F: FnOnce() -> Result<Box<dyn Read>, Fault>,
    {
        Ok(Reader {
            path: self.path.clone(),
            frames: Frames::new(self.file.try_clone()?)?,
            plain: Vec::new(),
            used: 0,
            given: 0,
            is_at_end: false,
            original: Some(original),
            instead: None,
        })
    }
}

/// See [`Copied::read`].
pub(super) struct Reader<F> {
    path: PathBuf,
    frames: Frames,
    /// A frame, and how much of it has been given away.
    plain: Vec<u8>,
    used: usize,
    /// Bytes of the frames before it.
    given: u64,
    is_at_end: bool,
    original: Option<F>,
    instead: Option<Box<dyn Read>>,
}

impl<F> Reader<F>
where
    F: FnOnce() -> Result<Box<dyn Read>, Fault>,
{
    /// Goes on in the package, after what was given away already.
    fn change_over(&mut self) -> io::Result<&mut Box<dyn Read>> {
        // If it cannot be removed, the next build comes here, too.
        let _ = fs::remove_file(&self.path);
        let original = self.original.take().ok_or(io::ErrorKind::Other)?;
        let mut reader = original().map_err(|fault| {
            let problem = fault.problem;
            fault.source.unwrap_or_else(|| io::Error::other(problem))
        })?;
        let passed = io::copy(&mut reader.by_ref().take(self.given), &mut io::sink())?;
        if passed < self.given {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(self.instead.insert(reader))
    }
}

impl<F> Read for Reader<F>
where
    F: FnOnce() -> Result<Box<dyn Read>, Fault>,
{
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(reader) = &mut self.instead {
            return reader.read(buffer);
        }
        if self.used == self.plain.len() && !self.is_at_end {
            self.given += self.plain.len() as u64;
            self.used = 0;
            if self.frames.next(&mut self.plain).is_err() {
                return self.change_over()?.read(buffer);
            }
            self.is_at_end = self.plain.is_empty();
        }
        let left = &self.plain[self.used..];
        let length = left.len().min(buffer.len());
        buffer[..length].copy_from_slice(&left[..length]);
        self.used += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::super::frames::{FRAME, Writer};
    use super::*;

    /// What is read of a copy of `plain` that `change` has changed, and whether the copy is still there.
    fn read(plain: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> (io::Result<Vec<u8>>, bool) {
        let mut writer = Writer::new(Vec::new()).unwrap();
        for piece in plain.chunks(FRAME) {
            writer.frame(piece).unwrap();
        }
        let mut bytes = writer.finish().unwrap();
        change(&mut bytes);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("copy");
        fs::write(&path, bytes).unwrap();
        let copied = Copied::new(path.clone(), File::open(&path).unwrap());
        let original = plain.to_vec();
        let mut reader = copied
            .read(move || Ok(Box::new(io::Cursor::new(original)) as Box<dyn Read>))
            .unwrap();
        let mut all = Vec::new();
        let result = reader.read_to_end(&mut all).map(|_| all);
        (result, path.exists())
    }

    #[test]
    fn damage_does_not_show() {
        let plain: Vec<u8> = (0..3 * FRAME as u64)
            .map(|n| (n * n % 253).to_le_bytes()[0])
            .collect();
        let (same, there) = read(&plain, |_| {});
        assert!(same.unwrap() == plain && there);
        for part in [0, 1, 2] {
            let (same, there) = read(&plain, |bytes| {
                let at = bytes.len() / 3 * part + 30;
                bytes[at] ^= 1;
            });
            assert!(same.unwrap() == plain, "{part}");
            assert!(!there, "{part}");
        }
        let (same, there) = read(&plain, |bytes| bytes.truncate(bytes.len() - 12));
        assert!(same.unwrap() == plain && !there);
    }

    #[test]
    fn a_damaged_package_behind_a_damaged_copy_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("copy");
        fs::write(&path, "no frames").unwrap();
        let copied = Copied::new(path.clone(), File::open(&path).unwrap());
        let mut reader = copied.read(|| Err(Fault::new("it is truncated"))).unwrap();
        let error = reader.read(&mut [0; 10]).unwrap_err();
        assert!(error.to_string().contains("truncated"), "{error}");
    }
}
