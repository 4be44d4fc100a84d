//! How an archive is compressed, told by its first bytes.

use std::io::{self, BufReader, Chain, Cursor, Read};

use super::Fault;

/// As many bytes as the decision needs: a tar header's magic ends at 262.
const PROBE: usize = 512;

/// Read at once from the archive.
const BUFFER: usize = 256 * 1024;

/// What decompressing may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The largest Zstandard window that is accepted, as a power of two of bytes.
    pub zstd_window_log: u32,
    /// The most bytes of memory that xz may ask for.
    pub xz_memory: u64,
}

impl Limits {
    /// What anyone's archive may take, up to `zstd --long=31`.
    const ANY: Self = Self {
        zstd_window_log: 31,
        xz_memory: u64::MAX,
    };
}

/// First bytes of what people take for a tar archive, and what it is.
const OTHERS: &[(&[u8], &str)] = &[
    (b"PK\x03\x04", "a zip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"070701", "a cpio archive"),
    (b"070702", "a cpio archive"),
    (b"070707", "a cpio archive"),
    (b"!<arch>\n", "an ar archive or a Debian package"),
    (b"hsqs", "a squashfs image"),
    (b"LZIP", "compressed with lzip"),
    (b"\x04\x22\x4d\x18", "compressed with LZ4"),
    (b"\x89LZO", "compressed with lzop"),
    (b"\x1f\x9d", "compressed with compress"),
    (b"\x5d\x00\x00", "compressed with lzma"),
];

/// The archive's plain bytes, and what it is, for messages.
pub(crate) fn open<R: Read + 'static>(reader: R) -> Result<(Box<dyn Read>, &'static str), Fault> {
    open_within(reader, Limits::ANY)
}

/// As [`open`], with less memory.
pub(crate) fn open_within<R: Read + 'static>(
    mut reader: R,
    limits: Limits,
) -> Result<(Box<dyn Read>, &'static str), Fault> {
    let mut probe = Vec::with_capacity(PROBE);
    reader
        .by_ref()
        .take(PROBE as u64)
        .read_to_end(&mut probe)
        .map_err(Fault::from_read)?;
    if probe.is_empty() {
        return Err(Fault::new("the file is empty, no tar archive"));
    }
    let kind = kind(&probe)?;
    let reader = plain(&kind, probe, reader, limits).map_err(Fault::from_read)?;
    Ok((reader, kind.what()))
}

/// The plain bytes of what is compressed; nothing when it is not.
pub(crate) fn open_compressed<R: Read + 'static>(
    mut reader: R,
) -> io::Result<Option<Box<dyn Read>>> {
    let mut probe = Vec::with_capacity(PROBE);
    reader.by_ref().take(PROBE as u64).read_to_end(&mut probe)?;
    match compressed(&probe) {
        None => Ok(None),
        Some(kind) => plain(&kind, probe, reader, Limits::ANY).map(Some),
    }
}

fn plain<R: Read + 'static>(
    kind: &Kind,
    probe: Vec<u8>,
    reader: R,
    limits: Limits,
) -> io::Result<Box<dyn Read>> {
    let all: Source<R> = BufReader::with_capacity(BUFFER, Cursor::new(probe).chain(reader));
    Ok(match kind {
        Kind::Tar => Box::new(all),
        Kind::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(all)),
        Kind::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(all)),
        Kind::Xz => {
            let flags = liblzma::stream::CONCATENATED;
            let stream = liblzma::stream::Stream::new_stream_decoder(limits.xz_memory, flags)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(all, stream))
        }
        Kind::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(all)?;
            decoder.window_log_max(limits.zstd_window_log)?;
            Box::new(decoder)
        }
    })
}

type Source<R> = BufReader<Chain<Cursor<Vec<u8>>, R>>;

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Tar,
    Gzip,
    Bzip2,
    Xz,
    Zstd,
}

impl Kind {
    const fn what(&self) -> &'static str {
        match self {
            Self::Tar => "tar archive",
            Self::Gzip => "gzip-compressed tar archive",
            Self::Bzip2 => "bzip2-compressed tar archive",
            Self::Xz => "xz-compressed tar archive",
            Self::Zstd => "zstd-compressed tar archive",
        }
    }
}

fn compressed(probe: &[u8]) -> Option<Kind> {
    Some(match probe {
        [0x1f, 0x8b, ..] => Kind::Gzip,
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Kind::Bzip2,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Kind::Xz,
        // A frame, or a skippable frame before it.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Kind::Zstd,
        _ => return None,
    })
}

fn kind(probe: &[u8]) -> Result<Kind, Fault> {
    if let Some(kind) = compressed(probe) {
        return Ok(kind);
    }
    if super::header::looks_like_tar(probe) {
        return Ok(Kind::Tar);
    }
    let what = OTHERS
        .iter()
        .find(|(magic, _)| probe.starts_with(magic))
        .map(|(_, what)| format!(": it is {what}"))
        .unwrap_or_default();
    Err(Fault::new(format!(
        "this is no tar archive, plain or compressed with gzip, bzip2, xz or zstd{what}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_by_the_first_bytes() {
        assert_eq!(kind(b"\x1f\x8b\x08").unwrap(), Kind::Gzip);
        assert_eq!(kind(b"BZh91AY").unwrap(), Kind::Bzip2);
        assert_eq!(kind(b"\xfd7zXZ\0\0").unwrap(), Kind::Xz);
        assert_eq!(kind(b"\x28\xb5\x2f\xfd\x04").unwrap(), Kind::Zstd);
        assert_eq!(kind(&[0; 512]).unwrap(), Kind::Tar);
        for (bytes, what) in [
            (&b"PK\x03\x04rest"[..], "it is a zip archive"),
            (b"hello", "no tar archive"),
            (b"!<arch>\ndebian-binary", "Debian package"),
        ] {
            let problem = kind(bytes).unwrap_err().problem;
            assert!(problem.contains(what), "{problem}");
        }
    }
}
