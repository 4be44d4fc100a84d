//! The names of an image's companions: for writing them and for removing them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Suffixes of a compressed image.
const COMPRESSED: [&str; 4] = [".xz", ".zst", ".gz", ".bz2"];
/// Suffixes of an image's form, below the compression's.
const FORMS: [&str; 4] = [".raw", ".tar", ".qcow2", ".img"];

/// Everything that belongs to one output, by name.
///
/// Companions carry the image's name without the suffixes of its form and compression, which is
/// where systemd-nspawn looks for `.nspawn` and `.roothash` and bmaptool for `.bmap`. A suffix that
/// systemd-nspawn leaves in place (`.squashfs`) stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifacts {
    output: PathBuf,
    stem: PathBuf,
}

impl Artifacts {
    /// The names around the image `output`.
    #[must_use]
    pub fn new(output: &Path) -> Self {
        let stem = output.file_name().map_or_else(
            || output.to_owned(),
            |name| output.with_file_name(stem(name)),
        );
        Self {
            output: output.to_owned(),
            stem,
        }
    }

    /// The directory that all of them are in.
    #[must_use]
    pub fn directory(&self) -> &Path {
        let parent = self.output.parent();
        parent
            .filter(|p| !p.as_os_str().is_empty())
            .unwrap_or(Path::new("."))
    }

    /// The image itself.
    #[must_use]
    pub fn image(&self) -> &Path {
        &self.output
    }

    /// The root hash of its verity partition.
    #[must_use]
    pub fn roothash(&self) -> PathBuf {
        self.companion(".roothash")
    }

    /// The root partition on its own.
    ///
    /// systemd looks for the hash tree of an image `NAME.raw` in `NAME.verity`.
    #[must_use]
    pub fn split_root(&self) -> PathBuf {
        self.companion(".root.raw")
    }

    /// The hash tree of the root partition on its own.
    #[must_use]
    pub fn split_verity(&self) -> PathBuf {
        self.companion(".root.verity")
    }

    /// The unified kernel image on its own.
    #[must_use]
    pub fn split_unified(&self) -> PathBuf {
        self.companion(".efi")
    }

    /// The kernel on its own.
    #[must_use]
    pub fn split_kernel(&self) -> PathBuf {
        self.companion(".vmlinuz")
    }

    /// The initrd on its own.
    #[must_use]
    pub fn split_initrd(&self) -> PathBuf {
        self.companion(".initrd")
    }

    /// The container settings that go with it.
    #[must_use]
    pub fn nspawn(&self) -> PathBuf {
        self.companion(".nspawn")
    }

    /// The list of its packages, as JSON.
    #[must_use]
    pub fn manifest(&self) -> PathBuf {
        self.companion(".manifest")
    }

    /// The list of its packages with their latest changes, for people.
    #[must_use]
    pub fn changelog(&self) -> PathBuf {
        self.companion(".changelog")
    }

    /// The private key that its ssh server accepts.
    #[must_use]
    pub fn ssh_key(&self) -> PathBuf {
        self.companion(".ssh")
    }

    /// The public half of that key.
    #[must_use]
    pub fn ssh_public_key(&self) -> PathBuf {
        self.companion(".ssh.pub")
    }

    /// The page about how it was built.
    #[must_use]
    pub fn timings(&self) -> PathBuf {
        self.companion(".timings.html")
    }

    /// Its block map.
    #[must_use]
    pub fn bmap(&self) -> PathBuf {
        self.companion(".bmap")
    }

    /// The checksums of all artifacts; one name for all images of a directory.
    #[must_use]
    pub fn checksums(&self) -> PathBuf {
        self.output.with_file_name("SHA256SUMS")
    }

    /// The packages, a line for each.
    #[must_use]
    pub fn packages(&self) -> PathBuf {
        self.companion(".packages")
    }

    /// The signature of the checksums.
    #[must_use]
    pub fn signature(&self) -> PathBuf {
        self.output.with_file_name("SHA256SUMS.gpg")
    }

    /// Every name, the image first: what cleaning removes.
    #[must_use]
    pub fn all(&self) -> Vec<PathBuf> {
        vec![
            self.output.clone(),
            self.roothash(),
            self.split_root(),
            self.split_verity(),
            self.split_unified(),
            self.split_kernel(),
            self.split_initrd(),
            self.nspawn(),
            self.manifest(),
            self.changelog(),
            self.ssh_key(),
            self.ssh_public_key(),
            self.packages(),
            self.bmap(),
            self.timings(),
            self.checksums(),
            self.signature(),
        ]
    }

    fn companion(&self, suffix: &str) -> PathBuf {
        let mut name = self.stem.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    }
}

/// `image.raw.xz` → `image`; a name that is nothing but suffixes stays whole.
fn stem(name: &OsStr) -> &OsStr {
    let mut rest = name.as_bytes();
    for suffixes in [&COMPRESSED, &FORMS] {
        let shorter = suffixes
            .iter()
            .find_map(|suffix| rest.strip_suffix(suffix.as_bytes()));
        rest = shorter.unwrap_or(rest);
    }
    if rest.is_empty() {
        name
    } else {
        OsStr::from_bytes(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn companions_are_where_other_programs_look() {
        for (output, nspawn) in [
            ("image.raw", "image.nspawn"),
            ("image.raw.xz", "image.nspawn"),
            ("dir/image.qcow2.zst", "dir/image.nspawn"),
            ("/a/image.tar.gz", "/a/image.nspawn"),
            ("image", "image.nspawn"),
            ("image.squashfs", "image.squashfs.nspawn"),
            ("debian.12", "debian.12.nspawn"),
            ("v1.0.raw.raw", "v1.0.raw.nspawn"),
            ("image.xz", "image.nspawn"),
            (".raw", ".raw.nspawn"),
            (".raw.xz", ".raw.xz.nspawn"),
            ("dir/", "dir.nspawn"),
        ] {
            assert_eq!(
                Artifacts::new(Path::new(output)).nspawn(),
                Path::new(nspawn),
                "{output}"
            );
        }
    }

    #[test]
    fn all_names_differ_and_lie_in_one_directory() {
        let artifacts = Artifacts::new(Path::new("out/image.raw.xz"));
        let mut all = artifacts.all();
        assert_eq!(all.first().map(PathBuf::as_path), Some(artifacts.image()));
        assert!(
            all.iter()
                .all(|path| path.parent() == Some(Path::new("out")))
        );
        assert_eq!(artifacts.checksums(), Path::new("out/SHA256SUMS"));
        assert_eq!(artifacts.bmap(), Path::new("out/image.bmap"));
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn names_that_are_no_text_survive() {
        let name = OsStr::from_bytes(b"\xff.raw");
        assert_eq!(
            Artifacts::new(Path::new(name))
                .manifest()
                .as_os_str()
                .as_bytes(),
            b"\xff.manifest"
        );
    }
}
