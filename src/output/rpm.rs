//! Reads which packages are installed from rpm's database in a tree, through the host's rpm: the
//! database has several forms, none of which is documented.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::file_lists::FileLists;
use super::manifest::{Package, PackageType, Source};
use super::{OutputError, inside};
use crate::host::{Command, Host, Stdout};

/// Where databases are, and the file that says so.
const DATABASES: [(&str, &str); 6] = [
    ("usr/lib/sysimage/rpm", "rpmdb.sqlite"),
    ("usr/lib/sysimage/rpm", "Packages.db"),
    ("usr/lib/sysimage/rpm", "Packages"),
    ("var/lib/rpm", "rpmdb.sqlite"),
    ("var/lib/rpm", "Packages.db"),
    ("var/lib/rpm", "Packages"),
];
/// Between fields, and behind a package: in no name and no text.
const FIELD: char = '\u{1f}';
const RECORD: char = '\u{1e}';
/// Behind each value of a tag that has several.
const ELEMENT: char = '\u{1d}';
/// Keys stand in the database as packages.
const KEY: &str = "gpg-pubkey";
/// What change logs are asked for, besides name, version and architecture: the first is the latest.
const CHANGES: [&str; 3] = [
    "%{CHANGELOGTIME:day}",
    "%{CHANGELOGNAME}",
    "%{CHANGELOGTEXT}",
];
/// What rpm says where a package has no such thing.
const NONE: &str = "(none)";

/// Name, version and architecture.
pub type Identity = (String, String, String);

/// What packages are called in manifests.
const IDENTITY: [&str; 3] = [
    "%{NAME}",
    "%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}",
    "%{ARCH}",
];

/// The packages in `tree`.
pub fn installed(tree: &Path, host: &Host) -> Result<Vec<Package>, OutputError> {
    let wanted = [&IDENTITY[..], &["%{LONGSIZE}", "%{SOURCERPM}"]].concat();
    let records = query(tree, &wanted, host)?;
    Ok(records
        .iter()
        .filter_map(|record| package(record))
        .collect())
}

/// As [`installed`], read from a copy of the database: rpm makes files beside the one it reads.
pub fn installed_by_copy(tree: &Path, host: &Host) -> Result<Vec<Package>, OutputError> {
    let Some((directory, _)) = database(tree) else {
        return Ok(Vec::new());
    };
    let place =
        tempfile::tempdir().map_err(OutputError::io("make a directory in", &env::temp_dir()))?;
    let copy = place.path().join(directory);
    let from = tree.join(directory);
    let failed = OutputError::io("copy", &from);
    let copied = || -> io::Result<()> {
        fs::create_dir_all(&copy)?;
        for name in inside::list(tree, Path::new(directory))? {
            match inside::open(tree, &Path::new(directory).join(&name)) {
                Ok(mut from) => drop(io::copy(
                    &mut from,
                    &mut File::create_new(copy.join(&name))?,
                )?),
                // Neither a directory nor a socket is a part of it.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    };
    copied().map_err(failed)?;
    installed(place.path(), host)
}

/// The latest entry of each package's change log.
pub fn changes(tree: &Path, host: &Host) -> Result<BTreeMap<Identity, Vec<String>>, OutputError> {
    let wanted = [&IDENTITY[..], &CHANGES].concat();
    let records = query(tree, &wanted, host)?;
    Ok(records.iter().filter_map(|record| entry(record)).collect())
}

/// The files and directories of each package; those that share a name share a list.
pub fn files(tree: &Path, host: &Host) -> Result<FileLists, OutputError> {
    let paths = format!("[%{{FILENAMES}}{ELEMENT}]");
    let mut lists = FileLists::new();
    for record in query(tree, &["%{NAME}", &paths], host)? {
        if let [name, paths] = record.as_slice() {
            let paths = paths.split(ELEMENT).filter(|path| !path.is_empty());
            let list = lists.entry(name.clone()).or_default();
            list.extend(paths.map(|path| path.as_bytes().to_vec()));
        }
    }
    Ok(lists)
}

/// Where the database is.
fn database(tree: &Path) -> Option<(&'static str, &'static str)> {
    // rpm follows links as the host sees them: one out of the tree leads to another database.
    let is_there = |(directory, file): &(&str, &str)| {
        let path = tree.join(directory).join(file).canonicalize();
        matches!((tree.canonicalize(), path), (Ok(tree), Ok(path))
            if path.starts_with(&tree) && path.is_file())
    };
    DATABASES.into_iter().find(is_there)
}

/// Asks for these tags of every package; nothing where there is no database.
fn query(tree: &Path, tags: &[&str], host: &Host) -> Result<Vec<Vec<String>>, OutputError> {
    let path = database(tree).map(|(directory, _)| format!("/{directory}"));
    let Some(path) = path else {
        return Ok(Vec::new());
    };
    let mut format = tags.join(&FIELD.to_string());
    format.push(RECORD);
    let command = Command::new("rpm")
        .arg("--root")
        .arg(tree)
        .args([
            "--dbpath",
            &path,
            "--query",
            "--all",
            "--queryformat",
            &format,
        ])
        .stdout(Stdout::Capture)
        .no_sync();
    let output = host.run(command).map_err(OutputError::Rpm)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let fields = |record: &str| record.split(FIELD).map(str::to_owned).collect::<Vec<_>>();
    Ok(text
        .split(RECORD)
        .filter(|record| !record.is_empty())
        .map(fields)
        .filter(|fields| fields.len() == tags.len() && fields[0] != KEY)
        .collect())
}

fn package(fields: &[String]) -> Option<Package> {
    let [name, version, architecture, size, source] = fields else {
        return None;
    };
    Some(Package {
        sha256: None,
        kind: PackageType::Rpm,
        name: name.clone(),
        version: version.clone(),
        architecture: architecture.clone(),
        size: size.parse().ok(),
        source: source_of(source).unwrap_or_else(|| Source {
            name: name.clone(),
            version: version.clone(),
        }),
    })
}

/// `NAME-VERSION-RELEASE.src.rpm`.
fn source_of(file: &str) -> Option<Source> {
    let stem = file.strip_suffix(".rpm")?;
    let stem = stem
        .strip_suffix(".src")
        .or_else(|| stem.strip_suffix(".nosrc"))?;
    let (rest, release) = stem.rsplit_once('-')?;
    let (name, version) = rest.rsplit_once('-')?;
    Some(Source {
        name: name.to_owned(),
        version: format!("{version}-{release}"),
    })
}

fn entry(fields: &[String]) -> Option<(Identity, Vec<String>)> {
    let [name, version, architecture, day, who, text] = fields else {
        return None;
    };
    if who == NONE || text == NONE {
        return None;
    }
    let mut lines = vec![format!("* {day} {who}")];
    lines.extend(text.lines().map(|line| line.trim_end().to_owned()));
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    let identity = (name.clone(), version.clone(), architecture.clone());
    Some((identity, lines))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::host::{Cancel, Quiet, Recorder};
    use crate::tree::Root;

    fn tree(database: &str) -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        let root = Root::open(tree.path()).unwrap();
        root.write(database, "", 0o644).unwrap();
        tree
    }

    fn host(recorder: &Arc<Recorder>) -> Host {
        Host::new(recorder.clone(), Arc::new(Quiet), Cancel::default())
    }

    #[test]
    fn packages_and_no_keys() {
        let recorder = Arc::new(Recorder::default());
        recorder.answer(
            "rpm --root",
            "bash\u{1f}5.2-1.fc44\u{1f}x86_64\u{1f}8000\u{1f}bash-5.2-1.fc44.src.rpm\u{1e}\
             gpg-pubkey\u{1f}1-2\u{1f}(none)\u{1f}0\u{1f}(none)\u{1e}\
             perl-a-b\u{1f}4:1-2\u{1f}noarch\u{1f}x\u{1f}(none)\u{1e}",
        );
        let tree = tree("usr/lib/sysimage/rpm/rpmdb.sqlite");
        let packages = installed(tree.path(), &host(&recorder)).unwrap();
        let shown: Vec<_> = packages
            .iter()
            .map(|p| {
                (
                    &*p.name,
                    &*p.version,
                    p.size,
                    &*p.source.name,
                    &*p.source.version,
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("bash", "5.2-1.fc44", Some(8000), "bash", "5.2-1.fc44"),
                ("perl-a-b", "4:1-2", None, "perl-a-b", "4:1-2"),
            ]
        );
        assert!(recorder.lines()[0].contains("--dbpath /usr/lib/sysimage/rpm --query --all"));
    }

    #[test]
    fn without_a_database_nothing_is_asked() {
        let recorder = Arc::new(Recorder::default());
        let tree = tree("var/lib/dpkg/status");
        assert_eq!(installed(tree.path(), &host(&recorder)).unwrap(), []);
        assert!(recorder.lines().is_empty());
    }

    #[test]
    fn the_database_of_the_host_is_not_the_trees() {
        let outside = tree("rpm/rpmdb.sqlite");
        let inside = tree("usr/rpm/rpmdb.sqlite");
        std::fs::create_dir_all(inside.path().join("var/lib")).unwrap();
        let link = inside.path().join("var/lib/rpm");
        std::os::unix::fs::symlink(outside.path().join("rpm"), link).unwrap();
        let recorder = Arc::new(Recorder::default());
        assert_eq!(installed(inside.path(), &host(&recorder)).unwrap(), []);
        assert!(recorder.lines().is_empty());
    }

    #[test]
    fn the_latest_change_is_the_first() {
        let recorder = Arc::new(Recorder::default());
        recorder.answer(
            "rpm --root",
            "a\u{1f}1-1\u{1f}noarch\u{1f}Mon Jan 02 2023\u{1f}Ann <a@b> 1-1\u{1f}- Fix.\n- More.\n\u{1e}\
             b\u{1f}1-1\u{1f}noarch\u{1f}(none)\u{1f}(none)\u{1f}(none)\u{1e}",
        );
        let tree = tree("var/lib/rpm/Packages");
        let found = changes(tree.path(), &host(&recorder)).unwrap();
        let key = ("a".to_owned(), "1-1".to_owned(), "noarch".to_owned());
        assert_eq!(
            found[&key],
            ["* Mon Jan 02 2023 Ann <a@b> 1-1", "- Fix.", "- More."]
        );
        assert_eq!(found.len(), 1);
    }
}
