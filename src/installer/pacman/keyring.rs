//! The keys that sign packages: the distribution's keyring of the host, and the project's.
//!
//! pacman trusts what a key of its own has signed. That key is made for each build and goes with it:
//! an image never has it.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::WORK;
use super::hints::explain;
use crate::distro::PacmanRepositories;
use crate::host::Host;
use crate::installer::confined::{Confined, make_directory};
use crate::installer::{InstallError, Site};
use crate::tree::Root;

/// Where `pacman-key --populate` looks; Debian's has it in the second.
const IMPORTED: [&str; 2] = ["/usr/share/pacman/keyrings", "/usr/share/keyrings"];
/// Where skeleton trees, and later packages, put keyrings into the tree.
const OF_TREE: &str = "usr/share/pacman/keyrings";
/// A file with what the directory of keys was made from.
const MADE_FROM: &str = "made-from";
const FAILED: &str = "setting up the keys of the distribution failed";

/// Makes the directory of keys that pacman will use.
///
/// # Errors
/// When there is no keyring, or pacman-key fails.
pub(super) fn prepare(
    pacman: &PacmanRepositories,
    site: &Site,
    place: &mut Confined,
    host: &Host,
) -> Result<(), InstallError> {
    let keyrings = place.work().join("keyrings");
    let names = collect(pacman, site, &keyrings)?;
    let directory = place.work().join("gnupg");
    let digest = digest(&keyrings, &names)?;
    let made = std::fs::read(place.work().join(MADE_FROM)).unwrap_or_default();
    if made == digest.as_bytes() {
        // For another tree of the same build.
        return Ok(());
    }
    if directory.exists() {
        std::fs::remove_dir_all(&directory).map_err(|source| InstallError::Prepare {
            path: directory,
            source,
        })?;
    }
    for target in IMPORTED
        .map(Path::new)
        .into_iter()
        .filter(|path| path.is_dir())
    {
        place.show(place.work().join("keyrings"), target);
    }
    // In one container: what pacman-key starts ends with it.
    let script = "pacman-key --config \"$1\" --gpgdir \"$2\" --init\n\
                  config=$1 gpgdir=$2\n\
                  shift 2\n\
                  exec pacman-key --config \"$config\" --gpgdir \"$gpgdir\" \"$@\"";
    place.write("keys.conf", &super::conf::for_removal())?;
    let config = format!("{WORK}/keys.conf");
    let gpgdir = format!("{WORK}/gnupg");
    let mut words = vec!["-ec", script, "sh", &config, &gpgdir, "--populate"];
    words.extend(names.iter().map(String::as_str));
    host.run(place.command("/bin/sh", words, host)?)
        .map_err(|e| explain(FAILED, None, e))?;
    place.write(MADE_FROM, &digest)
}

/// Stands for the content of keyrings.
fn digest(directory: &Path, names: &[String]) -> Result<String, InstallError> {
    let mut hash = Sha256::new();
    for name in names {
        for suffix in [".gpg", "-trusted", "-revoked"] {
            let path = directory.join(format!("{name}{suffix}"));
            let content = match std::fs::read(&path) {
                Ok(content) => content,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
                Err(source) => return Err(InstallError::Prepare { path, source }),
            };
            hash.update(format!("{name}{suffix} {}\n", content.len()));
            hash.update(content);
        }
    }
    Ok(format!("{:x}", hash.finalize()))
}

/// Puts keyrings together in one directory, and returns their names. Those of the tree come after
/// those of the host: a project may bring a newer one.
fn collect(
    pacman: &PacmanRepositories,
    site: &Site,
    target: &Path,
) -> Result<Vec<String>, InstallError> {
    make_directory(target)?;
    let failed = |path: PathBuf| move |source| InstallError::Prepare { path, source };
    let mut names: Vec<String> = Vec::new();
    let mut add = |name: &str, content: &[u8]| {
        let path = target.join(name);
        std::fs::write(&path, content).map_err(failed(path))?;
        if let Some(name) = name.strip_suffix(".gpg") {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        Ok::<(), InstallError>(())
    };
    // Of several places, the first that has the keyring.
    let directory = pacman.key_files.iter().find(|path| path.is_file());
    let directory = directory.and_then(|path| path.parent());
    for file in &pacman.key_files {
        if let (Some(name), true) = (file.file_name(), file.parent() == directory) {
            match std::fs::read(file) {
                Ok(content) => add(&name.to_string_lossy(), &content)?,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(failed(file.clone())(e)),
            }
        }
    }
    let tree = Root::open(&site.root)?;
    if tree.is_dir(OF_TREE)? {
        for entry in tree.list(OF_TREE)? {
            let Some(name) = entry.name.to_str().filter(|name| is_keyring_file(name)) else {
                continue;
            };
            if let Some(content) = tree.read_if_present(Path::new(OF_TREE).join(name))? {
                add(name, &content)?;
            }
        }
    }
    if names.is_empty() {
        return Err(InstallError::Keyring {
            path: format!("{}/{}.gpg", IMPORTED[0], pacman.keyring).into(),
            package: format!(
                "{}-keyring, or put one into mkosi.skeleton/{OF_TREE}/",
                pacman.keyring
            ),
        });
    }
    Ok(names)
}

/// Names become arguments of pacman-key.
fn is_keyring_file(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(fits)
        && [".gpg", "-trusted", "-revoked"]
            .iter()
            .any(|suffix| name.ends_with(suffix))
}
