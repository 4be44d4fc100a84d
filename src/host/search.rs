//! Where programs are looked for.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};

/// Tools for administrators; an ordinary user's `PATH` often lacks them.
const ALWAYS: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

/// The directories of programs, in the order they are tried.
#[derive(Clone, Debug)]
pub struct SearchPath {
    directories: Vec<PathBuf>,
    extra: usize,
}

impl SearchPath {
    /// `extra` first, then `PATH`, then the system's directories.
    #[must_use]
    pub fn from_environment(extra: Vec<PathBuf>) -> Self {
        Self::new(extra, std::env::var_os("PATH").as_deref())
    }

    /// `extra` first, then `path`, then the system's directories. Relative entries of `path` are left
    /// out: a builder run as root must not take programs from wherever it was started.
    fn new(extra: Vec<PathBuf>, path: Option<&OsStr>) -> Self {
        let count = extra.len();
        let mut directories = extra;
        let inherited = path.map(std::env::split_paths).into_iter().flatten();
        for directory in inherited.chain(ALWAYS.iter().map(PathBuf::from)) {
            if directory.is_absolute() && !directories.contains(&directory) {
                directories.push(directory);
            }
        }
        Self {
            directories,
            extra: count,
        }
    }

    /// Where `program` is. A name with a `/` is taken as it is.
    #[must_use]
    pub fn find(&self, program: &OsStr) -> Option<PathBuf> {
        find_in(&self.directories, program)
    }

    /// Where `program` is, if one of the extra directories has it.
    #[must_use]
    pub fn find_extra(&self, program: &OsStr) -> Option<PathBuf> {
        if is_path(program) {
            return None;
        }
        find_in(self.directories.get(..self.extra)?, program)
    }

    /// The value of `PATH` for commands.
    #[must_use]
    pub fn value(&self) -> OsString {
        // A directory with a colon in its name cannot be part of a PATH.
        std::env::join_paths(&self.directories).unwrap_or_else(|_| ALWAYS.join(":").into())
    }
}

fn is_path(program: &OsStr) -> bool {
    program.as_encoded_bytes().contains(&b'/')
}

fn find_in(directories: &[PathBuf], program: &OsStr) -> Option<PathBuf> {
    if is_path(program) {
        return Some(program.into()).filter(|path: &PathBuf| is_program(path));
    }
    directories
        .iter()
        .map(|directory| directory.join(program))
        .find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    path.is_file() && accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn program(directory: &Path, name: &str, mode: u32) {
        let path = directory.join(name);
        std::fs::write(&path, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn extra_directories_come_first_then_path_then_sbin() {
        let extra = tempfile::tempdir().unwrap();
        let path = tempfile::tempdir().unwrap();
        program(extra.path(), "both", 0o755);
        program(path.path(), "both", 0o755);
        program(path.path(), "only", 0o755);
        program(extra.path(), "only", 0o644);
        std::fs::create_dir(extra.path().join("sh")).unwrap();
        let search = SearchPath::new(vec![extra.path().into()], Some(path.path().as_os_str()));
        let find = |name: &str| search.find(OsStr::new(name));
        assert_eq!(find("both"), Some(extra.path().join("both")));
        assert_eq!(find("only"), Some(path.path().join("only")));
        assert_eq!(search.find_extra(OsStr::new("only")), None);
        assert!(find("sh").is_some_and(|p| p.starts_with("/usr") || p.starts_with("/bin")));
        assert_eq!(find("no-such-program-anywhere"), None);
    }

    #[test]
    fn the_system_directories_are_always_there_once() {
        let search = SearchPath::new(Vec::new(), Some(OsStr::new("/usr/bin:.:/bin:relative")));
        assert_eq!(
            search.value(),
            "/usr/bin:/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin"
        );
        let bare = SearchPath::new(Vec::new(), None);
        assert_eq!(bare.value(), ALWAYS.join(":").as_str());
    }
}
