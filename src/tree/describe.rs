//! What a tree would bring into an image, file by file: not what merely differs on the host, such as times.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rustix::fs::{Mode, OFlags, openat, readlinkat};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::error::TreeError;
use super::listing::{DIRECTORY, list, open_child};
use super::root::Root;
use super::stat::{Kind, Metadata};
use super::xattrs::{self, Of};
use crate::host::zeros::is_zero;
use crate::host::{Cancel, extents};

/// One file of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// `file`, `directory`, `link`, `pipe`, `name` (another one of a file named before) or `archive`.
    pub kind: &'static str,
    /// Permission bits, where they matter.
    pub mode: Option<u32>,
    /// Owning user and group: of no account where a copy is root's whoever has the tree.
    pub owner: Option<(u32, u32)>,
    /// Where a link leads, or which file has this name, too.
    pub target: Option<std::ffi::OsString>,
    /// SHA-256 of the content.
    pub digest: Option<[u8; 32]>,
    /// SHA-256 over the extended attributes, if there are any.
    pub attributes: Option<[u8; 32]>,
}

impl Described {
    const fn new(kind: &'static str) -> Self {
        Self {
            kind,
            mode: None,
            owner: None,
            target: None,
            digest: None,
            attributes: None,
        }
    }
}

/// What could not be read, and why.
type Failed = (PathBuf, Errno);

/// Directories nested deeper are refused, as copying them would be.
const MAX_DEPTH: usize = 400;

/// Describes a directory's content, or an archive, by paths relative to it, in order. Names of one file
/// are described as such.
///
/// # Errors
/// The path that cannot be read; `ECANCELED` when the build is interrupted.
pub fn describe(source: &Path, cancel: &Cancel) -> Result<Vec<(PathBuf, Described)>, Failed> {
    let failed = |e: Errno| (source.to_owned(), e);
    let file = rustix::fs::open(source, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(failed)?;
    if Metadata::of(&file).map_err(failed)?.kind != Kind::Directory {
        let mut archive = Described::new("archive");
        archive.digest = Some(digest(File::from(file), cancel).map_err(failed)?);
        return Ok(vec![(PathBuf::new(), archive)]);
    }
    directory(source, file, cancel)
}

/// As [`describe`], of the directory `path` of an image: no link leads out of it.
///
/// # Errors
/// What cannot be read.
pub fn describe_inside(
    root: &Root,
    path: &Path,
    cancel: &Cancel,
) -> Result<Vec<(PathBuf, Described)>, TreeError> {
    let fd = root.open_dir(path)?;
    directory(path, fd, cancel).map_err(|(path, e)| root.failed("read", &path, e))
}

fn directory(
    source: &Path,
    file: OwnedFd,
    cancel: &Cancel,
) -> Result<Vec<(PathBuf, Described)>, Failed> {
    let mut found = Vec::new();
    walk(source, &file, Path::new(""), 0, &mut found)?;
    found.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let mut names: HashMap<(u64, u64), PathBuf> = HashMap::new();
    for (path, meta) in &found {
        if meta.links > 1 && meta.kind != Kind::Directory {
            names.entry(meta.id).or_insert_with(|| path.clone());
        }
    }
    found
        .into_par_iter()
        .map(|(path, meta)| {
            let first = names.get(&meta.id).filter(|first| **first != path);
            let described = match first {
                Some(first) => {
                    let mut name = Described::new("name");
                    name.target = Some(first.clone().into_os_string());
                    name
                }
                None => one(&file, &path, &meta, cancel).map_err(|e| (source.join(&path), e))?,
            };
            Ok((path, described))
        })
        .collect()
}

fn walk(
    source: &Path,
    dir: &OwnedFd,
    path: &Path,
    depth: usize,
    found: &mut Vec<(PathBuf, Metadata)>,
) -> Result<(), Failed> {
    let failed = |path: &Path, e| (source.join(path), e);
    if depth == MAX_DEPTH {
        return Err(failed(path, Errno::NAMETOOLONG));
    }
    for entry in list(dir).map_err(|e| failed(path, e))? {
        let below = path.join(&entry.name);
        // Neither is copied.
        if matches!(entry.kind, Kind::Socket | Kind::Device) {
            continue;
        }
        let meta = Metadata::at(dir, &entry.name).map_err(|e| failed(&below, e))?;
        if meta.kind == Kind::Directory {
            let fd = open_child(dir, &entry.name).map_err(|e| failed(&below, e))?;
            walk(source, &fd, &below, depth + 1, found)?;
        }
        found.push((below, meta));
    }
    Ok(())
}

fn one(top: &OwnedFd, path: &Path, meta: &Metadata, cancel: &Cancel) -> Result<Described, Errno> {
    let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Errno::INVAL);
    };
    let above = if above.as_os_str().is_empty() {
        Path::new(".")
    } else {
        above
    };
    let dir = openat(top, above, DIRECTORY, Mode::empty())?;
    let mut described = Described::new(match meta.kind {
        Kind::File => "file",
        Kind::Directory => "directory",
        Kind::Symlink => "link",
        _ => "pipe",
    });
    described.owner = Some((meta.uid, meta.gid));
    described.attributes = attributes(Of::name(&dir, name))?;
    if meta.kind == Kind::Symlink {
        let target = readlinkat(&dir, name, Vec::new())?;
        described.target = Some(std::os::unix::ffi::OsStringExt::from_vec(
            target.into_bytes(),
        ));
        return Ok(described);
    }
    described.mode = Some(meta.mode);
    if meta.kind == Kind::File {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&dir, name, flags, Mode::empty())?;
        described.digest = Some(digest(File::from(file), cancel)?);
    }
    Ok(described)
}

fn attributes(of: Of<'_>) -> Result<Option<[u8; 32]>, Errno> {
    let mut names = xattrs::names(of)?;
    names.retain(|name| xattrs::travels(name));
    names.sort_unstable();
    if names.is_empty() {
        return Ok(None);
    }
    let mut hash = Sha256::new();
    for name in names {
        let value = xattrs::get(of, &name)?.unwrap_or_default();
        for bytes in [name.as_bytes(), &value] {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        }
    }
    Ok(Some(hash.finalize().into()))
}

/// Of files from this size on, zeros are counted rather than hashed: a file of nothing but a hole may be
/// larger than every disk.
const LARGE: u64 = 1 << 30;

/// Read and hashed at a time.
const PIECE: usize = 128 * 1024;

fn digest(file: File, cancel: &Cancel) -> Result<[u8; 32], Errno> {
    let failed = |e: std::io::Error| Errno::from_io_error(&e).unwrap_or(Errno::IO);
    if file.metadata().map_err(failed)?.len() < LARGE {
        whole_digest(file, cancel).map_err(failed)
    } else {
        digest_of_data(&file, cancel).map_err(failed)
    }
}

fn whole_digest(mut file: File, cancel: &Cancel) -> std::io::Result<[u8; 32]> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; PIECE];
    loop {
        go_on(cancel)?;
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hash.finalize().into()),
            Ok(n) => hash.update(&buffer[..n]),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// An error when the build is interrupted.
fn go_on(cancel: &Cancel) -> std::io::Result<()> {
    if cancel.is_cancelled() {
        return Err(Errno::CANCELED.into());
    }
    Ok(())
}

/// The same whether zeros are holes or not: of each piece that is not all zeros where it is and what it
/// holds, and the size.
fn digest_of_data(file: &File, cancel: &Cancel) -> std::io::Result<[u8; 32]> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; PIECE];
    for range in extents::of(file, PIECE as u64, &[])? {
        for at in range.clone().step_by(PIECE) {
            go_on(cancel)?;
            let length = usize::try_from(range.end - at).map_or(PIECE, |left| left.min(PIECE));
            let piece = &mut buffer[..length];
            file.read_exact_at(piece, at)?;
            if !is_zero(piece) {
                hash.update(at.to_le_bytes());
                hash.update(&*piece);
            }
        }
    }
    hash.update(file.metadata()?.len().to_le_bytes());
    Ok(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sized(size: u64, pieces: &[(u64, &[u8])]) -> File {
        let file = tempfile::tempfile().unwrap();
        for (at, bytes) in pieces {
            file.write_all_at(bytes, *at).unwrap();
        }
        file.set_len(size).unwrap();
        file
    }

    #[test]
    fn stops_when_asked() {
        let cancel = Cancel::default();
        cancel.cancel();
        for size in [1 << 20, 2 << 30] {
            let file = sized(size, &[(5, b"data")]);
            assert_eq!(digest(file, &cancel), Err(Errno::CANCELED));
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "data").unwrap();
        let (path, error) = describe(dir.path(), &cancel).unwrap_err();
        assert_eq!((path, error), (dir.path().join("file"), Errno::CANCELED));
    }

    #[test]
    fn a_file_of_holes_is_described_at_once() {
        let digest = |size, pieces: &[(u64, &[u8])]| {
            digest(sized(size, pieces), &Cancel::default()).unwrap()
        };
        let size = 8 << 40;
        let data = [(5 << 30, &b"data"[..])];
        let begun = std::time::Instant::now();
        let one = digest(size, &data);
        assert!(begun.elapsed().as_secs() < 20);
        let zeros = vec![0; 300_000];
        assert_eq!(one, digest(size, &[data[0], (77_777, &zeros)]));
        for (size, data) in [
            (size + 1, &data[..]),
            (size, &[]),
            (size, &[(5 << 30, b"dato")]),
            (size, &[((5 << 30) + 1, b"data")]),
            (size, &[data[0], (9 << 30, b"data")]),
        ] {
            assert_ne!(one, digest(size, data), "{size} {data:?}");
        }
    }

    #[test]
    fn an_ordinary_file_is_its_bytes() {
        let digest = digest(sized(5, &[(0, b"hello")]), &Cancel::default()).unwrap();
        assert_eq!(digest[..], Sha256::digest(b"hello")[..]);
    }
}
