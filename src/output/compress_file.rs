//! A finished image → its compressed form.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;

use super::compress::pump;
use super::{Compression, Compressor, OutputError};
use crate::host::Host;

/// Compresses the file `from` into `to`, which must not exist yet; `from` stays. A failure leaves no
/// `to`. Progress counts the bytes of `from`.
pub fn compress_file(
    from: &Path,
    to: &Path,
    compression: Compression,
    host: &Host,
) -> Result<(), OutputError> {
    let mut source = File::open(from).map_err(OutputError::io("open", from))?;
    let total = source
        .metadata()
        .map_err(OutputError::io("read", from))?
        .len();
    let target = File::options()
        .write(true)
        .create_new(true)
        .open(to)
        .map_err(OutputError::io("create", to))?;
    let written = (|| {
        let mut compressor =
            Compressor::new(BufWriter::with_capacity(1 << 20, target), compression)?;
        pump(&mut source, &mut compressor, total, host)?;
        compressor
            .finish()?
            .into_inner()
            .map_err(std::io::IntoInnerError::into_error)
    })();
    written.map(drop).map_err(|error| {
        // The error at hand says what matters.
        let _ = fs::remove_file(to);
        if host.cancel.is_cancelled() {
            OutputError::Cancelled
        } else {
            OutputError::io("compress into", to)(error)
        }
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::FileExt as _;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::host::{Cancel, Quiet, Recorder, Report};

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

    #[test]
    fn a_sparse_image_becomes_small_and_progress_ends_at_the_whole() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (
            directory.path().join("image.raw"),
            directory.path().join("image.raw.zst"),
        );
        let image = File::create(&from).unwrap();
        image.set_len(30 << 20).unwrap();
        image.write_all_at(b"end", (30 << 20) - 3).unwrap();
        let progress = Arc::new(Progress::default());
        let host = Host::new(
            Arc::new(Recorder::default()),
            progress.clone(),
            Cancel::default(),
        );
        compress_file(&from, &to, Compression::Zstd, &host).unwrap();

        assert!(fs::metadata(&to).unwrap().len() < 100_000);
        let mut data = Vec::new();
        zstd::Decoder::new(File::open(&to).unwrap())
            .unwrap()
            .read_to_end(&mut data)
            .unwrap();
        assert_eq!(data.len(), 30 << 20);
        assert_eq!(&data[data.len() - 3..], b"end");
        let seen = progress.0.lock().unwrap();
        assert!(seen.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(seen.last(), Some(&(30 << 20, 30 << 20)));
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
        let host = Host::new(Arc::new(Recorder::default()), Arc::new(Quiet), cancel);
        let error = compress_file(&from, &to, Compression::Xz, &host).unwrap_err();
        assert!(matches!(error, OutputError::Cancelled));
        assert!(!to.exists() && from.exists());
    }

    #[test]
    fn an_existing_target_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let from = directory.path().join("image.raw");
        fs::write(&from, "image").unwrap();
        let host = Host::new(
            Arc::new(Recorder::default()),
            Arc::new(Quiet),
            Cancel::default(),
        );
        let error = compress_file(&from, &from, Compression::Gz, &host).unwrap_err();
        assert!(matches!(
            error,
            OutputError::Io {
                doing: "create",
                ..
            }
        ));
        assert_eq!(fs::read(&from).unwrap(), b"image");
    }
}
