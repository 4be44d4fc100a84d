//! Reads which bundles are installed from Clear Linux's list in a tree.

use std::io::Read as _;
use std::path::Path;

use super::manifest::{Package, PackageType, Source};
use super::{OutputError, inside};

/// A file of each installed bundle's name.
const BUNDLES: &str = "usr/share/clear/bundles";
/// Bundles have no versions of their own: the system has one.
const OS_RELEASE: &str = "usr/lib/os-release";
/// The only one that there is.
const ARCHITECTURE: &str = "x86_64";

/// The bundles in `tree`, in no particular order.
pub fn installed(tree: &Path) -> Result<Vec<Package>, OutputError> {
    let names = match inside::list(tree, Path::new(BUNDLES)) {
        Ok(names) => names,
        Err(error) if inside::is_missing(&error) => return Ok(Vec::new()),
        Err(error) => return Err(OutputError::io("read", &tree.join(BUNDLES))(error)),
    };
    let version = version(tree);
    let bundles = names.iter().filter_map(|name| name.to_str());
    // `.MoM` and `.tracked` are swupd's own.
    let bundles = bundles.filter(|name| !name.starts_with('.'));
    let package = |name: &str| Package {
        sha256: None,
        kind: PackageType::Bundle,
        name: name.to_owned(),
        version: version.clone(),
        architecture: ARCHITECTURE.to_owned(),
        size: None,
        source: Source {
            name: name.to_owned(),
            version: version.clone(),
        },
    };
    Ok(bundles.map(package).collect())
}

fn version(tree: &Path) -> String {
    let mut text = String::new();
    let read = inside::open(tree, Path::new(OS_RELEASE))
        .and_then(|file| file.take(1 << 16).read_to_string(&mut text));
    if read.is_err() {
        return String::new();
    }
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_ID="));
    value
        .unwrap_or("")
        .trim()
        .trim_matches(['"', '\''])
        .to_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn each_file_is_a_bundle() {
        let tree = tempfile::tempdir().unwrap();
        assert_eq!(installed(tree.path()).unwrap(), []);
        let bundles = tree.path().join(BUNDLES);
        fs::create_dir_all(bundles.join(".tracked")).unwrap();
        fs::write(bundles.join("os-core"), "").unwrap();
        fs::write(bundles.join("editors"), "").unwrap();
        fs::create_dir_all(tree.path().join("usr/lib")).unwrap();
        fs::write(
            tree.path().join(OS_RELEASE),
            "ID=clear-linux-os\nVERSION_ID=43760\n",
        )
        .unwrap();
        let mut found = installed(tree.path()).unwrap();
        found.sort();
        let names: Vec<_> = found.iter().map(|p| (&*p.name, &*p.version)).collect();
        assert_eq!(names, [("editors", "43760"), ("os-core", "43760")]);
    }
}
