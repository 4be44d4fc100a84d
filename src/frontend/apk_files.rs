//! `repositories` and `keys/` beside an `IMGBUILD`: where apk finds packages, and who may sign them.

use std::fs;
use std::path::{Path, PathBuf};

use super::pacman_conf::beneath;
use crate::config::message::Excerpt;
use crate::config::{ConfigError, Preset};
use crate::distro::location;

/// Lines as in `/etc/apk/repositories`.
pub(super) const REPOSITORIES: &str = "repositories";
/// Public keys.
pub(super) const KEYS: &str = "keys";

/// The lines of the project's list, if it has one. What is wrong with it is added to `preset`.
pub(super) fn repositories(directory: &Path, preset: &mut Preset) -> Option<Vec<String>> {
    let path = directory.join(REPOSITORIES);
    fs::symlink_metadata(&path).ok()?;
    let text = match beneath(directory, &path).and_then(fs::read_to_string) {
        Ok(text) => text,
        Err(source) => {
            preset.errors.push(ConfigError::Read { path, source });
            return None;
        }
    };
    let mut lines = Vec::new();
    for (line, number) in text.lines().zip(1_u32..) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match entry(line, directory) {
            Some(entry) => lines.push(entry),
            None => preset.errors.push(ConfigError::Syntax {
                file: REPOSITORIES.into(),
                line: number,
                what: format!(
                    "{}: expected an address or a directory, with @TAG before it or not",
                    Excerpt(line)
                ),
            }),
        }
    }
    if lines.is_empty() && preset.errors.is_empty() {
        let why = format!("{REPOSITORIES}: it names no repository");
        preset.errors.push(ConfigError::Conflict(why));
    }
    Some(lines)
}

/// A line as it is used, with an address; a directory may be one of the project.
fn entry(line: &str, directory: &Path) -> Option<String> {
    let (tag, address) = match line.strip_prefix('@') {
        Some(rest) => {
            let (tag, address) = rest.split_once(char::is_whitespace)?;
            (format!("@{tag} "), address.trim_start())
        }
        None => (String::new(), line),
    };
    if !location::is_one_word(address) {
        return None;
    }
    let address = if address.contains("://") {
        address.trim_end_matches('/').to_owned()
    } else {
        location::url(&directory.join(address).to_string_lossy())
    };
    Some(format!("{tag}{address}"))
}

/// The keys of the project, if it has a directory of them. What is wrong with it is added to `preset`.
pub(super) fn keys(directory: &Path, preset: &mut Preset) -> Option<Vec<PathBuf>> {
    let path = directory.join(KEYS);
    fs::symlink_metadata(&path).ok()?;
    let found = beneath(directory, &path).and_then(|path| {
        let entries = fs::read_dir(path)?;
        entries
            .map(|entry| entry.map(|entry| entry.path()))
            .filter(|path| path.as_ref().map_or(true, |path| is_key(path)))
            .collect::<Result<Vec<PathBuf>, _>>()
    });
    match found {
        Ok(mut keys) if !keys.is_empty() => {
            keys.sort();
            Some(keys)
        }
        Ok(_) => {
            let why = format!(
                "{KEYS}: it holds no public key (NAME.rsa.pub), so that no package could be trusted"
            );
            preset.errors.push(ConfigError::Conflict(why));
            None
        }
        Err(source) => {
            preset.errors.push(ConfigError::Read { path, source });
            None
        }
    }
}

/// A key is a file of its own: what a link leads to would get into the image.
fn is_key(path: &Path) -> bool {
    path.extension().is_some_and(|suffix| suffix == "pub")
        && fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_addresses() {
        let project = tempfile::tempdir().unwrap();
        let text =
            "# mine\n\nhttps://x/v3.24/main/\n@edge https://x/edge/main\n./packages\n/srv/apk\n";
        fs::write(project.path().join(REPOSITORIES), text).unwrap();
        let mut preset = Preset::default();
        let here = project.path().display();
        assert_eq!(
            repositories(project.path(), &mut preset).unwrap(),
            [
                "https://x/v3.24/main".to_owned(),
                "@edge https://x/edge/main".to_owned(),
                format!("file://{here}/./packages"),
                "file:///srv/apk".to_owned(),
            ]
        );
        assert!(preset.errors.is_empty(), "{:?}", preset.errors);
        fs::write(project.path().join(REPOSITORIES), "\nhttps://x y\n@edge\n").unwrap();
        repositories(project.path(), &mut preset);
        let text: Vec<String> = preset.errors.iter().map(ToString::to_string).collect();
        assert!(text[0].starts_with("repositories:2: https://x y: expected"));
        assert!(text[1].starts_with("repositories:3: @edge: expected"));
        assert_eq!(repositories(Path::new("/nowhere"), &mut preset), None);
    }

    #[test]
    fn keys_are_files_of_the_project() {
        let project = tempfile::tempdir().unwrap();
        let mut preset = Preset::default();
        assert_eq!(keys(project.path(), &mut preset), None);
        assert!(preset.errors.is_empty());
        let at = |name: &str| project.path().join(KEYS).join(name);
        fs::create_dir(project.path().join(KEYS)).unwrap();
        fs::write(at("README"), "").unwrap();
        std::os::unix::fs::symlink("/etc/hostname", at("link.rsa.pub")).unwrap();
        assert_eq!(keys(project.path(), &mut preset), None);
        assert!(preset.errors[0].to_string().contains("no public key"));
        fs::write(at("own.rsa.pub"), "").unwrap();
        assert_eq!(
            keys(project.path(), &mut preset).unwrap(),
            [project
                .path()
                .canonicalize()
                .unwrap()
                .join("keys/own.rsa.pub")]
        );
        let other = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(at(""), other.path().join(KEYS)).unwrap();
        assert_eq!(keys(other.path(), &mut preset), None);
        assert!(preset.errors[1].to_string().contains("out of the project"));
    }
}
