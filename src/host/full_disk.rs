//! File systems of the host without room, in words.

use std::fmt;
use std::path::{Path, PathBuf};

use super::{human_size, printable_path};

/// That a file could not be written because its file system is full, with how full it was then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FullDisk {
    path: PathBuf,
    room: Option<Room>,
}

/// Sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Room {
    free: u64,
    all: u64,
}

impl FullDisk {
    /// About the file or directory `path`, which need not be there.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let room = path.ancestors().find_map(Room::of);
        Self {
            path: path.to_owned(),
            room,
        }
    }
}

impl Room {
    fn of(path: &Path) -> Option<Self> {
        let stat = rustix::fs::statvfs(path).ok()?;
        Some(Self {
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
            all: stat.f_blocks.saturating_mul(stat.f_frsize),
        })
    }
}

impl fmt::Display for FullDisk {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let above = self.path.parent().unwrap_or(&self.path);
        let directory = printable_path(above);
        write!(to, "no space is left on the disk in {directory}")?;
        if let Some(name) = self.path.file_name() {
            write!(to, " for {}", printable_path(Path::new(name)))?;
        }
        match self.room {
            Some(room) => {
                let (free, all) = (human_size(room.free), human_size(room.all));
                write!(to, ": {free} of {all} are free, or a quota is used up")
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_where_and_how_much() {
        let directory = tempfile::tempdir().unwrap();
        let full = FullDisk::of(&directory.path().join("not/there\n"));
        let text = full.to_string();
        let start = format!(
            "no space is left on the disk in {}/not for there\\n: ",
            directory.path().display()
        );
        assert!(text.starts_with(&start), "{text}");
        assert!(text.contains(" are free"), "{text}");
    }
}
