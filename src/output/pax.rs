//! Puts the extended attributes of each file in a tar archive in the order of their names, on the way.
//!
//! tar writes them as the file system lists them: in the order in which they came to be, or in that of
//! hashes of their names.

use std::io::{self, Read};

/// tar counts in blocks of this many bytes.
const BLOCK: usize = 512;
/// Where a header says what follows it, in octal digits, and of what kind that is.
const SIZE: std::ops::Range<usize> = 124..136;
const KIND: usize = 156;
/// The records of the file after them.
const RECORDS: u8 = b'x';
/// What the names of records begin with that are extended attributes.
const ATTRIBUTE: &[u8] = b"SCHILY.xattr.";
/// Records are in memory while they are sorted. Linux has at most 64 KiB of names for a file, and as
/// much for each value; more than this is left as it is.
const MOST: u64 = 64 << 20;

/// Reads an archive of the format pax, with attributes in order. What is no archive comes through as
/// it is.
#[derive(Debug)]
pub struct InOrder<R> {
    from: R,
    /// Read, sorted, and to be handed on.
    ready: Vec<u8>,
    /// How much of it was handed on.
    handed: usize,
    /// Bytes of content that come next.
    content: u64,
    /// The size of the next file, where its own header has no room for it.
    size: Option<u64>,
    /// Nothing more is looked at.
    ends: bool,
}

impl<R: Read> InOrder<R> {
    /// Of what `from` has.
    pub fn new(from: R) -> Self {
        Self {
            from,
            ready: Vec::new(),
            handed: 0,
            content: 0,
            size: None,
            ends: false,
        }
    }

    /// Reads up to `length` bytes more behind those that are ready; whether there were as many.
    fn take(&mut self, length: u64) -> io::Result<bool> {
        let read = (&mut self.from).take(length).read_to_end(&mut self.ready)?;
        Ok(read as u64 == length)
    }

    /// Reads a header, and records when it is theirs.
    fn next(&mut self) -> io::Result<()> {
        self.ready.clear();
        self.handed = 0;
        if !self.take(BLOCK as u64)? {
            self.ends = true;
            return Ok(());
        }
        let (kind, Some(size)) = (self.ready[KIND], size_in(&self.ready)) else {
            self.ends = true;
            return Ok(());
        };
        if kind != RECORDS {
            let size = self.size.take().unwrap_or(size);
            // The archive ends before so much does.
            self.content = size.checked_next_multiple_of(BLOCK as u64).unwrap_or(size);
            return Ok(());
        }
        let padded = size.next_multiple_of(BLOCK as u64);
        if size > MOST {
            self.content = padded;
        } else if self.take(padded)? {
            let end = BLOCK + usize::try_from(size).unwrap_or(usize::MAX);
            match records(&self.ready[BLOCK..end]) {
                Some(found) => {
                    self.size = found.size;
                    self.ready[BLOCK..end].copy_from_slice(&found.in_order);
                }
                None => self.ends = true,
            }
        } else {
            self.ends = true;
        }
        Ok(())
    }
}

impl<R: Read> Read for InOrder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.handed < self.ready.len() {
                let read = (&self.ready[self.handed..]).read(buffer)?;
                self.handed += read;
                return Ok(read);
            }
            if self.content > 0 {
                let read = (&mut self.from).take(self.content).read(buffer)?;
                self.content -= read as u64;
                self.ends |= read == 0;
                if read > 0 || buffer.is_empty() {
                    return Ok(read);
                }
                self.content = 0;
            }
            if self.ends {
                return self.from.read(buffer);
            }
            self.next()?;
        }
    }
}

/// The size in a header; `None` when that is none, as in the two blocks of zeros at the end.
fn size_in(header: &[u8]) -> Option<u64> {
    let digits = header.get(SIZE)?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit());
    let digits = std::str::from_utf8(&digits[..end.unwrap_or(digits.len())]).ok()?;
    u64::from_str_radix(digits, 8).ok()
}

/// Records with their attributes in order.
struct Found {
    in_order: Vec<u8>,
    size: Option<u64>,
}

/// Sorts records, each `LENGTH NAME=VALUE` and the end of a line; `None` when they are not.
fn records(mut bytes: &[u8]) -> Option<Found> {
    let mut others = Vec::new();
    let mut attributes = Vec::new();
    let mut size = None;
    while !bytes.is_empty() {
        let blank = bytes.iter().position(|byte| *byte == b' ')?;
        let length: usize = std::str::from_utf8(&bytes[..blank]).ok()?.parse().ok()?;
        let (record, rest) = bytes.split_at_checked(length)?;
        let text = record.get(blank + 1..)?.strip_suffix(b"\n")?;
        let equals = text.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (&text[..equals], &text[equals + 1..]);
        if name == b"size" {
            size = Some(std::str::from_utf8(value).ok()?.parse().ok()?);
        }
        if name.starts_with(ATTRIBUTE) {
            attributes.push((name, record));
        } else {
            others.push(record);
        }
        bytes = rest;
    }
    attributes.sort_unstable();
    others.extend(attributes.into_iter().map(|(_, record)| record));
    Some(Found {
        in_order: others.concat(),
        size,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str, value: &str) -> String {
        let rest = format!(" {name}={value}\n");
        let digits = (1..)
            .find(|n| (rest.len() + n).to_string().len() == *n)
            .unwrap();
        format!("{}{rest}", rest.len() + digits)
    }

    fn header(kind: u8, size: u64) -> Vec<u8> {
        let mut header = vec![0; BLOCK];
        header[SIZE].copy_from_slice(format!("{size:011o}\0").as_bytes());
        header[KIND] = kind;
        header
    }

    fn entry(kind: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = header(kind, content.len() as u64);
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        bytes
    }

    /// Read in pieces of several sizes.
    fn read(archive: &[u8]) -> Vec<u8> {
        let mut whole = Vec::new();
        InOrder::new(archive).read_to_end(&mut whole).unwrap();
        for piece in [1, 7, 511, 512, 4096] {
            let mut from = InOrder::new(archive);
            let mut buffer = vec![0; piece];
            let mut read = Vec::new();
            loop {
                match from.read(&mut buffer).unwrap() {
                    0 => break,
                    n => read.extend_from_slice(&buffer[..n]),
                }
            }
            assert!(read == whole, "in pieces of {piece}");
        }
        whole
    }

    #[test]
    fn attributes_are_in_the_order_of_their_names() {
        let (a, b) = (
            record("SCHILY.xattr.system.posix_acl_access", "1\n2"),
            record("SCHILY.xattr.user.b", &"long=".repeat(300)),
        );
        let (path, time) = (record("path", "./a"), record("mtime", "1.5"));
        let with = |records: &[&String]| {
            let text: String = records.iter().map(|record| record.as_str()).collect();
            [
                entry(b'0', b"x"),
                entry(b'x', text.as_bytes()),
                entry(b'0', &[7; 1000]),
                vec![0; 1024],
            ]
            .concat()
        };
        let expected = with(&[&path, &time, &a, &b]);
        assert!(read(&with(&[&path, &time, &b, &a])) == expected);
        assert!(read(&with(&[&path, &time, &a, &b])) == expected);
    }

    #[test]
    fn a_size_among_the_records_counts() {
        // What is in the file looks like records.
        let inside = entry(b'x', b"4 b=\n");
        let archive = [
            entry(b'x', record("size", &inside.len().to_string()).as_bytes()),
            header(b'0', 0),
            inside,
            entry(
                b'x',
                (record("SCHILY.xattr.b", "") + &record("SCHILY.xattr.a", "")).as_bytes(),
            ),
        ]
        .concat();
        let read = read(&archive);
        let last = archive.len() - BLOCK;
        assert!(read[..last] == archive[..last]);
        assert_eq!(
            read[last..last + 19].to_vec(),
            record("SCHILY.xattr.a", "").into_bytes()
        );
    }

    #[test]
    fn what_is_no_archive_stays_as_it_is() {
        for bytes in [
            Vec::new(),
            vec![42; 5_000],
            vec![0; 10_240],
            header(b'x', (1 << 33) - 1),
            header(b'0', 100),
            entry(b'x', b"no records"),
            entry(b'x', b"99 a=b\n"),
            entry(b'x', b"3 a"),
        ] {
            assert!(read(&bytes) == bytes);
        }
    }
}
