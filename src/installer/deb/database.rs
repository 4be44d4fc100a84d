//! dpkg's database of packages that were unpacked here, as dpkg itself leaves it after unpacking.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;

use super::control::{ControlFile, Package};
use super::outcome::Unpacked;
use crate::installer::apt::DPKG_STATUS;
use crate::tree::attributes::Attributes;
use crate::tree::{Root, TreeError};

const INFO: &str = "var/lib/dpkg/info";

/// Makes an empty database.
///
/// # Errors
/// When the tree cannot be changed.
pub(super) fn begin(root: &Root, architecture: &str) -> Result<(), TreeError> {
    for directory in ["info", "updates", "triggers", "alternatives"] {
        root.create_dir_all(Path::new("var/lib/dpkg").join(directory), 0o755)?;
    }
    root.write(DPKG_STATUS, "", 0o644)?;
    // Without these dpkg would collect triggers by itself, from packages that are noted here later.
    root.write("var/lib/dpkg/triggers/File", "", 0o644)?;
    root.write("var/lib/dpkg/triggers/Unincorp", "", 0o644)?;
    root.write(Path::new(INFO).join("format"), "1\n", 0o644)?;
    if !root.exists("var/lib/dpkg/arch")? {
        root.write("var/lib/dpkg/arch", format!("{architecture}\n"), 0o644)?;
    }
    Ok(())
}

/// Adds packages in the state "unpacked".
///
/// # Errors
/// When the tree cannot be changed.
pub(super) fn add<'a>(
    root: &Root,
    packages: impl Iterator<Item = (&'a Package, &'a Unpacked)>,
) -> Result<(), TreeError> {
    let mut status = String::from_utf8_lossy(&root.read(DPKG_STATUS)?).into_owned();
    let info = root.open_dir(INFO)?;
    for (package, unpacked) in packages {
        let name = package.database_name();
        let mut list = Vec::new();
        for path in &unpacked.paths {
            list.extend_from_slice(path);
            list.push(b'\n');
        }
        let mut files: Vec<(&str, u32, Option<i64>, &[u8])> = vec![("list", 0o644, None, &list)];
        for ControlFile {
            name,
            mode,
            mtime,
            content,
        } in &package.files
        {
            files.push((name, *mode, Some(*mtime), content));
        }
        for file in files {
            write(root, &info, &name, file)?;
        }
        status.push_str(&stanza(package));
    }
    root.write(DPKG_STATUS, status, 0o644)
}

/// Adds a file of a package's control archive that dpkg was not given.
///
/// # Errors
/// When the tree cannot be changed.
pub(super) fn add_control_file(
    root: &Root,
    package: &Package,
    name: &str,
) -> Result<(), TreeError> {
    let Some(file) = package.file(name) else {
        return Ok(());
    };
    let info = root.open_dir(INFO)?;
    let file = (name, file.mode, Some(file.mtime), file.content.as_slice());
    write(root, &info, &package.database_name(), file)
}

/// Writes a file of a package, with its kind, mode, time and content.
fn write(
    root: &Root,
    info: &impl AsFd,
    package: &str,
    (kind, mode, mtime, content): (&str, u32, Option<i64>, &[u8]),
) -> Result<(), TreeError> {
    let file_name = format!("{package}.{kind}");
    let write = || -> std::io::Result<()> {
        let mut file = create(info, &file_name)?;
        file.write_all(content)?;
        let attributes = Attributes {
            owner: root.privileged().then_some((0, 0)),
            mode,
            mtime: (mtime.unwrap_or_default(), 0),
        };
        if mtime.is_some() {
            attributes.set_on(&file, |_| Ok(()))?;
        } else {
            rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
        }
        Ok(())
    };
    write().map_err(|e| TreeError::io("write", root.place(&Path::new(INFO).join(&file_name)), e))
}

fn create(dir: &impl AsFd, name: &str) -> rustix::io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o600);
    match openat(dir, name, flags, mode) {
        Err(Errno::EXIST) => {
            unlinkat(dir, name, AtFlags::empty())?;
            openat(dir, name, flags, mode)
        }
        other => other,
    }
    .map(File::from)
}

/// A package's entry in the status file.
fn stanza(package: &Package) -> String {
    let mut text = format!("Package: {}\nStatus: install ok unpacked\n", package.name);
    for (name, value) in package.fields.iter() {
        let own = ["Package", "Status", "Conffiles", "Config-Version"];
        if !own.iter().any(|other| other.eq_ignore_ascii_case(name)) {
            let space = if value.starts_with('\n') { "" } else { " " };
            let _ = writeln!(text, "{name}:{space}{value}");
        }
    }
    if !package.conffiles.is_empty() {
        text.push_str("Conffiles:\n");
        for path in &package.conffiles {
            let _ = writeln!(text, " {} newconffile", String::from_utf8_lossy(path));
        }
    }
    text.push('\n');
    text
}
