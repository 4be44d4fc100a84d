//! What makes an image boot: collected from the finished tree, then put onto the boot partitions.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::site::Site;
use super::{EngineError, StepError, initrds};
use crate::boot::grub::{self, Grub, MenuEntry};
use crate::boot::{self, BootError, Entry, Kernel, Programs, Uki};
use crate::disk::verity::{Hash, hash_text};
use crate::disk::{BootCode, PartitionKind};
use crate::host::{Host, fail_point};
use crate::plan::{BiosFiles, Boot, Encrypted};
use crate::tree::{self, Root};

/// What programs for UEFI firmware begin with, as PE and before it MZ executables do.
const PROGRAM: &[u8] = b"MZ";
/// Stands for a root hash that is not known yet: as long as any.
const NO_HASH: Hash = [0; 32];

/// Everything that boot partitions are made of, out of the tree's reach.
#[derive(Debug)]
pub(super) struct Prepared {
    boot: Boot,
    kernels: Vec<Made>,
    programs: Option<Programs>,
    grub: Option<Grub>,
    os_release: Vec<u8>,
    title: String,
}

/// A kernel and its initrd.
#[derive(Debug)]
struct Made {
    kernel: Kernel,
    image: PathBuf,
    initrd: PathBuf,
}

/// The files of one kernel.
pub(super) struct ToSplit {
    pub release: String,
    /// How many kernels there are besides.
    pub others: usize,
    pub unified: Option<PathBuf>,
    pub kernel: PathBuf,
    pub initrd: PathBuf,
}

/// Collects kernels, makes their initrds, and readies the tree.
pub(super) fn prepare(boot: &Boot, site: &mut Site<'_>, host: &Host) -> Result<String, StepError> {
    let root = Root::open(&site.tree)?;
    let kernels = boot::find_kernels(&root)?;
    let work = site.scratch.join("boot");
    fs::create_dir(&work).map_err(EngineError::path("create", &work))?;
    let programs = match boot.uefi {
        Some(suffix) => Some(Programs::collect(&root, suffix, boot.unified, &work)?),
        None => None,
    };
    let wanted = boot::Wanted {
        systemd: boot.systemd,
        hostonly: boot.hostonly,
        uefi: boot.uefi.is_some(),
        verity: boot.verity,
        encrypted: boot.encrypted != Encrypted::Nothing,
        read_only: boot.read_only,
        root_file_system: boot.root_file_system.to_owned(),
        latest: boot.latest,
    };
    let mut made = Vec::new();
    let mut reused = 0;
    for kernel in kernels {
        let image = work.join(format!("linux-{}", kernel.release));
        let bytes = root.read(&kernel.image)?;
        if boot.uefi.is_some() && !bytes.starts_with(PROGRAM) {
            let release = kernel.release;
            return Err(BootError::NoEfiStub { release }.into());
        }
        fs::write(&image, bytes)
            .and_then(|()| fail_point::reach("kernel-copied", &kernel.release))
            .map_err(EngineError::path("write", &image))?;
        let initrd = work.join(format!("initrd-{}", kernel.release));
        if initrds::obtain(boot, &kernel, &wanted, &initrd, site, host)? {
            reused += 1;
        }
        made.push(Made {
            kernel,
            image,
            initrd,
        });
    }
    let grub = if boot.bios {
        let directory = match boot.bios_files() {
            BiosFiles::On(_) => "/grub",
            BiosFiles::InRoot => "/boot/grub",
        };
        let id = boot.bios_identifier();
        Some(Grub::make(&site.tree, &id, directory, &work, host)?)
    } else {
        None
    };
    if boot.uefi.is_some() {
        // Where systemd mounts the EFI system partition: /boot only where nothing else is in it.
        root.create_dir_all("efi", 0o755)?;
    }
    let os_release = os_release(&root)?;
    let title = title(&os_release);
    let count = made.len();
    let prepared = Prepared {
        boot: boot.clone(),
        kernels: made,
        programs,
        grub,
        os_release,
        title,
    };
    if boot.bios && boot.bios_files() == BiosFiles::InRoot {
        prepared.install_in_root(&root)?;
    }
    site.boot = Some(prepared);
    Ok(match (count, reused) {
        (1, 0) => String::new(),
        (_, 0) => format!("for {count} kernels"),
        (count, reused) if count == reused => "cached".to_owned(),
        (count, reused) => format!("for {count} kernels, {reused} cached"),
    })
}

fn os_release(root: &Root) -> Result<Vec<u8>, StepError> {
    for path in ["etc/os-release", "usr/lib/os-release"] {
        if let Some(text) = root.read_if_present(path)? {
            return Ok(text);
        }
    }
    // What the specification of os-release says about a missing one.
    Ok(b"ID=linux\nPRETTY_NAME=Linux\n".to_vec())
}

/// The name that menus show.
fn title(os_release: &[u8]) -> String {
    let text = String::from_utf8_lossy(os_release);
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .map(|name| name.trim().trim_matches(['"', '\'']));
    let name: String = name
        .unwrap_or("Linux")
        .chars()
        .filter(|c| !c.is_control() && !matches!(c, '\\' | '`' | '$'))
        .collect();
    if name.is_empty() {
        "Linux".to_owned()
    } else {
        name
    }
}

impl Prepared {
    /// Fills a boot partition's directory, with a root hash of zeros where there will be one.
    pub(super) fn fill(
        &self,
        kind: PartitionKind,
        directory: &Path,
        host: &Host,
    ) -> Result<(), StepError> {
        let hash = self.boot.verity.then_some(NO_HASH);
        self.stage(kind, directory, hash.as_ref(), host)?;
        Ok(())
    }

    /// Writes what belongs on a boot partition, in place of what was written before.
    fn stage(
        &self,
        kind: PartitionKind,
        directory: &Path,
        hash: Option<&Hash>,
        host: &Host,
    ) -> Result<(), BootError> {
        let mut sign = Vec::new();
        if let (PartitionKind::Esp, Some(programs)) = (kind, &self.programs) {
            sign.extend(programs.install(directory)?);
        }
        if self.boot.uefi.is_some() && kind == self.boot.entries() {
            for made in &self.kernels {
                sign.push(self.stage_kernel(made, directory, hash)?);
            }
        }
        if self.boot.bios && self.boot.bios_files() == BiosFiles::On(kind) {
            self.stage_menu(directory, hash)?;
        }
        if let Some(key) = &self.boot.signing {
            for program in &sign {
                boot::sign(program, key, self.boot.latest, host)?;
            }
        }
        fail_point::reach("boot-files-staged", kind.short_name())
            .map_err(BootError::io("fill", directory))
    }

    /// Writes what systemd-boot starts a kernel from; returns the program in it.
    fn stage_kernel(
        &self,
        made: &Made,
        directory: &Path,
        hash: Option<&Hash>,
    ) -> Result<PathBuf, BootError> {
        let release = &made.kernel.release;
        let line = self.command_line(true, hash);
        let stub = self.programs.as_ref().and_then(|p| p.stub.as_deref());
        let Some(stub) = stub else {
            let entry = self.entry(made, &line);
            entry.install(directory)?;
            return Ok(directory.join(&entry.linux()[1..]));
        };
        let linux = directory.join("EFI/Linux");
        fs::create_dir_all(&linux).map_err(BootError::io("create", &linux))?;
        let path = directory.join(self.unified(made));
        let uki = Uki {
            stub,
            kernel: &made.image,
            release,
            initrd: &made.initrd,
            command_line: &line,
            os_release: &self.os_release,
        };
        let mut file = File::create(&path)
            .and_then(|file| fail_point::reach("unified-begun", release).map(|()| file))
            .map_err(BootError::io("create", &path))?;
        boot::uki::write(&uki, &mut file).map_err(|source| BootError::Uki {
            release: release.clone(),
            source,
        })?;
        Ok(path)
    }

    /// Where a kernel's unified image is on its partition.
    fn unified(&self, made: &Made) -> PathBuf {
        // After a + systemd-boot reads how often an entry may still be tried.
        let release = made.kernel.release.replace('+', "_");
        Path::new("EFI/Linux").join(format!("{}-{release}.efi", self.boot.token))
    }

    /// The newest kernel's files, which may be had beside the image, as they are on its partitions.
    pub(super) fn to_split(&self, site: &Site<'_>) -> Option<ToSplit> {
        let made = self.kernels.first()?;
        let entries = staged(self.boot.entries(), site);
        let (unified, kernel) = if self.boot.makes_unified() {
            (Some(entries.join(self.unified(made))), made.image.clone())
        } else if self.boot.uefi.is_some() {
            // It may be signed.
            let linux = self.entry(made, "").linux();
            (None, entries.join(linux.trim_start_matches('/')))
        } else {
            (None, made.image.clone())
        };
        Some(ToSplit {
            release: made.kernel.release.clone(),
            others: self.kernels.len() - 1,
            unified,
            kernel,
            initrd: made.initrd.clone(),
        })
    }

    /// Writes GRUB's menu, and kernels where there are none yet.
    fn stage_menu(&self, directory: &Path, hash: Option<&Hash>) -> Result<(), BootError> {
        let line = self.command_line(false, hash);
        let mut menu = Vec::new();
        for made in &self.kernels {
            let entry = self.entry(made, &line);
            if self.boot.unified || self.boot.uefi.is_none() {
                entry.install_files(directory)?;
            }
            menu.push(self.menu_entry(made, entry.linux(), entry.initrd(), &line));
        }
        let path = directory.join("grub/grub.cfg");
        let above = directory.join("grub");
        fs::create_dir_all(&above).map_err(BootError::io("create", &above))?;
        fs::write(&path, grub::menu(&menu)).map_err(BootError::io("write", &path))
    }

    /// Puts initrds and GRUB's menu into the tree, beside the kernels.
    fn install_in_root(&self, root: &Root) -> Result<(), StepError> {
        let line = self.command_line(false, None);
        let mut menu = Vec::new();
        for made in &self.kernels {
            let initrd = format!("boot/initrd.img-{}", made.kernel.release);
            let bytes = fs::read(&made.initrd).map_err(EngineError::path("read", &made.initrd))?;
            root.write(&initrd, bytes, 0o600)?;
            let linux = format!("/{}", made.kernel.image.display());
            menu.push(self.menu_entry(made, linux, format!("/{initrd}"), &line));
        }
        root.write("boot/grub/grub.cfg", grub::menu(&menu), 0o600)?;
        Ok(())
    }

    fn entry<'a>(&'a self, made: &'a Made, line: &'a str) -> Entry<'a> {
        Entry {
            token: &self.boot.token,
            release: &made.kernel.release,
            title: &self.title,
            machine_id: self.boot.machine_id.as_deref(),
            kernel: &made.image,
            initrd: &made.initrd,
            command_line: line,
        }
    }

    fn menu_entry(&self, made: &Made, linux: String, initrd: String, line: &str) -> MenuEntry {
        MenuEntry {
            title: format!("{} ({})", self.title, made.kernel.release),
            linux,
            initrd,
            command_line: line.to_owned(),
        }
    }

    fn command_line(&self, found: bool, hash: Option<&Hash>) -> String {
        let hash = hash.map(hash_text);
        self.boot.command_line(found, hash.as_deref())
    }

    /// Finishes boot partitions once the root hash is known.
    pub(super) fn finish(
        &self,
        directories: &[(PartitionKind, PathBuf)],
        hash: Option<&Hash>,
        sector: Option<u64>,
        host: &Host,
    ) -> Result<Option<BootCode>, BootError> {
        if hash.is_some() {
            for (kind, directory) in directories {
                self.stage(*kind, directory, hash, host)?;
            }
        }
        match (&self.grub, sector) {
            (Some(grub), Some(sector)) => Ok(Some(grub.code(sector)?)),
            _ => Ok(None),
        }
    }
}

/// The directory that a boot partition is filled from.
fn staged(kind: PartitionKind, site: &Site<'_>) -> PathBuf {
    site.scratch.join(kind.short_name())
}

/// Makes the directory of a boot partition. What the tree has in `/boot` goes to the partition that
/// is mounted there, but for what FAT cannot hold.
pub(super) fn directory(
    kind: PartitionKind,
    site: &Site<'_>,
    host: &Host,
) -> Result<PathBuf, StepError> {
    let directory = staged(kind, site);
    if kind == PartitionKind::Xbootldr {
        let root = Root::open(&site.tree)?;
        let (report, cancel) = (host.report.as_ref(), &host.cancel);
        tree::set_aside(&root, Path::new("boot"), &directory, report, cancel)?;
        drop_links(&directory)?;
    } else {
        fs::create_dir(&directory).map_err(EngineError::path("create", &directory))?;
    }
    Ok(directory)
}

fn drop_links(directory: &Path) -> Result<(), StepError> {
    for entry in walkdir::WalkDir::new(directory) {
        let entry = entry
            .map_err(std::io::Error::from)
            .map_err(EngineError::path("list", directory))?;
        let kind = entry.file_type();
        if !kind.is_dir() && !kind.is_file() {
            fs::remove_file(entry.path()).map_err(EngineError::path("remove", entry.path()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_plain() {
        for (text, expected) in [
            (
                "ID=x\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n",
                "Debian GNU/Linux 12",
            ),
            ("PRETTY_NAME='a\x1b[1m$b'\n", "a[1mb"),
            ("PRETTY_NAME=\n", "Linux"),
            ("", "Linux"),
        ] {
            assert_eq!(title(text.as_bytes()), expected);
        }
    }
}
