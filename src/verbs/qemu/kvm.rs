//! Whether virtual machines can use the processor directly.
//!
//! That `/dev/kvm` opens says little: inside another virtual machine guests may be started and never
//! get to run. So a guest of eight bytes is run, which ends itself.

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};

use crate::host::{Cancel, Command, CommandError, Host, Quiet};

/// How long the guest may take: it needs milliseconds, qemu's start some more.
const PATIENCE: Duration = Duration::from_secs(3);
/// The size of the guest's memory, which is also its firmware.
const ROM: usize = 64 << 10;
/// Where a processor of the PC begins, 16 bytes before the end of its firmware.
const RESET: usize = ROM - 16;
/// `fwait; fninit; mov al, 16; out 0xf4, al; hlt`: does what firmware does first and some hypervisors
/// cannot do for their guests' guests, then writes to a device that ends qemu with the status below.
const CODE: [u8; 8] = [0x9b, 0xdb, 0xe3, 0xb0, 0x10, 0xe6, 0xf4, 0xf4];
/// What qemu's `isa-debug-exit` makes of 16.
const STATUS: i32 = 16 << 1 | 1;

/// Whether a guest of this host's own architecture runs under KVM.
#[must_use]
pub fn works(qemu: &str, architecture: &str, host: &Host) -> bool {
    let opened = File::options().read(true).write(true).open("/dev/kvm");
    if opened.is_err() {
        return false;
    }
    // Others have no such device to end a guest with.
    architecture != "x86_64" || runs_guest(qemu, host)
}

fn runs_guest(qemu: &str, host: &Host) -> bool {
    let Some((rom, path)) = rom() else {
        return false;
    };
    let command = Command::new(qemu)
        .args(["-accel", "kvm", "-machine", "q35", "-m", "16M"])
        .args([
            "-nodefaults",
            "-no-user-config",
            "-no-reboot",
            "-display",
            "none",
        ])
        .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"])
        .args(["-bios", &path])
        .inherit(rom);
    // Its own flag: it is this guest that is stopped, not the program.
    let mut trial = host.clone().with_report(Arc::new(Quiet));
    trial.cancel = Cancel::default();
    let cancel = trial.cancel.clone();
    let (done, wait) = channel::<()>();
    let result = std::thread::scope(|scope| {
        scope.spawn(move || {
            if wait.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                cancel.cancel_at_once();
            }
        });
        let result = trial.run(command);
        drop(done);
        result
    });
    matches!(
        result,
        Err(CommandError::Failed {
            code: Some(STATUS),
            ..
        })
    )
}

fn rom() -> Option<(std::os::fd::OwnedFd, String)> {
    use std::os::fd::AsRawFd as _;
    let mut bytes = vec![0xf4; ROM];
    bytes[RESET..RESET + CODE.len()].copy_from_slice(&CODE);
    let mut file = File::from(memfd_create("mkosi-guest", MemfdFlags::CLOEXEC).ok()?);
    file.write_all(&bytes).ok()?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    Some((file.into(), path))
}
