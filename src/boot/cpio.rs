//! Reads the names in an initrd: cpio archives in the "new" format, one after the other; and makes what
//! they say of directories the same on every file system.

use std::ops::Range;

/// Where the numbers of a header begin: after its magic.
const FIELDS: usize = 6;
/// Hexadecimal digits of a number.
const DIGITS: usize = 8;
/// Bytes of a header: 13 numbers follow the magic.
const HEADER: usize = FIELDS + 13 * DIGITS;
/// Which of the numbers have the mode, and the number of links; see newc in cpio(5).
const MODE: usize = 1;
const LINKS: usize = 4;
/// The bits of a mode that say what it is, and those of a directory.
const TYPE: usize = 0o170_000;
const DIRECTORY: usize = 0o040_000;
const MAGIC: [&[u8]; 2] = [b"070701", b"070702"];
/// The name after the last file.
const TRAILER: &[u8] = b"TRAILER!!!";
/// An archive whose first file is this one must not be compressed: the kernel looks for microcode
/// in it before it can unpack anything.
const EARLY: &[u8] = b"early_cpio";

/// An archive in an initrd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive<'a> {
    /// Where it is, with the zeros after it.
    pub range: Range<usize>,
    /// The names in it.
    pub names: Vec<&'a [u8]>,
    /// Where the headers of its directories are.
    directories: Vec<usize>,
}

impl Archive<'_> {
    /// Whether the kernel has to find it as it is.
    #[must_use]
    pub fn is_early(&self) -> bool {
        self.names.contains(&EARLY)
    }
}

/// The archives of an initrd that is not compressed; `None` when it is none.
#[must_use]
pub fn archives(bytes: &[u8]) -> Option<Vec<Archive<'_>>> {
    let mut archives = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        let (mut names, mut directories) = (Vec::new(), Vec::new());
        loop {
            let header = bytes.get(at..at.checked_add(HEADER)?)?;
            if !MAGIC.contains(&header.get(..6)?) {
                return None;
            }
            let (size, name_size) = (number(header, 6)?, number(header, 11)?);
            if number(header, MODE)? & TYPE == DIRECTORY {
                directories.push(at);
            }
            let name = bytes.get(at + HEADER..(at + HEADER).checked_add(name_size)?)?;
            let name = name.strip_suffix(b"\0")?;
            // Name and content each end at a multiple of 4.
            let content = (at + HEADER + name_size).checked_next_multiple_of(4)?;
            at = content.checked_add(size)?.checked_next_multiple_of(4)?;
            if name == TRAILER {
                break;
            }
            names.push(name);
        }
        at = at.min(bytes.len());
        at += bytes
            .get(at..)?
            .iter()
            .take_while(|byte| **byte == 0)
            .count();
        archives.push(Archive {
            range: start..at,
            names,
            directories,
        });
    }
    (!archives.is_empty()).then_some(archives)
}

/// Gives every directory of an initrd two links: on most file systems each of its subdirectories counts,
/// on btrfs none does. The kernel pays no heed to them.
pub fn level(bytes: &mut [u8]) {
    let directories: Vec<usize> = archives(bytes)
        .into_iter()
        .flatten()
        .flat_map(|archive| archive.directories)
        .collect();
    for header in directories {
        let links = header + FIELDS + LINKS * DIGITS;
        bytes[links..links + DIGITS].copy_from_slice(b"00000002");
    }
}

/// The number in a field of a header.
fn number(header: &[u8], field: usize) -> Option<usize> {
    let start = FIELDS + field * DIGITS;
    let digits = header.get(start..start + DIGITS)?;
    usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An archive with these files.
    pub fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, content) in files.iter().chain(&[("TRAILER!!!", b"".as_slice())]) {
            let mut fields = [0; 13];
            fields[6] = content.len();
            fields[11] = name.len() + 1;
            bytes.extend_from_slice(b"070701");
            for field in fields {
                bytes.extend_from_slice(format!("{field:08x}").as_bytes());
            }
            bytes.extend_from_slice(name.as_bytes());
            bytes.push(0);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes.extend_from_slice(content);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    #[test]
    fn archives_follow_each_other() {
        let early = archive(&[("early_cpio", b"1"), ("kernel/x86/microcode", b"abcde")]);
        let mut bytes = early.clone();
        bytes.resize(1024, 0);
        bytes.extend(archive(&[("init", b"#!"), ("etc", b"")]));
        let found = archives(&bytes).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(
            (found[0].range.clone(), found[0].is_early()),
            (0..1024, true)
        );
        assert_eq!(found[1].range, 1024..bytes.len());
        assert_eq!(found[1].names, [b"init".as_slice(), b"etc"]);
        assert!(!found[1].is_early());
    }

    #[test]
    fn directories_have_two_links_on_every_file_system() {
        let on = |links: [&[u8]; 3]| {
            let mut bytes = archive(&[("usr", b""), ("usr/bin", b""), ("init", b"#!")]);
            let modes: [&[u8]; 3] = [b"000041ed", b"000041c0", b"000081ed"];
            let headers: Vec<usize> = bytes
                .windows(MAGIC[0].len())
                .enumerate()
                .filter_map(|(at, magic)| (magic == MAGIC[0]).then_some(at))
                .collect();
            for ((header, links), mode) in headers.into_iter().zip(links).zip(modes) {
                let field = |n: usize| header + FIELDS + n * DIGITS;
                bytes[field(MODE)..field(MODE + 1)].copy_from_slice(mode);
                bytes[field(LINKS)..field(LINKS + 1)].copy_from_slice(links);
            }
            bytes
        };
        let mut ext4 = on([b"00000003", b"00000002", b"00000003"]);
        let mut btrfs = on([b"00000001", b"00000001", b"00000003"]);
        let expected = on([b"00000002", b"00000002", b"00000003"]);
        level(&mut ext4);
        level(&mut btrfs);
        assert!(ext4 == expected && btrfs == expected);
        let mut none = b"070701 and nothing else".to_vec();
        level(&mut none);
        assert_eq!(none, b"070701 and nothing else");
    }

    #[test]
    fn what_is_no_archive_is_none() {
        let good = archive(&[("init", b"#!/bin/sh")]);
        for bad in [
            b"".as_slice(),
            b"\x1f\x8b",
            b"070701",
            &good[..50],
            &good[..130],
        ] {
            assert_eq!(archives(bad), None);
        }
        for at in 0..good.len() {
            for byte in [0, b'f', 0xff] {
                let mut bytes = good.clone();
                bytes[at] = byte;
                let _ = archives(&bytes);
            }
        }
    }
}
