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
/// The directory of keys among the build's own files.
const DIRECTORY: &str = "gnupg";
/// The one of an image.
const OF_IMAGE: &str = "etc/pacman.d/gnupg";
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
    let directory = place.work().join(DIRECTORY);
    let digest = digest(pacman, &keyrings, &names)?;
    let made = std::fs::read(place.work().join(MADE_FROM)).unwrap_or_default();
    if made == digest.as_bytes() {
        // For another tree of the same build.
        return Ok(());
    }
    if directory.exists() {
        std::fs::remove_dir_all(&directory).map_err(|source| InstallError::Prepare {
            path: directory.clone(),
            source,
        })?;
    }
    if let Some(taken_over) = &pacman.key_directory {
        make_directory(&directory)?;
        copy_keys(taken_over, &directory)?;
    }
    for target in IMPORTED
        .map(Path::new)
        .into_iter()
        .filter(|path| path.is_dir())
    {
        place.show(place.work().join("keyrings"), target);
    }
    // In one container: what pacman-key starts ends with it. Without names it would take all keyrings.
    let script = "pacman-key --config \"$1\" --gpgdir \"$2\" --init\n\
                  config=$1 gpgdir=$2\n\
                  shift 2\n\
                  [ $# -gt 1 ] || exit 0\n\
                  exec pacman-key --config \"$config\" --gpgdir \"$gpgdir\" \"$@\"";
    place.write("keys.conf", &super::conf::for_removal())?;
    let config = format!("{WORK}/keys.conf");
    let gpgdir = format!("{WORK}/{DIRECTORY}");
    let mut words = vec!["-ec", script, "sh", &config, &gpgdir, "--populate"];
    words.extend(names.iter().map(String::as_str));
    host.run(place.command("/bin/sh", words, host)?)
        .map_err(|e| explain(FAILED, None, e))?;
    place.write(MADE_FROM, &digest)
}

/// Gives the image the keys that its packages were checked with, and what is trusted; never the secret
/// key that says so.
///
/// # Errors
/// When they cannot be copied.
pub(super) fn install(work: &Path, root: &Root) -> Result<(), InstallError> {
    for name in PacmanRepositories::KEY_DIRECTORY_FILES {
        if let Some(content) = read_if_present(&work.join(DIRECTORY).join(name))? {
            root.create_dir_all(OF_IMAGE, 0o755)?;
            root.write(Path::new(OF_IMAGE).join(name), content, 0o644)?;
        }
    }
    Ok(())
}

/// Copies what a directory of keys says of others' keys. Its own secret key stays where it is.
fn copy_keys(source: &Path, target: &Path) -> Result<(), InstallError> {
    for name in PacmanRepositories::KEY_DIRECTORY_FILES {
        if let Some(content) = read_if_present(&source.join(name))? {
            let path = target.join(name);
            std::fs::write(&path, content)
                .map_err(|source| InstallError::Prepare { path, source })?;
        }
    }
    Ok(())
}

fn read_if_present(path: &Path) -> Result<Option<Vec<u8>>, InstallError> {
    match std::fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(InstallError::Prepare {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Stands for the content of keyrings, and of the directory that is taken over.
fn digest(
    pacman: &PacmanRepositories,
    directory: &Path,
    names: &[String],
) -> Result<String, InstallError> {
    let of_keyrings = names.iter().flat_map(|name| {
        [".gpg", "-trusted", "-revoked"].map(|suffix| directory.join(format!("{name}{suffix}")))
    });
    let taken_over = pacman.key_directory.iter();
    let of_directory = taken_over
        .flat_map(|path| PacmanRepositories::KEY_DIRECTORY_FILES.map(|name| path.join(name)));
    let mut hash = Sha256::new();
    for path in of_keyrings.chain(of_directory) {
        let content = read_if_present(&path)?.unwrap_or_default();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        hash.update(format!("{name} {}\n", content.len()));
        hash.update(content);
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
    let taken_over = pacman.key_directory.as_deref();
    let keyrings = pacman
        .key_files
        .iter()
        .filter(|path| taken_over.is_none_or(|directory| !path.starts_with(directory)));
    let directory = keyrings.clone().find(|path| path.is_file());
    let directory = directory.and_then(|path| path.parent());
    for file in keyrings {
        if let (Some(name), true) = (file.file_name(), file.parent() == directory) {
            if let Some(content) = read_if_present(file)? {
                add(&name.to_string_lossy(), &content)?;
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
    if names.is_empty() && taken_over.is_none() {
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
