//! Holes and compression.

use std::fs;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

use super::case::*;
use tar::{EntryType, Header};

#[test]
fn restores_holes_in_every_format() {
    let map_1_0 = {
        let mut map = b"2\n0\n3\n1048576\n4\n".to_vec();
        map.resize(512, 0);
        map.extend_from_slice(b"abcdefg");
        map
    };
    let size = 2u64 << 20;
    let size_text = size.to_string();
    let old = {
        let mut header = Header::new_gnu();
        header.set_path("old").unwrap();
        header.set_entry_type(EntryType::new(b'S'));
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(7);
        let gnu = header.as_gnu_mut().unwrap();
        gnu.set_real_size(size);
        gnu.set_is_extended(true);
        gnu.sparse[0].set_offset(0);
        gnu.sparse[0].set_length(3);
        header.set_cksum();
        let mut more = tar::GnuExtSparseHeader::new();
        more.sparse_mut()[0].set_offset(1 << 20);
        more.sparse_mut()[0].set_length(4);
        let mut tar = Tar(header.as_bytes().to_vec());
        tar.0.extend_from_slice(more.as_bytes());
        tar.data(b"abcdefg")
    };
    let bytes = old
        .pax(&[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"v10"),
            ("GNU.sparse.realsize", size_text.as_bytes()),
        ])
        .add(b'0', b"GNUSparseFile.1/v10", b"", &map_1_0)
        .pax(&[
            ("GNU.sparse.size", size_text.as_bytes()),
            ("GNU.sparse.name", b"v01"),
            ("GNU.sparse.map", b"0,3,1048576,4"),
        ])
        .file("other", "abcdefg")
        .pax(&[
            ("GNU.sparse.size", size_text.as_bytes()),
            ("GNU.sparse.numblocks", b"2"),
            ("GNU.sparse.offset", b"0"),
            ("GNU.sparse.numbytes", b"3"),
            ("GNU.sparse.offset", b"1048576"),
            ("GNU.sparse.numbytes", b"4"),
        ])
        .file("v00", "abcdefg")
        .file("after", "x")
        .end();
    let case = Case::new();
    case.extract(&bytes).unwrap();
    assert_eq!(case.names(), ["after", "old", "v00", "v01", "v10"]);
    for name in ["old", "v00", "v01", "v10"] {
        let file = fs::File::open(case.at(name)).unwrap();
        let meta = file.metadata().unwrap();
        assert_eq!(meta.len(), size, "{name}");
        assert!(meta.blocks() * 512 <= 64 * 1024, "{name}");
        let mut data = [0; 5];
        file.read_exact_at(&mut data, (1 << 20) - 1).unwrap();
        assert_eq!(&data, b"\0defg", "{name}");
        file.read_exact_at(&mut data, 0).unwrap();
        assert_eq!(&data, b"abc\0\0", "{name}");
    }
}

#[test]
fn reads_every_compression_also_in_pieces() {
    let plain = Tar::default().file("a", &"text ".repeat(2000)).end();
    let (first, second) = plain.split_at(700);
    for ((name, one), (_, two)) in compressed(first).into_iter().zip(compressed(second)) {
        let case = Case::new();
        case.extract(&[one, two].concat()).unwrap();
        assert_eq!(fs::metadata(case.at("a")).unwrap().len(), 10_000, "{name}");
    }
}
