//! Root logs in on the consoles by itself.

use super::error::TreeError;
use super::root::Root;

/// The units that ask for a name, with what each gives agetty besides.
const GETTYS: [(&str, &str); 3] = [
    (
        "console-getty.service",
        "--noclear --keep-baud console 115200,38400,9600 $TERM",
    ),
    ("getty@tty1.service", "--noclear %I $TERM"),
    (
        "serial-getty@.service",
        "--keep-baud 115200,57600,38400,9600 %I $TERM",
    ),
];
/// The name of the drop-ins.
const DROP_IN: &str = "autologin.conf";

/// Makes root log in by itself on the virtual, the serial and a container's console. Whether root has
/// a password does not matter there.
///
/// # Errors
/// When a file cannot be written.
pub fn set_autologin(root: &Root) -> Result<(), TreeError> {
    for (unit, arguments) in GETTYS {
        let text = format!(
            "[Service]\nExecStart=\n\
             ExecStart=-/sbin/agetty --autologin root -o '-p -f -- \\\\u' {arguments}\n"
        );
        let path = format!("etc/systemd/system/{unit}.d/{DROP_IN}");
        root.write(path, text, 0o644)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_console_has_a_drop_in() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::open(directory.path()).unwrap();
        set_autologin(&root).unwrap();
        let text = |unit: &str| {
            let path = format!("etc/systemd/system/{unit}.d/autologin.conf");
            String::from_utf8(root.read(path).unwrap()).unwrap()
        };
        assert_eq!(
            text("serial-getty@.service"),
            "[Service]\nExecStart=\nExecStart=-/sbin/agetty --autologin root -o '-p -f -- \\\\u' \
             --keep-baud 115200,57600,38400,9600 %I $TERM\n"
        );
        assert!(text("getty@tty1.service").contains("--noclear %I $TERM"));
        assert!(text("console-getty.service").contains("9600 $TERM"));
    }
}
