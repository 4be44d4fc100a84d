//! The kernels that a tree has.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use super::{BootError, unversioned};
use crate::tree::{Kind, Root};

/// Where packages keep modules, by the kernel's release: where /usr is merged or never was apart, and
/// where it is not.
const MODULES: [&str; 2] = ["usr/lib/modules", "lib/modules"];

/// A kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// What `uname -r` prints when it runs.
    pub release: String,
    /// Its file, relative to the tree's root.
    pub image: PathBuf,
    /// Where its modules are, relative to the tree's root.
    pub modules: PathBuf,
    /// Whether it unpacks initrds that zstd compressed.
    pub zstd: bool,
}

/// The kernels of a tree, the newest first.
///
/// # Errors
/// [`BootError::NoKernel`] when there are none.
pub fn find(root: &Root) -> Result<Vec<Kernel>, BootError> {
    let mut kernels: Vec<Kernel> = Vec::new();
    let mut unversioned = None;
    for above in MODULES {
        if !root.is_dir(above)? {
            continue;
        }
        for entry in root.list(above)? {
            let Some(release) = entry.name.to_str().filter(|name| is_release(name)) else {
                continue;
            };
            // Both are the same where one is a link.
            let known = kernels.iter().any(|kernel| kernel.release == release);
            if known || entry.kind != Kind::Directory {
                continue;
            }
            let modules = Path::new(above).join(release);
            let image = match image(root, release, &modules)? {
                Some(image) => Some(image),
                None => {
                    if unversioned.is_none() {
                        unversioned = Some(unversioned::find(root)?);
                    }
                    let images = unversioned.iter().flatten();
                    let same = |image: &&(String, PathBuf)| image.0 == release;
                    images.clone().find(same).map(|image| image.1.clone())
                }
            };
            if let Some(image) = image {
                kernels.push(Kernel {
                    release: release.to_owned(),
                    image,
                    zstd: unpacks_zstd(root, release, &modules)?,
                    modules,
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

/// The file of a kernel, where its name or its place says which one it is.
fn image(root: &Root, release: &str, modules: &Path) -> Result<Option<PathBuf>, BootError> {
    for path in [
        modules.join("vmlinuz"),
        // openSUSE on ARM and IBM Z.
        modules.join("Image"),
        modules.join("image"),
        format!("boot/vmlinuz-{release}").into(),
        format!("boot/vmlinux-{release}").into(),
        format!("boot/kernel-{release}").into(),
    ] {
        if root.is_file(&path)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn unpacks_zstd(root: &Root, release: &str, modules: &Path) -> Result<bool, BootError> {
    for path in [
        format!("boot/config-{release}").into(),
        modules.join("config"),
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
            "lib/modules/5.4.1/modules.dep",
            "lib/modules/5.4.2/modules.dep",
            "boot/vmlinuz-5.4.1",
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
            ("5.4.1", "boot/vmlinuz-5.4.1", false),
        ];
        assert_eq!(
            found,
            expected.map(|(r, i, z)| (r.to_owned(), i.to_owned(), z))
        );
    }

    #[test]
    fn kernels_without_a_release_in_their_names_say_it_themselves() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::open(directory.path()).unwrap();
        let release = "6.12.1-1-aarch64-ARCH";
        let other = "6.11.9-1-aarch64-ARCH";
        for release in [release, other] {
            let path = format!("usr/lib/modules/{release}/modules.dep");
            root.write(path, "", 0o644).unwrap();
        }
        root.symlink("usr/lib", "lib").unwrap();
        let image = unversioned::tests::arm64(release);
        root.write("boot/Image", image, 0o644).unwrap();
        let found = find(&root).unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].release, release);
        assert_eq!(found[0].image, Path::new("boot/Image"));
        let modules = format!("usr/lib/modules/{release}");
        assert_eq!(found[0].modules, Path::new(&modules));
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
