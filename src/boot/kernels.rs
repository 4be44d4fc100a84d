//! The kernels that a tree has.

use std::cmp::Ordering;
use std::path::PathBuf;

use super::BootError;
use crate::tree::{Kind, Root};

/// Where packages keep modules, by the kernel's release.
const MODULES: &str = "usr/lib/modules";

/// A kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// What `uname -r` prints when it runs.
    pub release: String,
    /// Its file, relative to the tree's root.
    pub image: PathBuf,
    /// Whether it unpacks initrds that zstd compressed.
    pub zstd: bool,
}

impl Kernel {
    /// Where its modules are, relative to the tree's root.
    #[must_use]
    pub fn modules(&self) -> PathBuf {
        PathBuf::from(MODULES).join(&self.release)
    }
}

/// The kernels of a tree, the newest first.
///
/// # Errors
/// [`BootError::NoKernel`] when there are none.
pub fn find(root: &Root) -> Result<Vec<Kernel>, BootError> {
    let mut kernels = Vec::new();
    if root.is_dir(MODULES)? {
        for entry in root.list(MODULES)? {
            let Some(release) = entry.name.to_str().filter(|name| is_release(name)) else {
                continue;
            };
            if entry.kind != Kind::Directory {
                continue;
            }
            if let Some(image) = image(root, release)? {
                kernels.push(Kernel {
                    release: release.to_owned(),
                    image,
                    zstd: unpacks_zstd(root, release)?,
                });
            }
        }
    }
    kernels.sort_by(|a, b| compare(&b.release, &a.release));
    if kernels.is_empty() {
        return Err(BootError::NoKernel);
    }
    Ok(kernels)
}

fn image(root: &Root, release: &str) -> Result<Option<PathBuf>, BootError> {
    for path in [
        format!("{MODULES}/{release}/vmlinuz"),
        // openSUSE on ARM and IBM Z.
        format!("{MODULES}/{release}/Image"),
        format!("{MODULES}/{release}/image"),
        format!("boot/vmlinuz-{release}"),
        format!("boot/vmlinux-{release}"),
        format!("boot/kernel-{release}"),
    ] {
        if root.is_file(&path)? {
            return Ok(Some(path.into()));
        }
    }
    Ok(None)
}

fn unpacks_zstd(root: &Root, release: &str) -> Result<bool, BootError> {
    for path in [
        format!("boot/config-{release}"),
        format!("{MODULES}/{release}/config"),
    ] {
        if let Some(config) = root.read_if_present(&path)? {
            return Ok(config
                .split(|byte| *byte == b'\n')
                .any(|line| line == b"CONFIG_RD_ZSTD=y"));
        }
    }
    Ok(false)
}

/// Releases become parts of file names and of command lines.
fn is_release(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.len() <= 128
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._+~-".contains(c))
}

/// Compares releases by their parts, numbers as numbers.
fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (left, right) = (part(&mut a), part(&mut b));
        if left.is_empty() && right.is_empty() {
            return Ordering::Equal;
        }
        let number = |text: &str| text.parse::<u64>().ok();
        let order = match (number(left), number(right)) {
            (Some(x), Some(y)) => x.cmp(&y),
            // A release is newer than the candidates for it: 6.1 than 6.1-rc3.
            _ => match (left.starts_with("-rc"), right.starts_with("-rc")) {
                (true, false) => Ordering::Less,
                (false, true) => Ordering::Greater,
                _ => left.cmp(right),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Takes the digits, or everything up to them, off the start of a text.
fn part<'a>(text: &mut &'a str) -> &'a str {
    let digits = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text
        .find(|c: char| c.is_ascii_digit() != digits)
        .unwrap_or(text.len());
    let (part, rest) = text.split_at(end);
    *text = rest;
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_can_be_booted_newest_first() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::open(directory.path()).unwrap();
        assert!(matches!(find(&root), Err(BootError::NoKernel)));
        for path in [
            "usr/lib/modules/6.1.0-9-amd64/modules.dep",
            "usr/lib/modules/6.1.0-50-amd64/modules.dep",
            "usr/lib/modules/6.12.1/vmlinuz",
            "usr/lib/modules/5.0-no-image/modules.dep",
            "usr/lib/modules/bad name/vmlinuz",
            "usr/lib/modules/-x/vmlinuz",
            "boot/vmlinuz-6.1.0-9-amd64",
            "boot/vmlinuz-6.1.0-50-amd64",
        ] {
            root.write(path, "", 0o644).unwrap();
        }
        root.write(
            "boot/config-6.1.0-9-amd64",
            "A=y\nCONFIG_RD_ZSTD=y\n",
            0o644,
        )
        .unwrap();
        let found: Vec<_> = find(&root)
            .unwrap()
            .into_iter()
            .map(|k| (k.release, k.image.display().to_string(), k.zstd))
            .collect();
        let expected = [
            ("6.12.1", "usr/lib/modules/6.12.1/vmlinuz", false),
            ("6.1.0-50-amd64", "boot/vmlinuz-6.1.0-50-amd64", false),
            ("6.1.0-9-amd64", "boot/vmlinuz-6.1.0-9-amd64", true),
        ];
        assert_eq!(
            found,
            expected.map(|(r, i, z)| (r.to_owned(), i.to_owned(), z))
        );
    }

    #[test]
    fn releases_are_compared_as_people_do() {
        for (older, newer) in [
            ("6.1.9", "6.1.10"),
            ("6.1-rc3", "6.1"),
            ("6.1", "6.1.1"),
            ("5.10.0-9-amd64", "5.10.0-10-amd64"),
        ] {
            assert_eq!(compare(older, newer), Ordering::Less, "{older} {newer}");
            assert_eq!(compare(newer, older), Ordering::Greater);
        }
        assert_eq!(compare("6.1", "6.1"), Ordering::Equal);
    }
}
