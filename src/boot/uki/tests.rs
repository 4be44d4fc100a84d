//! Assembling, on a stub made here.

use std::fs;

use super::*;

/// A stub with two sections, a debug directory in the second one and a signature at its end.
fn stub(room: usize) -> Vec<u8> {
    let mut bytes = vec![0; 0x200 + 0x400];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[0x3c] = 0x40;
    bytes[0x40..0x44].copy_from_slice(b"PE\0\0");
    let mut set = |at: usize, value: u32| bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    set(0x44, 0x0002_8664);
    set(0x4c, 0x1234);
    set(0x50, 9);
    set(0x54, 240);
    let optional = 0x58;
    set(optional, 0x20b);
    set(optional + 8, 0x200);
    set(optional + 32, 0x1000);
    set(optional + 36, 0x200);
    set(optional + 56, 0x3000);
    set(optional + 60, 0x200);
    set(optional + 64, 77);
    set(optional + 108, 16);
    set(optional + 112 + 4 * 8, 0x600);
    set(optional + 112 + 4 * 8 + 4, 8);
    set(optional + 112 + 6 * 8, 0x2010);
    set(optional + 112 + 6 * 8 + 4, 28);
    let table = optional + 240;
    for (nth, address) in [room as u32, 0x2000].into_iter().enumerate() {
        let at = table + nth * 40;
        set(at + 8, 0x100);
        set(at + 12, address);
        set(at + 16, 0x200);
        set(at + 20, 0x200 + nth as u32 * 0x200);
        set(at + 36, 0x6000_0020);
    }
    for (nth, name) in [b".text\0", b".rdata"].iter().enumerate() {
        bytes[table + nth * 40..table + nth * 40 + 6].copy_from_slice(*name);
    }
    bytes[0x200..0x204].copy_from_slice(b"code");
    let entry = 0x410;
    bytes[entry + 20..entry + 24].copy_from_slice(&0x2080_u32.to_le_bytes());
    bytes[entry + 24..entry + 28].copy_from_slice(&0x480_u32.to_le_bytes());
    bytes[0x480..0x484].copy_from_slice(b"RSDS");
    bytes.extend_from_slice(b"SIGNATUR");
    bytes
}

fn made(stub: &[u8], initrd: &[u8]) -> Result<Vec<u8>, UkiError> {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("stub"), stub).unwrap();
    fs::write(path("linux"), b"KERNEL").unwrap();
    fs::write(path("initrd"), initrd).unwrap();
    let uki = Uki {
        stub: &path("stub"),
        kernel: &path("linux"),
        release: "6.1",
        initrd: &path("initrd"),
        command_line: "quiet rw",
        os_release: b"ID=x\n",
    };
    let mut output = File::create(path("uki")).unwrap();
    write(&uki, &mut output)?;
    Ok(fs::read(path("uki")).unwrap())
}

#[test]
fn sections_follow_those_of_the_stub() {
    let initrd = vec![7; 5000];
    let bytes = made(&stub(0x1000), &initrd).unwrap();
    let pe = Pe::parse(bytes.clone()).unwrap();
    let names: Vec<_> = pe
        .sections
        .iter()
        .map(|s| String::from_utf8_lossy(s.name()).into_owned())
        .collect();
    assert_eq!(
        names,
        [
            ".text", ".rdata", ".sbat", ".osrel", ".cmdline", ".uname", ".initrd", ".linux"
        ]
    );
    for (name, content) in [
        (".osrel", b"ID=x\n".as_slice()),
        (".cmdline", b"quiet rw"),
        (".uname", b"6.1"),
        (".initrd", &initrd),
        (".linux", b"KERNEL"),
    ] {
        assert_eq!(pe.content(name), Some(content), "{name}");
    }
    let mut end = 0;
    for section in &pe.sections {
        assert!(section.address >= end && section.address % 0x1000 == 0);
        assert_eq!(section.raw_offset % 0x200, 0);
        assert_eq!(section.raw_size % 0x200, 0);
        end = section.end().unwrap();
    }
    let size_of_image = read32(&bytes, pe.optional + 56).unwrap();
    assert_eq!(size_of_image, end.next_multiple_of(0x1000));
    // Headers grew, and everything moved with them: the debug directory still finds its data.
    assert_eq!(read32(&bytes, pe.optional + 60).unwrap(), 0x400);
    assert!(pe.content(".text").unwrap().starts_with(b"code"));
    let (field, address) = pe.debug_offsets().unwrap()[0];
    let target = read32(&bytes, field).unwrap() as usize;
    assert_eq!(Some(target), pe.offset_of(address));
    assert!(bytes[target..].starts_with(b"RSDS"));
    // No symbol table, no checksum, no signature.
    assert_eq!(read32(&bytes, pe.new_header + 12).unwrap(), 0);
    assert_eq!(read32(&bytes, pe.optional + 64).unwrap(), 0);
    assert_eq!(&bytes[pe.certificates().unwrap()], [0; 8]);
    assert!(!bytes.windows(8).any(|w| w == b"SIGNATUR"));
    assert_eq!(bytes.len() % 0x200, 0);
}

#[test]
fn what_is_no_stub_is_refused() {
    for (stub, message) in [
        (b"#!/bin/sh".to_vec(), "no PE executable"),
        (stub(0x1000)[..0x1f0].to_vec(), "damaged"),
        (stub(0x300), "no room for more sections"),
        (made(&stub(0x1000), b"x").unwrap(), "already"),
    ] {
        let error = made(&stub, b"x").unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn no_header_makes_it_panic() {
    let good = stub(0x1000);
    for at in 0..0x200 {
        for value in [0, 1, 0x7f, 0xff] {
            let mut bad = good.clone();
            bad[at] = value;
            // Whatever comes of it.
            let _ = made(&bad, b"x");
        }
    }
}
