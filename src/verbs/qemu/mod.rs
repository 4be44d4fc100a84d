//! `mkosi qemu`: the image in a virtual machine, its console on the caller's terminal.

mod access;
pub(super) mod firmware;
pub(super) mod kvm;
mod machine;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, memfd_create};

use self::access::Access;
use self::machine::Machine;
use super::{VerbError, exit, terminal};
use crate::boot::{read_certificate, variables};
use crate::config::values::{BootProtocol, Tristate};
use crate::config::{Config, Context};
use crate::host::{Host, is_root};

/// Where distributions keep firmware.
const SHARE: &str = "/usr/share";
/// The longest name of a network link (`IFNAMSIZ` without the zero).
const LONGEST_LINK: usize = 15;

/// Says why an image of this configuration cannot run in a virtual machine, if so.
///
/// # Errors
/// The reason, with what to do instead.
pub fn check(config: &Config) -> Result<(), VerbError> {
    let reason = if !config.format.is_disk() {
        "it is no disk image; Format=gpt_ext4 and its like are, or `mkosi boot` runs it in a container"
    } else if !config.bootable {
        "it has no kernel and no boot loader; build it with Bootable=yes, or `mkosi boot` runs it in \
         a container"
    } else if config.xz || config.compress_output.is_some() {
        "it is compressed as a whole; unpack it first, or build it without XZ="
    } else if config.network_veth && !is_root() {
        "NetworkVeth=yes makes a network link, which needs root; run it again with sudo"
    } else {
        return Ok(());
    };
    Err(VerbError::NotHere {
        verb: "qemu",
        reason: reason.to_owned(),
    })
}

/// Runs the image; the exit status is qemu's.
pub fn run(config: &Config, context: &Context, words: &[OsString]) -> u8 {
    match start(config, context, words) {
        Ok(status) => u8::try_from(status).unwrap_or(exit::FAILED),
        Err(error) if error.is_interruption() => exit::INTERRUPTED,
        Err(error) => {
            terminal::complain_about(&error);
            match error {
                VerbError::Host(_) | VerbError::NotHere { .. } => exit::USAGE,
                _ => exit::FAILED,
            }
        }
    }
}

fn start(config: &Config, context: &Context, words: &[OsString]) -> Result<i32, VerbError> {
    let host = super::host(config);
    let architecture = config.architecture.as_str();
    let program = program(architecture);
    host.require(&[&program]).map_err(VerbError::Host)?;
    let firmware = firmware(config)?;
    let kvm = accelerates(config, &program, &host)?;
    let display = ["DISPLAY", "WAYLAND_DISPLAY"];
    let windows = display.iter().any(|name| context.variable(name).is_some());
    if !config.qemu_headless && !windows {
        note("there is no display for a window: only the serial console is shown");
    }
    let headless = config.qemu_headless || !windows;
    let console = format!("console={}", machine::console(architecture));
    let silent = headless && !config.kernel_command_line.contains(&console);
    if silent {
        note(&format!(
            "KernelCommandLine= has no {console}: an image with a systemd before 254 prints little here"
        ));
    }
    let access = config.ssh.then(Access::open).transpose()?;
    let tap = config.network_veth.then(|| link(config));
    let machine = Machine {
        program: &program,
        architecture,
        kvm,
        processors: config.qemu_smp,
        memory: config.qemu_mem.bytes(),
        headless,
        image: &config.output,
        qcow2: config.qcow2,
        // Nothing in it will ever be written, but by mistake.
        throw_away: config.read_only,
        firmware: firmware
            .as_ref()
            .map(|store| (store.code.as_path(), store.path.as_path())),
        secure: config.secure_boot && firmware.is_some(),
        tap: tap.as_deref(),
        ssh: access.as_ref().map(|access| machine::Access {
            port: access.port,
            keys: &access.keys,
        }),
        kernel_words: silent.then_some(console.as_str()),
    };
    let mut command = machine.command(words);
    if let Some(store) = firmware.map(|store| store.memory) {
        command = command.inherit(store);
    }
    if let Some(access) = access {
        command = access.tell(command, config)?;
    }
    host.interactive(command).map_err(VerbError::Command)
}

fn note(text: &str) {
    terminal::complain(format_args!("note: {text}"));
}

pub(super) fn program(architecture: &str) -> String {
    let name = match architecture {
        "i686" => "i386",
        "armv7l" => "arm",
        "ppc64le" => "ppc64",
        other => other,
    };
    format!("qemu-system-{name}")
}

/// Firmware, and a variable store in memory that goes with the machine.
struct Store {
    code: PathBuf,
    /// Where qemu finds the store.
    path: PathBuf,
    memory: OwnedFd,
}

/// The firmware for the image, with a fresh variable store; `None` where a BIOS starts it. Where the
/// image starts from both, the one named first counts: what the command line names comes before what
/// files name.
fn firmware(config: &Config) -> Result<Option<Store>, VerbError> {
    let architecture = config.architecture.as_str();
    if config.boot_protocols.first() != Some(&BootProtocol::Uefi) {
        return Ok(None);
    }
    let found = firmware::find(Path::new(SHARE), architecture, config.secure_boot);
    let found = found.ok_or_else(|| VerbError::NotHere {
        verb: "qemu",
        reason: firmware::advice(architecture),
    })?;
    let failed = |source| VerbError::File {
        path: found.variables.clone(),
        source,
    };
    let mut bytes = fs::read(&found.variables).map_err(failed)?;
    if let (true, Some(path)) = (config.secure_boot, &config.secure_boot_certificate) {
        let certificate = read_certificate(path).map_err(VerbError::Boot)?;
        variables::enroll(&mut bytes, &certificate, &found.variables).map_err(VerbError::Boot)?;
    }
    let memory = memfd_create("mkosi-variables", MemfdFlags::CLOEXEC)
        .map_err(|error| failed(error.into()))?;
    let mut file = File::from(memory);
    file.write_all(&bytes).map_err(failed)?;
    Ok(Some(Store {
        code: found.code,
        path: format!("/proc/self/fd/{}", file.as_raw_fd()).into(),
        memory: file.into(),
    }))
}

/// Whether the machine uses the processor directly.
fn accelerates(config: &Config, program: &str, host: &Host) -> Result<bool, VerbError> {
    if config.qemu_kvm == Tristate::No {
        return Ok(false);
    }
    if kvm::works(program, config.architecture.as_str(), host) {
        return Ok(true);
    }
    if config.qemu_kvm == Tristate::Yes {
        return Err(VerbError::NotHere {
            verb: "qemu",
            reason:
                "QemuKvm=yes, and KVM does not work here (/dev/kvm is missing, may not be used, \
                     or runs no guest); QemuKvm=no emulates the processor, slowly"
                    .to_owned(),
        });
    }
    note("KVM does not work here: the processor is emulated, which is slow");
    Ok(false)
}

/// The name of the host's end of the network link: systemd-networkd configures `vt-*`.
fn link(config: &Config) -> String {
    let stem = config
        .output
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy();
    let name = stem.split('.').next().unwrap_or_default();
    let name: String = name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .collect();
    let mut link = format!("vt-{}", if name.is_empty() { "image" } else { &name });
    link.truncate(LONGEST_LINK);
    link
}
