//! Files that are there as a whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use crate::host::fail_point;

/// Writes a file beside its place, as `NAME.new`, and moves it there. What a killed build left under
/// that name goes; so no two builds may write one file at once.
pub(super) fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = OsString::from(path);
    name.push(".new");
    let new = Path::new(&name);
    let write = || {
        match fs::remove_file(new) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        File::create_new(new)?.write_all(content)?;
        fail_point::reach("note-written", path.display())?;
        fs::rename(new, path)
    };
    write().inspect_err(|_| {
        // What went wrong before says more.
        let _ = fs::remove_file(new);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_build_left_is_no_obstacle() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record");
        fs::write(dir.path().join("record.new"), "a longer half").unwrap();
        write_whole(&path, b"whole").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        fs::create_dir(dir.path().join("record.new")).unwrap();
        write_whole(&path, b"other").unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
    }
}
