//! Finds out before any work whether a key and a certificate can sign programs for the firmware.

use std::fs;

use zeroize::Zeroizing;

use super::{BootError, SigningKey, keys, read_certificate};
use crate::host::{Command, CommandError, Host, Stdout};

/// How PEM says that a private key is encrypted: PKCS#8, and what came before it.
const ENCRYPTED: [&str; 2] = ["-----BEGIN ENCRYPTED PRIVATE KEY-----", "Proc-Type: 4,ENC"];

/// Checks that both can be read, belong together, and that the certificate is valid today.
///
/// # Errors
/// What is wrong with which of them, and what to do.
pub fn check_pair(with: &SigningKey, host: &Host) -> Result<(), BootError> {
    read_certificate(&with.certificate)?;
    let text = fs::read(&with.key).map_err(BootError::io("read", &with.key))?;
    let text = Zeroizing::new(text);
    let has = |mark: &str| text.windows(mark.len()).any(|part| part == mark.as_bytes());
    if ENCRYPTED.into_iter().any(has) {
        return Err(BootError::KeyEncrypted {
            path: with.key.clone(),
        });
    }
    let of_certificate = Command::new(keys::TOOL)
        .args(["x509", "-noout", "-pubkey", "-in"])
        .arg(&with.certificate);
    let none = BootError::refused(&with.certificate, |path| BootError::NoCertificate { path });
    let of_certificate = printed(of_certificate, host, none)?;
    // Should it want a passphrase all the same, it is not to ask for one.
    let of_key = Command::new(keys::TOOL)
        .args(["pkey", "-pubout", "-passin", "pass:", "-in"])
        .arg(&with.key);
    let of_key = printed(of_key, host, |source| BootError::NoKey {
        path: with.key.clone(),
        source,
    })?;
    if of_key != of_certificate {
        return Err(BootError::NotOfOnePair {
            certificate: with.certificate.clone(),
            key: with.key.clone(),
        });
    }
    let valid = Command::new(keys::TOOL)
        .args(["x509", "-noout", "-checkend", "0", "-in"])
        .arg(&with.certificate);
    let expired = BootError::refused(&with.certificate, |path| BootError::Expired { path });
    host.run(valid).map_err(BootError::command(expired))?;
    Ok(())
}

/// What a command prints, without the white space around it.
fn printed(
    command: Command,
    host: &Host,
    failed: impl FnOnce(CommandError) -> BootError,
) -> Result<Vec<u8>, BootError> {
    let output = host
        .run(command.stdout(Stdout::Capture))
        .map_err(BootError::command(failed))?;
    Ok(output.stdout.trim_ascii().to_vec())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::host::{Cancel, HostRunner, Quiet};

    fn openssl(directory: &Path, arguments: &str) {
        let done = std::process::Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(directory)
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
    }

    #[test]
    fn what_cannot_sign_is_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        for name in ["one", "two"] {
            openssl(
                at,
                &format!(
                    "req -new -x509 -nodes -batch -newkey rsa:2048 -subj /CN=x -days 2 \
                     -keyout {name}.key -out {name}.crt"
                ),
            );
        }
        openssl(at, "req -new -batch -key one.key -subj /CN=x -out old.csr");
        openssl(
            at,
            "x509 -req -in old.csr -signkey one.key -days -1 -out old.crt",
        );
        openssl(
            at,
            "pkcs8 -topk8 -in one.key -passout pass:geheim -out locked.key",
        );
        openssl(
            at,
            "rsa -in one.key -aes256 -traditional -passout pass:geheim -out older.key",
        );
        let short = "-----BEGIN CERTIFICATE-----\nMIICAAAA\n-----END CERTIFICATE-----\n";
        fs::write(at.join("short.crt"), short).unwrap();
        let host = Host::new(Arc::new(HostRunner), Arc::new(Quiet), Cancel::default());
        let check = |key: &str, certificate: &str| {
            let with = SigningKey {
                key: at.join(key),
                certificate: at.join(certificate),
            };
            let error = check_pair(&with, &host).err()?.to_string();
            Some(error.replace(&format!("{}/", at.display()), ""))
        };
        for (key, certificate, expected) in [
            ("one.key", "one.crt", None),
            (
                "two.key",
                "one.crt",
                Some("one.crt is not the certificate of two.key"),
            ),
            (
                "one.key",
                "old.crt",
                Some("the certificate old.crt is no longer valid"),
            ),
            (
                "locked.key",
                "one.crt",
                Some("the key locked.key is encrypted"),
            ),
            (
                "older.key",
                "one.crt",
                Some("the key older.key is encrypted"),
            ),
            (
                "one.crt",
                "one.crt",
                Some("one.crt is no private key in PEM"),
            ),
            (
                "one.key",
                "one.key",
                Some("one.key is no X.509 certificate in PEM"),
            ),
            (
                "one.key",
                "short.crt",
                Some("short.crt is no X.509 certificate in PEM"),
            ),
            ("none", "one.crt", Some("cannot read none")),
            ("one.key", "none", Some("cannot read none")),
        ] {
            let error = check(key, certificate);
            match expected {
                None => assert_eq!(error, None),
                Some(part) => {
                    let error = error.unwrap_or_default();
                    assert!(error.starts_with(part), "{error}");
                    assert!(!error.contains("geheim"));
                }
            }
        }
    }
}
