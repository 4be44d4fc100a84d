//! Which package put which files into a tree, as the package databases in it say.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::{OutputError, apk, inside, pacman, rpm};
use crate::host::Host;

/// Where dpkg keeps a list of files for each package, from the root of the image.
const LISTS: &str = "var/lib/dpkg/info";
/// Files that dpkg was told to put elsewhere: three lines each, from where, to where, and the package
/// whose own file stays (dpkg-divert(1)).
const DIVERSIONS: &str = "var/lib/dpkg/diversions";

/// The paths that each package has, as its database writes them: from the root of the image, possibly
/// through links, directories among them.
pub type FileLists = BTreeMap<String, Vec<Vec<u8>>>;

/// Reads the lists of all databases in `tree`. Databases that name no files (swupd's) give none.
///
/// # Errors
/// When a database cannot be read.
pub fn read(tree: &Path, host: &Host) -> Result<FileLists, OutputError> {
    let mut lists = dpkg(tree)?;
    for more in [
        rpm::files(tree, host)?,
        pacman::files(tree)?,
        apk::files(tree)?,
    ] {
        lists.extend(more);
    }
    Ok(lists)
}

fn dpkg(tree: &Path) -> Result<FileLists, OutputError> {
    let at = |path: &Path, error| OutputError::io("read", &tree.join(path))(error);
    let directory = Path::new(LISTS);
    let mut names = match inside::list(tree, directory) {
        Ok(names) => names,
        Err(error) if inside::is_missing(&error) => return Ok(FileLists::new()),
        Err(error) => return Err(at(directory, error)),
    };
    let diverted = match inside::read(tree, Path::new(DIVERSIONS)) {
        Ok(text) => diversions(&text),
        Err(error) if inside::is_missing(&error) => HashMap::new(),
        Err(error) => return Err(at(Path::new(DIVERSIONS), error)),
    };
    let mut lists = FileLists::new();
    names.sort_unstable();
    for name in names {
        let text = name.to_string_lossy();
        let Some(package) = text.strip_suffix(".list") else {
            continue;
        };
        let path = directory.join(&name);
        let list = inside::read(tree, &path).map_err(|error| at(&path, error))?;
        // Where packages of several architectures can be side by side it is in the name.
        let bare = package.split(':').next().unwrap_or(package).to_owned();
        let paths = lines(&list).map(|line| match diverted.get(line) {
            Some((to, keeper)) if *keeper != bare => to.clone(),
            _ => line.to_vec(),
        });
        lists.entry(bare.clone()).or_default().extend(paths);
    }
    Ok(lists)
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
}

/// By path: where it was diverted to, and for which package it was not.
fn diversions(text: &[u8]) -> HashMap<Vec<u8>, (Vec<u8>, String)> {
    let lines: Vec<&[u8]> = lines(text).collect();
    let triple = |part: &[&[u8]]| match part {
        [from, to, keeper] => {
            let keeper = String::from_utf8_lossy(keeper).into_owned();
            Some((from.to_vec(), (to.to_vec(), keeper)))
        }
        _ => None,
    };
    lines.chunks(3).filter_map(triple).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use super::*;
    use crate::host::{Cancel, Quiet, Recorder};

    fn host() -> Host {
        let recorder = Arc::new(Recorder::default());
        Host::new(recorder, Arc::new(Quiet), Cancel::default())
    }

    fn text(lists: &FileLists) -> Vec<String> {
        let line = |(name, paths): (&String, &Vec<Vec<u8>>)| {
            let paths: Vec<_> = paths.iter().map(|p| String::from_utf8_lossy(p)).collect();
            format!("{name}: {}", paths.join(" "))
        };
        lists.iter().map(line).collect()
    }

    #[test]
    fn every_databases_lists_are_read() {
        let tree = tempfile::tempdir().unwrap();
        let put = |name: &str, content: &str| {
            let path = tree.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        };
        assert_eq!(read(tree.path(), &host()).unwrap(), FileLists::new());

        put("var/lib/dpkg/info/dash.list", "/.\n/bin\n/bin/dash\n");
        put("var/lib/dpkg/info/dash.postinst", "#!/bin/sh\n");
        put("var/lib/dpkg/info/libc6:amd64.list", "/lib/libc.so.6\n");
        put("var/lib/dpkg/info/libc6:i386.list", "/lib32/libc.so.6\n");
        put("var/lib/dpkg/info/bash.list", "/bin/sh\n");
        put("var/lib/dpkg/info/mksh.list", "/bin/sh\n");
        put(
            "var/lib/dpkg/diversions",
            "/bin/sh\n/bin/sh.distrib\nmksh\n/half\n",
        );
        put(
            "var/lib/pacman/local/zlib-1-1/desc",
            "%NAME%\nzlib\n\n%VERSION%\n1-1\n",
        );
        put(
            "var/lib/pacman/local/zlib-1-1/files",
            "%FILES%\nusr/\nusr/lib/libz.so\n\n%BACKUP%\netc/x\tabc\n",
        );
        put("var/lib/pacman/local/ALPM_DB_VERSION", "9\n");
        put(
            "lib/apk/db/installed",
            "P:musl\nV:1\nF:lib\nR:ld-musl.so\na:0:0:755\nF:\nR:top\n\nP:empty\nV:1\n",
        );
        assert_eq!(
            text(&read(tree.path(), &host()).unwrap()),
            [
                "bash: /bin/sh.distrib",
                "dash: /. /bin /bin/dash",
                "empty: ",
                "libc6: /lib/libc.so.6 /lib32/libc.so.6",
                "mksh: /bin/sh",
                "musl: lib/ld-musl.so /top",
                "zlib: usr/ usr/lib/libz.so",
            ]
        );
    }

    #[test]
    fn rpm_is_asked_for_names() {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir_all(tree.path().join("var/lib/rpm")).unwrap();
        fs::write(tree.path().join("var/lib/rpm/rpmdb.sqlite"), "").unwrap();
        let recorder = Arc::new(Recorder::default());
        let said = "bash\u{1f}/bin/bash\u{1d}/etc/with blank\u{1d}\u{1e}\
                    empty\u{1f}\u{1e}gpg-pubkey\u{1f}(none)\u{1d}\u{1e}";
        recorder.answer("rpm", said);
        let host = Host::new(recorder, Arc::new(Quiet), Cancel::default());
        assert_eq!(
            text(&read(tree.path(), &host).unwrap()),
            ["bash: /bin/bash /etc/with blank", "empty: "]
        );
    }
}
