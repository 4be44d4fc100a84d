use super::*;
use crate::host::Quiet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::sync::Mutex;
use tar::{EntryType, Header};
use tempfile::TempDir;

/// Puts an archive together block by block, also one that no tar program would write.
#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn add(mut self, kind: u8, name: &[u8], link: &[u8], data: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        let fields = header.as_old_mut();
        fields.name[..name.len()].copy_from_slice(name);
        fields.linkname[..link.len()].copy_from_slice(link);
        header.set_entry_type(EntryType::new(kind));
        header.set_mode(if kind == b'5' { 0o750 } else { 0o4640 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000_000);
        header.set_size(data.len() as u64);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.data(data)
    }

    fn data(mut self, data: &[u8]) -> Self {
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, name: &str, data: &str) -> Self {
        self.add(b'0', name.as_bytes(), b"", data.as_bytes())
    }

    fn dir(self, name: &str) -> Self {
        self.add(b'5', name.as_bytes(), b"", b"")
    }

    fn link(self, name: &str, target: &str) -> Self {
        self.add(b'2', name.as_bytes(), target.as_bytes(), b"")
    }

    fn hard(self, name: &str, target: &str) -> Self {
        self.add(b'1', name.as_bytes(), target.as_bytes(), b"")
    }

    fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut data = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let length = (1..10)
                .map(|digits| rest + digits)
                .find(|length| rest + length.to_string().len() == *length)
                .unwrap();
            write!(data, "{length} {key}=").unwrap();
            data.extend_from_slice(value);
            data.push(b'\n');
        }
        self.add(b'x', b"pax", b"", &data)
    }

    fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

#[derive(Default)]
struct Warnings(Mutex<Vec<String>>);

impl Report for Warnings {
    fn line(&self, _: &str) {}
    fn warn(&self, message: &str) {
        self.0.lock().unwrap().push(message.to_owned());
    }
    fn progress(&self, done: u64, total: u64) {
        assert!(done <= total);
    }
    fn command(&self, _: &str) {}
}

/// An image inside a directory in which nothing else may appear.
struct Case {
    around: TempDir,
    warnings: Warnings,
}

impl Case {
    fn new() -> Self {
        let around = tempfile::tempdir().unwrap();
        fs::create_dir(around.path().join("image")).unwrap();
        fs::write(around.path().join("host"), "host").unwrap();
        Self {
            around,
            warnings: Warnings::default(),
        }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.around.path().join("image").join(path)
    }

    fn extract(&self, bytes: &[u8]) -> Result<Extracted, TreeError> {
        let archive = tempfile::Builder::new().suffix(".tar").tempfile().unwrap();
        fs::write(archive.path(), bytes).unwrap();
        let root = Root::open(self.at("")).unwrap();
        let result = extract(&root, archive.path(), &self.warnings, &Cancel::default());
        let mut names: Vec<_> = fs::read_dir(self.around.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["host", "image"]);
        assert_eq!(fs::read(self.around.path().join("host")).unwrap(), b"host");
        result
    }

    /// The whole chain of the message.
    fn fails(&self, bytes: &[u8]) -> String {
        let mut error: &dyn std::error::Error = &self.extract(bytes).unwrap_err();
        let mut text = error.to_string();
        while let Some(source) = error.source() {
            text = format!("{text}: {source}");
            error = source;
        }
        text
    }

    fn names(&self) -> Vec<String> {
        fn walk(dir: &Path, names: &mut Vec<String>) {
            for entry in fs::read_dir(dir).unwrap() {
                let entry = entry.unwrap();
                names.push(entry.file_name().to_string_lossy().into_owned());
                if entry.file_type().unwrap().is_dir() {
                    walk(&entry.path(), names);
                }
            }
        }
        let mut names = Vec::new();
        walk(&self.at(""), &mut names);
        names.sort();
        names
    }
}

#[test]
fn extracts_what_an_archive_holds() {
    let case = Case::new();
    let bytes = Tar::default()
        .dir("./")
        .dir("etc/")
        .file("./etc/x", "content")
        .link("etc/y", "/etc/x")
        .hard("z", "./etc/x")
        .add(b'6', b"pipe", b"", b"")
        .file("missing/parent/f", "")
        .end();
    let extracted = case.extract(&bytes).unwrap();
    assert_eq!((extracted.members, extracted.bytes), (7, 7));
    assert_eq!(fs::read(case.at("z")).unwrap(), b"content");
    let x = fs::metadata(case.at("etc/x")).unwrap();
    assert_eq!(x.ino(), fs::metadata(case.at("z")).unwrap().ino());
    assert_eq!(x.mode() & 0o7777, 0o4640);
    assert_eq!(x.mtime(), 1_000_000_000);
    let etc = fs::metadata(case.at("etc")).unwrap();
    assert_eq!((etc.mode() & 0o7777, etc.mtime()), (0o750, 1_000_000_000));
    assert_eq!(
        fs::read_link(case.at("etc/y")).unwrap(),
        Path::new("/etc/x")
    );
    let parent = fs::metadata(case.at("missing/parent")).unwrap();
    assert_eq!(parent.mode() & 0o7777, 0o755);
    assert!(case.warnings.0.lock().unwrap().is_empty());
}

/// Each archive, what its message says, and which names must not be in the image.
#[test]
fn refuses_what_leads_out_of_the_image() {
    let outside = |tar: Tar| tar.end();
    let cases: Vec<(Vec<u8>, &str, &str)> = vec![
        (
            outside(Tar::default().file("../host", "x")),
            "member ../host: its name holds `..`",
            "host",
        ),
        (
            outside(Tar::default().file("a/../../host", "x")),
            "`..`",
            "a",
        ),
        (outside(Tar::default().dir("../up/")), "`..`", "up"),
        (outside(Tar::default().link("..", "x")), "`..`", ".."),
        (
            outside(Tar::default().link("evil", "/etc").file("evil/x", "x")),
            "member evil/x: its path leads through the symbolic link evil, which this archive made \
             and which is absolute",
            "x",
        ),
        (
            outside(Tar::default().link("evil", "../../..").file("evil/x", "x")),
            "which leads out of the image",
            "x",
        ),
        (
            outside(Tar::default().link("evil", "..").dir("evil/x/")),
            "leads out of the image",
            "x",
        ),
        (
            outside(
                Tar::default()
                    .link("evil", "/")
                    .dir("evil/")
                    .file("evil/x", "x"),
            ),
            "is absolute",
            "x",
        ),
        (
            outside(
                Tar::default()
                    .link("a", "b")
                    .link("b", "/tmp")
                    .file("a/x", "x"),
            ),
            "symbolic link b",
            "x",
        ),
        (
            outside(
                Tar::default()
                    .link("d/evil", "/etc")
                    .hard("h", "d/evil")
                    .file("h/x", "x"),
            ),
            "symbolic link h",
            "x",
        ),
        (
            outside(Tar::default().hard("h", "../host")),
            "the target of the hard link holds `..`",
            "h",
        ),
        (
            outside(Tar::default().link("evil", "/").hard("h", "evil/host")),
            "symbolic link evil",
            "h",
        ),
        (
            outside(Tar::default().hard("h", "nothing")),
            "hard link to nothing, which is not there",
            "h",
        ),
        (
            outside(Tar::default().dir("d/").hard("h", "d")),
            "hard link to the directory d",
            "h",
        ),
        (outside(Tar::default().file("", "x")), "name is empty", "x"),
        (
            outside(Tar::default().add(b'Q', b"q", b"", b"")),
            "unknown type `Q`",
            "q",
        ),
        (
            outside(Tar::default().file("f", "").dir("f/")),
            "a file is there already",
            "x",
        ),
        (
            outside(Tar::default().dir("d/").file("d", "x")),
            "a directory is there already",
            "x",
        ),
        (
            outside(Tar::default().file("f", "").file("f/x", "x")),
            "a file is there already",
            "x",
        ),
    ];
    for (bytes, message, name) in cases {
        let case = Case::new();
        let text = case.fails(&bytes);
        assert!(text.contains(message), "{text}");
        assert!(text.contains(".tar: "), "names the archive: {text}");
        assert!(
            !case.names().iter().any(|n| n == name),
            "{text}: {:?}",
            case.names()
        );
        assert!(
            !case.names().iter().any(|n| n.starts_with(".mkosi")),
            "{text}"
        );
    }
}

#[test]
fn links_that_the_image_has_are_followed_beneath_its_root() {
    let case = Case::new();
    fs::create_dir_all(case.at("usr/lib")).unwrap();
    fs::create_dir_all(case.at("var")).unwrap();
    symlink("usr/lib", case.at("lib")).unwrap();
    symlink("/run", case.at("var/run")).unwrap();
    symlink(case.around.path(), case.at("evil")).unwrap();
    let bytes = Tar::default()
        .dir("lib/")
        .file("lib/a", "a")
        .hard("lib/b", "lib/a")
        .file("var/run/pid", "1")
        .link("own", "usr/lib")
        .file("own/c", "c")
        .file("evil/host", "x")
        .end();
    case.extract(&bytes).unwrap();
    assert!(fs::symlink_metadata(case.at("lib")).unwrap().is_symlink());
    let mode = fs::metadata(case.at("usr/lib"))
        .unwrap()
        .permissions()
        .mode();
    assert_ne!(mode & 0o7777, 0o750, "the archive means lib, not usr/lib");
    assert_eq!(fs::metadata(case.at("usr/lib/a")).unwrap().nlink(), 2);
    assert_eq!(fs::read(case.at("run/pid")).unwrap(), b"1");
    assert_eq!(fs::read(case.at("usr/lib/c")).unwrap(), b"c");
}

#[test]
fn files_replace_links_and_are_not_written_through_them() {
    let case = Case::new();
    fs::create_dir(case.at("etc")).unwrap();
    symlink(case.around.path().join("host"), case.at("etc/a")).unwrap();
    fs::write(case.at("etc/old"), "old").unwrap();
    fs::hard_link(case.at("etc/old"), case.at("etc/b")).unwrap();
    let bytes = Tar::default()
        .file("etc/a", "new")
        .file("etc/b", "new")
        .link("c", "/etc")
        .file("c", "new")
        .file("c2", "x")
        .hard("c2", "c2")
        .end();
    case.extract(&bytes).unwrap();
    for path in ["etc/a", "etc/b", "c"] {
        assert!(fs::symlink_metadata(case.at(path)).unwrap().is_file());
        assert_eq!(fs::read(case.at(path)).unwrap(), b"new", "{path}");
    }
    assert_eq!(fs::read(case.at("etc/old")).unwrap(), b"old");
    assert_eq!(case.names(), ["a", "b", "c", "c2", "etc", "old"]);
}

#[test]
fn absolute_names_are_taken_beneath_the_root() {
    let case = Case::new();
    let bytes = Tar::default()
        .file("/etc/x", "x")
        .hard("/y", "/etc/x")
        .end();
    case.extract(&bytes).unwrap();
    assert_eq!(fs::metadata(case.at("y")).unwrap().nlink(), 2);
    let warnings = case.warnings.0.lock().unwrap();
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].contains("2 of its names begin with `/`"),
        "{warnings:?}"
    );
}

#[test]
fn reads_long_names_and_pax_records() {
    let case = Case::new();
    let long = format!("{}/{}", "d".repeat(150), "n".repeat(200));
    let bytes = Tar::default()
        .add(b'L', b"././@LongLink", b"", format!("{long}\0").as_bytes())
        .file("short", "1")
        .add(b'K', b"././@LongLink", b"", long.as_bytes())
        .link("link", "short")
        .pax(&[
            ("path", b"name\nwith \xff"),
            ("mtime", b"12.000000345"),
            ("SCHILY.xattr.user.note", b"a\n\n\0\xffb"),
        ])
        .file("ignored", "2")
        .end();
    case.extract(&bytes).unwrap();
    assert_eq!(fs::read(case.at(&long)).unwrap(), b"1");
    assert_eq!(fs::read_link(case.at("link")).unwrap(), Path::new(&long));
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    let odd = case.at("").join(OsStr::from_bytes(b"name\nwith \xff"));
    let file = fs::File::open(&odd).unwrap();
    let meta = file.metadata().unwrap();
    assert_eq!((meta.mtime(), meta.mtime_nsec()), (12, 345));
    use crate::tree::xattrs::{Of, get};
    let note = get(Of::fd(&file), c"user.note").unwrap().unwrap();
    assert_eq!(note, b"a\n\n\0\xffb");
}

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

fn compressed(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(bytes).unwrap();
    let mut bz = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bz.write_all(bytes).unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(bytes).unwrap();
    vec![
        ("gzip", gz.finish().unwrap()),
        ("bzip2", bz.finish().unwrap()),
        ("xz", xz.finish().unwrap()),
        ("zstd", zstd::encode_all(bytes, 1).unwrap()),
    ]
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
fn what_follows_the_end_is_told() {
    let case = Case::new();
    let mut bytes = Tar::default().file("a", "x").end();
    bytes.extend(Tar::default().file("b", "x").end());
    case.extract(&bytes).unwrap();
    assert_eq!(case.names(), ["a"]);
    assert!(case.warnings.0.lock().unwrap()[0].contains("ignored"));
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

#[test]
fn stops_when_asked() {
    let case = Case::new();
    let archive = case.at("a.tar");
    fs::write(&archive, Tar::default().file("x", "x").end()).unwrap();
    let cancel = Cancel::default();
    cancel.cancel();
    let root = Root::open(case.at("")).unwrap();
    let result = extract(&root, &archive, &Quiet, &cancel);
    assert!(matches!(result, Err(TreeError::Cancelled)));
}
