//! Sets a tree up so that whoever has a key can log in as root with ssh.

mod units;

use std::path::Path;

use rustix::fs::{Mode, fchmod};

use self::units::{
    DROP_IN, HOST_KEYS_UNIT, LINK, NETWORK_MANAGER, NETWORKD, PORT_RULE, PRESET, TELL_UNIT,
};
use super::error::TreeError;
use super::root::Root;
use crate::host::Report;

/// The address of the machine's end of the link over which a virtual machine's host reaches its ssh
/// server: of a block that no network uses (RFC 5737).
pub const LINK_ADDRESS: &str = "192.0.2.15";
/// The network of that link, and the host's end.
pub const LINK_NETWORK: &str = "192.0.2.0/24";
/// As above.
pub const LINK_HOST: &str = "192.0.2.2";
/// The hardware address by which the machine recognises that link: locally administered.
pub const LINK_HARDWARE: &str = "52:54:00:6d:6b:73";
/// The serial port through which a virtual machine tells its host its public host keys.
pub const KEYS_PORT: &str = "org.mkosi.ssh";

/// Where units of packages are, and those that skeleton and extra trees bring.
const UNIT_DIRECTORIES: [&str; 3] = [
    "usr/lib/systemd/system",
    "lib/systemd/system",
    "etc/systemd/system",
];
/// What starts a server that stays, by distribution.
const SERVICES: [&str; 2] = ["ssh.service", "sshd.service"];
/// What waits for connections in a server's place.
const SOCKETS: [&str; 2] = ["ssh.socket", "sshd.socket"];
/// Servers for one connection each.
const TEMPLATES: [&str; 2] = ["ssh@.service", "sshd@.service"];
/// Where a unit is enabled.
const AT_BOOT: &str = "etc/systemd/system/multi-user.target.wants";
const AT_SOCKETS: &str = "etc/systemd/system/sockets.target.wants";

/// Makes the tree's ssh server start at boot, make host keys of its own before it does, let in who has
/// the private half of `public_key` (a line of `authorized_keys`), and be reachable in a virtual machine
/// that `mkosi qemu` starts.
///
/// # Errors
/// When there is no server in the tree, or a file cannot be written.
pub fn set_up_ssh(root: &Root, public_key: &str, report: &dyn Report) -> Result<(), TreeError> {
    authorize(root, public_key)?;
    enable(root)?;
    for unit in SERVICES.iter().chain(&TEMPLATES) {
        if find(root, unit)?.is_some() {
            let path = format!("etc/systemd/system/{unit}.d/10-mkosi-host-keys.conf");
            root.write(path, DROP_IN, 0o644)?;
        }
    }
    let unit = |name: &str| format!("etc/systemd/system/{name}");
    root.write(unit("mkosi-ssh-host-keys.service"), HOST_KEYS_UNIT, 0o644)?;
    root.write(unit("mkosi-ssh-tell.service"), TELL_UNIT, 0o644)?;
    link(
        root,
        &unit("mkosi-ssh-tell.service"),
        AT_BOOT,
        "mkosi-ssh-tell.service",
    )?;
    root.write("etc/udev/rules.d/60-mkosi-ssh.rules", PORT_RULE, 0o644)?;
    root.write(
        "usr/lib/systemd/system-preset/10-mkosi-ssh.preset",
        PRESET,
        0o644,
    )?;
    root.write("etc/systemd/network/10-mkosi-ssh.network", LINK, 0o644)?;
    if root.is_dir("etc/NetworkManager")? {
        let path = "etc/NetworkManager/conf.d/10-mkosi-ssh.conf";
        root.write(path, NETWORK_MANAGER, 0o644)?;
    }
    match find(root, NETWORKD)? {
        Some(path) => link(root, &path, AT_BOOT, NETWORKD)?,
        None => report.warn(
            "the image has no systemd-networkd: containers of it can be reached by `mkosi ssh`, but \
             virtual machines can not; add the package that has it to Packages=",
        ),
    }
    Ok(())
}

/// Adds a line to root's keys, once; those that an extra tree brought stay.
fn authorize(root: &Root, public_key: &str) -> Result<(), TreeError> {
    const DIRECTORY: &str = "root/.ssh";
    const FILE: &str = "root/.ssh/authorized_keys";
    root.create_dir_all("root", 0o700)?;
    root.create_dir_all(DIRECTORY, 0o700)?;
    // The server trusts no directory that others can write to, and a checkout's modes are anything.
    let directory = root.open_dir(DIRECTORY)?;
    fchmod(&directory, Mode::RWXU)
        .and_then(|()| root.own(&directory))
        .map_err(|e| root.failed("set the mode of", Path::new(DIRECTORY), e))?;
    let mut text = root.read_if_present(FILE)?.unwrap_or_default();
    let line = public_key.trim_end();
    if !text
        .split(|b| *b == b'\n')
        .any(|l| l.trim_ascii() == line.as_bytes())
    {
        if !text.is_empty() && !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        text.extend_from_slice(line.as_bytes());
        text.push(b'\n');
    }
    root.write(FILE, text, 0o600)
}

/// Makes the server start at boot, unless its package has seen to that.
fn enable(root: &Root) -> Result<(), TreeError> {
    for socket in SOCKETS {
        if root.exists(format!("{AT_SOCKETS}/{socket}"))? {
            return Ok(());
        }
    }
    for (units, place) in [(SERVICES, AT_BOOT), (SOCKETS, AT_SOCKETS)] {
        for unit in units {
            if let Some(path) = find(root, unit)? {
                return link(root, &path, place, unit);
            }
        }
    }
    Err(TreeError::NoSshServer)
}

fn link(root: &Root, unit: &str, place: &str, name: &str) -> Result<(), TreeError> {
    let link = format!("{place}/{name}");
    if root.exists(&link)? {
        return Ok(());
    }
    root.symlink(format!("/{unit}"), link)
}

/// Where a unit is in the tree; one that is masked is none.
fn find(root: &Root, unit: &str) -> Result<Option<String>, TreeError> {
    for directory in UNIT_DIRECTORIES {
        let path = format!("{directory}/{unit}");
        if root.is_file(&path)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::host::Quiet;

    const KEY: &str = "ssh-ed25519 AAAA of image\n";

    fn tree(units: &[&str]) -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        for unit in units {
            root.write(format!("usr/lib/systemd/system/{unit}"), "", 0o644)
                .unwrap();
        }
        (dir, root)
    }

    fn text(root: &Root, path: &str) -> String {
        String::from_utf8(root.read(path).unwrap()).unwrap()
    }

    #[test]
    fn a_server_that_is_not_enabled_is() {
        for (units, enabled) in [
            (
                &["ssh.service", "ssh.socket"][..],
                "multi-user.target.wants/ssh.service",
            ),
            (&["sshd.service"], "multi-user.target.wants/sshd.service"),
            (
                &["sshd.socket", "sshd@.service"],
                "sockets.target.wants/sshd.socket",
            ),
        ] {
            let (_dir, root) = tree(units);
            set_up_ssh(&root, KEY, &Quiet).unwrap();
            let link = root
                .read_link(format!("etc/systemd/system/{enabled}"))
                .unwrap();
            let unit = enabled.rsplit('/').next().unwrap();
            let expected = format!("/usr/lib/systemd/system/{unit}");
            assert_eq!(link.unwrap(), Path::new(&expected));
        }
        let (_dir, root) = tree(&["ssh.service", "ssh.socket", NETWORKD]);
        let socket = format!("{AT_SOCKETS}/ssh.socket");
        root.symlink("/usr/lib/systemd/system/ssh.socket", &socket)
            .unwrap();
        set_up_ssh(&root, KEY, &Quiet).unwrap();
        assert!(!root.exists(format!("{AT_BOOT}/ssh.service")).unwrap());
        assert!(root.exists(format!("{AT_BOOT}/{NETWORKD}")).unwrap());
        assert!(
            root.exists("etc/systemd/system/ssh.service.d/10-mkosi-host-keys.conf")
                .unwrap()
        );
        let (_dir, root) = tree(&[]);
        let error = set_up_ssh(&root, KEY, &Quiet).unwrap_err().to_string();
        assert!(error.contains("no ssh server"), "{error}");
    }

    #[test]
    fn a_masked_server_is_none() {
        let (_dir, root) = tree(&[]);
        root.symlink("/dev/null", "etc/systemd/system/ssh.service")
            .unwrap();
        assert!(set_up_ssh(&root, KEY, &Quiet).is_err());
    }

    #[test]
    fn keys_of_others_stay_and_the_image_s_is_there_once() {
        let (dir, root) = tree(&["ssh.service"]);
        let directory = dir.path().join("root/.ssh");
        fs::create_dir_all(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o775)).unwrap();
        root.write("root/.ssh/authorized_keys", "ssh-rsa BBBB ann", 0o644)
            .unwrap();
        for _ in 0..2 {
            set_up_ssh(&root, KEY, &Quiet).unwrap();
        }
        assert_eq!(
            text(&root, "root/.ssh/authorized_keys"),
            "ssh-rsa BBBB ann\nssh-ed25519 AAAA of image\n"
        );
        let mode = |path: &str| root.metadata(path).unwrap().unwrap().mode;
        assert_eq!(mode("root/.ssh"), 0o700);
        assert_eq!(mode("root/.ssh/authorized_keys"), 0o600);
    }

    #[test]
    fn links_in_the_tree_do_not_lead_out_of_it() {
        let outside = tempfile::tempdir().unwrap();
        let (_dir, root) = tree(&["ssh.service"]);
        root.symlink(outside.path(), "root").unwrap();
        root.symlink(outside.path(), "etc/systemd/network").unwrap();
        let _ = set_up_ssh(&root, KEY, &Quiet);
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }
}
