//! Kernels in `/boot` whose names do not say which release they are: Alpine's `vmlinuz-lts`, `Image` of
//! Arch Linux ARM. Whose modules are theirs is read from beside them, or from the kernel itself.
//!
//! Sources: the kernel's `Documentation/arch/x86/boot.rst` (`kernel_version`) and
//! `Documentation/arch/arm64/booting.rst`.

use std::path::{Path, PathBuf};

use super::BootError;
use crate::tree::{Kind, Root};

/// What the names of kernels begin with, or are.
const NAMES: [&str; 3] = ["vmlinuz", "vmlinux", "Image"];
/// Where Alpine keeps a flavour's release: `/usr/share/kernel/lts/kernel.release`.
const RELEASES: &str = "usr/share/kernel";
/// The longest release that Linux itself can have (`__NEW_UTS_LEN`).
const LONGEST: usize = 64;

/// The kernels in `/boot` that say which release they are, with their files.
pub(super) fn find(root: &Root) -> Result<Vec<(String, PathBuf)>, BootError> {
    let mut found = Vec::new();
    if !root.is_dir("boot")? {
        return Ok(found);
    }
    for entry in root.list("boot")? {
        let Some(name) = entry.name.to_str().filter(|_| entry.kind == Kind::File) else {
            continue;
        };
        let (start, flavour) = name.split_once('-').unwrap_or((name, ""));
        if !NAMES.contains(&start) {
            continue;
        }
        let path = Path::new("boot").join(name);
        let written = match flavour {
            "" => None,
            flavour => root.read_if_present(format!("{RELEASES}/{flavour}/kernel.release"))?,
        };
        let release = match written {
            Some(text) => Some(String::from_utf8_lossy(&text).trim().to_owned()),
            None => release(&root.read(&path)?),
        };
        if let Some(release) = release {
            found.push((release, path));
        }
    }
    Ok(found)
}

/// The release of a kernel, as far as its file says it without being unpacked.
fn release(image: &[u8]) -> Option<String> {
    let text = if image.get(0x202..0x206) == Some(b"HdrS") {
        // x86: an offset, less by 0x200, of a text that begins with the release.
        let offset = image.get(0x20e..0x210)?;
        let offset = usize::from(u16::from_le_bytes([offset[0], offset[1]]));
        (offset > 0).then(|| image.get(offset + 0x200..))??
    } else if image.get(56..60) == Some(b"ARM\x64") {
        // The banner, which is not compressed. Formats of banners go on with a %.
        let mark = b"Linux version ";
        let is_banner = |part: &[u8]| {
            part.starts_with(mark) && part.get(mark.len()).is_some_and(u8::is_ascii_digit)
        };
        let at = image.windows(mark.len() + 1).position(is_banner)?;
        image.get(at + mark.len()..)?
    } else {
        return None;
    };
    let end = text
        .iter()
        .take(LONGEST + 1)
        .position(|byte| byte.is_ascii_whitespace() || *byte == 0)?;
    let text = std::str::from_utf8(&text[..end]).ok()?;
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What an image of arm64 begins with, and a banner somewhere in it.
    pub fn arm64(release: &str) -> Vec<u8> {
        let mut image = b"MZ".to_vec();
        image.resize(56, 0);
        image.extend(b"ARM\x64");
        image.resize(4096, 0);
        image.extend(format!("Linux version %s (x)\0Linux version {release} (x@y) #1").bytes());
        image
    }

    fn x86(release: &str) -> Vec<u8> {
        let mut image = vec![0; 0x3000];
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x20e..0x210].copy_from_slice(&0x2000_u16.to_le_bytes());
        let text = format!("{release} (x@y) #1 SMP\0");
        image[0x2200..0x2200 + text.len()].copy_from_slice(text.as_bytes());
        image
    }

    #[test]
    fn kernels_say_what_they_are() {
        let release = |image: &[u8]| super::release(image).unwrap_or_default();
        assert_eq!(release(&x86("6.12.9-0-lts")), "6.12.9-0-lts");
        let arm = arm64("6.2.10-1-aarch64-ARCH");
        assert_eq!(release(&arm), "6.2.10-1-aarch64-ARCH");
        for cut in [0, 60, 0x210, 4096 + 30] {
            assert_eq!(release(&arm[..cut.min(arm.len())]), "", "{cut}");
            assert_eq!(release(&x86("6.1")[..cut.min(0x2201)]), "", "{cut}");
        }
        assert_eq!(release(&x86(&"1".repeat(100))), "");
        assert_eq!(release(b"\x1f\x8b compressed"), "");
    }

    #[test]
    fn a_flavour_s_release_is_written_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::open(directory.path()).unwrap();
        assert!(find(&root).unwrap().is_empty());
        for (path, content) in [
            ("boot/vmlinuz-lts", b"zimg".to_vec()),
            (
                "usr/share/kernel/lts/kernel.release",
                b"6.18.54-0-lts\n".to_vec(),
            ),
            ("boot/vmlinuz-virt", x86("6.18.54-0-virt")),
            ("boot/vmlinuz-strange", b"strange".to_vec()),
            ("boot/config-lts", b"A=y".to_vec()),
        ] {
            root.write(path, content, 0o644).unwrap();
        }
        root.symlink("vmlinuz-virt", "boot/vmlinuz").unwrap();
        let expected = [
            ("6.18.54-0-lts", "boot/vmlinuz-lts"),
            ("6.18.54-0-virt", "boot/vmlinuz-virt"),
        ];
        assert_eq!(
            find(&root).unwrap(),
            expected.map(|(release, path)| (release.to_owned(), PathBuf::from(path)))
        );
    }
}
