//! Archives made by hand, and where they are extracted.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tar::{EntryType, Header};
use tempfile::TempDir;

use super::super::{Cancel, Extracted, Report, Root, TreeError, extract};

/// Puts an archive together block by block, also one that no tar program would write.
#[derive(Default)]
pub struct Tar(pub Vec<u8>);

impl Tar {
    pub fn add(mut self, kind: u8, name: &[u8], link: &[u8], data: &[u8]) -> Self {
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

    pub fn data(mut self, data: &[u8]) -> Self {
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub fn file(self, name: &str, data: &str) -> Self {
        self.add(b'0', name.as_bytes(), b"", data.as_bytes())
    }

    pub fn dir(self, name: &str) -> Self {
        self.add(b'5', name.as_bytes(), b"", b"")
    }

    pub fn link(self, name: &str, target: &str) -> Self {
        self.add(b'2', name.as_bytes(), target.as_bytes(), b"")
    }

    pub fn hard(self, name: &str, target: &str) -> Self {
        self.add(b'1', name.as_bytes(), target.as_bytes(), b"")
    }

    pub fn pax(self, records: &[(&str, &[u8])]) -> Self {
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

    pub fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

#[derive(Default)]
pub struct Warnings(pub Mutex<Vec<String>>);

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
pub struct Case {
    pub around: TempDir,
    pub warnings: Warnings,
}

impl Case {
    pub fn new() -> Self {
        let around = tempfile::tempdir().unwrap();
        fs::create_dir(around.path().join("image")).unwrap();
        fs::write(around.path().join("host"), "host").unwrap();
        Self {
            around,
            warnings: Warnings::default(),
        }
    }

    pub fn at(&self, path: &str) -> PathBuf {
        self.around.path().join("image").join(path)
    }

    pub fn extract(&self, bytes: &[u8]) -> Result<Extracted, TreeError> {
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
    pub fn fails(&self, bytes: &[u8]) -> String {
        let mut error: &dyn std::error::Error = &self.extract(bytes).unwrap_err();
        let mut text = error.to_string();
        while let Some(source) = error.source() {
            text = format!("{text}: {source}");
            error = source;
        }
        text
    }

    pub fn names(&self) -> Vec<String> {
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

pub fn compressed(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
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
