//! Writes the values of all secrets into a directory, to be used where their commands cannot run.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, fchmod, fstat, mkdirat, openat, renameat, unlinkat};
use rustix::io::Errno;

use super::{SecretError, Secrets};

/// What a file is called before it is complete; no secret can have this name.
const UNFINISHED: &str = ".mkosi-unfinished";

/// Writes every secret to a file of its name in `directory`, which is made if it is not there. The
/// directory has mode 0700 and the files 0600, and no link is followed. Returns the names.
///
/// # Errors
/// When a command fails, or the directory is not this user's own.
pub fn reveal_all(secrets: &Secrets<'_>, directory: &Path) -> Result<Vec<String>, SecretError> {
    let names = secrets.names()?;
    let dir = own_directory(directory)?;
    for name in &names {
        let value = secrets.get(name)?;
        write(&dir, name, &value).map_err(SecretError::io("write", &directory.join(name)))?;
    }
    Ok(names)
}

fn own_directory(directory: &Path) -> Result<OwnedFd, SecretError> {
    // With a slash at its end, a link would be followed.
    let path: PathBuf = directory.components().collect();
    match mkdirat(CWD, &path, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(e) => return Err(SecretError::io("create", directory)(e)),
    }
    let bad = |why| SecretError::Unsafe {
        path: directory.to_owned(),
        why,
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = match openat(CWD, &path, flags, Mode::empty()) {
        Ok(dir) => dir,
        Err(Errno::NOTDIR | Errno::LOOP) => {
            return Err(bad(
                "it is a link or a file; name a directory, or one that can be made",
            ));
        }
        Err(e) => return Err(SecretError::io("open", directory)(e)),
    };
    let meta = fstat(&dir).map_err(SecretError::io("look at", directory))?;
    if meta.st_uid != rustix::process::geteuid().as_raw() {
        return Err(bad("it belongs to somebody else"));
    }
    fchmod(&dir, Mode::RWXU).map_err(SecretError::io("change the mode of", directory))?;
    Ok(dir)
}

/// Puts a file in place of whatever has the name.
fn write(dir: &OwnedFd, name: &str, value: &[u8]) -> std::io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    // Of a run that was killed.
    let _ = unlinkat(dir, UNFINISHED, AtFlags::empty());
    let mut file = File::from(openat(dir, UNFINISHED, flags, mode)?);
    let written = fchmod(&file, mode)
        .map_err(Into::into)
        .and_then(|()| file.write_all(value))
        .and_then(|()| Ok(renameat(dir, UNFINISHED, dir, name)?));
    if written.is_err() {
        let _ = unlinkat(dir, UNFINISHED, AtFlags::empty());
    }
    written
}
