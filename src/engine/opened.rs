//! An image of any form as a directory tree that is only looked at: a directory as it is, a disk image
//! mounted, an archive unpacked.

use std::fs::{self, File};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use super::scratch::{Scratch, WORK};
use super::{EngineError, StepError};
use crate::disk::AttachedImage;
use crate::host::zeros::is_zero;
use crate::host::{Command, CommandError, Host, HostError};
use crate::tree::{self, Root, TreeError};

/// As much of a file as tells what it is: the superblock of btrfs begins at 64 KiB, and partition
/// tables end before that.
const START: u64 = 128 << 10;
/// Read from a compressed image at a time; a piece of nothing but zeros becomes a hole.
const PIECE: usize = 64 << 10;
/// How a QCOW2 image begins (QEMU's docs/interop/qcow2).
const QCOW2: &[u8] = b"QFI\xfb";

/// What form an image has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageForm {
    /// A directory, or a subvolume.
    Directory,
    /// A tar archive, maybe compressed.
    Archive,
    /// A disk image, or a file system.
    Disk,
    /// A compressed disk image or file system.
    Compressed,
    /// A QCOW2 disk image.
    Qcow2,
}

impl ImageForm {
    /// The form of what is at `path`.
    ///
    /// # Errors
    /// When it cannot be read, or is no image.
    pub fn of(path: &Path) -> Result<Self, StepError> {
        let failed = failing("open the image", path);
        let metadata = fs::metadata(path).map_err(&failed)?;
        if metadata.is_dir() {
            return Ok(Self::Directory);
        }
        let none = |hint| EngineError::NoImage {
            path: path.to_owned(),
            hint,
        };
        if !metadata.is_file() {
            return Err(none("; nor is it a file at all").into());
        }
        let start = start(File::open(path).map_err(&failed)?).map_err(&failed)?;
        if start.starts_with(QCOW2) {
            return Ok(Self::Qcow2);
        }
        if AttachedImage::is_image(path)? {
            return Ok(Self::Disk);
        }
        if let Some(plain) = tree::open_compressed(path).map_err(&failed)? {
            return inside(plain, path);
        }
        if tree::is_tar(&start) {
            return Ok(Self::Archive);
        }
        Err(none(known(&start)).into())
    }

    /// Whether root alone can open it.
    #[must_use]
    pub fn takes_root(self) -> bool {
        self != Self::Directory
    }

    /// Whether a file system of its own keeps it, labels and all.
    #[must_use]
    pub fn is_mounted(self) -> bool {
        matches!(self, Self::Disk | Self::Compressed | Self::Qcow2)
    }
}

/// What to say of each of several things that may fail with one file.
fn failing<'a>(action: &'static str, path: &'a Path) -> impl Fn(io::Error) -> EngineError + 'a {
    move |source| EngineError::Path {
        action,
        path: path.to_owned(),
        source,
    }
}

/// What a compressed file holds.
fn inside(plain: impl Read, path: &Path) -> Result<ImageForm, StepError> {
    let failed = failing("unpack the image", path);
    let start = start(plain).map_err(&failed)?;
    if start.starts_with(QCOW2) {
        return Ok(ImageForm::Compressed);
    }
    // A table or a file system is looked for in files only.
    let mut file = tempfile::tempfile().map_err(&failed)?;
    file.write_all(&start).map_err(&failed)?;
    let name = format!("/proc/self/fd/{}", file.as_raw_fd());
    if AttachedImage::is_image(Path::new(&name))? {
        return Ok(ImageForm::Compressed);
    }
    if tree::is_tar(&start) {
        return Ok(ImageForm::Archive);
    }
    let path = path.to_owned();
    let hint = known(&start);
    Err(EngineError::NoImage { path, hint }.into())
}

fn start(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    reader.take(START).read_to_end(&mut start)?;
    Ok(start)
}

/// What people may take for an image.
fn known(start: &[u8]) -> &'static str {
    let known: [(&[u8], &str); 6] = [
        (b"0707", "; it is a cpio archive"),
        (b"PK\x03\x04", "; it is a zip archive"),
        (
            b"KDMV",
            "; it is a VMware disk, which `qemu-img convert` can convert",
        ),
        (
            b"<<< ",
            "; it is a VirtualBox disk, which `qemu-img convert` can convert",
        ),
        (
            b"vhdxfile",
            "; it is a Hyper-V disk, which `qemu-img convert` can convert",
        ),
        (b"{", "; it looks like JSON, such as a manifest"),
    ];
    if start.is_empty() {
        return "; it is empty";
    }
    let found = known.iter().find(|(magic, _)| start.starts_with(magic));
    found.map_or("", |(_, what)| what)
}

/// An image of which everything that has to be unpacked is unpacked.
#[derive(Debug)]
pub struct UnpackedImage {
    path: PathBuf,
    /// Whether it has to be mounted.
    is_disk: bool,
    /// Where it was unpacked.
    scratch: Option<Scratch>,
}

impl UnpackedImage {
    /// Unpacks what has to be unpacked of the image at `path`, in `spare`, a directory on a disk.
    ///
    /// # Errors
    /// When it is no image, or one that cannot be read.
    pub fn unpack(path: &Path, spare: &Path, host: &Host) -> Result<Self, StepError> {
        let form = ImageForm::of(path)?;
        let mut unpacked = Self {
            path: path.to_owned(),
            is_disk: form.is_mounted(),
            scratch: None,
        };
        if matches!(form, ImageForm::Directory | ImageForm::Disk) {
            return Ok(unpacked);
        }
        let scratch = Scratch::create(spare, WORK, host.report.as_ref())?;
        let inside = |name: &str| scratch.path().join(name);
        unpacked.path = match form {
            ImageForm::Archive => {
                let tree = inside("tree");
                fs::create_dir(&tree).map_err(EngineError::path("create", &tree))?;
                let (report, cancel) = (host.report.as_ref(), &host.cancel);
                tree::extract(&Root::open(&tree)?, path, report, cancel)?;
                tree
            }
            ImageForm::Qcow2 => {
                let raw = inside("image.raw");
                convert(path, &raw, host)?;
                raw
            }
            _ => {
                let plain = inside("image");
                unpack(path, &plain, host)?;
                if ImageForm::of(&plain)? == ImageForm::Qcow2 {
                    let raw = inside("image.raw");
                    convert(&plain, &raw, host)?;
                    raw
                } else {
                    plain
                }
            }
        };
        unpacked.scratch = Some(scratch);
        Ok(unpacked)
    }

    /// Opens the image. `place` is an empty directory that only this process sees, to mount on.
    ///
    /// # Errors
    /// When it cannot be mounted, such as an encrypted one.
    pub fn open(self, place: &Path) -> Result<OpenedImage, StepError> {
        let (path, attached) = if self.is_disk {
            let attached = AttachedImage::open_to_read(&self.path, place)?;
            (place.to_owned(), Some(attached))
        } else {
            let failed = EngineError::path("open the image", &self.path);
            (fs::canonicalize(&self.path).map_err(failed)?, None)
        };
        Ok(OpenedImage {
            path,
            attached,
            scratch: self.scratch,
        })
    }
}

/// An image that is open. To be used in a mount namespace of its own, so that no mount stays when the
/// process is killed.
#[derive(Debug)]
pub struct OpenedImage {
    path: PathBuf,
    // In the order in which they go.
    attached: Option<AttachedImage>,
    scratch: Option<Scratch>,
}

impl OpenedImage {
    /// The tree.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Unmounts it, and removes what was unpacked.
    ///
    /// # Errors
    /// While something still uses it.
    pub fn close(self) -> Result<(), StepError> {
        self.attached.map_or(Ok(()), AttachedImage::close)?;
        Ok(self.scratch.map_or(Ok(()), Scratch::remove)?)
    }
}

/// Unpacks a compressed image; what is only zeros becomes holes.
fn unpack(from: &Path, to: &Path, host: &Host) -> Result<(), StepError> {
    let read = failing("unpack the image", from);
    let write = failing("write", to);
    let Some(mut plain) = tree::open_compressed(from).map_err(&read)? else {
        return Err(read(io::Error::other("it is not compressed any more")).into());
    };
    let mut file = File::create_new(to).map_err(&write)?;
    let mut piece = vec![0; PIECE];
    let mut length = 0;
    loop {
        if host.cancel.is_cancelled() {
            return Err(TreeError::Cancelled.into());
        }
        let mut filled = 0;
        while filled < piece.len() {
            match plain.read(&mut piece[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(read(error).into()),
            }
        }
        let part = &piece[..filled];
        if is_zero(part) {
            file.seek(SeekFrom::Current(filled as i64))
                .map_err(&write)?;
        } else {
            file.write_all(part).map_err(&write)?;
        }
        length += filled as u64;
        if filled < PIECE {
            break;
        }
    }
    file.set_len(length).map_err(&write)?;
    Ok(())
}

/// Makes a raw image of a QCOW2 one that is all in its file.
fn convert(from: &Path, to: &Path, host: &Host) -> Result<(), StepError> {
    let failed = failing("open the image", from);
    let mut header = [0; 80];
    File::open(from)
        .and_then(|mut file| file.read_exact(&mut header))
        .map_err(&failed)?;
    let word = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|i| header[at + i]));
    let version = word(4);
    let backed = word(8) != 0 || word(12) != 0;
    // Bit 2 of the incompatible features, which are there from version 3 on.
    let apart = version >= 3 && word(76) & 4 != 0;
    if backed || apart {
        let path = from.to_owned();
        return Err(EngineError::Incomplete { path }.into());
    }
    host.require(&["qemu-img"]).map_err(EngineError::Host)?;
    let command = Command::new("qemu-img")
        .args(["convert", "-f", "qcow2", "-O", "raw", "--"])
        .arg(from)
        .arg(to);
    host.run(command).map(drop).map_err(|source| match source {
        CommandError::Cancelled => EngineError::Host(HostError::Cancelled).into(),
        source => EngineError::Convert {
            path: from.to_owned(),
            source,
        }
        .into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(bytes: &[u8]) -> Result<ImageForm, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), bytes).unwrap();
        ImageForm::of(file.path()).map_err(|error| error.to_string())
    }

    fn with(at: usize, magic: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 256 << 10];
        bytes[at..at + magic.len()].copy_from_slice(magic);
        bytes
    }

    #[test]
    fn forms_are_told_by_their_content() {
        let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        header.set_mode(0o644);
        tar.append_data(&mut header, "file", &b"x"[..]).unwrap();
        let tar = tar.into_inner().unwrap();
        assert_eq!(form(&tar), Ok(ImageForm::Archive));
        assert_eq!(form(&zstd(&tar)), Ok(ImageForm::Archive));
        for (at, magic) in [
            (0, &b"hsqs"[..]),
            (0x438, b"\x53\xef"),
            (0x1_0040, b"_BHRfS_M"),
        ] {
            assert_eq!(form(&with(at, magic)), Ok(ImageForm::Disk));
            assert_eq!(form(&zstd(&with(at, magic))), Ok(ImageForm::Compressed));
        }
        assert_eq!(form(&with(0, QCOW2)), Ok(ImageForm::Qcow2));
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(
            ImageForm::of(directory.path()).unwrap(),
            ImageForm::Directory
        );
    }

    #[test]
    fn what_is_no_image_is_said_to_be_none() {
        for (bytes, what) in [
            (&b""[..], "it is empty"),
            (b"hello", "zstd"),
            (b"070701", "cpio archive"),
            (b"{\n", "manifest"),
        ] {
            let error = form(bytes).unwrap_err();
            assert!(
                error.contains("is no image") && error.ends_with(what),
                "{error}"
            );
        }
        assert!(ImageForm::of(Path::new("/dev/null")).is_err());
        assert!(ImageForm::of(Path::new("/nowhere/at/all")).is_err());
    }

    #[test]
    fn zeros_become_holes() {
        use std::os::unix::fs::MetadataExt as _;
        let dir = tempfile::tempdir().unwrap();
        let (packed, plain) = (dir.path().join("x.zst"), dir.path().join("x"));
        let mut bytes = vec![0; 8 << 20];
        bytes[5 << 20] = 1;
        bytes.extend([0; 7]);
        fs::write(&packed, zstd::encode_all(&bytes[..], 1).unwrap()).unwrap();
        let host = Host::new(
            std::sync::Arc::new(crate::host::Recorder::default()),
            std::sync::Arc::new(crate::host::Quiet),
            crate::host::Cancel::default(),
        );
        unpack(&packed, &plain, &host).unwrap();
        assert_eq!(fs::read(&plain).unwrap(), bytes);
        assert!(fs::metadata(&plain).unwrap().blocks() * 512 < 1 << 20);
    }

    #[test]
    fn an_image_that_names_another_file_is_refused() {
        let host = Host::new(
            std::sync::Arc::new(crate::host::Recorder::default()),
            std::sync::Arc::new(crate::host::Quiet),
            crate::host::Cancel::default(),
        );
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image.qcow2");
        for (at, value) in [(12, 104), (79, 4)] {
            let mut header = vec![0; 104];
            header[..4].copy_from_slice(QCOW2);
            header[7] = 3;
            header[at] = value;
            fs::write(&path, &header).unwrap();
            let error = convert(&path, &dir.path().join("raw"), &host).unwrap_err();
            assert!(error.to_string().contains("another file"), "{error}");
        }
    }
}
