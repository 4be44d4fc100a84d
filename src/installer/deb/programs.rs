//! Programs that answer scripts of packages in the stead of those of the tree.

use std::path::Path;

use super::inside::write;
use crate::installer::apt::make_directory;
use crate::installer::{InstallError, Site};
use crate::tree::Root;

/// In a container, scripts would think that they run on a system that has been booted; the C library's
/// waits a second for its init then.
const IN_CHANGED_ROOT: &str = "#!/bin/sh\nexit 0\n";

/// What scripts of packages call for each of their units.
const HELPER: &str = "usr/bin/deb-systemd-helper";
/// What scripts of packages call for each file that an earlier release of theirs had elsewhere.
const MOVER: &str = "usr/bin/dpkg-maintscript-helper";

/// Writes them into a directory, to be first in the path of the scripts.
///
/// # Errors
/// When a file cannot be written, or the tree cannot be read.
pub(super) fn write_programs(site: &Site, directory: &Path) -> Result<(), InstallError> {
    make_directory(directory)?;
    write(
        &directory.join("ischroot"),
        IN_CHANGED_ROOT.as_bytes(),
        0o755,
    )?;
    let tree = Root::open(&site.root)?;
    for (program, answers) in [(HELPER, helper as fn(&Path) -> String), (MOVER, mover)] {
        let name = Path::new(program).file_name().unwrap_or_default();
        let path = directory.join(name);
        // A script can come to need it while the container is there.
        if !path.exists() && tree.is_file(program)? {
            write(&path, answers(Path::new("/")).as_bytes(), 0o755)?;
        }
    }
    Ok(())
}

/// In a system's first installation, two of the three calls for each unit do nothing: there is nothing
/// to unmask, and what was never noted counts as enabled (deb-systemd-helper(1p)). Starting perl for
/// that takes as long as configuring several packages without units. Everything else is the program's
/// of the tree. Where its own root is, `/` but for tests, must need no quotes.
fn helper(root: &Path) -> String {
    let real = root.join(HELPER);
    let units = root.join("etc/systemd");
    let noted = root.join("var/lib/systemd");
    let (real, units, noted) = (real.display(), units.display(), noted.display());
    format!(
        r#"#!/bin/sh
if [ -n "$DPKG_MAINTSCRIPT_PACKAGE" ] &&
    [ -z "$DPKG_ROOT$_DEB_SYSTEMD_HELPER_DEBUG$_DEB_SYSTEMD_HELPER_PURGE" ]
then
    case "$#:$1:$2:$3:$4" in
    *[!A-Za-z0-9@:._-]*) ;;
    2:unmask:[!-]* | 3:--user:unmask:[!-]*)
        case "$1" in
        --user) unit=user/$3 ;;
        *) unit=system/$2 ;;
        esac
        if [ ! -e "{units}/$unit" ] && [ ! -e {noted}/deb-systemd-helper-masked ] &&
            [ ! -e {noted}/deb-systemd-user-helper-masked ]
        then
            exit 0
        fi ;;
    3:--quiet:was-enabled:[!-]*)
        if [ ! -e "{noted}/deb-systemd-helper-enabled/$3.dsh-also" ]; then
            exit 0
        fi ;;
    4:--quiet:--user:was-enabled:[!-]*)
        if [ ! -e "{noted}/deb-systemd-user-helper-enabled/$4.dsh-also" ]; then
            exit 0
        fi ;;
    esac
fi
exec {real} "$@"
"#
    )
}

/// In a package's first installation nothing of an earlier release of it is moved or removed
/// (dpkg-maintscript-helper(1)): the version that was configured last is an empty word then. The tree's
/// own program finds that out after it has had dpkg look at the version that it was given, which takes
/// several processes, and some packages call it forty times. What is put in place of directories and
/// links is left to it where it has begun with that, and so is everything that is not said as it should be.
fn mover(root: &Path) -> String {
    let real = root.join(MOVER);
    format!(
        r#"#!/bin/sh
does_nothing() {{
    case "$DPKG_MAINTSCRIPT_NAME:$1:$2" in
    preinst:*:/*[!/] | postinst:*:/*[!/]) ;;
    *) return 1 ;;
    esac
    case "$1:$3" in
    rm_conffile:*) shift 2 ;;
    mv_conffile:/*) shift 3 ;;
    symlink_to_dir:[!-]* | dir_to_symlink:[!-]*)
        if [ -e "$2.dpkg-backup" ] || [ -h "$2.dpkg-backup" ]; then
            return 1
        fi
        shift 3 ;;
    *) return 1 ;;
    esac
    if [ "$1" != -- ]; then
        case "$1" in
        *[!A-Za-z0-9.+~:-]* | *- | *:*:*) return 1 ;;
        [0-9]:[0-9]*) ;;
        *:*) return 1 ;;
        [0-9]*) ;;
        *) return 1 ;;
        esac
        shift
        case "$1" in
        [a-z0-9]*) shift ;;
        esac
    fi
    case "$DPKG_MAINTSCRIPT_NAME:$1:$2:$3" in
    preinst:--:install: | postinst:--:configure:) return 0 ;;
    esac
    return 1
}}
if [ -n "$DPKG_MAINTSCRIPT_PACKAGE" ] && [ -z "$DPKG_ROOT$DPKG_DEBUG" ] &&
    [ "${{DPKG_MAINTSCRIPT_DEBUG:-0}}" = 0 ] && does_nothing "$@"
then
    exit 0
fi
exec {} "$@"
"#,
        real.display()
    )
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;

    #[test]
    fn only_what_concerns_no_earlier_release_is_answered_here() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        write(&root.join(MOVER), b"#!/bin/sh\nexit 42\n", 0o755).unwrap();
        let program = root.join("program");
        write(&program, mover(root).as_bytes(), 0o755).unwrap();
        let status = |script: &str, words: &[&str]| {
            let mut command = Command::new(&program);
            command
                .args(words)
                .env("DPKG_MAINTSCRIPT_PACKAGE", "x")
                .env("DPKG_MAINTSCRIPT_NAME", script)
                .env_remove("DPKG_MAINTSCRIPT_DEBUG")
                .env_remove("DPKG_DEBUG")
                .env_remove("DPKG_ROOT");
            command.status().unwrap().code().unwrap()
        };
        let link = root.join("link").display().to_string();
        for (script, line, expected) in [
            ("postinst", "rm_conffile /etc/x 1.2-3~ -- configure", 0),
            ("postinst", "rm_conffile /etc/x 1:2.0 x -- configure ''", 0),
            ("postinst", "rm_conffile /etc/x -- configure", 0),
            ("preinst", "mv_conffile /etc/x /etc/y 1 -- install", 0),
            ("preinst", "dir_to_symlink LINK ../y 1~ -- install", 0),
            ("postinst", "symlink_to_dir LINK y 1~ x:all -- configure", 0),
            ("postinst", "rm_conffile /etc/x 1 -- configure 0.9", 42),
            ("preinst", "rm_conffile /etc/x 1 -- install 0.9", 42),
            ("preinst", "rm_conffile /etc/x 1 -- upgrade 0.9", 42),
            ("postinst", "rm_conffile /etc/x 1 -- triggered", 42),
            ("postrm", "rm_conffile /etc/x 1 -- purge", 42),
            ("", "rm_conffile /etc/x 1 -- configure", 42),
            ("postinst", "rm_conffile etc/x 1 -- configure", 42),
            ("postinst", "rm_conffile /etc/x 1_2 -- configure", 42),
            ("postinst", "rm_conffile /etc/x 1- -- configure", 42),
            ("postinst", "rm_conffile /etc/x a -- configure", 42),
            ("postinst", "rm_conffile /etc/x 1a:2 -- configure", 42),
            ("postinst", "rm_conffile /etc/x 1 configure", 42),
            ("postinst", "mv_conffile /etc/x y 1 -- configure", 42),
            ("postinst", "symlink_to_dir LINK/ y 1 -- configure", 42),
            ("postinst", "dir_to_symlink LINK -- configure", 42),
            ("postinst", "supports rm_conffile", 42),
        ] {
            let words = line.split(' ').map(|word| match word {
                "''" => "",
                "LINK" => link.as_str(),
                other => other,
            });
            let words: Vec<&str> = words.collect();
            assert_eq!(status(script, &words), expected, "{script}: {line}");
        }
        let words = [
            "symlink_to_dir",
            link.as_str(),
            "y",
            "1~",
            "--",
            "configure",
            "",
        ];
        std::os::unix::fs::symlink("gone", format!("{link}.dpkg-backup")).unwrap();
        assert_eq!(status("postinst", &words), 42);
    }

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
            (&["--user", "unmask", "x.timer"], 0),
            (&["--quiet", "--user", "was-enabled", "x.timer"], 0),
            (&["--user", "was-enabled", "x.timer"], 42),
            (&["--user", "enable", "x.timer"], 42),
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
        let user = ["--quiet", "--user", "was-enabled", "x.timer"];
        assert_eq!(status(&user, "x"), 0);
        let enabled = root.join("var/lib/systemd/deb-systemd-user-helper-enabled");
        fs::create_dir(&enabled).unwrap();
        fs::write(enabled.join("x.timer.dsh-also"), "").unwrap();
        assert_eq!(status(&user, "x"), 42);
        std::os::unix::fs::symlink("/dev/null", root.join("etc/systemd/system/x.timer")).unwrap();
        assert_eq!(status(&["unmask", "x.timer"], "x"), 42);
        assert_eq!(status(&["unmask", "y.timer"], "x"), 0);
        assert_eq!(status(&["--user", "unmask", "x.timer"], "x"), 0);
        fs::create_dir(root.join("var/lib/systemd/deb-systemd-helper-masked")).unwrap();
        assert_eq!(status(&["unmask", "y.timer"], "x"), 42);
    }
}
