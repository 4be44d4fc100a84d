//! `mkosi shell` and `mkosi boot`: the image in a container, on the caller's terminal.

use std::ffi::OsString;
use std::fs;
use std::io::{self, IsTerminal as _};
use std::path::Path;

use super::stacked::Stacked;
use super::{VerbError, exit, ssh, terminal};
use crate::config::Config;
use crate::config::values::{Encrypt, Format};
use crate::disk::{
    self, Apart, Architecture, AttachedImage, DiskError, MountPoints, host_dissects,
};
use crate::host::{Command, Host, is_root, namespace, printable_path, signals};
use crate::output::Artifacts;

/// What runs in the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    /// A shell, or the words given, as a command.
    Shell,
    /// The image's init system; the words are its arguments.
    Boot,
}

impl Run {
    /// The verb.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Shell => "shell",
            Self::Boot => "boot",
        }
    }
}

/// Says why an image of this configuration cannot run in a container, if so.
///
/// # Errors
/// The reason, with what to do instead.
pub fn check(config: &Config, run: Run) -> Result<(), VerbError> {
    let reason = if config.format == Format::Custom {
        "its form is the project's own; build it with --format=directory to run it here"
    } else if config.format == Format::Tar {
        "a tar archive has to be unpacked first; Format=directory makes the same tree ready to run"
    } else if config.xz || config.compress_output.is_some() {
        "it is compressed as a whole; unpack it first, or build it without XZ="
    } else if config.qcow2 {
        "the kernel cannot read QCow2; `mkosi qemu` can, or build it without QCow2="
    } else if encrypted(config) && !systemd_opens() {
        if config.bootable {
            "its partitions are encrypted, and opening them takes a host that runs systemd, with udev \
             and device mapper; `mkosi qemu` starts it in a machine that asks for the passphrase"
        } else {
            "its partitions are encrypted, and opening them takes a host that runs systemd, with udev \
             and device mapper; build it without Encrypt= to run it here"
        }
    } else if !is_root() {
        return Err(VerbError::NotRoot { verb: run.name() });
    } else {
        return Ok(());
    };
    Err(VerbError::NotHere {
        verb: run.name(),
        reason: reason.to_owned(),
    })
}

/// Whether any partition of the image is encrypted.
fn encrypted(config: &Config) -> bool {
    match config.encrypt {
        None => false,
        Some(Encrypt::All) => true,
        Some(Encrypt::Data) => config.home_size.is_some() || config.srv_size.is_some(),
    }
}

/// Whether the host runs systemd, whose nspawn opens images, dm-verity and LUKS included.
fn systemd_opens() -> bool {
    fs::symlink_metadata("/run/dbus/system_bus_socket").is_ok() && host_dissects()
}

/// Runs the image; the exit status is that of what ran in it.
pub fn run(config: &Config, run: Run, words: &[OsString]) -> u8 {
    let host = super::host(config);
    if let Err(error) = host.require(&["systemd-nspawn"]) {
        terminal::complain_about(&VerbError::Host(error));
        return exit::USAGE;
    }
    // machinectl shall know the machine.
    if systemd_opens() && config.base_image.is_none() {
        let mut command = nspawn(config, run);
        let image = config.output.as_os_str();
        let kind = if config.format.is_tree() {
            "--directory="
        } else {
            "--image="
        };
        command = command.arg(option(kind, image)).arg("--settings=trusted");
        return ended(found_by_ssh(command, config, run).and_then(|command| {
            host.interactive(passed_on(command, run, words))
                .map_err(VerbError::Command)
        }));
    }
    // Elsewhere everything that is mounted for the container goes with this process.
    let isolated = namespace::isolate(|| {
        let cancel = &host.cancel;
        ended(
            signals::install(cancel)
                .map_err(VerbError::Signals)
                .and_then(|()| run_isolated(config, run, words, &host)),
        )
    });
    isolated.unwrap_or_else(|error| {
        terminal::complain_about(&VerbError::Host(error));
        exit::FAILED
    })
}

fn ended(result: Result<i32, VerbError>) -> u8 {
    match result {
        Ok(status) => u8::try_from(status).unwrap_or(exit::FAILED),
        Err(error) if error.is_interruption() => exit::INTERRUPTED,
        Err(error) => {
            terminal::complain_about(&error);
            exit::FAILED
        }
    }
}

/// A directory that only this run sees: [`namespace::isolate`] mounts memory there.
pub(super) const PRIVATE: &str = "/run/systemd/nspawn";

fn run_isolated(
    config: &Config,
    run: Run,
    words: &[OsString],
    host: &Host,
) -> Result<i32, VerbError> {
    let attached = if config.format.is_tree() {
        None
    } else {
        Some(attach(config, host)?)
    };
    let image: &Path = attached.as_ref().map_or(&config.output, |a| a.path());
    let stacked = Stacked::open(config, image, Path::new(PRIVATE), host)?;
    let root = stacked.as_ref().map_or(image, Stacked::path);
    let mut command = nspawn(config, run)
        .args(["--register=no", "--keep-unit"])
        .arg(option("--directory=", root.as_os_str()));
    for part in attached.iter().flat_map(AttachedImage::apart) {
        command = command.arg(bind(part));
    }
    if run == Run::Shell && !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        // Else the container has a terminal that nothing is ever typed on: a shell would wait for ever.
        command = command.arg("--console=pipe");
    }
    if config.read_only && run == Run::Shell && !root.join("etc/resolv.conf").exists() {
        // It could not be made for the host's name servers.
        command = command.arg("--resolv-conf=off");
    }
    let settings = Artifacts::new(&config.output).nspawn();
    if settings.is_file() {
        let name = format!("{}.nspawn", machine(config));
        let target = Path::new(PRIVATE).join(name);
        fs::copy(&settings, &target).map_err(|source| VerbError::File {
            path: settings,
            source,
        })?;
        command = command.arg("--settings=trusted");
    } else {
        command = command.arg("--settings=no");
    }
    command = found_by_ssh(command, config, run)?;
    let status = host
        .interactive(passed_on(command, run, words))
        .map_err(VerbError::Command)?;
    if let Some(stacked) = stacked {
        stacked.close()?;
    }
    if let Some(attached) = attached {
        attached
            .close()
            .map_err(|source| attach_error(config, source))?;
    }
    Ok(status)
}

fn attach(config: &Config, host: &Host) -> Result<AttachedImage, VerbError> {
    let (root, apart) = (
        Path::new(PRIVATE).join("mkosi-image"),
        Path::new(PRIVATE).join("mkosi-data"),
    );
    fs::create_dir_all(&root).map_err(|source| VerbError::Directory {
        path: root.clone(),
        source,
    })?;
    let points = MountPoints {
        root: &root,
        apart: &apart,
    };
    let architecture =
        Architecture::from_name(config.architecture.as_str()).unwrap_or(Architecture::X86_64);
    if config.verity {
        verify(config, architecture, host)?;
    }
    AttachedImage::open(&config.output, architecture, points, config.read_only)
        .map_err(|source| attach_error(config, source))
}

/// Checks the root partition against its root hash: once, as a whole, in place of dm-verity, which
/// would check each block when it is read.
fn verify(config: &Config, architecture: Architecture, host: &Host) -> Result<(), VerbError> {
    let path = Artifacts::new(&config.output).roothash();
    let name = printable_path(Path::new(path.file_name().unwrap_or(path.as_os_str())));
    let failed = |source| VerbError::File {
        path: path.clone(),
        source,
    };
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(source) if source.kind() == io::ErrorKind::NotFound => {
            terminal::complain(format_args!(
                "warning: there is no {name}: the image is run without being checked"
            ));
            return Ok(());
        }
        Err(source) => return Err(failed(source)),
    };
    let hash = disk::verity::parse_hash(&text)
        .ok_or_else(|| failed(io::Error::other("expected 64 hexadecimal digits")))?;
    disk::verify(&config.output, architecture, &hash, host)
        .map_err(|source| attach_error(config, source))?;
    terminal::complain(format_args!(
        "note: the image was checked against {name}; what is read from now on is not checked \
         again, because it runs without dm-verity here"
    ));
    Ok(())
}

fn attach_error(config: &Config, source: DiskError) -> VerbError {
    VerbError::Attach {
        path: config.output.clone(),
        source: Box::new(source),
    }
}

/// The command line up to where the image is.
fn nspawn(config: &Config, run: Run) -> Command {
    let mut command = Command::new("systemd-nspawn")
        .arg("--quiet")
        .arg(format!("--machine={}", machine(config)));
    if run == Run::Boot {
        command = command.arg("--boot");
    }
    if config.network_veth {
        command = command.arg("--network-veth");
    }
    if config.read_only {
        command = command.arg("--read-only");
        if run == Run::Boot {
            // Services want to write below /var: what they write is in memory, and gone in the end.
            command = command.arg("--volatile=overlay");
        }
    }
    command
}

/// Lets `mkosi ssh` find a container that boots.
fn found_by_ssh(command: Command, config: &Config, run: Run) -> Result<Command, VerbError> {
    if run == Run::Boot && config.ssh {
        ssh::announce::container(command, config)
    } else {
        Ok(command)
    }
}

fn passed_on(command: Command, run: Run, words: &[OsString]) -> Command {
    match (run, words.is_empty()) {
        (Run::Shell, true) => command,
        _ => command.arg("--").args(words),
    }
}

/// The machine's name: the image's, as far as host names allow.
fn machine(config: &Config) -> String {
    let stem = Artifacts::new(&config.output).nspawn();
    let stem = stem.file_stem().unwrap_or_default().to_string_lossy();
    let name: String = stem
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .take(64)
        .collect();
    let name = name.trim_matches('-');
    if name.is_empty() {
        "image".to_owned()
    } else {
        name.to_owned()
    }
}

fn bind(part: &Apart) -> OsString {
    let mut option = option("--bind=", part.source.as_os_str());
    option.push(":");
    option.push(&part.target);
    option
}

fn option(name: &str, value: &std::ffi::OsStr) -> OsString {
    let mut option = OsString::from(name);
    option.push(value);
    option
}
