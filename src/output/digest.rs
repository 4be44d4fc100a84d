//! SHA-256 of what is written or read.

use std::fmt;
use std::io::{self, Write};

use sha2::{Digest as _, Sha256};

use crate::host::hex;
use crate::host::zeros::{WriteZeros, in_pieces};

/// A SHA-256 hash; shown as lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The hash of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl From<Sha256> for Digest {
    fn from(hash: Sha256) -> Self {
        Self(hash.finalize().into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// Passes on what is written to it and hashes that, if asked to.
pub struct Hashing<W: Write> {
    inner: W,
    hash: Option<Sha256>,
}

impl<W: Write> Hashing<W> {
    /// A writer to `inner`; `wanted` says whether to hash.
    pub fn new(inner: W, wanted: bool) -> Self {
        Self {
            inner,
            hash: wanted.then(Sha256::new),
        }
    }

    /// What was written to, and the hash of what was written.
    pub fn finish(self) -> (W, Option<Digest>) {
        (self.inner, self.hash.map(Digest::from))
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        if let Some(hash) = &mut self.hash {
            hash.update(&bytes[..written]);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<W: Write> WriteZeros for Hashing<W> {}

/// Hashes everything that it is given.
#[derive(Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// The hash.
    #[must_use]
    pub fn finish(self) -> Digest {
        self.0.into()
    }
}

impl Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl WriteZeros for Hasher {
    fn zeros(&mut self, count: u64) -> io::Result<()> {
        in_pieces(count, |piece| {
            self.0.update(piece);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of FIPS 180-4.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn known_hashes() {
        assert_eq!(Digest::of(b"abc").to_string(), ABC);
        let mut hasher = Hasher::default();
        hasher.zeros(100_000).unwrap();
        assert_eq!(hasher.finish(), Digest::of(&[0; 100_000]));
        let mut writer = Hashing::new(Vec::new(), true);
        writer.write_all(b"a").unwrap();
        writer.write_all(b"bc").unwrap();
        let (written, digest) = writer.finish();
        assert_eq!(
            (written, digest),
            (b"abc".to_vec(), Some(Digest::of(b"abc")))
        );
        assert_eq!(Hashing::new(Vec::new(), false).finish().1, None);
    }

    #[test]
    fn only_what_was_taken_is_hashed() {
        struct Short(Vec<u8>);
        impl Write for Short {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.extend(bytes.first());
                Ok(1)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut writer = Hashing::new(Short(Vec::new()), true);
        writer.write_all(b"abc").unwrap();
        assert_eq!(
            writer.finish().1.map(|d| d.to_string()).as_deref(),
            Some(ABC)
        );
    }
}
