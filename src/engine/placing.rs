//! Puts finished artifacts in place one by one, and takes that back when a later one fails.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat, renameat_with};
use rustix::io::Errno;

use super::EngineError;

/// What was done to one name of the output directory.
#[derive(Debug)]
enum Done {
    /// The new one was moved in; there was none.
    Added,
    /// The new one and the old one changed places.
    Exchanged,
    /// The old one was moved away, then the new one in.
    Replaced,
    /// The old one was moved away.
    Retired,
}

/// Moves between the directory of new artifacts, the output directory and the directory for what is
/// replaced; all three are on one file system.
#[derive(Debug)]
pub(super) struct Placing<'a> {
    pub(super) output: &'a Path,
    pub(super) new: &'a Path,
    pub(super) old: &'a Path,
    done: Vec<(OsString, Done)>,
}

impl<'a> Placing<'a> {
    pub(super) fn new(output: &'a Path, new: &'a Path, old: &'a Path) -> Self {
        Self {
            output,
            new,
            old,
            done: Vec::new(),
        }
    }

    /// Puts one artifact in place, of whatever type it and what it replaces are.
    pub(super) fn place(&mut self, name: &OsStr, replace: bool) -> Result<(), EngineError> {
        let (from, to) = (self.new.join(name), self.output.join(name));
        let failed = |e: Errno| EngineError::path("put in place", &to)(e);
        let exists = || EngineError::Exists { path: to.clone() };
        let done = match renameat_with(CWD, &from, CWD, &to, RenameFlags::NOREPLACE) {
            Ok(()) => Done::Added,
            Err(Errno::EXIST) if !replace => return Err(exists()),
            Err(Errno::EXIST) => match renameat_with(CWD, &from, CWD, &to, RenameFlags::EXCHANGE) {
                Ok(()) => Done::Exchanged,
                // File systems that cannot exchange (NFS, some FUSE ones) say one of these.
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                    self.place_by_moving(name).map_err(failed)?
                }
                Err(e) => return Err(failed(e)),
            },
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                match (to.symlink_metadata().is_ok(), replace) {
                    (true, false) => return Err(exists()),
                    (true, true) => self.place_by_moving(name).map_err(failed)?,
                    (false, _) => {
                        renameat(CWD, &from, CWD, &to).map_err(failed)?;
                        Done::Added
                    }
                }
            }
            Err(e) => return Err(failed(e)),
        };
        self.done.push((name.to_owned(), done));
        Ok(())
    }

    /// For a moment nothing stands under the name.
    fn place_by_moving(&self, name: &OsStr) -> rustix::io::Result<Done> {
        let (from, to, aside) = (
            self.new.join(name),
            self.output.join(name),
            self.old.join(name),
        );
        renameat(CWD, &to, CWD, &aside)?;
        if let Err(e) = renameat(CWD, &from, CWD, &to) {
            renameat(CWD, &aside, CWD, &to)?;
            return Err(e);
        }
        Ok(Done::Replaced)
    }

    /// Takes a former artifact that this build has no successor for out of the output directory.
    pub(super) fn retire(&mut self, name: &OsStr) -> Result<(), EngineError> {
        let path = self.output.join(name);
        match renameat(CWD, &path, CWD, self.old.join(name)) {
            Ok(()) => self.done.push((name.to_owned(), Done::Retired)),
            Err(Errno::NOENT) => {}
            Err(e) => return Err(EngineError::path("remove", &path)(e)),
        }
        Ok(())
    }

    /// Takes everything back, the last first. Tries all of them; fails if any could not be.
    pub(super) fn take_back(&mut self) -> Result<(), Errno> {
        let mut result = Ok(());
        while let Some((name, done)) = self.done.pop() {
            let (new, out, old) = (
                self.new.join(&name),
                self.output.join(&name),
                self.old.join(&name),
            );
            let back = |from: &PathBuf, to: &PathBuf| renameat(CWD, from, CWD, to);
            let taken = match done {
                Done::Added => back(&out, &new),
                Done::Exchanged => renameat_with(CWD, &new, CWD, &out, RenameFlags::EXCHANGE),
                Done::Replaced => back(&out, &new).and_then(|()| back(&old, &out)),
                Done::Retired => back(&old, &out),
            };
            result = result.and(taken);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    struct Fixture {
        dir: tempfile::TempDir,
    }

    impl Fixture {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            for name in ["out", "new", "old"] {
                fs::create_dir(dir.path().join(name)).unwrap();
            }
            Self { dir }
        }
        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }
        fn write(&self, name: &str, text: &str) {
            fs::write(self.path(name), text).unwrap();
        }
        fn read(&self, name: &str) -> String {
            fs::read_to_string(self.path(name)).unwrap_or_default()
        }
    }

    #[test]
    fn any_kind_replaces_any_kind_and_comes_back() {
        let f = Fixture::new();
        let (out, new, old) = (f.path("out"), f.path("new"), f.path("old"));
        f.write("new/added", "new");
        f.write("new/file", "new");
        f.write("out/file", "old");
        fs::create_dir(f.path("new/tree")).unwrap();
        f.write("new/tree/x", "new");
        f.write("out/tree", "old, a file");
        f.write("new/moved", "new");
        fs::create_dir(f.path("out/moved")).unwrap();
        f.write("out/moved/x", "old");
        f.write("out/retired", "old");
        let mut placing = Placing::new(&out, &new, &old);
        for name in ["added", "file", "tree"] {
            placing.place(OsStr::new(name), true).unwrap();
        }
        let done = placing.place_by_moving(OsStr::new("moved")).unwrap();
        placing.done.push(("moved".into(), done));
        placing.retire(OsStr::new("retired")).unwrap();
        placing.retire(OsStr::new("never-there")).unwrap();
        for name in ["out/added", "out/file", "out/tree/x", "out/moved"] {
            assert_eq!(f.read(name), "new", "{name}");
        }
        assert!(!f.path("out/retired").exists());
        placing.take_back().unwrap();
        let expected = [
            ("out/added", ""),
            ("out/file", "old"),
            ("out/tree", "old, a file"),
            ("out/moved/x", "old"),
            ("out/retired", "old"),
            ("new/tree/x", "new"),
        ];
        for (name, text) in expected {
            assert_eq!(f.read(name), text, "{name}");
        }
    }

    #[test]
    fn nothing_is_replaced_unasked() {
        let f = Fixture::new();
        let (out, new, old) = (f.path("out"), f.path("new"), f.path("old"));
        f.write("new/image", "new");
        f.write("out/image", "old");
        let mut placing = Placing::new(&out, &new, &old);
        let error = placing.place(OsStr::new("image"), false).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("/out/image exists already; -f replaces it")
        );
        assert_eq!(f.read("out/image"), "old");
    }

    #[test]
    fn moving_leaves_the_old_one_when_there_is_no_new_one() {
        let f = Fixture::new();
        let (out, new, old) = (f.path("out"), f.path("new"), f.path("old"));
        f.write("out/image", "old");
        let placing = Placing::new(&out, &new, &old);
        placing.place_by_moving(OsStr::new("image")).unwrap_err();
        assert_eq!(f.read("out/image"), "old");
    }
}
