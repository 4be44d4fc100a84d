//! The command line of a virtual machine.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::host::Command;
use crate::tree::ssh::{KEYS_PORT, LINK_ADDRESS, LINK_HARDWARE, LINK_HOST, LINK_NETWORK};

/// A virtual machine.
#[derive(Clone, Copy, Debug)]
pub struct Machine<'a> {
    /// qemu.
    pub program: &'a str,
    /// The kernel's name of the architecture.
    pub architecture: &'a str,
    /// The processor is used directly.
    pub kvm: bool,
    /// Processors.
    pub processors: u32,
    /// Memory in bytes.
    pub memory: u64,
    /// There is no window.
    pub headless: bool,
    /// The disk.
    pub image: &'a Path,
    /// The disk is in QCOW2's form.
    pub qcow2: bool,
    /// What is written to the disk is thrown away.
    pub throw_away: bool,
    /// Firmware's code and variable store, unless a BIOS starts the disk.
    pub firmware: Option<(&'a Path, &'a Path)>,
    /// The firmware checks signatures.
    pub secure: bool,
    /// The host's end of a network link of its own.
    pub tap: Option<&'a str>,
    /// How `mkosi ssh` reaches it, if it does.
    pub ssh: Option<Access<'a>>,
    /// Words for the kernel's command line, where the image lets somebody else add any.
    pub kernel_words: Option<&'a str>,
}

/// How a machine's ssh server is reached from this host.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// The port of this host's own address that leads there.
    pub port: u16,
    /// Where the machine's public host keys are written.
    pub keys: &'a Path,
}

impl Machine<'_> {
    /// The command, with the user's arguments last so that they win.
    #[must_use]
    pub fn command(&self, words: &[OsString]) -> Command {
        let x86 = matches!(self.architecture, "x86_64" | "i686" | "x86");
        let machine = match (x86, self.secure) {
            // The variable store can only be written in system management mode then.
            (true, true) => "q35,smm=on",
            (true, false) => "q35",
            (false, _) => "virt",
        };
        let accelerator = if self.kvm { "kvm" } else { "tcg,thread=multi" };
        let processor = if self.kvm { "host" } else { "max" };
        let mut command = Command::new(self.program)
            .args(["-machine", machine])
            .args(["-accel", accelerator, "-cpu", processor])
            .args(["-smp".to_owned(), self.processors.to_string()])
            .args([
                "-m".to_owned(),
                format!("{}M", self.memory.div_ceil(1 << 20)),
            ])
            .args(["-object", "rng-random,filename=/dev/urandom,id=rng0"])
            .args(["-device", "virtio-rng-pci,rng=rng0,id=rng-device0"]);
        if let Some((code, variables)) = self.firmware {
            if self.secure && x86 {
                command = command.args(["-global", "driver=cfi.pflash01,property=secure,value=on"]);
            }
            let code = option("if=pflash,format=raw,unit=0,readonly=on,file=", code);
            let variables = option("if=pflash,format=raw,unit=1,file=", variables);
            command = command.arg("-drive").arg(code);
            command = command.arg("-drive").arg(variables);
        }
        let mut disk = String::from("if=virtio,discard=unmap,format=");
        disk.push_str(if self.qcow2 { "qcow2" } else { "raw" });
        if self.throw_away {
            disk.push_str(",snapshot=on");
        }
        disk.push_str(",file=");
        command = command.arg("-drive").arg(option(&disk, self.image));
        let network = match self.tap {
            Some(name) => format!("tap,ifname={name},script=no,downscript=no,model=virtio-net-pci"),
            None => "user,model=virtio-net-pci".to_owned(),
        };
        command = command.args(["-nic", &network]);
        if let Some(access) = self.ssh {
            command = ssh_link(command, access);
        }
        // The guest's first serial console is the terminal, together with qemu's own prompt.
        command = command.args(["-serial", "mon:stdio"]);
        if self.headless {
            command = command.args(["-display", "none"]);
            command = command.args(["-vga", "none"]);
        }
        if let Some(words) = self.kernel_words {
            for reader in ["stub", "boot"] {
                let text = format!("io.systemd.{reader}.kernel-cmdline-extra={words}");
                let value = option("type=11,value=", Path::new(&text));
                command = command.arg("-smbios").arg(value);
            }
        }
        command.args(words)
    }
}

/// A network link for nothing but ssh, from this host alone, and a serial port by which the machine
/// tells its public host keys. The link is one more than others, which stay as they are.
fn ssh_link(command: Command, access: Access<'_>) -> Command {
    let link = format!(
        "user,id=mkosi-ssh,restrict=on,ipv6=off,net={LINK_NETWORK},host={LINK_HOST},\
         dhcpstart={LINK_ADDRESS},hostfwd=tcp:127.0.0.1:{}-{LINK_ADDRESS}:22",
        access.port
    );
    let card = format!("virtio-net-pci,netdev=mkosi-ssh,romfile=,mac={LINK_HARDWARE}");
    let port = format!("virtserialport,chardev=mkosi-ssh-keys,name={KEYS_PORT}");
    command
        .args(["-netdev", &link, "-device", &card])
        .arg("-chardev")
        .arg(option("file,id=mkosi-ssh-keys,path=", access.keys))
        .args(["-device", "virtio-serial-pci", "-device", &port])
}

/// An option that ends in a path: a comma in it would begin the next one.
fn option(before: &str, path: &Path) -> OsString {
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    let mut bytes = before.as_bytes().to_vec();
    for &byte in OsStr::as_bytes(path.as_os_str()) {
        if byte == b',' {
            bytes.push(b',');
        }
        bytes.push(byte);
    }
    OsString::from_vec(bytes)
}

/// The serial console that a kernel of this architecture has in qemu.
#[must_use]
pub fn console(architecture: &str) -> &'static str {
    match architecture {
        "aarch64" | "arm" | "armv7l" => "ttyAMA0",
        "s390x" => "ttysclp0",
        "ppc64le" | "ppc64" => "hvc0",
        _ => "ttyS0",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine<'static> {
        Machine {
            program: "qemu-system-x86_64",
            architecture: "x86_64",
            kvm: false,
            processors: 2,
            memory: 1 << 30,
            headless: true,
            image: Path::new("/a,b/image.raw"),
            qcow2: false,
            throw_away: false,
            firmware: None,
            secure: false,
            tap: None,
            ssh: None,
            kernel_words: None,
        }
    }

    #[test]
    fn command_lines() {
        let line = machine().command(&["-m".into(), "2G".into()]).to_string();
        assert_eq!(
            line,
            "qemu-system-x86_64 -machine q35 -accel tcg,thread=multi -cpu max -smp 2 -m 1024M \
             -object rng-random,filename=/dev/urandom,id=rng0 \
             -device virtio-rng-pci,rng=rng0,id=rng-device0 \
             -drive if=virtio,discard=unmap,format=raw,file=/a,,b/image.raw \
             -nic user,model=virtio-net-pci -serial mon:stdio -display none -vga none -m 2G"
        );
        let machine = Machine {
            kvm: true,
            headless: false,
            qcow2: true,
            throw_away: true,
            firmware: Some((Path::new("/code"), Path::new("/vars"))),
            secure: true,
            tap: Some("vt-image"),
            ssh: Some(Access {
                port: 4321,
                keys: Path::new("/keys"),
            }),
            kernel_words: Some("console=ttyS0"),
            ..machine()
        };
        let line = machine.command(&[]).to_string();
        for part in [
            "-machine q35,smm=on -accel kvm -cpu host",
            "-global driver=cfi.pflash01,property=secure,value=on",
            "unit=0,readonly=on,file=/code",
            "unit=1,file=/vars",
            "format=qcow2,snapshot=on,file=",
            "-nic tap,ifname=vt-image,script=no,downscript=no",
            "restrict=on,ipv6=off,net=192.0.2.0/24,",
            "hostfwd=tcp:127.0.0.1:4321-192.0.2.15:22 -device virtio-net-pci,netdev=mkosi-ssh",
            "-chardev file,id=mkosi-ssh-keys,path=/keys -device virtio-serial-pci",
            "type=11,value=io.systemd.stub.kernel-cmdline-extra=console=ttyS0",
        ] {
            assert!(line.contains(part), "{part} in {line}");
        }
        assert!(!line.contains("-display"), "{line}");
    }
}
