//! Programs that answer scripts of packages in the stead of those of the tree.

use std::path::{Path, PathBuf};

use super::inside::write;
use crate::installer::apt::make_directory;
use crate::installer::{InstallError, Site};
use crate::tree::Root;

/// In a container, scripts would think that they run on a system that has been booted; the C library's
/// waits a second for its init then.
const IN_CHANGED_ROOT: &str = "#!/bin/sh\nexit 0\n";

/// What scripts of packages call for each of their units.
const HELPER: &str = "usr/bin/deb-systemd-helper";

/// Writes them into a directory, to be first in the path of the scripts.
///
/// # Errors
/// When a file cannot be written, or the tree cannot be read.
pub(super) fn write_programs(site: &Site) -> Result<PathBuf, InstallError> {
    let directory = site.scratch.join("programs");
    make_directory(&directory)?;
    write(
        &directory.join("ischroot"),
        IN_CHANGED_ROOT.as_bytes(),
        0o755,
    )?;
    if Root::open(&site.root)?.is_file(HELPER)? {
        let script = helper(Path::new("/"));
        write(
            &directory.join("deb-systemd-helper"),
            script.as_bytes(),
            0o755,
        )?;
    }
    Ok(directory)
}

/// In a system's first installation, two of the three calls for each unit do nothing: there is nothing
/// to unmask, and what was never noted counts as enabled (deb-systemd-helper(1p)). Starting perl for
/// that takes as long as configuring several packages without units. Everything else is the program's
/// of the tree. Where its own root is, `/` but for tests, must need no quotes.
fn helper(root: &Path) -> String {
    let real = root.join(HELPER);
    let units = root.join("etc/systemd/system");
    let noted = root.join("var/lib/systemd");
    let (real, units, noted) = (real.display(), units.display(), noted.display());
    format!(
        r#"#!/bin/sh
if [ -n "$DPKG_MAINTSCRIPT_PACKAGE" ] &&
    [ -z "$DPKG_ROOT$_DEB_SYSTEMD_HELPER_DEBUG$_DEB_SYSTEMD_HELPER_PURGE" ]
then
    case "$#:$1:$2:$3" in
    *[!A-Za-z0-9@:._-]*) ;;
    2:unmask:[!-]*)
        if [ ! -e "{units}/$2" ] && [ ! -e {noted}/deb-systemd-helper-masked ] &&
            [ ! -e {noted}/deb-systemd-user-helper-masked ]
        then
            exit 0
        fi ;;
    3:--quiet:was-enabled:[!-]*)
        if [ ! -e "{noted}/deb-systemd-helper-enabled/$3.dsh-also" ]
        then
            exit 0
        fi ;;
    esac
fi
exec {real} "$@"
"#
    )
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;

    #[test]
    fn only_what_would_do_nothing_is_answered_here() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for name in ["usr/bin", "etc/systemd/system", "var/lib/systemd"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        write(&root.join(HELPER), b"#!/bin/sh\nexit 42\n", 0o755).unwrap();
        let program = root.join("program");
        write(&program, helper(root).as_bytes(), 0o755).unwrap();
        let status = |words: &[&str], package: &str| {
            let mut command = Command::new(&program);
            command
                .args(words)
                .env("DPKG_MAINTSCRIPT_PACKAGE", package)
                .env_remove("DPKG_ROOT");
            command.status().unwrap().code().unwrap()
        };
        for (words, expected) in [
            (&["unmask", "x.timer"][..], 0),
            (&["--quiet", "was-enabled", "x.timer"], 0),
            (&["was-enabled", "x.timer"], 42),
            (&["--user", "unmask", "x.timer"], 42),
            (&["unmask", "x.timer", "y.timer"], 42),
            (&["unmask", "../x.timer"], 42),
            (&["enable", "x.timer"], 42),
            (&["purge", "x.timer"], 42),
        ] {
            assert_eq!(status(words, "x"), expected, "{words:?}");
        }
        assert_eq!(status(&["unmask", "x.timer"], ""), 42);

        let enabled = root.join("var/lib/systemd/deb-systemd-helper-enabled");
        fs::create_dir(&enabled).unwrap();
        fs::write(enabled.join("x.timer.dsh-also"), "").unwrap();
        assert_eq!(status(&["--quiet", "was-enabled", "x.timer"], "x"), 42);
        assert_eq!(status(&["--quiet", "was-enabled", "y.timer"], "x"), 0);
        std::os::unix::fs::symlink("/dev/null", root.join("etc/systemd/system/x.timer")).unwrap();
        assert_eq!(status(&["unmask", "x.timer"], "x"), 42);
        assert_eq!(status(&["unmask", "y.timer"], "x"), 0);
        fs::create_dir(root.join("var/lib/systemd/deb-systemd-helper-masked")).unwrap();
        assert_eq!(status(&["unmask", "y.timer"], "x"), 42);
    }
}
