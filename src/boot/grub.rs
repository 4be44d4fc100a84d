//! GRUB for machines with a BIOS: its core image in the BIOS boot partition, its boot code in the
//! first sector, its menu beside the kernels. grub-mkimage runs in the image, whose modules it
//! links; the rest of an installation is a few numbers in two files, which are put in here instead
//! of by grub-bios-setup: that one takes block devices only.
//!
//! Source of the offsets: GRUB's `include/grub/i386/pc/boot.h` and `include/grub/offsets.h`.

use std::fs;
use std::path::Path;

use super::BootError;
use super::systemd_boot::write;
use crate::disk::BootCode;
use crate::host::{Container, Host, shell_quote};
use crate::tree::Root;

/// Where images have GRUB's modules: most, and openSUSE.
const MODULES: [&str; 2] = ["usr/lib/grub/i386-pc", "usr/share/grub2/i386-pc"];
/// What makes the core image: Debian and Arch, and those that had GRUB 1 beside it.
const PROGRAMS: [&str; 2] = ["usr/bin/grub-mkimage", "usr/bin/grub2-mkimage"];
/// Where the container has a directory of this build.
const INSIDE: &str = "/run/mkosi-grub";
/// What the core image can do by itself: read every file system an image can have, and boot.
const LINKED: [&str; 21] = [
    "biosdisk",
    "part_gpt",
    "fat",
    "ext2",
    "xfs",
    "btrfs",
    "search",
    "search_fs_uuid",
    "configfile",
    "normal",
    "linux",
    "boot",
    "gzio",
    "echo",
    "test",
    "ls",
    "cat",
    "minicmd",
    "reboot",
    "halt",
    "serial",
];
const SECTOR: usize = 512;
/// Where the boot code keeps the sector of the core image, a 64-bit number.
const KERNEL_SECTOR: usize = 0x5c;
/// Where it skips a workaround for BIOSes that do not say which disk they booted.
const DRIVE_CHECK: usize = 0x66;
/// `nop`.
const NOP: u8 = 0x90;
/// Where the core image's first sector says where the rest is: a 64-bit sector, then the number of
/// sectors and the segment they are loaded to, both of 16 bits.
const BLOCK_LIST: usize = SECTOR - 12;

/// GRUB before it is known where on the disk it will be.
#[derive(Clone, Debug)]
pub struct Grub {
    boot: Vec<u8>,
    core: Vec<u8>,
}

/// A line of the menu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MenuEntry {
    /// What people read.
    pub title: String,
    /// The kernel's path in the file system.
    pub linux: String,
    /// The initrd's path.
    pub initrd: String,
    /// The command line.
    pub command_line: String,
}

impl Grub {
    /// Makes a core image that finds its menu, `grub.cfg`, in `directory` of the file system with
    /// this identifier.
    ///
    /// # Errors
    /// When the image has no GRUB, or it does not work.
    pub fn make(
        tree: &Path,
        identifier: &str,
        directory: &str,
        scratch: &Path,
        host: &Host,
    ) -> Result<Self, BootError> {
        let root = Root::open(tree)?;
        let missing = || BootError::NotInImage {
            program: "GRUB for BIOS".to_owned(),
            package: "grub-pc-bin and grub2-common (Debian) or grub2-pc-modules and grub2-tools (Fedora)",
        };
        let mut found = None;
        for modules in MODULES {
            if let Some(boot) = root.read_if_present(format!("{modules}/boot.img"))? {
                found = Some((modules, boot));
                break;
            }
        }
        let (modules, boot) = found.ok_or_else(missing)?;
        let mut program = None;
        for path in PROGRAMS {
            if program.is_none() && root.is_file(path)? {
                program = Some(path);
            }
        }
        let program = program.ok_or_else(missing)?;
        let work = scratch.join("grub");
        write(&work.join("early.cfg"), early(identifier, directory))?;
        let arguments = [
            format!("--directory=/{modules}"),
            "--format=i386-pc".to_owned(),
            format!("--prefix={directory}"),
            format!("--config={INSIDE}/early.cfg"),
            format!("--output={INSIDE}/core.img"),
        ];
        let arguments = arguments.into_iter().chain(LINKED.map(str::to_owned));
        let command = Container::new(tree)
            .walled()
            .read_only(true)
            .bind(&work, Path::new(INSIDE))
            .command(format!("/{program}"), arguments);
        host.run(command)
            .map_err(BootError::command(BootError::Grub))?;
        let path = work.join("core.img");
        let core = fs::read(&path).map_err(BootError::io("read", &path))?;
        Ok(Self { boot, core })
    }

    /// The code for a disk whose BIOS boot partition begins at `sector`.
    ///
    /// # Errors
    /// GRUB's files are not what they should be.
    pub fn code(&self, sector: u64) -> Result<BootCode, BootError> {
        let odd = |file, what| BootError::GrubFile { file, what };
        let (mut boot, mut core) = (self.boot.clone(), self.core.clone());
        if boot.len() != SECTOR || !boot.ends_with(&[0x55, 0xaa]) {
            return Err(odd("boot.img", "it is no boot sector"));
        }
        if core.len() <= SECTOR {
            return Err(odd("core.img", "it is too short"));
        }
        let list = &core[BLOCK_LIST..SECTOR];
        let sectors = (core.len() - SECTOR).div_ceil(SECTOR);
        if usize::from(u16::from_le_bytes([list[8], list[9]])) != sectors {
            return Err(odd("core.img", "its block list does not match its length"));
        }
        boot[KERNEL_SECTOR..KERNEL_SECTOR + 8].copy_from_slice(&sector.to_le_bytes());
        boot[DRIVE_CHECK..DRIVE_CHECK + 2].fill(NOP);
        core[BLOCK_LIST..BLOCK_LIST + 8].copy_from_slice(&(sector + 1).to_le_bytes());
        Ok(BootCode {
            first_sector: boot,
            core,
        })
    }
}

/// What the core image does first.
fn early(identifier: &str, directory: &str) -> String {
    format!(
        "search --no-floppy --fs-uuid --set=root {identifier}\n\
         set prefix=($root){directory}\nconfigfile ($root){directory}/grub.cfg\n"
    )
}

/// The text of `grub.cfg`.
#[must_use]
pub fn menu(entries: &[MenuEntry]) -> String {
    // Escape shows the menu within that second.
    let mut text = String::from("set timeout_style=hidden\nset timeout=1\nset default=0\n");
    for entry in entries {
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
        let words: Vec<_> = entry.command_line.split_whitespace().map(quoted).collect();
        text.push_str(&format!(
            "\nmenuentry {} {{\n  linux {} {}\n  initrd {}\n}}\n",
            quoted(&entry.title),
            shell_quote(entry.linux.as_ref()),
            words.join(" "),
            shell_quote(entry.initrd.as_ref()),
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grub(sectors: u16) -> Grub {
        let mut boot = vec![0; SECTOR];
        boot[510..].copy_from_slice(&[0x55, 0xaa]);
        let mut core = vec![7; SECTOR + 1000];
        core[BLOCK_LIST..SECTOR].fill(0);
        core[BLOCK_LIST + 8..BLOCK_LIST + 10].copy_from_slice(&sectors.to_le_bytes());
        Grub { boot, core }
    }

    #[test]
    fn the_code_knows_its_sectors() {
        let code = grub(2).code(0x1_0000_0800).unwrap();
        assert_eq!(
            &code.first_sector[0x5c..0x64],
            &0x1_0000_0800_u64.to_le_bytes()
        );
        assert_eq!(&code.first_sector[0x66..0x68], &[0x90, 0x90]);
        assert_eq!(&code.core[500..508], &0x1_0000_0801_u64.to_le_bytes());
        assert_eq!(&code.core[508..510], &2_u16.to_le_bytes());
        assert!(grub(3).code(1).is_err());
        let mut short = grub(2);
        short.core.truncate(SECTOR);
        assert!(short.code(1).is_err());
        let mut other = grub(2);
        other.boot[511] = 0;
        assert!(other.code(1).is_err());
    }

    #[test]
    fn the_menu_quotes_what_it_names() {
        let entry = MenuEntry {
            title: "It's Debian".into(),
            linux: "/boot/vmlinuz-6.1".into(),
            initrd: "/boot/initrd.img-6.1".into(),
            command_line: "quiet a='$b;{c}' rw".into(),
        };
        assert_eq!(
            menu(&[entry]),
            "set timeout_style=hidden\nset timeout=1\nset default=0\n\n\
             menuentry 'It'\\''s Debian' {\n  linux /boot/vmlinuz-6.1 'quiet' 'a='\\''$b;{c}'\\''' 'rw'\n  \
             initrd /boot/initrd.img-6.1\n}\n"
        );
    }
}
