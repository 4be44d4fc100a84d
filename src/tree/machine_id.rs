//! `/etc/machine-id`: empty, so that each machine that boots the image gets its own, or fixed.

use super::error::TreeError;
use super::root::Root;
use super::shown::shown;

/// As systemd makes it: nobody writes it by mistake.
const MODE: u32 = 0o444;

/// Where D-Bus keeps a machine id of its own.
const DBUS: &str = "var/lib/dbus/machine-id";

/// A machine id in the form of the file: 32 lower-case hexadecimal digits. Capitals, and the dashes
/// of a UUID, are accepted.
///
/// # Errors
/// When it is no machine id.
pub fn parse_machine_id(id: &str) -> Result<String, TreeError> {
    let bare = match id.split('-').map(str::len).collect::<Vec<_>>()[..] {
        [8, 4, 4, 4, 12] => id.replace('-', ""),
        _ => id.to_owned(),
    };
    let digits = bare.len() == 32 && bare.bytes().all(|b| b.is_ascii_hexdigit());
    if !digits || bare.bytes().all(|b| b == b'0') {
        return Err(TreeError::MachineId { id: shown(id) });
    }
    Ok(bare.to_ascii_lowercase())
}

/// Writes the machine id, or an empty file without one: there has to be a file where the root is
/// read-only, for systemd mounts the id of the running system over it.
///
/// A copy that D-Bus' installation left would give every machine the same id; it becomes the link
/// to `/etc/machine-id` that D-Bus itself makes at boot.
///
/// # Errors
/// When the id is none, or a file cannot be written.
pub fn set_machine_id(root: &Root, id: Option<&str>) -> Result<(), TreeError> {
    let content = match id {
        Some(id) => format!("{}\n", parse_machine_id(id)?),
        None => String::new(),
    };
    root.write("etc/machine-id", content, MODE)?;
    if root.exists(DBUS)? {
        root.symlink("/etc/machine-id", DBUS)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_ids_in_both_forms() {
        let want = "0123456789abcdef0123456789abcdef";
        for given in [want, "01234567-89ab-cdef-0123-456789ABCDEF"] {
            assert_eq!(parse_machine_id(given).unwrap(), want);
        }
        for bad in [
            "",
            "0123",
            "00000000000000000000000000000000",
            "0123456789abcdef0123456789abcdeg",
            "0123456-789ab-cdef-0123-456789abcdef",
            "0123456789abcdef0123456789abcdef\n",
        ] {
            assert!(parse_machine_id(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn leaves_no_id_of_the_build_behind() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        set_machine_id(&root, None).unwrap();
        assert_eq!(root.read("etc/machine-id").unwrap(), b"");
        assert!(!root.exists(DBUS).unwrap(), "only where D-Bus is");
        root.write(DBUS, "0123456789abcdef0123456789abcdef\n", 0o644)
            .unwrap();
        set_machine_id(&root, Some("0123456789ABCDEF0123456789abcdef")).unwrap();
        let id = root.read("etc/machine-id").unwrap();
        assert_eq!(id, b"0123456789abcdef0123456789abcdef\n");
        assert_eq!(root.read(DBUS).unwrap(), id);
        assert_eq!(root.metadata("etc/machine-id").unwrap().unwrap().mode, MODE);
    }
}
