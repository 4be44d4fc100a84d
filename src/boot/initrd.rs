//! The initrd of a kernel: made by dracut, which runs in a container on the tree that the initrd
//! is for.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::cpio;
use super::{BootError, Kernel};
use crate::host::{Command, Container, Host, fail_point};
use crate::tree::Root;

/// Where the container has a directory of this build.
const INSIDE: &str = "/run/mkosi-initrd";
/// zstd: as small as gzip's best, in a fraction of its time.
const ZSTD_LEVEL: i32 = 9;
const GZIP_LEVEL: u32 = 6;

/// What an initrd has to be able to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// systemd starts the system, and finds its root partition.
    pub systemd: bool,
    /// Only the hardware of this host matters.
    pub hostonly: bool,
    /// Firmware of UEFI's kind starts the image.
    pub uefi: bool,
    /// The root file system is protected by a hash tree.
    pub verity: bool,
    /// Partitions are encrypted.
    pub encrypted: bool,
    /// The root file system is only ever read.
    pub read_only: bool,
    /// The kernel's name of the root file system.
    pub root_file_system: String,
    /// Seconds since 1970 that no time stamp exceeds.
    pub latest: Option<u64>,
}

impl Wanted {
    /// dracut's arguments, without paths.
    pub(super) fn arguments(&self, root: &Root, release: &str) -> Result<Vec<String>, BootError> {
        let mut arguments: Vec<String> = if self.hostonly {
            // The container's mounts are not those that the image will have.
            vec!["--hostonly", "--hostonly-mode=sloppy"]
        } else {
            vec!["--no-hostonly"]
        }
        .into_iter()
        .map(str::to_owned)
        .collect();
        arguments.extend(
            [
                "--no-hostonly-cmdline",
                "--reproducible",
                "--no-compress",
                "--force",
            ]
            .map(str::to_owned),
        );
        let mut modules = Vec::new();
        if self.systemd {
            modules.push("systemd");
        }
        if self.encrypted {
            modules.push("crypt");
        }
        // Without it, older releases take the program by itself when it is installed.
        if self.verity && has_module(root, "systemd-veritysetup")? {
            modules.push("systemd-veritysetup");
        }
        if !modules.is_empty() {
            arguments.push(format!("--add={}", modules.join(" ")));
        }
        // Whatever the build host is: the image's own file systems, and virtual machines.
        let mut drivers = vec![
            self.root_file_system.as_str(),
            "vfat",
            "virtio_blk",
            "virtio_pci",
            "virtio_scsi",
            "nvme",
            "ahci",
            "sd_mod",
        ];
        if self.uefi {
            // Which disk the loader came from is a variable of the firmware: without it nobody finds
            // the root partition. A build host with a BIOS has no use for the driver.
            drivers.push("efivarfs");
        }
        if self.read_only {
            drivers.push("overlay");
        }
        if self.verity {
            drivers.push("dm-verity");
        }
        if self.encrypted {
            drivers.push("dm-crypt");
        }
        if self.hostonly && (self.encrypted || self.verity) {
            // Only the ciphers and hashes that the host happens to use would be taken.
            drivers.push("=crypto");
        }
        arguments.push(format!("--add-drivers={}", drivers.join(" ")));
        arguments.extend(["--kver".to_owned(), release.to_owned()]);
        Ok(arguments)
    }
}

fn has_module(root: &Root, name: &str) -> Result<bool, BootError> {
    let modules = "usr/lib/dracut/modules.d";
    if !root.is_dir(modules)? {
        return Ok(false);
    }
    Ok(root.list(modules)?.iter().any(|entry| {
        let entry = entry.name.to_string_lossy();
        entry.trim_start_matches(|c: char| c.is_ascii_digit()) == name
    }))
}

/// Makes the initrd of `kernel` as the file `output`, with what it holds compressed, and returns the
/// names of the files in it.
///
/// # Errors
/// What the program that makes it says, or that its files cannot be read or written.
pub fn make(
    tree: &Path,
    kernel: &Kernel,
    wanted: &Wanted,
    output: &Path,
    host: &Host,
) -> Result<Vec<PathBuf>, BootError> {
    let root = Root::open(tree)?;
    // Programs of administrators were apart for long.
    if !root.is_file("usr/bin/dracut")? && !root.is_file("usr/sbin/dracut")? {
        return Err(BootError::NotInImage {
            program: "dracut to make an initrd with".to_owned(),
            package: "dracut",
        });
    }
    let directory = output.with_extension("work");
    fs::create_dir(&directory).map_err(BootError::io("create", &directory))?;
    let made = run(tree, &root, kernel, wanted, &directory, host)
        .and_then(|()| {
            fail_point::reach("initrd-made", &kernel.release)
                .map_err(BootError::io("read", &directory))
        })
        .and_then(|()| pack(&directory.join("initrd"), kernel, output));
    crate::host::remove(&directory)
        .map_err(|error| BootError::io("remove", &directory)(std::io::Error::other(error)))?;
    made
}

fn run(
    tree: &Path,
    root: &Root,
    kernel: &Kernel,
    wanted: &Wanted,
    directory: &Path,
    host: &Host,
) -> Result<(), BootError> {
    let arguments = wanted.arguments(root, &kernel.release)?;
    host.run(command(tree, &arguments, directory, wanted.latest))
        .map_err(BootError::command(|source| BootError::Initrd {
            release: kernel.release.clone(),
            source,
        }))?;
    Ok(())
}

fn command(tree: &Path, arguments: &[String], directory: &Path, latest: Option<u64>) -> Command {
    let mut container = Container::new(tree)
        // dracut only has to read what it puts together.
        .read_only(true)
        .walled()
        .bind(directory, Path::new(INSIDE))
        // The kernel brings a console, and has devtmpfs for all other devices.
        .env("DRACUT_NO_MKNOD", "1")
        .env("LC_ALL", "C.UTF-8");
    if let Some(latest) = latest {
        container = container.env("SOURCE_DATE_EPOCH", latest.to_string());
    }
    let arguments = arguments.iter().cloned().chain([
        "--tmpdir".to_owned(),
        INSIDE.to_owned(),
        format!("{INSIDE}/initrd"),
    ]);
    // What it clones loses its setuid and setgid bits, where the host's file system can clone.
    let command = container.command("dracut", arguments);
    command.no_sync().no_clones()
}

/// Compresses what dracut wrote; archives that the kernel has to find as they are stay so.
fn pack(raw: &Path, kernel: &Kernel, output: &Path) -> Result<Vec<PathBuf>, BootError> {
    let mut bytes = fs::read(raw).map_err(BootError::io("read", raw))?;
    cpio::level(&mut bytes);
    let archives = cpio::archives(&bytes).ok_or_else(|| BootError::NoInitrd {
        release: kernel.release.clone(),
    })?;
    let early = archives.iter().take_while(|archive| archive.is_early());
    let border = early.last().map_or(0, |archive| archive.range.end);
    let (plain, rest) = bytes.split_at_checked(border).unwrap_or((&[], &bytes));
    let write = || {
        let mut file = File::create_new(output)?;
        file.write_all(plain)?;
        fail_point::reach("initrd-begun", &kernel.release)?;
        if kernel.zstd {
            let mut encoder = zstd::Encoder::new(&mut file, ZSTD_LEVEL)?;
            encoder.include_checksum(true)?;
            encoder.set_pledged_src_size(Some(rest.len() as u64))?;
            let workers = std::thread::available_parallelism().map_or(1, usize::from);
            // At least one: what comes of it does not depend on their number then.
            encoder.multithread(u32::try_from(workers).unwrap_or(1))?;
            encoder.write_all(rest)?;
            encoder.finish()?;
        } else {
            let level = flate2::Compression::new(GZIP_LEVEL);
            let mut encoder = flate2::write::GzEncoder::new(&mut file, level);
            encoder.write_all(rest)?;
            encoder.finish()?;
        }
        file.flush()
    };
    write().map_err(BootError::io("write", output))?;
    let names = archives.iter().flat_map(|archive| &archive.names);
    Ok(names
        .filter_map(|name| std::str::from_utf8(name).ok())
        .map(PathBuf::from)
        .collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::boot::cpio::tests::archive;
    use crate::host::{Cancel, Quiet, Recorder};

    fn wanted() -> Wanted {
        Wanted {
            systemd: true,
            hostonly: false,
            uefi: false,
            verity: false,
            encrypted: false,
            read_only: false,
            root_file_system: "ext4".into(),
            latest: None,
        }
    }

    fn kernel(zstd: bool) -> Kernel {
        Kernel {
            release: "6.1".into(),
            image: "boot/vmlinuz-6.1".into(),
            modules: "usr/lib/modules/6.1".into(),
            zstd,
        }
    }

    #[test]
    fn arguments_follow_what_is_wanted() {
        let tree = tempfile::tempdir().unwrap();
        let root = Root::open(tree.path()).unwrap();
        let line = |wanted: &Wanted| wanted.arguments(&root, "6.1").unwrap().join(" ");
        let plain = line(&wanted());
        assert!(
            plain.starts_with("--no-hostonly --no-hostonly-cmdline"),
            "{plain}"
        );
        assert!(
            plain.contains("--add=systemd --add-drivers=ext4 "),
            "{plain}"
        );
        assert!(plain.ends_with("--kver 6.1"), "{plain}");
        let other = line(&Wanted {
            systemd: false,
            ..wanted()
        });
        assert!(!other.contains("--add="), "{other}");
        let all = Wanted {
            systemd: true,
            hostonly: true,
            uefi: true,
            verity: true,
            encrypted: true,
            read_only: true,
            root_file_system: "squashfs".into(),
            latest: None,
        };
        assert!(
            line(&all).contains("--add=systemd crypt "),
            "{}",
            line(&all)
        );
        root.write(
            "usr/lib/dracut/modules.d/01systemd-veritysetup/x",
            "",
            0o644,
        )
        .unwrap();
        let line = line(&all);
        for part in [
            "--hostonly ",
            "--add=systemd crypt systemd-veritysetup",
            "efivarfs overlay dm-verity dm-crypt =crypto",
        ] {
            assert!(line.contains(part), "{part} in {line}");
        }
    }

    #[test]
    fn what_dracut_wrote_is_compressed_but_for_microcode() {
        let early = archive(&[("early_cpio", b"1")]);
        let main = archive(&[("usr/bin/sh", b"content")]);
        for zstd in [true, false] {
            let tree = tempfile::tempdir().unwrap();
            let scratch = tempfile::tempdir().unwrap();
            let root = Root::open(tree.path()).unwrap();
            let output = scratch.path().join("initrd-6.1");
            let make = |host: &Host| make(tree.path(), &kernel(zstd), &wanted(), &output, host);
            let recorder = Arc::new(Recorder::default());
            let host = Host::new(recorder.clone(), Arc::new(Quiet), Cancel::default());
            let error = make(&host).unwrap_err().to_string();
            assert!(error.contains("add the package dracut"), "{error}");

            root.write("usr/bin/dracut", "", 0o755).unwrap();
            let target = scratch.path().join("initrd-6.work/initrd");
            let written = [early.clone(), main.clone()].concat();
            recorder.on("dracut", move |_| {
                fs::write(&target, &written).unwrap();
                Ok(Vec::new())
            });
            let names = make(&host).unwrap();
            assert_eq!(names, ["early_cpio", "usr/bin/sh"].map(PathBuf::from));
            let line = recorder.lines().pop().unwrap();
            assert!(line.contains("--read-only"), "{line}");
            assert!(line.contains("--system-call-filter=~mount "), "{line}");
            let packed = fs::read(&output).unwrap();
            let rest = packed.strip_prefix(early.as_slice()).unwrap();
            let unpacked = if zstd {
                zstd::decode_all(rest).unwrap()
            } else {
                let mut text = Vec::new();
                let mut decoder = flate2::read::GzDecoder::new(rest);
                std::io::Read::read_to_end(&mut decoder, &mut text).unwrap();
                text
            };
            assert_eq!(unpacked, main);
            assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
        }
    }
}
