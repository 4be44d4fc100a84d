//! What can go wrong while a disk image is made.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use super::verity::VerityError;
use super::{LUKS_HEADER, LayoutError, PartitionKind, size_text};
use crate::host::{CommandError, FullDisk, HostError, printable_path};
use crate::tree::TreeError;

/// Why there is no disk image.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The partitions cannot be laid out.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A partition is smaller than what shall go into it; found before anything was written.
    #[error(
        "the {} partition has {} but its files need {}; {}",
        kind.short_name(), size_text(*size), size_text(*needed), remedy(*kind, *needed)
    )]
    TooSmall {
        /// Which partition.
        kind: PartitionKind,
        /// Its size in bytes.
        size: u64,
        /// The smallest size in bytes that is sure to hold its files.
        needed: u64,
    },
    /// A partition is smaller than its file system can be.
    #[error(
        "the {} partition has {} but {} {name} file system needs {}; {}",
        kind.short_name(), size_text(*size), article(name), size_text(*least), remedy(*kind, *least)
    )]
    BelowLeast {
        /// Which partition.
        kind: PartitionKind,
        /// The file system.
        name: &'static str,
        /// The partition's size in bytes.
        size: u64,
        /// The smallest possible size in bytes.
        least: u64,
    },
    /// Several of these about one image, so that all are mended at once.
    #[error("{}", lines(.0))]
    Several(Vec<DiskError>),
    /// Too little for swap space.
    #[error("the swap partition has {} but swap space needs {least}; set SwapSize={least} or more",
        size_text(*size), least = size_text(*least))]
    SwapTooSmall {
        /// Its size in bytes.
        size: u64,
        /// The smallest possible size in bytes.
        least: u64,
    },
    /// The file system was full before all files were in it.
    #[error(
        "the {} partition of {} was full before all its files were in it; they need up to {}: {}",
        kind.short_name(), size_text(*size), size_text(*needed), remedy(*kind, *needed)
    )]
    Full {
        /// Which partition.
        kind: PartitionKind,
        /// Its size in bytes.
        size: u64,
        /// A size in bytes that should hold its files.
        needed: u64,
        /// What the program or the kernel said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// More files than the file system can count.
    #[error("the {} partition would hold {inodes} files; an ext4 file system of {} can hold {limit}",
        kind.short_name(), size_text(*size))]
    TooManyFiles {
        /// Which partition.
        kind: PartitionKind,
        /// Its size in bytes.
        size: u64,
        /// How many files there are.
        inodes: u64,
        /// How many there can be.
        limit: u64,
    },
    /// A partition shall be encrypted and nobody said with what.
    #[error("there is no passphrase to encrypt the {} partition with", kind.short_name())]
    NoPassphrase {
        /// Which partition.
        kind: PartitionKind,
    },
    /// A file that FAT has no way to keep.
    #[error(
        "cannot put {} on a FAT partition: FAT holds only directories and regular files",
        printable_path(path)
    )]
    NotForFat {
        /// The file.
        path: PathBuf,
    },
    /// What starts the machine could not be made.
    #[error(transparent)]
    Boot(Box<dyn Error + Send + Sync>),
    /// GRUB's core image is too large for its partition.
    #[error(
        "GRUB's core image takes {} and its partition has {}",
        size_text(*size), size_text(*room)
    )]
    CoreTooLarge {
        /// Its size in bytes.
        size: u64,
        /// The partition's size in bytes.
        room: u64,
    },
    /// cryptsetup did something else than it was asked for.
    #[error("cryptsetup made a LUKS header that does not fit its partition: {what}")]
    LuksHeader {
        /// What is odd about it.
        what: &'static str,
    },
    /// There is no hash tree for the root partition, or it does not fit.
    #[error(
        "cannot use the hash tree of the root partition in {}",
        printable_path(image)
    )]
    Verity {
        /// The image.
        image: PathBuf,
        /// What is wrong.
        #[source]
        source: VerityError,
    },
    /// The disk that holds the image is full.
    #[error("{0}; free some, or choose another OutputDirectory= or WorkspaceDirectory=")]
    HostFull(FullDisk),
    /// A program failed.
    #[error("cannot {doing}")]
    Command {
        /// What it was to do: `make the root file system`.
        doing: String,
        /// What it said.
        #[source]
        source: CommandError,
    },
    /// The build was interrupted.
    #[error("interrupted")]
    Cancelled,
    /// The operating system refused something.
    #[error("cannot {doing} {path}")]
    Io {
        /// What was being done: `create`, `write`.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// There is nothing to mount as root.
    #[error(
        "{} has no root partition for this architecture: it is no image of this configuration",
        printable_path(image)
    )]
    NoRootPartition {
        /// The image.
        image: PathBuf,
    },
    /// There is nothing to mount as root, whatever the architecture.
    #[error(
        "{} has a partition table and no root partition in it (by the types of the Discoverable Partitions \
         Specification)",
        printable_path(image)
    )]
    NoRoot {
        /// The image.
        image: PathBuf,
    },
    /// A partition would have to be decrypted.
    #[error(
        "{} has encrypted partitions, which cannot be opened here; `cryptsetup open` opens them on \
         a host with device mapper",
        printable_path(image)
    )]
    Encrypted {
        /// The image.
        image: PathBuf,
    },
    /// The root partition does not match its root hash.
    #[error(
        "the root partition of {} is not the one that its root hash was computed for: it was \
         changed or damaged since; build the image again",
        printable_path(image)
    )]
    Changed {
        /// The image.
        image: PathBuf,
    },
    /// A partition holds something unknown.
    #[error(
        "the partition at byte {offset} of {} holds no file system that this host can mount",
        printable_path(image)
    )]
    UnknownFileSystem {
        /// The image.
        image: PathBuf,
        /// Where the partition begins.
        offset: u64,
    },
    /// Files could not be copied.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The operating system refused.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A file system that was just made is not what was asked for.
    #[error(
        "{program} left something unexpected in {}: {what}",
        printable_path(path)
    )]
    Unexpected {
        /// Who made it.
        program: String,
        /// The image.
        path: PathBuf,
        /// What is odd about it.
        what: &'static str,
    },
}

impl DiskError {
    /// Wraps the reason of the operating system, a full disk in plain words.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::HostFull(FullDisk::of(&path))
            }
            _ => Self::Io {
                doing,
                path,
                source,
            },
        }
    }

    /// The same about a whole partition of `whole` bytes: an encrypted one is larger than the file
    /// system in it.
    pub(super) fn of_partition(mut self, whole: u64) -> Self {
        if let Self::TooSmall { size, needed, .. }
        | Self::Full { size, needed, .. }
        | Self::BelowLeast {
            size,
            least: needed,
            ..
        } = &mut self
        {
            let around = if whole > *size { LUKS_HEADER } else { 0 };
            *size = whole;
            *needed = needed.saturating_add(around);
        }
        self
    }
}

fn lines(errors: &[DiskError]) -> String {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

fn article(name: &str) -> &'static str {
    // XFS begins with the sound of a vowel.
    if name.starts_with(['e', 'x']) {
        "an"
    } else {
        "a"
    }
}

fn remedy(kind: PartitionKind, needed: u64) -> String {
    match kind.size_setting() {
        Some(setting) => format!("set {setting}={} or more", size_text(needed)),
        None => "make it larger".to_owned(),
    }
}
