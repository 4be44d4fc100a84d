//! tar archives of a tree, written by GNU tar and compressed on the way.

use std::fs::{self, File};
use std::io::{self, BufWriter, IntoInnerError, Read};
use std::path::{Path, PathBuf};

use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

use super::compress::pump;
use super::digest::{Digest, Hashing};
use super::pax::InOrder;
use super::{Compression, Compressor, OutputError};
use crate::host::{Command, CommandError, FullDisk, Host, Stdout};

/// How an archive shall be.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Compressed like this, or not.
    pub compression: Option<Compression>,
    /// Leave SELinux labels out.
    pub strip_selinux: bool,
    /// The time in seconds that no file shall be newer than (`SOURCE_DATE_EPOCH`).
    pub latest: Option<u64>,
    /// About how many bytes the archive will have before compression; for showing progress only.
    pub expected: u64,
    /// Whether to compute the archive's checksum on the way.
    pub digest: bool,
}

/// Packs `tree` into the archive `output`, a file that must not exist yet. A failure leaves no file.
///
/// Kept are owners by number, modes, hard links, holes (without [`Options::latest`]), devices, FIFOs
/// and all extended attributes, ACLs among them. Sockets are left out, and so is what is mounted on
/// the tree.
///
/// # Errors
/// What tar says, that the archive cannot be written, or an interruption.
pub fn pack(
    tree: &Path,
    output: &Path,
    options: &Options,
    host: &Host,
) -> Result<Option<Digest>, OutputError> {
    let file = File::options()
        .write(true)
        .create_new(true)
        .open(output)
        .map_err(OutputError::io("create", output))?;
    let looked_at = options.compression.is_some() || options.digest || options.latest.is_some();
    let packed = if looked_at {
        through(tree, output, file, options, host)
    } else {
        run(tree, output, options, file, host).map(|()| None)
    };
    if packed.is_err() {
        // The error at hand says what matters.
        let _ = fs::remove_file(output);
    }
    packed
}

/// Runs tar into a pipe, and sorts, compresses and hashes what comes out.
fn through(
    tree: &Path,
    output: &Path,
    file: File,
    options: &Options,
    host: &Host,
) -> Result<Option<Digest>, OutputError> {
    let (from, to) = pipe_with(PipeFlags::CLOEXEC)
        .map_err(|error| OutputError::io("make a pipe for", output)(error.into()))?;
    // Fewer, larger pieces; unprivileged limits may forbid it, and it works without.
    let _ = fcntl_setpipe_size(&to, 1 << 20);

    let (packed, compressed) = std::thread::scope(|scope| {
        // The compressor owns the reading end: if it fails, tar's next write does, and both end.
        let compressed = scope.spawn(move || {
            let mut from = Input::new(File::from(from), options.latest.is_some());
            let mut file = BufWriter::with_capacity(1 << 20, Hashing::new(file, options.digest));
            if let Some(compression) = options.compression {
                let mut compressor = Compressor::new(file, compression)?;
                pump(&mut from, &mut compressor, options.expected, host)?;
                file = compressor.finish()?;
            } else {
                pump(&mut from, &mut file, options.expected, host)?;
            }
            let file = file.into_inner().map_err(IntoInnerError::into_error)?;
            Ok(file.finish().1)
        });
        let packed = run(tree, output, options, File::from(to), host);
        (packed, compressed.join())
    });
    let compressed =
        compressed.unwrap_or_else(|_| Err(std::io::Error::other("the compressor broke down")));
    match (packed, compressed) {
        (_, Err(_)) if host.cancel.is_cancelled() => Err(OutputError::Cancelled),
        // When the disk is full, tar only knows that nobody listens any more.
        (_, Err(error)) => Err(OutputError::io("write", output)(error)),
        (packed, Ok(digest)) => packed.map(|()| digest),
    }
}

/// What tar writes, as it is or with what differs from one file system to the next in order.
enum Input {
    AsItIs(File),
    InOrder(InOrder<File>),
}

impl Input {
    fn new(file: File, in_order: bool) -> Self {
        if in_order {
            Self::InOrder(InOrder::new(file))
        } else {
            Self::AsItIs(file)
        }
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::AsItIs(file) => file.read(buffer),
            Self::InOrder(archive) => archive.read(buffer),
        }
    }
}

fn run(
    tree: &Path,
    output: &Path,
    options: &Options,
    to: File,
    host: &Host,
) -> Result<(), OutputError> {
    host.run(command(tree, options).stdout(Stdout::File(to)))
        .map(|_| ())
        .map_err(|source| match source {
            CommandError::Cancelled => OutputError::Cancelled,
            CommandError::Failed { tail, .. } if tail.contains("No space left on device") => {
                OutputError::HostFull(FullDisk::of(output))
            }
            source => OutputError::Command {
                doing: "pack the tree with tar",
                source,
            },
        })
}

fn command(tree: &Path, options: &Options) -> Command {
    let mut command = Command::new("tar")
        // Neither the host's language nor its users' habits show in the archive.
        .env("LC_ALL", "C")
        .env("TAR_OPTIONS", "")
        .args(["--create", "--file=-"])
        .arg("--format=pax")
        // Names of extended headers without the process number in them, and no times that differ
        // from one build to the next.
        .arg("--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime")
        .args(["--sort=name", "--numeric-owner", "--one-file-system"])
        // ACLs travel as the attributes they are: with --acls they would be written by name, as
        // this host names its users.
        .args(["--xattrs", "--xattrs-include=*"]);
    if options.strip_selinux {
        command = command.arg("--xattrs-exclude=security.selinux");
    }
    if let Some(latest) = options.latest {
        command = command.args([format!("--mtime=@{latest}"), "--clamp-mtime".to_owned()]);
    } else {
        // Where a file has holes depends on the host's file system, and tar puts its process number
        // beside them: nothing for archives that are to be the same each time.
        command = command.arg("--sparse");
    }
    command.arg("--directory").arg(tree).arg(".")
}

/// The programs that [`pack`] needs.
#[must_use]
pub const fn tools() -> &'static [&'static str] {
    &["tar"]
}

/// The name of an archive of `stem` with this compression.
#[must_use]
pub fn name(stem: &Path, compression: Option<Compression>) -> PathBuf {
    let mut name = stem.as_os_str().to_owned();
    name.push(".tar");
    name.push(compression.map_or("", Compression::suffix));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::host::{Cancel, Quiet, Recorder};

    /// What packing returned, the command lines, and the archive.
    type Packed = (
        Result<Option<Digest>, OutputError>,
        Vec<String>,
        Option<Vec<u8>>,
    );

    fn pack_on_paper(recorder: Recorder, options: &Options) -> Packed {
        let recorder = Arc::new(recorder);
        let host = Host::new(recorder.clone(), Arc::new(Quiet), Cancel::default());
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("image.tar");
        let result = pack(Path::new("/the tree"), &output, options, &host);
        (result, recorder.lines(), fs::read(&output).ok())
    }

    #[test]
    fn command_line() {
        let options = Options {
            strip_selinux: true,
            latest: Some(1_700_000_000),
            ..Options::default()
        };
        let (result, lines, file) = pack_on_paper(Recorder::default(), &options);
        result.unwrap();
        assert_eq!(file.as_deref(), Some(&b""[..]));
        assert_eq!(
            lines,
            [
                "LC_ALL=C TAR_OPTIONS='' tar --create --file=- --format=pax \
             --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime \
             --sort=name --numeric-owner --one-file-system --xattrs '--xattrs-include=*' \
             --xattrs-exclude=security.selinux --mtime=@1700000000 --clamp-mtime \
             --directory '/the tree' ."
            ]
        );
    }

    #[test]
    fn plain_options_leave_labels_and_times_alone() {
        let (_, lines, _) = pack_on_paper(Recorder::default(), &Options::default());
        assert!(!lines[0].contains("selinux") && !lines[0].contains("mtime"));
        assert!(lines[0].contains(" --sparse "));
    }

    #[test]
    fn a_failure_leaves_no_file() {
        for compression in [None, Some(Compression::Xz)] {
            let recorder = Recorder::default();
            recorder.fail("tar", 2, "tar: ./x: Cannot open");
            let options = Options {
                compression,
                ..Options::default()
            };
            let (result, _, file) = pack_on_paper(recorder, &options);
            assert_eq!(
                result.unwrap_err().to_string(),
                "cannot pack the tree with tar"
            );
            assert_eq!(file, None);
        }
    }

    #[test]
    fn what_tar_writes_is_compressed() {
        for compression in [Compression::Xz, Compression::Zstd, Compression::Gz] {
            let recorder = Recorder::default();
            recorder.answer("tar", vec![42; 5_000_000]);
            let options = Options {
                compression: Some(compression),
                digest: true,
                ..Options::default()
            };
            let (result, _, file) = pack_on_paper(recorder, &options);
            let packed = file.unwrap();
            assert_eq!(result.unwrap(), Some(Digest::of(&packed)));
            let mut data = Vec::new();
            let mut reader: Box<dyn std::io::Read + '_> = match compression {
                Compression::Xz => Box::new(liblzma::read::XzDecoder::new(&packed[..])),
                Compression::Zstd => Box::new(zstd::Decoder::new(&packed[..]).unwrap()),
                Compression::Gz => Box::new(flate2::read::GzDecoder::new(&packed[..])),
                Compression::Bz2 => Box::new(bzip2::read::BzDecoder::new(&packed[..])),
            };
            reader.read_to_end(&mut data).unwrap();
            assert!(data == vec![42; 5_000_000]);
        }
    }

    #[test]
    fn an_existing_file_is_left_alone() {
        let host = Host::new(
            Arc::new(Recorder::default()),
            Arc::new(Quiet),
            Cancel::default(),
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = pack(Path::new("/"), file.path(), &Options::default(), &host).unwrap_err();
        assert!(matches!(
            error,
            OutputError::Io {
                doing: "create",
                ..
            }
        ));
        assert!(file.path().exists());
    }

    #[test]
    fn cancelling_is_told_apart_from_failing() {
        let cancel = Cancel::default();
        cancel.cancel();
        let host = Host::new(Arc::new(Recorder::default()), Arc::new(Quiet), cancel);
        let directory = tempfile::tempdir().unwrap();
        for compression in [None, Some(Compression::Gz)] {
            let options = Options {
                compression,
                ..Options::default()
            };
            let output = directory.path().join("image.tar");
            let error = pack(Path::new("/"), &output, &options, &host).unwrap_err();
            assert!(matches!(error, OutputError::Cancelled), "{error}");
            assert!(!output.exists());
        }
    }

    #[test]
    fn names() {
        let stem = Path::new("out/image");
        assert_eq!(name(stem, None), Path::new("out/image.tar"));
        assert_eq!(
            name(stem, Some(Compression::Zstd)),
            Path::new("out/image.tar.zst")
        );
    }
}
