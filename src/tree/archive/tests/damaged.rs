//! Archives that are cut off, corrupt or too big.

use std::fs;
use std::io::{Read as _, Write as _};

use tar::{EntryType, Header};

use super::super::{Cancel, Root, TreeError, extract};
use super::case::*;
use crate::host::Quiet;

#[test]
fn says_what_is_truncated_or_corrupt_and_leaves_nothing_of_it() {
    let noise: String = (0u32..4000)
        .map(|i| char::from(b'a' + (i.wrapping_mul(2_654_435_761) >> 24) as u8 % 26))
        .collect();
    let plain = Tar::default()
        .file("whole", "x")
        .file("broken", &noise)
        .end();
    let mut all = compressed(&plain);
    all.push(("tar", plain.clone()));
    for (name, bytes) in &all {
        let case = Case::new();
        let cut = match *name {
            "tar" => &bytes[..3000],
            _ => &bytes[..bytes.len() - 20],
        };
        let text = case.fails(cut);
        assert!(
            text.contains("truncated") || text.contains("corrupt"),
            "{name}: {text}"
        );
        assert!(
            !case.names().iter().any(|n| n.starts_with(".mkosi")),
            "{name}"
        );
    }
    let case = Case::new();
    let text = case.fails(&plain[..3000]);
    assert!(
        text.contains("member broken: the archive is truncated"),
        "{text}"
    );
    assert_eq!(case.names(), ["whole"]);
    // Cut exactly between two members.
    let text = Case::new().fails(&plain[..1024]);
    assert!(
        text.contains("after member whole: the archive is truncated"),
        "{text}"
    );
    let mut bad = plain.clone();
    bad[1030] ^= 1;
    let text = Case::new().fails(&bad);
    assert!(text.contains("checksum"), "{text}");
    assert!(Case::new().fails(b"").contains("is empty"));
    // One damaged byte in the middle of each compressed form.
    for (name, mut bytes) in compressed(&plain) {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x55;
        let text = Case::new().fails(&bytes);
        assert!(
            text.contains("corrupt") || text.contains("truncated"),
            "{name}: {text}"
        );
    }
}

#[test]
fn huge_headers_do_not_fill_the_memory() {
    let mut header = Header::new_gnu();
    header.set_path("x").unwrap();
    header.set_entry_type(EntryType::new(b'x'));
    header.set_size(1 << 40);
    header.set_cksum();
    let text = Case::new().fails(header.as_bytes());
    assert!(text.contains("pax header of 1099511627776 bytes"), "{text}");
}

/// Damaged archives fail or extract, but never panic and never touch what is around the image.
#[test]
fn survives_damaged_archives() {
    let plain = Tar::default()
        .dir("d/")
        .file("d/f", "content")
        .link("l", "d")
        .pax(&[
            ("path", b"p"),
            ("size", b"7"),
            ("GNU.sparse.size", b"100"),
            ("GNU.sparse.map", b"0,3,50,4"),
        ])
        .file("s", "abcdefg")
        .hard("h", "d/f")
        .end();
    let mut state = 1u64;
    let mut random = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize
    };
    for _ in 0..400 {
        let mut bytes = plain.clone();
        for _ in 0..=random() % 4 {
            let at = random() % bytes.len();
            bytes[at] = random() as u8;
            // A checksum that fits lets the damage through.
            let block = at / 512 * 512;
            let mut header = Header::new_old();
            header
                .as_mut_bytes()
                .copy_from_slice(&bytes[block..block + 512]);
            header.set_cksum();
            bytes[block..block + 512].copy_from_slice(header.as_bytes());
        }
        bytes.truncate(bytes.len() - random() % 600);
        let case = Case::new();
        let _ = case.extract(&bytes);
    }
}

/// Blocks that say only that another one follows, and zeros after the end, out of a few bytes.
#[test]
fn what_never_ends_is_refused_or_can_be_stopped() {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::GNUSparse);
    header.set_path("x").unwrap();
    header.set_size(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.as_gnu_mut().unwrap().isextended[0] = 1;
    header.as_gnu_mut().unwrap().set_real_size(0);
    header.set_cksum();
    let mut more = [0; 512];
    more[504] = 1;
    let mut bomb = zstd::Encoder::new(Vec::new(), 1).unwrap();
    bomb.write_all(header.as_bytes()).unwrap();
    let blocks = more.repeat(2048);
    for _ in 0..100 {
        bomb.write_all(&blocks).unwrap();
    }
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < 1 << 20);
    let text = Case::new().fails(&bomb);
    assert!(text.contains("its map of holes is too large"), "{text}");

    // Much more than can be read before this ends.
    let end = zstd::encode_all(&Tar::default().file("a", "x").end()[..], 1).unwrap();
    let zeros = zstd::encode_all(std::io::repeat(0).take(1 << 30), 1).unwrap();
    let archive = tempfile::NamedTempFile::new().unwrap();
    fs::write(archive.path(), [end, zeros.repeat(200)].concat()).unwrap();
    let case = Case::new();
    let root = Root::open(case.at("")).unwrap();
    let cancel = Cancel::default();
    let stopped = std::thread::scope(|scope| {
        let run = scope.spawn(|| extract(&root, archive.path(), &Quiet, &cancel));
        while !case.at("a").exists() {
            std::thread::yield_now();
        }
        cancel.cancel();
        run.join().unwrap()
    });
    assert!(matches!(stopped, Err(TreeError::Cancelled)), "{stopped:?}");
}
