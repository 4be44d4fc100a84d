//! FAT, made by `mkfs.vfat` and filled by mtools, both in a plain file: the kernel need not know it.

mod size;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use walkdir::WalkDir;

pub use size::{LEAST, SMALLEST_AUTOMATIC, needed};

use self::size::{Geometry, SECTOR, fits};
use super::file_system::{Place, Volume};
use super::host_room::failed_writing;
use super::{DiskError, sparse};
use crate::host::{Command, CommandError, Host};

/// The programs that making it takes.
pub const TOOLS: [&str; 3] = ["mkfs.vfat", "mmd", "mcopy"];
/// Longest label.
const LABEL: usize = 11;
/// FAT knows no time before 1980.
const EARLIEST: u64 = 315_532_800;

/// Whether `size` bytes can hold the volume.
///
/// # Errors
/// [`DiskError::TooSmall`], with the size that would do.
pub fn check(size: u64, volume: &Volume<'_>) -> Result<(), DiskError> {
    if fits(size, volume.content) {
        return Ok(());
    }
    Err(DiskError::TooSmall {
        kind: volume.kind,
        size,
        needed: needed(volume.content),
    })
}

/// Makes a file system in `place` with the files of the volume's tree: directories and regular
/// files, of which contents and names are kept. Everything else in the tree is an error.
///
/// It is made in a file of its own first: mtools would otherwise have to be trusted to stay within
/// the partition.
///
/// # Errors
/// What mkfs.fat or mcopy says, that the image cannot be written, or an interruption.
pub fn make(place: &Place<'_>, volume: &Volume<'_>, host: &Host) -> Result<(), DiskError> {
    let part = volume
        .scratch
        .join(format!("part-{}.fat", volume.kind.short_name()));
    let made = fill(&part, place, volume, host);
    // The scratch directory goes in any case; this frees its space earlier.
    let _ = fs::remove_file(&part);
    made
}

fn fill(part: &Path, place: &Place<'_>, volume: &Volume<'_>, host: &Host) -> Result<(), DiskError> {
    let files = Files::of(volume.tree)?;
    if let Some(latest) = volume.latest {
        files.clamp(volume.tree, latest)?;
    }
    let file = File::create_new(part).map_err(DiskError::io("create", part))?;
    file.set_len(place.size)
        .map_err(DiskError::io("set the size of", part))?;
    drop(file);
    let run = |command: Command| {
        host.run(command)
            .map(drop)
            .map_err(|error| explain(error, part, place, volume))
    };
    run(format(part, place.size, volume))?;
    for directory in &files.directories {
        run(mtools("mmd", part, volume).arg(inside(directory)))?;
    }
    for (above, names) in &files.files {
        let sources = names.iter().map(|name| volume.tree.join(name));
        run(mtools("mcopy", part, volume)
            // Contents only, and the time; names that are there already are an error.
            .args(["-m", "-o"])
            .arg("--")
            .args(sources)
            .arg(inside(above)))?;
    }
    sparse::copy_into(part, place, place.size)
}

/// What is in a tree, in an order that only the names decide.
#[derive(Default)]
struct Files {
    /// Each after the one that it is in.
    directories: Vec<PathBuf>,
    /// Directory, and the regular files in it.
    files: Vec<(PathBuf, Vec<PathBuf>)>,
}

impl Files {
    fn of(tree: &Path) -> Result<Self, DiskError> {
        let mut files = Self::default();
        files.files.push((PathBuf::new(), Vec::new()));
        for entry in WalkDir::new(tree).min_depth(1).sort_by_file_name() {
            let entry = entry
                .map_err(std::io::Error::from)
                .map_err(DiskError::io("list", tree))?;
            let name = entry.path().strip_prefix(tree).unwrap_or(entry.path());
            let above = name.parent().unwrap_or(Path::new(""));
            if entry.file_type().is_dir() {
                files.directories.push(name.to_owned());
                files.files.push((name.to_owned(), Vec::new()));
            } else if entry.file_type().is_file() {
                let here = files.files.iter_mut().find(|(path, _)| path == above);
                if let Some((_, names)) = here {
                    names.push(name.to_owned());
                }
            } else {
                return Err(DiskError::NotForFat {
                    path: entry.path().to_owned(),
                });
            }
        }
        files.files.retain(|(_, names)| !names.is_empty());
        Ok(files)
    }

    /// Takes back the times of files that are younger than `latest`, in seconds since 1970: mcopy
    /// keeps every time as it is.
    fn clamp(&self, tree: &Path, latest: u64) -> Result<(), DiskError> {
        let latest = UNIX_EPOCH + Duration::from_secs(latest.max(EARLIEST));
        for name in self.files.iter().flat_map(|(_, names)| names) {
            let path = tree.join(name);
            let clamp = || {
                let file = File::open(&path)?;
                if file.metadata()?.modified()? > latest {
                    file.set_modified(latest)?;
                }
                Ok(())
            };
            clamp().map_err(DiskError::io("set the time of", &path))?;
        }
        Ok(())
    }
}

/// A path as mtools has it.
fn inside(path: &Path) -> std::ffi::OsString {
    let mut inside = std::ffi::OsString::from("::/");
    inside.push(path);
    inside
}

fn format(part: &Path, size: u64, volume: &Volume<'_>) -> Command {
    let geometry = Geometry::of(size);
    let mut label = volume.kind.short_name().to_uppercase();
    label.truncate(LABEL);
    // 32 bits are all there are of an identifier here.
    let (id, _, _, _) = volume.uuid.as_fields();
    Command::new("mkfs.vfat")
        // First: it sets an identifier, too.
        .arg("--invariant")
        .args(["-F".to_owned(), geometry.bits.to_string()])
        .args(["-S".to_owned(), SECTOR.to_string()])
        .args(["-s".to_owned(), geometry.cluster.to_string()])
        .args(["-i".to_owned(), format!("{id:08x}")])
        .args(["-n", &label])
        .arg(part)
}

fn mtools(program: &str, part: &Path, volume: &Volume<'_>) -> Command {
    let mut command = Command::new(program)
        // Neither the host's settings nor its idea of disks count, and times are UTC's.
        .env("MTOOLSRC", "/dev/null")
        .env("MTOOLS_SKIP_CHECK", "1")
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC");
    if let Some(latest) = volume.latest {
        command = command.env("SOURCE_DATE_EPOCH", latest.max(EARLIEST).to_string());
    }
    command.arg("-i").arg(part)
}

fn explain(source: CommandError, part: &Path, place: &Place<'_>, volume: &Volume<'_>) -> DiskError {
    let says =
        |what: &str| matches!(&source, CommandError::Failed { tail, .. } if tail.contains(what));
    if says("Disk full") {
        let needed = needed(volume.content).max(place.size);
        return DiskError::Full {
            kind: volume.kind,
            size: place.size,
            needed: needed.saturating_add(needed / 20),
            source: Box::new(source),
        };
    }
    failed_writing(source, part, volume)
}

/// The identifier of a FAT file system with this UUID, as udev and GRUB write it: `1234-ABCD`.
#[must_use]
pub fn identifier(uuid: uuid::Uuid) -> String {
    let (id, _, _, _) = uuid.as_fields();
    format!("{:04X}-{:04X}", id >> 16, id & 0xffff)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use uuid::Uuid;

    use super::*;
    use crate::disk::{Content, PartitionKind};
    use crate::host::{Cancel, Quiet, Recorder};

    #[test]
    fn everything_is_made_in_order() {
        let tree = tempfile::tempdir().unwrap();
        let scratch = tempfile::tempdir().unwrap();
        for name in ["EFI/Linux/b.efi", "EFI/Linux/a.efi", "EFI/x", "top"] {
            let path = tree.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
        let image = scratch.path().join("image");
        fs::write(&image, "").unwrap();
        let recorder = Arc::new(Recorder::default());
        let host = Host::new(recorder.clone(), Arc::new(Quiet), Cancel::default());
        let content = Content::default();
        let volume = Volume {
            kind: PartitionKind::Esp,
            tree: tree.path(),
            content: &content,
            read_only: false,
            minimal: false,
            uuid: Uuid::from_u128(0x1234_abcd << 96),
            hash_seed: Uuid::nil(),
            latest: Some(5),
            zeroed: true,
            scratch: scratch.path(),
        };
        let place = Place {
            file: &image,
            offset: 0,
            size: 256 << 20,
        };
        make(&place, &volume, &host).unwrap();
        assert!(!scratch.path().join("part-esp.fat").exists());
        let from = tree.path().display().to_string();
        let part = scratch.path().join("part-esp.fat").display().to_string();
        let environment = "MTOOLSRC=/dev/null MTOOLS_SKIP_CHECK=1 LC_ALL=C.UTF-8 TZ=UTC \
                           SOURCE_DATE_EPOCH=315532800";
        let expected = [
            format!("mkfs.vfat --invariant -F 32 -S 512 -s 4 -i 1234abcd -n ESP {part}"),
            format!("{environment} mmd -i {part} ::/EFI"),
            format!("{environment} mmd -i {part} ::/EFI/Linux"),
            format!("{environment} mcopy -i {part} -m -o -- {from}/top ::/"),
            format!("{environment} mcopy -i {part} -m -o -- {from}/EFI/x ::/EFI"),
            format!(
                "{environment} mcopy -i {part} -m -o -- {from}/EFI/Linux/a.efi \
                 {from}/EFI/Linux/b.efi ::/EFI/Linux"
            ),
        ];
        assert_eq!(recorder.lines(), expected);
        let time = |name: &str| fs::metadata(tree.path().join(name)).unwrap().modified();
        let earliest = UNIX_EPOCH + Duration::from_secs(EARLIEST);
        assert_eq!(time("EFI/Linux/a.efi").unwrap(), earliest);
        assert_eq!(identifier(volume.uuid), "1234-ABCD");

        std::os::unix::fs::symlink("top", tree.path().join("link")).unwrap();
        let error = make(&place, &volume, &host).unwrap_err().to_string();
        assert!(error.contains("FAT holds only"), "{error}");
    }
}
