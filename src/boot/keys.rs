//! Makes a key to sign with, and its certificate.

use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;

use super::{BootError, SigningKey};
use crate::host::{Command, Host};

/// The program that makes keys.
pub const TOOL: &str = "openssl";
/// Bits of a key: what every firmware can check.
const BITS: u32 = 2048;

/// A key to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewKey<'a> {
    /// Where key and certificate go.
    pub pair: &'a SigningKey,
    /// Whom the certificate names.
    pub common_name: &'a str,
    /// For how many days it is valid.
    pub days: u32,
    /// Whose the files shall be.
    pub owner: Option<(u32, u32)>,
}

/// Makes a key and its certificate. What has their names is replaced.
///
/// # Errors
/// What openssl says, or that a file cannot be written.
pub fn generate(new: &NewKey<'_>, host: &Host) -> Result<(), BootError> {
    let directory = new.pair.key.parent().unwrap_or(Path::new("."));
    // The key is made where nobody else can read it, on the same file system.
    let work = tempfile::Builder::new()
        .prefix(".mkosi-key-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(directory)
        .map_err(BootError::io("create a directory in", directory))?;
    let (settings, key, certificate) = (
        work.path().join("settings"),
        work.path().join("key"),
        work.path().join("certificate"),
    );
    File::create_new(&settings)
        .and_then(|mut file| file.write_all(text(new.common_name).as_bytes()))
        .map_err(BootError::io("write", &settings))?;
    let command = Command::new(TOOL)
        .args([
            "req", "-new", "-x509", "-utf8", "-sha256", "-nodes", "-batch",
        ])
        .args(["-newkey".to_owned(), format!("rsa:{BITS}")])
        .args(["-days".to_owned(), new.days.to_string()])
        .arg("-config")
        .arg(&settings)
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate);
    host.run(command)
        .map_err(BootError::command(BootError::Key))?;
    for (made, target, mode) in [
        (&key, &new.pair.key, 0o600),
        (&certificate, &new.pair.certificate, 0o644),
    ] {
        let place = || {
            fs::set_permissions(made, Permissions::from_mode(mode))?;
            if let Some((uid, gid)) = new.owner {
                chown(made, Some(uid), Some(gid))?;
            }
            match fs::rename(made, target) {
                // Key and certificate may be asked for on two file systems.
                Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => {
                    fs::copy(made, target).map(drop)
                }
                other => other,
            }
        };
        place().map_err(BootError::io("write", target))?;
    }
    Ok(())
}

/// openssl's settings. In them `\` and `$` are special, `#` begins a comment.
fn text(common_name: &str) -> String {
    let mut name = String::new();
    for c in common_name.chars().filter(|c| !c.is_control()) {
        if matches!(c, '\\' | '$' | '#' | '"' | '\'' | ';') {
            name.push('\\');
        }
        name.push(c);
    }
    format!(
        "[req]\nprompt = no\ndistinguished_name = name\nx509_extensions = extensions\n\
         string_mask = utf8only\n\n[name]\ncommonName = {name}\n\n[extensions]\n\
         basicConstraints = critical, CA:FALSE\nkeyUsage = digitalSignature\n\
         extendedKeyUsage = codeSigning\nsubjectKeyIdentifier = hash\n"
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::host::{Cancel, Quiet, Recorder};

    #[test]
    fn keys_are_private() {
        let directory = tempfile::tempdir().unwrap();
        let pair = SigningKey {
            key: directory.path().join("k"),
            certificate: directory.path().join("c"),
        };
        let recorder = Arc::new(Recorder::default());
        let at = directory.path().to_owned();
        recorder.on("openssl", move |_| {
            let work = fs::read_dir(&at).unwrap().next().unwrap().unwrap().path();
            assert_eq!(
                work.metadata().unwrap().permissions().mode() & 0o7777,
                0o700
            );
            fs::write(work.join("key"), "K").unwrap();
            fs::write(work.join("certificate"), "C").unwrap();
            Ok(Vec::new())
        });
        let host = Host::new(recorder, Arc::new(Quiet), Cancel::default());
        let new = NewKey {
            pair: &pair,
            common_name: "me",
            days: 3,
            owner: None,
        };
        generate(&new, &host).unwrap();
        assert_eq!(fs::read(&pair.key).unwrap(), b"K");
        assert_eq!(
            pair.key.metadata().unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn names_cannot_change_the_settings() {
        let text = text("a\nb = ${ENV::HOME} # \\");
        assert!(
            text.contains("commonName = ab = \\${ENV::HOME} \\# \\\\\n"),
            "{text}"
        );
    }
}
