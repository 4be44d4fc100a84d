//! What an initrd was made from, so that one of an earlier build can be used when that is the same.
//!
//! Three things decide what dracut makes: what it takes as a whole (the kernel's modules, its own
//! scripts, settings), which of the programs that its scripts name are there, and the files that it
//! took. The first two are hashed before; the third is known after the first time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{BootError, Kernel, Wanted};
use crate::host::{Cancel, hex};
use crate::tree::{Kind, Root};

/// Changes whenever this program makes initrds differently from the same inputs.
const FORMAT: &str = "mkosi initrd 1";
/// Where dracut's own scripts are.
const DRACUT: &str = "usr/lib/dracut";
/// Taken as a whole, or read as settings, besides the modules.
const WHOLE: [&str; 22] = [
    DRACUT,
    "usr/bin/dracut",
    "usr/sbin/dracut",
    "etc/dracut.conf",
    "etc/dracut.conf.d",
    "etc/cmdline",
    "etc/cmdline.d",
    "etc/crypttab",
    "etc/cryptsetup-keys.d",
    "etc/fstab",
    "etc/modprobe.d",
    "usr/lib/modprobe.d",
    "etc/modules-load.d",
    "usr/lib/modules-load.d",
    "etc/sysctl.conf",
    "etc/sysctl.d",
    "usr/lib/sysctl.d",
    "etc/vconsole.conf",
    "etc/locale.conf",
    "etc/default/keyboard",
    "etc/default/console-setup",
    "etc/default/locale",
];
/// Directories of which dracut's scripts name files.
const NAMED: [&str; 7] = [
    "usr/bin",
    "usr/sbin",
    "usr/lib/systemd",
    "usr/lib/udev",
    "etc/udev",
    "etc/systemd",
    "usr/lib/cryptsetup",
];

/// What one initrd was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    /// Hash of everything that is known before.
    key: String,
    /// Hash of each file of the tree that is in the initrd; `-` where the tree has none.
    files: BTreeMap<String, String>,
}

impl Inputs {
    /// What an initrd would be made from, as far as that is known before.
    ///
    /// # Errors
    /// When the tree cannot be read.
    pub fn before(
        root: &Root,
        kernel: &Kernel,
        wanted: &Wanted,
        cancel: &Cancel,
    ) -> Result<Self, BootError> {
        let mut hash = Sha256::new();
        let mut add = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        add(FORMAT);
        add(&format!("{wanted:?} {} {}", kernel.release, kernel.zstd));
        let modules = &kernel.modules;
        for path in WHOLE.iter().map(Path::new).chain([modules.as_path()]) {
            let mut found = Vec::new();
            describe(root, path, true, cancel, &mut found)?;
            for (path, digest) in found {
                add(&path);
                add(&digest);
            }
        }
        for name in named(root, cancel)? {
            add(&name);
        }
        Ok(Self {
            key: hex(&hash.finalize()),
            files: BTreeMap::new(),
        })
    }

    /// The same, with the files that were taken.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn with_files(
        mut self,
        root: &Root,
        kernel: &Kernel,
        names: &[PathBuf],
    ) -> Result<Self, BootError> {
        let modules = &kernel.modules;
        for name in names {
            let known = name.starts_with(modules) || name.starts_with(DRACUT);
            if let (false, Some(text)) = (known, name.to_str()) {
                if let Some(digest) = digest(root, name)? {
                    self.files.insert(text.to_owned(), digest);
                }
            }
        }
        Ok(self)
    }

    /// Whether an initrd made from `self` is what would be made from `now` again.
    ///
    /// # Errors
    /// A file of `self` cannot be read.
    pub fn fit(&self, now: &Self, root: &Root) -> Result<bool, BootError> {
        if self.key != now.key {
            return Ok(false);
        }
        for (path, before) in &self.files {
            if digest(root, Path::new(path))?.as_ref() != Some(before) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// What is at a path, without following a link there; `None` for a directory.
fn digest(root: &Root, path: &Path) -> Result<Option<String>, BootError> {
    Ok(match root.metadata(path)?.map(|meta| meta.kind) {
        None => Some("-".to_owned()),
        Some(Kind::Directory) => None,
        Some(Kind::Symlink) => {
            let target = root.read_link(path)?.unwrap_or_default();
            Some(format!("-> {}", target.display()))
        }
        Some(Kind::File) => Some(hex(&Sha256::digest(root.read(path)?))),
        Some(other) => Some(other.with_article().to_owned()),
    })
}

/// Everything at and beneath a path, in order; with contents, or names alone.
fn describe(
    root: &Root,
    path: &Path,
    contents: bool,
    cancel: &Cancel,
    found: &mut Vec<(String, String)>,
) -> Result<(), BootError> {
    if cancel.is_cancelled() {
        return Err(BootError::Cancelled);
    }
    let Some(meta) = root.metadata(path)? else {
        return Ok(());
    };
    if meta.kind == Kind::Directory {
        for entry in root.list(path)? {
            describe(root, &path.join(entry.name), contents, cancel, found)?;
        }
    } else if contents {
        let digest = digest(root, path)?.unwrap_or_default();
        found.push((path.to_string_lossy().into_owned(), digest));
    } else {
        found.push((path.to_string_lossy().into_owned(), String::new()));
    }
    Ok(())
}

/// The files that dracut's scripts name and that are there.
fn named(root: &Root, cancel: &Cancel) -> Result<BTreeSet<String>, BootError> {
    let mut scripts = Vec::new();
    describe(root, Path::new(DRACUT), false, cancel, &mut scripts)?;
    let mut words = BTreeSet::new();
    for (path, _) in scripts.iter().filter(|(path, _)| path.ends_with(".sh")) {
        let text = root.read_if_present(path)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let part = |c: char| c.is_ascii_alphanumeric() || "._+@-".contains(c);
        words.extend(text.split(|c| !part(c)).map(str::to_owned));
    }
    let libraries: Vec<PathBuf> = if root.is_dir("usr/lib")? {
        let entries = root.list("usr/lib")?;
        let triplets = entries.iter().filter(|entry| {
            entry.kind == Kind::Directory && entry.name.to_string_lossy().contains("-linux-")
        });
        triplets
            .map(|e| Path::new("usr/lib").join(&e.name))
            .collect()
    } else {
        Vec::new()
    };
    let mut found = Vec::new();
    for directory in NAMED.iter().map(PathBuf::from).chain(libraries) {
        if root.is_dir(&directory)? {
            describe(root, &directory, false, cancel, &mut found)?;
        }
    }
    let is_named = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        let stem = name.split(".so").next().unwrap_or(name);
        words.contains(name) || words.contains(stem)
    };
    Ok(found
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| is_named(path))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_goes_in_counts() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::open(directory.path()).unwrap();
        for (path, text) in [
            (
                "usr/lib/dracut/modules.d/99base/module-setup.sh",
                "inst_multiple -o sh optional-tool",
            ),
            ("usr/lib/modules/6.1/modules.dep", "x"),
            ("usr/bin/sh", "shell"),
            ("usr/bin/unrelated", "1"),
            ("etc/crypttab", ""),
        ] {
            root.write(path, text, 0o644).unwrap();
        }
        let kernel = Kernel {
            release: "6.1".into(),
            image: "boot/vmlinuz".into(),
            modules: "usr/lib/modules/6.1".into(),
            zstd: true,
        };
        let wanted = Wanted {
            systemd: true,
            hostonly: false,
            uefi: false,
            verity: false,
            encrypted: false,
            read_only: false,
            root_file_system: "ext4".into(),
            latest: None,
        };
        let cancel = Cancel::default();
        let before = || Inputs::before(&root, &kernel, &wanted, &cancel).unwrap();
        let names = [
            "usr",
            "usr/bin/sh",
            "init",
            "usr/lib/modules/6.1/modules.dep",
        ];
        let made = before()
            .with_files(&root, &kernel, &names.map(PathBuf::from))
            .unwrap();
        assert_eq!(made.files.len(), 2, "{made:?}");
        let fits = || made.fit(&before(), &root).unwrap();
        assert!(fits());
        for (path, text, expected) in [
            ("usr/bin/unrelated", "2", true),
            ("usr/share/doc/new", "2", true),
            ("etc/hostname", "2", true),
            // Each of these goes into the initrd, or would.
            ("usr/bin/sh", "another", false),
            ("usr/bin/optional-tool", "", false),
            ("usr/lib/modules/6.1/new.ko", "", false),
            ("usr/lib/dracut/dracut-init.sh", "", false),
            ("etc/crypttab", "data UUID=1", false),
            ("etc/dracut.conf.d/x.conf", "", false),
            ("init", "", false),
        ] {
            let old = root.read_if_present(path).unwrap();
            root.write(path, text, 0o644).unwrap();
            assert_eq!(fits(), expected, "{path}");
            match old {
                Some(old) => root.write(path, old, 0o644).unwrap(),
                None => drop(root.remove_file(path).unwrap()),
            }
            assert!(fits(), "{path}");
        }
        let other = Wanted {
            verity: true,
            ..wanted.clone()
        };
        let now = Inputs::before(&root, &kernel, &other, &cancel).unwrap();
        assert!(!made.fit(&now, &root).unwrap());
    }
}
