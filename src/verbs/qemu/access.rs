//! What lets `mkosi ssh` find a virtual machine and know it from others.

use std::fs::File;
use std::io::{self, Read as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::pipe::pipe;

use crate::config::Config;
use crate::host::Command;
use crate::verbs::VerbError;
use crate::verbs::ssh::announce;

/// So much of what a machine says of its keys is kept: several boots' worth.
const LIMIT: u64 = 64 << 10;

/// A way to the machine's ssh server.
pub(super) struct Access {
    /// The port of this host's own address.
    pub port: u16,
    /// Where qemu writes what the machine says of its keys.
    pub keys: PathBuf,
    /// That, for qemu: a pipe.
    said: OwnedFd,
    /// What of it is kept, in memory: `mkosi ssh` finds it in qemu's hands.
    kept: OwnedFd,
}

impl Access {
    /// Looks for a port that nothing uses, and begins to listen to what the machine will say.
    pub fn open() -> Result<Self, VerbError> {
        let failed = VerbError::Access;
        // Free again when this returns; that somebody else takes it until qemu does is unlikely, and
        // qemu says so.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .map_err(failed)?
            .port();
        let (listen, said) = pipe().map_err(|e| failed(e.into()))?;
        let kept =
            memfd_create("mkosi-ssh-keys", MemfdFlags::CLOEXEC).map_err(|e| failed(e.into()))?;
        let copy = kept.try_clone().map_err(failed)?;
        for fd in [&listen, &said] {
            rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC)
                .map_err(|e| failed(e.into()))?;
        }
        std::thread::Builder::new()
            .name("ssh-keys".to_owned())
            .spawn(move || keep(File::from(listen), &File::from(copy)))
            .map_err(failed)?;
        Ok(Self {
            port,
            keys: format!("/proc/self/fd/{}", said.as_raw_fd()).into(),
            said,
            kept,
        })
    }

    /// Lets the command be found as the machine that runs the configuration's image.
    pub fn tell(self, command: Command, config: &Config) -> Result<Command, VerbError> {
        let command = announce::machine(command, config, self.port, self.kept.as_raw_fd())?;
        Ok(command.inherit(self.said).inherit(self.kept))
    }
}

/// Keeps the first [`LIMIT`] bytes. The rest is read, too: the machine would wait otherwise.
fn keep(mut from: File, to: &File) {
    let mut at = 0;
    let mut buffer = [0; 4096];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(size) if at + size as u64 <= LIMIT => {
                if to.write_all_at(&buffer[..size], at).is_ok() {
                    at += size as u64;
                }
            }
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}
