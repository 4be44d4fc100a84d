//! Reads which packages are installed from pacman's local database in a tree.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::file_lists::FileLists;
use super::manifest::{Package, PackageType, Source};
use super::{OutputError, inside};

/// The database, from the root of the image: a directory for each package, with a file `desc`.
const LOCAL: &str = "var/lib/pacman/local";

/// The packages in `tree`, in no particular order.
pub fn installed(tree: &Path) -> Result<Vec<Package>, OutputError> {
    let mut packages = Vec::new();
    for name in entries(tree)? {
        let path = Path::new(LOCAL).join(name).join("desc");
        match read(tree, &path) {
            Ok(text) => packages.extend(parse(&text)),
            // `ALPM_DB_VERSION`, or what an interrupted installation left.
            Err(error) if inside::is_missing(&error) => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                return Err(OutputError::NotAFile {
                    path: Path::new("/").join(path),
                });
            }
            Err(error) => return Err(OutputError::io("read", &tree.join(path))(error)),
        }
    }
    Ok(packages)
}

/// The files and directories of each package.
pub fn files(tree: &Path) -> Result<FileLists, OutputError> {
    let mut lists = FileLists::new();
    for name in entries(tree)? {
        let directory = Path::new(LOCAL).join(name);
        let texts = read(tree, &directory.join("desc"))
            .and_then(|desc| Ok((desc, read(tree, &directory.join("files"))?)));
        let (desc, files) = match texts {
            Ok(texts) => texts,
            Err(error) if inside::is_missing(&error) => continue,
            Err(error) => return Err(OutputError::io("read", &tree.join(directory))(error)),
        };
        let Some(package) = parse(&desc) else {
            continue;
        };
        let paths = files
            .lines()
            .skip_while(|line| line.trim_end() != "%FILES%")
            .skip(1)
            .take_while(|line| !line.is_empty());
        let paths = paths.map(|path| path.as_bytes().to_vec()).collect();
        lists.insert(package.name, paths);
    }
    Ok(lists)
}

fn entries(tree: &Path) -> Result<Vec<OsString>, OutputError> {
    let path = PathBuf::from(LOCAL);
    match inside::list(tree, &path) {
        Ok(names) => Ok(names),
        Err(error) if inside::is_missing(&error) => Ok(Vec::new()),
        Err(error) => Err(OutputError::io("read", &tree.join(path))(error)),
    }
}

fn read(tree: &Path, path: &Path) -> io::Result<String> {
    let content = inside::read(tree, path)?;
    Ok(String::from_utf8_lossy(&content).into_owned())
}

/// Reads `%FIELD%` lines, each followed by its values up to an empty line.
fn parse(text: &str) -> Option<Package> {
    let value = |field: &str| {
        let mut lines = text
            .lines()
            .skip_while(|line| line.trim_end() != field)
            .skip(1);
        let value = lines.next()?.trim();
        (!value.is_empty()).then(|| value.to_owned())
    };
    let name = value("%NAME%")?;
    let version = value("%VERSION%")?;
    Some(Package {
        sha256: None,
        kind: PackageType::Pacman,
        source: Source {
            name: value("%BASE%").unwrap_or_else(|| name.clone()),
            version: version.clone(),
        },
        name,
        version,
        architecture: value("%ARCH%").unwrap_or_default(),
        // In bytes.
        size: value("%SIZE%").and_then(|size| size.parse().ok()),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const BASH: &str = "%NAME%\nbash\n\n%VERSION%\n5.3.8-1\n\n%BASE%\nbash\n\n%DESC%\nThe shell\n\n\
                        %ARCH%\nx86_64\n\n%SIZE%\n9730048\n\n%DEPENDS%\nglibc\n";

    #[test]
    fn each_directory_is_a_package() {
        let tree = tempfile::tempdir().unwrap();
        assert_eq!(installed(tree.path()).unwrap(), []);
        let local = tree.path().join(LOCAL);
        for (name, text) in [
            ("bash-5.3.8-1", BASH),
            ("empty-1-1", ""),
            ("half-1-1", "%NAME%\nx\n"),
        ] {
            fs::create_dir_all(local.join(name)).unwrap();
            fs::write(local.join(name).join("desc"), text).unwrap();
        }
        fs::write(local.join("ALPM_DB_VERSION"), "9\n").unwrap();
        let found = installed(tree.path()).unwrap();
        assert_eq!(found.len(), 1);
        let bash = &found[0];
        assert_eq!((&*bash.name, &*bash.version), ("bash", "5.3.8-1"));
        assert_eq!(
            (&*bash.architecture, bash.size),
            ("x86_64", Some(9_730_048))
        );
    }

    #[test]
    fn links_lead_nowhere_outside_the_tree() {
        let outside = tempfile::tempdir().unwrap();
        fs::create_dir(outside.path().join("bash-1-1")).unwrap();
        fs::write(outside.path().join("bash-1-1/desc"), BASH).unwrap();
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir_all(tree.path().join("var/lib/pacman")).unwrap();
        std::os::unix::fs::symlink(outside.path(), tree.path().join(LOCAL)).unwrap();
        assert_eq!(installed(tree.path()).unwrap(), []);
    }
}
