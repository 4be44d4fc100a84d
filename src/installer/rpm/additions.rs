//! Files that this program puts into a tree, for the time of an installation or for good.

use std::path::{Path, PathBuf};

use super::{Dialect, repository_file};
use crate::config::values::Distribution;
use crate::distro::RpmRepositories;
use crate::distro::rpm::{KEY_DIRECTORY, RpmSource};
use crate::host::Command;
use crate::installer::{InstallError, Request};
use crate::tree::Root;

/// Where the image has repository files, by who reads them.
const fn directory(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Dnf => "etc/yum.repos.d",
        Dialect::Zypper => "etc/zypp/repos.d",
    }
}

/// Sets the image's repositories up: those that the project added, and those of the distribution where
/// no package or skeleton tree brings repository files.
pub(in crate::installer) fn set_up_image(
    rpm: &RpmRepositories,
    dialect: Dialect,
    root: &Root,
) -> Result<(), InstallError> {
    let directory = directory(dialect);
    let has_own = root.is_dir(directory)?
        && root.list(directory)?.iter().any(|entry| {
            Path::new(&entry.name)
                .extension()
                .is_some_and(|e| e == "repo")
        });
    let wanted: Vec<&RpmSource> = rpm
        .image_sources
        .iter()
        .filter(|source| source.added || !has_own)
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let mut text = String::new();
    for source in wanted {
        text.push_str(&repository_file(source, &keys(source, root)?, dialect));
        text.push('\n');
    }
    root.write(format!("{directory}/mkosi.repo"), text, 0o644)?;
    Ok(())
}

/// The keys as the image finds them.
fn keys(source: &RpmSource, root: &Root) -> Result<Vec<String>, InstallError> {
    let mut keys: Vec<String> = Vec::new();
    for key in &source.keys {
        let path = format!("{KEY_DIRECTORY}/{}", key.name);
        let url = if root.is_file(path.trim_start_matches('/'))? {
            format!("file://{path}")
        } else {
            key.url.clone()
        };
        if !keys.contains(&url) {
            keys.push(url);
        }
    }
    Ok(keys)
}

/// Variables by which scripts of kernel packages are told to make no initrd: kernel-install's, where
/// systemd is new enough to heed it (252), and openSUSE's, which names a dracut that is not there.
const BYPASS: (&str, &str) = ("KERNEL_INSTALL_BYPASS", "1");
const NO_DRACUT: (&str, &str) = ("DRACUT", "/nonexistent/dracut");

/// A command whose packages make no initrds, if the request says so.
pub(in crate::installer) fn without_initrds(
    command: Command,
    request: Option<&Request>,
) -> Command {
    let (name, value) = match request.filter(|request| request.skip_initrds) {
        None => return command,
        Some(request) if request.distribution == Distribution::Opensuse => NO_DRACUT,
        Some(_) => BYPASS,
    };
    command.env(name, value)
}

/// Steps of kernel-install(8) that make initrds, and where they are switched off.
const STEPS: [&str; 2] = ["50-dracut.install", "51-dracut-rescue.install"];
const OFF: &str = "etc/kernel/install.d";

/// Keeps kernel packages from making initrds until [`Masked::remove`].
#[derive(Debug)]
pub(in crate::installer) struct Masked(Vec<PathBuf>);

/// Switches off what makes initrds. A step that the project decided about is left to it.
pub(in crate::installer) fn mask_initrds(root: &Root) -> Result<Masked, InstallError> {
    let mut masked = Vec::new();
    for step in STEPS {
        let path = Path::new(OFF).join(step);
        if !root.exists(&path)? {
            root.create_dir_all(OFF, 0o755)?;
            root.symlink("/dev/null", &path)?;
            masked.push(path);
        }
    }
    Ok(Masked(masked))
}

impl Masked {
    /// Removes the switches.
    pub fn remove(self, root: &Root) -> Result<(), InstallError> {
        for path in self.0 {
            root.remove_file(&path)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distro::rpm::tests::wanted;
    use crate::distro::{Facts as _, Repositories, fedora::Fedora};

    fn fedora(additional: &[String]) -> RpmRepositories {
        let mut wanted = wanted("44", "x86_64");
        wanted.additional = additional;
        match Fedora.repositories(&wanted) {
            Repositories::Rpm(rpm) => rpm,
            _ => unreachable!(),
        }
    }

    #[test]
    fn the_image_has_repositories() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        let file = "etc/yum.repos.d/mkosi.repo";
        let text = |added: &[String]| {
            set_up_image(&fedora(added), Dialect::Dnf, &root).unwrap();
            let text = root.read_if_present(file).unwrap().unwrap_or_default();
            root.remove_file(file).unwrap();
            String::from_utf8(text).unwrap()
        };
        let all = text(&[]);
        assert!(
            all.contains("[fedora]\n") && all.contains("[updates]\n"),
            "{all}"
        );
        assert!(
            all.contains("gpgkey=https://fedoraproject.org/fedora.gpg"),
            "{all}"
        );
        root.write("etc/pki/rpm-gpg/RPM-GPG-KEY-fedora-44-primary", "", 0o644)
            .unwrap();
        root.write("etc/yum.repos.d/fedora.repo", "", 0o644)
            .unwrap();
        assert_eq!(text(&[]), "");
        let added = text(&["https://example.org/r".to_owned()]);
        assert!(added.starts_with("[added-1]\n"), "{added}");
        assert!(!added.contains("fedora"), "{added}");
    }

    #[test]
    fn initrds_are_switched_off_for_a_while() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        root.write("etc/kernel/install.d/50-dracut.install", "mine", 0o755)
            .unwrap();
        let masked = mask_initrds(&root).unwrap();
        let rescue = "etc/kernel/install.d/51-dracut-rescue.install";
        assert_eq!(
            root.read_link(rescue).unwrap().unwrap(),
            Path::new("/dev/null")
        );
        masked.remove(&root).unwrap();
        assert!(!root.exists(rescue).unwrap());
        assert!(
            root.exists("etc/kernel/install.d/50-dracut.install")
                .unwrap()
        );
    }
}
