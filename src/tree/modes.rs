//! The modes of a project's files, written down where version control keeps none.
//!
//! A line for each file: its mode, octal, a blank, and its path in the project. A newline in a path is
//! written `\n`, a backslash `\\`.

use std::fs::{self, Permissions};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, fstat, open, openat2};
use rustix::io::Errno;

use super::adapt::{Role, inputs};
use super::error::TreeError;
use super::shown::{shown, shown_bytes};

/// What is recorded: the files and templates of `trees`, by their paths in `project`. Patches and links
/// are left out: nothing has their mode.
///
/// # Errors
/// The path that cannot be read.
pub fn record(project: &Path, trees: &[PathBuf]) -> Result<Vec<u8>, TreeError> {
    let mut lines = Vec::new();
    for tree in trees {
        for input in inputs(tree)? {
            let path = tree.join(&input.path);
            let meta = fs::symlink_metadata(&path)
                .map_err(|e| TreeError::io("look at", shown(&path), e))?;
            if input.role == Role::Patch || !meta.is_file() {
                continue;
            }
            // A tree elsewhere has no place in the project's record.
            if let Ok(path) = path.strip_prefix(project) {
                let mut line = format!("{:04o} ", meta.mode() & 0o7777).into_bytes();
                for byte in path.as_os_str().as_bytes() {
                    match byte {
                        b'\n' => line.extend(b"\\n"),
                        b'\\' => line.extend(b"\\\\"),
                        byte => line.push(*byte),
                    }
                }
                line.push(b'\n');
                lines.push((path.to_owned(), line));
            }
        }
    }
    lines.sort();
    lines.dedup();
    Ok(lines.into_iter().flat_map(|(_, line)| line).collect())
}

/// What came of applying a record.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// How many files have another mode now.
    pub changed: usize,
    /// Files that are not there.
    pub missing: Vec<PathBuf>,
}

/// Gives files of `project` the modes that a record says. No link is followed.
///
/// # Errors
/// The first line that is none, or whose file's mode cannot be changed; nothing is changed when a line
/// is wrong. `name` is the record's.
pub fn apply(project: &Path, record: &[u8], name: &Path) -> Result<Applied, TreeError> {
    let mut modes = Vec::new();
    for (nth, line) in record.split(|b| *b == b'\n').enumerate() {
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let mode = parse(line).ok_or_else(|| TreeError::BadPath {
            path: format!("{}:{}: {}", shown(name), nth + 1, shown_bytes(line)),
            why: "expected a mode and a path in the project, such as 0755 files/usr/bin/x",
        })?;
        modes.push(mode);
    }
    let failed = |path: &Path| {
        let path = shown(project.join(path));
        move |e: Errno| TreeError::io("change the mode of", path, e)
    };
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let top =
        open(project, flags | OFlags::DIRECTORY, Mode::empty()).map_err(failed(Path::new("")))?;
    let mut applied = Applied::default();
    for (mode, path) in modes {
        let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let file = match openat2(&top, &path, flags, Mode::empty(), how) {
            Ok(file) => file,
            Err(Errno::NOENT | Errno::NOTDIR) => {
                applied.missing.push(path);
                continue;
            }
            Err(e) => return Err(failed(&path)(e)),
        };
        let now = fstat(&file).map_err(failed(&path))?.st_mode;
        if now & 0o170_000 != 0o100_000 {
            return Err(failed(&path)(Errno::INVAL));
        }
        if now & 0o7777 != mode {
            // The file that was looked at, whatever its name leads to by now.
            let itself = format!("/proc/self/fd/{}", file.as_raw_fd());
            fs::set_permissions(itself, Permissions::from_mode(mode))
                .map_err(|e| TreeError::io("change the mode of", shown(project.join(&path)), e))?;
            applied.changed += 1;
        }
    }
    Ok(applied)
}

fn parse(line: &[u8]) -> Option<(u32, PathBuf)> {
    let blank = line.iter().position(|b| *b == b' ' || *b == b'\t')?;
    let (mode, path) = line.split_at(blank);
    let mode = u32::from_str_radix(std::str::from_utf8(mode).ok()?, 8).ok()?;
    let mut bytes = Vec::new();
    let mut rest = path.trim_ascii_start().iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next()? {
                b'n' => b'\n',
                b'\\' => b'\\',
                _ => return None,
            },
            byte => *byte,
        });
    }
    let path = PathBuf::from(std::ffi::OsString::from_vec(bytes));
    let inside = path.components().all(|part| {
        use std::path::Component::{CurDir, Normal};
        matches!(part, CurDir | Normal(_))
    });
    (mode <= 0o7777 && inside && path.file_name().is_some()).then_some((mode, path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn project(files: &[(&str, u32)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, mode) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(*mode)).unwrap();
        }
        dir
    }

    fn mode(project: &tempfile::TempDir, name: &str) -> u32 {
        fs::metadata(project.path().join(name)).unwrap().mode() & 0o7777
    }

    #[test]
    fn modes_survive_a_checkout() {
        let files = [
            ("files/etc/key.makeimg.template", 0o600),
            ("files/etc/motd", 0o644),
            ("files/usr/bin/odd\n\\name", 0o4755),
        ];
        let dir = project(&files);
        fs::write(dir.path().join("files/a.makeimg.patch"), "").unwrap();
        symlink("motd", dir.path().join("files/etc/link")).unwrap();
        let trees = [dir.path().join("files"), "/usr/share/nothing".into()];
        let text = record(dir.path(), &trees).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&text),
            "0600 files/etc/key.makeimg.template\n0644 files/etc/motd\n\
             4755 files/usr/bin/odd\\n\\\\name\n"
        );
        for (name, _) in files {
            fs::set_permissions(dir.path().join(name), Permissions::from_mode(0o664)).unwrap();
        }
        fs::remove_file(dir.path().join("files/etc/motd")).unwrap();
        let applied = apply(dir.path(), &text, Path::new("x")).unwrap();
        assert_eq!(applied.changed, 2);
        assert_eq!(applied.missing, [PathBuf::from("files/etc/motd")]);
        assert_eq!(mode(&dir, files[0].0), 0o600);
        assert_eq!(mode(&dir, files[2].0), 0o4755);
        assert_eq!(apply(dir.path(), &text, Path::new("x")).unwrap().changed, 0);
    }

    #[test]
    fn a_record_reaches_no_further_than_the_project() {
        let dir = project(&[("p/files/a", 0o644), ("other", 0o644)]);
        let top = dir.path().join("p");
        symlink("../../other", top.join("files/link")).unwrap();
        symlink("../..", top.join("files/up")).unwrap();
        for line in [
            "0777 ../other",
            "0777 /etc/passwd",
            "0777 files/../../other",
            "x files/a",
            "10000 files/a",
            "0777",
            "0777 ",
            "0777 files/a\\x",
        ] {
            let text = format!("0600 files/a\n{line}\n");
            let error = apply(&top, text.as_bytes(), Path::new(".mkosi.modes")).unwrap_err();
            assert!(
                error.to_string().starts_with(".mkosi.modes:2: "),
                "{line}: {error}"
            );
        }
        for line in ["0777 files/link", "0777 files/up/other", "0777 files"] {
            assert!(
                apply(&top, line.as_bytes(), Path::new("x")).is_err(),
                "{line}"
            );
        }
        assert_eq!(mode(&dir, "other"), 0o644);
        assert_eq!(
            mode(&dir, "p/files/a"),
            0o644,
            "nothing is done where a line is wrong"
        );
        // As stat writes them.
        apply(&top, b"# made by hand\n600 ./files/a", Path::new("x")).unwrap();
        assert_eq!(mode(&dir, "p/files/a"), 0o600);
    }
}
