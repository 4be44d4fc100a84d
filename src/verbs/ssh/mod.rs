//! `mkosi ssh`: logs in to the machine that `mkosi qemu` or `mkosi boot` runs.
//!
//! The machine's host keys are not taken on trust: a virtual machine tells them through a serial port
//! of its own, and those of a container are read from its files.

pub(super) mod announce;
mod known_hosts;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};

use self::announce::Running;
use super::{VerbError, exit, terminal};
use crate::config::Config;
use crate::host::{Command, is_root, printable_path};
use crate::output::Artifacts;
use crate::tree::Root;

/// How long a machine may take until its ssh server has keys: emulated processors are slow.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often it is looked at meanwhile.
const TICK: Duration = Duration::from_millis(250);
/// So much is read of what a machine says.
const LIMIT: u64 = 1 << 20;
/// Where host keys are in a tree.
const HOST_KEYS: &str = "etc/ssh";

/// Logs in, or runs the words as a command; the exit status is ssh's: the command's, or 255.
pub fn run(config: &Config, words: &[OsString]) -> u8 {
    match connect(config, words) {
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

fn connect(config: &Config, words: &[OsString]) -> Result<i32, VerbError> {
    let host = super::host(config);
    let key = Artifacts::new(&config.output).ssh_key();
    check(config, &key)?;
    let machine = announce::find(config)?.ok_or_else(|| not_running(config))?;
    let mut command = match &machine {
        Running::Virtual { port, .. } => {
            host.require(&["ssh"]).map_err(VerbError::Host)?;
            Command::new("ssh").args(["-p".to_owned(), port.to_string()])
        }
        Running::Container { leader } => {
            enter(*leader)?;
            host.require(&["ssh", "nsenter"]).map_err(VerbError::Host)?;
            // Its network is its own; in it, this is the address of its server.
            Command::new("nsenter")
                .arg(format!("--net=/proc/{leader}/ns/net"))
                .arg("--")
                .arg("ssh")
                // It has keys of an earlier boot before it has a server.
                .args(["-o", "ConnectionAttempts=30"])
        }
    };
    let known = known_hosts(&machine, config)?;
    let mut identity = OsString::from("IdentityFile=");
    identity.push(quoted(&key));
    command = command
        // Nothing of the user's own settings is for this machine.
        .args(["-F", "none"])
        .arg("-o")
        .arg(identity)
        .args(["-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"])
        .args(["-o", "PreferredAuthentications=publickey"])
        .args(["-o", "StrictHostKeyChecking=yes", "-o", "CheckHostIP=no"])
        .args(["-o", "UpdateHostKeys=no"])
        .args([
            "-o".to_owned(),
            format!("HostKeyAlias={}", known_hosts::ALIAS),
        ])
        .args(["-o", "GlobalKnownHostsFile=none", "-o"])
        // ssh closes what it inherits: it has to look at this process.
        .arg(format!(
            "UserKnownHostsFile=/proc/{}/fd/{}",
            std::process::id(),
            known.as_raw_fd()
        ))
        .args(["-o", "LogLevel=ERROR"])
        .args(["root@127.0.0.1"])
        .args(words);
    host.interactive(command).map_err(VerbError::Command)
}

fn not_here(reason: String) -> VerbError {
    VerbError::NotHere {
        verb: "ssh",
        reason,
    }
}

/// Says what of this configuration or its image keeps ssh from working.
fn check(config: &Config, key: &Path) -> Result<(), VerbError> {
    if !config.ssh {
        return Err(not_here(
            "Ssh=yes is not set; set it and build the image again, so that it has an ssh server and \
             accepts a key"
                .to_owned(),
        ));
    }
    match File::open(key) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(not_here(format!(
            "there is no key {}: build the image with Ssh=yes",
            printable_path(key)
        ))),
        Err(source) => Err(VerbError::File {
            path: key.to_owned(),
            source,
        }),
    }
}

fn not_running(config: &Config) -> VerbError {
    let how = if config.bootable && config.format.is_disk() {
        "`mkosi qemu`, or `mkosi boot --network-veth`,"
    } else {
        "`mkosi boot --network-veth`"
    };
    let who = if is_root() {
        ""
    } else {
        " (machines of other users, root's too, are not seen: with sudo they are)"
    };
    not_here(format!(
        "it is not running{who}; start it in another terminal: {how} with Ssh=yes"
    ))
}

/// Makes sure that a container's network can be entered, and is its own.
fn enter(leader: u32) -> Result<(), VerbError> {
    if !is_root() {
        return Err(VerbError::NotRoot {
            verb: "ssh (into a container)",
        });
    }
    let network = |process: &str| fs::read_link(format!("/proc/{process}/ns/net")).ok();
    let (its, ours) = (network(&leader.to_string()), network("self"));
    if its.is_some() && its == ours {
        return Err(not_here(
            "the container shares this host's network, whose ssh server may be another one; boot it \
             with NetworkVeth=yes (--network-veth)"
                .to_owned(),
        ));
    }
    Ok(())
}

/// The machine's host keys as a file in memory. Waits for a machine that is still booting.
fn known_hosts(machine: &Running, config: &Config) -> Result<OwnedFd, VerbError> {
    let begun = Instant::now();
    let mut told = false;
    loop {
        let lines = known_hosts::lines(&said(machine)?);
        if !lines.is_empty() {
            return in_memory(&lines);
        }
        if announce::find(config)?.as_ref() != Some(machine) {
            return Err(not_here("it ended before its ssh server was up".to_owned()));
        }
        if begun.elapsed() > PATIENCE {
            return Err(not_here(format!(
                "it runs, but has told no host keys for {} seconds: it is stuck, or its image was \
                 built without Ssh=yes",
                PATIENCE.as_secs()
            )));
        }
        if !told && begun.elapsed() > TICK * 4 {
            told = true;
            terminal::complain("note: waiting until the machine has booted");
        }
        std::thread::sleep(TICK);
    }
}

/// What the machine says of its public host keys: nothing yet, maybe.
fn said(machine: &Running) -> Result<Vec<u8>, VerbError> {
    match machine {
        Running::Virtual { keys, .. } => {
            let mut bytes = Vec::new();
            match File::open(keys).and_then(|file| file.take(LIMIT).read_to_end(&mut bytes)) {
                // It may have ended.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
                Err(source) => Err(VerbError::File {
                    path: keys.clone(),
                    source,
                }),
                // The last line may be half of one.
                Ok(_) => {
                    let end = bytes.iter().rposition(|byte| *byte == b'\n');
                    bytes.truncate(end.map_or(0, |end| end + 1));
                    Ok(bytes)
                }
            }
        }
        Running::Container { leader } => Ok(in_tree(&format!("/proc/{leader}/root").into())),
    }
}

/// The host keys in a container's tree, whose links lead nowhere else.
fn in_tree(path: &PathBuf) -> Vec<u8> {
    let mut bytes = Vec::new();
    let Ok(root) = Root::open(path) else {
        return bytes;
    };
    for entry in root.list(HOST_KEYS).unwrap_or_default() {
        let name = entry.name.to_string_lossy();
        if name.starts_with("ssh_host_") && name.ends_with("_key.pub") {
            let key = root.read(Path::new(HOST_KEYS).join(&entry.name));
            bytes.extend(key.unwrap_or_default());
            bytes.push(b'\n');
        }
    }
    bytes
}

fn in_memory(lines: &str) -> Result<OwnedFd, VerbError> {
    let memory = memfd_create("mkosi-known-hosts", MemfdFlags::CLOEXEC)
        .map_err(|e| VerbError::Access(e.into()))?;
    let mut file = File::from(memory);
    file.write_all(lines.as_bytes())
        .map_err(VerbError::Access)?;
    Ok(file.into())
}

/// A path in ssh's settings: `%` begins something else there, and white space ends it.
fn quoted(path: &Path) -> OsString {
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    let mut bytes = vec![b'"'];
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'%' => bytes.push(b'%'),
            b'"' | b'\\' => bytes.push(b'\\'),
            _ => {}
        }
        bytes.push(byte);
    }
    bytes.push(b'"');
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_in_settings_of_ssh() {
        for (path, expected) in [
            ("/a/image.ssh", "\"/a/image.ssh\""),
            ("/a b/50%", "\"/a b/50%%\""),
            ("/a\"b\\c", "\"/a\\\"b\\\\c\""),
        ] {
            assert_eq!(quoted(Path::new(path)), OsString::from(expected));
        }
    }
}
