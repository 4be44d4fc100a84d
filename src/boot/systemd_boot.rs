//! systemd-boot: the boot loader of the EFI system partition, and the stub of unified kernel images.

use std::fs;
use std::path::{Path, PathBuf};

use super::BootError;
use crate::tree::Root;

/// Where systemd keeps its programs for the firmware.
const PROGRAMS: &str = "usr/lib/systemd/boot/efi";
/// systemd-boot's settings: what is there is started without asking; a key held down shows the menu.
const SETTINGS: &str = "timeout 0\n";

/// How UEFI calls an architecture: the suffix of its programs.
#[must_use]
pub fn efi_suffix(architecture: &str) -> Option<&'static str> {
    Some(match architecture {
        "x86_64" => "x64",
        "i686" | "x86" => "ia32",
        "aarch64" => "aa64",
        "armv7l" | "arm" | "armhf" => "arm",
        "riscv64" => "riscv64",
        "loongarch64" => "loongarch64",
        _ => return None,
    })
}

/// systemd's programs for the firmware, on the host's side of the tree.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The boot loader, copied out of the image.
    pub loader: PathBuf,
    /// The stub.
    pub stub: Option<PathBuf>,
    suffix: &'static str,
}

impl Programs {
    /// Copies them out of the tree (or from the host where the image has none) into `directory`.
    ///
    /// # Errors
    /// [`BootError::NotInImage`] when neither has them.
    pub fn collect(
        root: &Root,
        suffix: &'static str,
        with_stub: bool,
        directory: &Path,
    ) -> Result<Self, BootError> {
        let copy = |name: &str, what: &str| -> Result<PathBuf, BootError> {
            let path = format!("{PROGRAMS}/{name}");
            let bytes = match root.read_if_present(&path)? {
                Some(bytes) => bytes,
                None => {
                    let host = Path::new("/").join(&path);
                    fs::read(&host).map_err(|_| BootError::NotInImage {
                        program: what.to_owned(),
                        package: "systemd-boot-efi (Debian), systemd-boot-unsigned (Fedora) or systemd-boot (openSUSE)",
                    })?
                }
            };
            let target = directory.join(name);
            fs::write(&target, bytes).map_err(BootError::io("write", &target))?;
            Ok(target)
        };
        let loader = copy(&format!("systemd-boot{suffix}.efi"), "systemd-boot")?;
        let stub = if with_stub {
            let name = format!("linux{suffix}.efi.stub");
            Some(copy(&name, "stub for unified kernel images")?)
        } else {
            None
        };
        Ok(Self {
            loader,
            stub,
            suffix,
        })
    }

    /// Puts the boot loader where firmware looks for it, and its settings beside it. Returns the
    /// programs, which Secure Boot wants signed.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn install(&self, esp: &Path) -> Result<Vec<PathBuf>, BootError> {
        let suffix = self.suffix;
        let targets = [
            esp.join(format!("EFI/systemd/systemd-boot{suffix}.efi")),
            // Where firmware looks on disks that it was told nothing about.
            esp.join(format!("EFI/BOOT/BOOT{}.EFI", suffix.to_uppercase())),
        ];
        for target in &targets {
            place(&self.loader, target)?;
        }
        write(&esp.join("loader/loader.conf"), SETTINGS)?;
        // Which entries belong here: says that this partition is made by the specification.
        write(&esp.join("loader/entries.srel"), "type1\n")?;
        let directory = esp.join("EFI/Linux");
        fs::create_dir_all(&directory).map_err(BootError::io("create", &directory))?;
        Ok(targets.to_vec())
    }
}

/// Copies a file, making the directories above the copy.
pub(super) fn place(from: &Path, to: &Path) -> Result<(), BootError> {
    make_above(to)?;
    fs::copy(from, to).map_err(BootError::io("write", to))?;
    Ok(())
}

/// Writes a file, making the directories above it.
pub(super) fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<(), BootError> {
    make_above(path)?;
    fs::write(path, content).map_err(BootError::io("write", path))
}

fn make_above(path: &Path) -> Result<(), BootError> {
    path.parent().map_or(Ok(()), |above| {
        fs::create_dir_all(above).map_err(BootError::io("create", above))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_come_from_the_image() {
        let tree = tempfile::tempdir().unwrap();
        let work = tempfile::tempdir().unwrap();
        let root = Root::open(tree.path()).unwrap();
        // No host has programs for this one.
        let error = Programs::collect(&root, "none", true, work.path()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the image has no systemd-boot; add the package systemd-boot-efi (Debian), \
             systemd-boot-unsigned (Fedora) or systemd-boot (openSUSE) to Packages="
        );
        root.write(format!("{PROGRAMS}/systemd-bootx64.efi"), "loader", 0o644)
            .unwrap();
        root.write(format!("{PROGRAMS}/linuxx64.efi.stub"), "stub", 0o644)
            .unwrap();
        let programs = Programs::collect(&root, "x64", true, work.path()).unwrap();
        let stub = programs.stub.clone().unwrap();
        assert_eq!(fs::read(stub).unwrap(), b"stub");
        let esp = work.path().join("esp");
        let signed = programs.install(&esp).unwrap();
        assert_eq!(signed.len(), 2);
        assert_eq!(
            fs::read(esp.join("EFI/BOOT/BOOTX64.EFI")).unwrap(),
            b"loader"
        );
        assert!(esp.join("EFI/systemd/systemd-bootx64.efi").is_file());
        assert!(esp.join("loader/loader.conf").is_file());
    }

    #[test]
    fn architectures_without_firmware_are_none() {
        assert_eq!(efi_suffix("aarch64"), Some("aa64"));
        assert_eq!(efi_suffix("s390x"), None);
    }
}
