//! UEFI firmware for virtual machines, where distributions have it.

use std::path::{Path, PathBuf};

/// Firmware's code, and a variable store that nothing was written to yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firmware {
    /// The code.
    pub code: PathBuf,
    /// The store.
    pub variables: PathBuf,
}

/// Code and store: Debian and Ubuntu, Fedora, Arch, openSUSE.
const SECURE_X86: &[(&str, &str)] = &[
    ("OVMF/OVMF_CODE_4M.secboot.fd", "OVMF/OVMF_VARS_4M.fd"),
    ("OVMF/OVMF_CODE.secboot.fd", "OVMF/OVMF_VARS.fd"),
    ("edk2/ovmf/OVMF_CODE.secboot.fd", "edk2/ovmf/OVMF_VARS.fd"),
    (
        "edk2/x64/OVMF_CODE.secboot.4m.fd",
        "edk2/x64/OVMF_VARS.4m.fd",
    ),
    (
        "edk2-ovmf/x64/OVMF_CODE.secboot.fd",
        "edk2-ovmf/x64/OVMF_VARS.fd",
    ),
    (
        "qemu/ovmf-x86_64-smm-code.bin",
        "qemu/ovmf-x86_64-smm-vars.bin",
    ),
];
const X86: &[(&str, &str)] = &[
    ("OVMF/OVMF_CODE_4M.fd", "OVMF/OVMF_VARS_4M.fd"),
    ("OVMF/OVMF_CODE.fd", "OVMF/OVMF_VARS.fd"),
    ("edk2/ovmf/OVMF_CODE.fd", "edk2/ovmf/OVMF_VARS.fd"),
    ("edk2/x64/OVMF_CODE.4m.fd", "edk2/x64/OVMF_VARS.4m.fd"),
    ("edk2-ovmf/x64/OVMF_CODE.fd", "edk2-ovmf/x64/OVMF_VARS.fd"),
    ("qemu/ovmf-x86_64-code.bin", "qemu/ovmf-x86_64-vars.bin"),
];
const ARM: &[(&str, &str)] = &[
    ("AAVMF/AAVMF_CODE.fd", "AAVMF/AAVMF_VARS.fd"),
    (
        "edk2/aarch64/QEMU_EFI-pflash.raw",
        "edk2/aarch64/vars-template-pflash.raw",
    ),
    ("edk2/aarch64/QEMU_CODE.fd", "edk2/aarch64/QEMU_VARS.fd"),
    ("qemu/aavmf-aarch64-code.bin", "qemu/aavmf-aarch64-vars.bin"),
];

/// Finds firmware beneath `share` (`/usr/share`); `secure` for such that checks signatures.
#[must_use]
pub fn find(share: &Path, architecture: &str, secure: bool) -> Option<Firmware> {
    let places = match (architecture, secure) {
        ("x86_64", true) => SECURE_X86,
        ("x86_64", false) => X86,
        ("aarch64", _) => ARM,
        _ => &[],
    };
    places.iter().find_map(|(code, variables)| {
        let found = Firmware {
            code: share.join(code),
            variables: share.join(variables),
        };
        (found.code.is_file() && found.variables.is_file()).then_some(found)
    })
}

/// What to install where there is none.
#[must_use]
pub fn advice(architecture: &str) -> String {
    let (debian, others) = match architecture {
        "aarch64" => ("qemu-efi-aarch64", "edk2-aarch64"),
        _ => ("ovmf", "edk2-ovmf"),
    };
    format!(
        "there is no UEFI firmware for {architecture} virtual machines in /usr/share; install the \
         package {debian} (Debian, Ubuntu) or {others} (Fedora, Arch)"
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn both_files_have_to_be_there() {
        let share = tempfile::tempdir().unwrap();
        let touch = |name: &str| {
            let path = share.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        };
        let found = |secure| {
            find(share.path(), "x86_64", secure)
                .map(|f| f.code.file_name().unwrap().to_string_lossy().into_owned())
        };
        touch("OVMF/OVMF_CODE_4M.fd");
        assert_eq!(found(false), None);
        touch("OVMF/OVMF_VARS_4M.fd");
        assert_eq!(found(false).as_deref(), Some("OVMF_CODE_4M.fd"));
        assert_eq!(found(true), None);
        touch("OVMF/OVMF_CODE_4M.secboot.fd");
        assert_eq!(found(true).as_deref(), Some("OVMF_CODE_4M.secboot.fd"));
        assert_eq!(find(share.path(), "s390x", false), None);
    }
}
