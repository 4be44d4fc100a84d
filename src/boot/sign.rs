//! Signs programs for the firmware with sbsign, and checks each signature.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::BootError;
use crate::host::{Command, CommandError, Host};

/// The programs that signing takes.
pub const TOOLS: [&str; 2] = ["sbsign", "sbverify"];

/// What OpenSSL says, through sbsign, about a key and the certificate of another.
const MISMATCH: &str = "key values mismatch";

/// What to sign with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SigningKey {
    /// The private key, PEM.
    pub key: PathBuf,
    /// Its certificate, PEM.
    pub certificate: PathBuf,
}

/// Signs a program in place.
///
/// # Errors
/// What sbsign says, or that the certificate is that of another key.
pub fn sign(program: &Path, with: &SigningKey, host: &Host) -> Result<(), BootError> {
    let mut signed = program.as_os_str().to_owned();
    signed.push(".signed");
    let signed = PathBuf::from(signed);
    let command = Command::new("sbsign")
        .arg("--key")
        .arg(&with.key)
        .arg("--cert")
        .arg(&with.certificate)
        .arg("--output")
        .arg(&signed)
        .arg(program);
    let no_pair = |source| BootError::NotThePair {
        certificate: with.certificate.clone(),
        key: with.key.clone(),
        source,
    };
    host.run(command)
        .map_err(BootError::command(|source| match &source {
            CommandError::Failed { tail, .. } if tail.contains(MISMATCH) => no_pair(source),
            _ => BootError::Sign {
                path: program.to_owned(),
                source,
            },
        }))?;
    // Not every release of sbsign compares key and certificate: this shows that who trusts the
    // certificate can start the program.
    let check = Command::new("sbverify")
        .arg("--cert")
        .arg(&with.certificate)
        .arg(&signed);
    host.run(check).map_err(BootError::command(no_pair))?;
    fs::rename(&signed, program).map_err(BootError::io("put in place", program))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::host::{Cancel, Quiet, Recorder};

    #[test]
    fn signatures_are_checked_before_they_count() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("a.efi");
        fs::write(&program, "old").unwrap();
        let with = SigningKey {
            key: "/k".into(),
            certificate: "/c".into(),
        };
        let recorder = Arc::new(Recorder::default());
        let host = Host::new(recorder.clone(), Arc::new(Quiet), Cancel::default());
        let signed = directory.path().join("a.efi.signed");
        recorder.on("sbsign", move |_| {
            fs::write(&signed, "new").unwrap();
            Ok(Vec::new())
        });
        sign(&program, &with, &host).unwrap();
        assert_eq!(fs::read(&program).unwrap(), b"new");
        for (tool, message, expected) in [
            (
                "sbverify",
                "Signature verification failed",
                "/c is not the certificate of /k",
            ),
            (
                "sbsign",
                "error: X509_check_private_key:key values mismatch",
                "/c is not the certificate of /k",
            ),
            ("sbsign", "Invalid DOS header magic", "cannot sign /"),
        ] {
            recorder.fail(tool, 1, message);
            let error = sign(&program, &with, &host).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
