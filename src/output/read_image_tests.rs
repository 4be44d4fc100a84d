//! Tests of reading an image once.

use std::io::Read as _;
use std::sync::Mutex;

use super::*;
use crate::host::{Cancel, FullDisk, Quiet, Recorder, Report};

#[derive(Default)]
struct Progress(Mutex<Vec<(u64, u64)>>);

impl Report for Progress {
    fn line(&self, _: &str) {}
    fn warn(&self, _: &str) {}
    fn command(&self, _: &str) {}
    fn progress(&self, done: u64, total: u64) {
        self.0.lock().unwrap().push((done, total));
    }
}

fn host(report: Arc<dyn Report>, cancel: Cancel) -> Host {
    Host::new(Arc::new(Recorder::default()), report, cancel)
}

const SIZE: u64 = (70 << 20) + 100;

/// A sparse image with data at its beginning, in its middle and in its last, short block.
fn image(path: &Path) -> Vec<u8> {
    let image = File::create(path).unwrap();
    image.set_len(SIZE).unwrap();
    let mut content = vec![0; SIZE as usize];
    for (at, length) in [(0, 3 << 20), (40 << 20, 5000), (SIZE as usize - 3, 3)] {
        for (byte, n) in content[at..at + length].iter_mut().zip(1_u32..) {
            *byte = (n.wrapping_mul(2_654_435_761) >> 27) as u8;
        }
        image
            .write_all_at(&content[at..at + length], at as u64)
            .unwrap();
    }
    content
}

#[test]
fn one_reading_yields_everything() {
    let directory = tempfile::tempdir().unwrap();
    let from = directory.path().join("image.raw");
    let content = image(&from);
    for compression in [None, Some(Compression::Xz), Some(Compression::Zstd)] {
        let to = directory.path().join("image.raw.packed");
        let wanted = Wanted {
            compressed: compression.map(|compression| (to.as_path(), compression)),
            map: Some(&[]),
            digest: true,
        };
        let progress = Arc::new(Progress::default());
        let made = read_image(&from, wanted, &host(progress.clone(), Cancel::default())).unwrap();
        // 3 MiB, two blocks, and the last one.
        assert_eq!(made.map.unwrap().mapped(), 768 + 2 + 1);
        let published = match compression {
            None => content.clone(),
            Some(_) => fs::read(&to).unwrap(),
        };
        assert_eq!(made.digest, Some(Digest::of(&published)));
        let mut unpacked = Vec::new();
        match compression {
            None => unpacked.clone_from(&content),
            Some(Compression::Xz) => {
                let mut reader = liblzma::read::XzDecoder::new(&published[..]);
                reader.read_to_end(&mut unpacked).unwrap();
            }
            _ => {
                let mut reader = zstd::Decoder::new(&published[..]).unwrap();
                reader.read_to_end(&mut unpacked).unwrap();
            }
        }
        assert!(unpacked == content, "{compression:?}");
        let seen = progress.0.lock().unwrap();
        assert!(seen.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(seen.last(), Some(&(SIZE, SIZE)));
        let _ = fs::remove_file(&to);
    }
}

#[test]
#[allow(clippy::single_range_in_vec_init)] // a list of ranges is what is meant
fn ranges_that_must_be_mapped_are() {
    let directory = tempfile::tempdir().unwrap();
    let from = directory.path().join("image.raw");
    image(&from);
    let wanted = Wanted {
        map: Some(&[(2 << 20)..(8 << 20)]),
        ..Wanted::default()
    };
    let quiet = host(Arc::new(Quiet), Cancel::default());
    let made = read_image(&from, wanted, &quiet).unwrap();
    assert_eq!(made.digest, None);
    assert_eq!(made.map.unwrap().mapped(), 2048 + 2 + 1);
}

#[test]
fn an_empty_image_is_an_image() {
    let directory = tempfile::tempdir().unwrap();
    let from = directory.path().join("image.raw");
    File::create(&from).unwrap();
    let wanted = Wanted {
        compressed: None,
        map: Some(&[]),
        digest: true,
    };
    let made = read_image(&from, wanted, &host(Arc::new(Quiet), Cancel::default())).unwrap();
    assert_eq!(made.digest, Some(Digest::of(b"")));
    assert_eq!(made.map.unwrap().mapped(), 0);
}

#[test]
fn cancelling_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (
        directory.path().join("image.raw"),
        directory.path().join("image.raw.xz"),
    );
    fs::write(&from, "image").unwrap();
    let cancel = Cancel::default();
    cancel.cancel();
    let wanted = Wanted {
        compressed: Some((&to, Compression::Xz)),
        ..Wanted::default()
    };
    let error = read_image(&from, wanted, &host(Arc::new(Quiet), cancel)).unwrap_err();
    assert!(matches!(error, OutputError::Cancelled));
    assert!(!to.exists() && from.exists());
}

#[test]
fn an_existing_target_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let from = directory.path().join("image.raw");
    fs::write(&from, "image").unwrap();
    let wanted = Wanted {
        compressed: Some((&from, Compression::Gz)),
        ..Wanted::default()
    };
    let quiet = host(Arc::new(Quiet), Cancel::default());
    let error = read_image(&from, wanted, &quiet).unwrap_err();
    assert!(matches!(
        error,
        OutputError::Io {
            doing: "create",
            ..
        }
    ));
    assert_eq!(fs::read(&from).unwrap(), b"image");
}

#[test]
fn a_full_disk_is_told_from_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let from = directory.path().join("image.raw");
    image(&from);
    let full = Path::new("/dev/full");
    let target = Some((
        full,
        Compression::Gz,
        File::options().write(true).open(full).unwrap(),
    ));
    let source = File::open(&from).unwrap();
    let data = extents::of(&source, bmap::BLOCK, &[]).unwrap();
    let quiet = host(Arc::new(Quiet), Cancel::default());
    let made = work(
        &from,
        &source,
        (SIZE, data),
        target,
        Wanted::default(),
        &quiet,
    );
    assert!(matches!(made, Err(OutputError::HostFull(disk)) if disk == FullDisk::of(full)));
}
