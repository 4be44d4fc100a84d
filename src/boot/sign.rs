//! Signs programs for the firmware with sbsign, and checks each signature.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::BootError;
use crate::host::{Command, Host};

/// The programs that signing takes.
pub const TOOLS: [&str; 2] = ["sbsign", "sbverify"];

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
    host.run(command)
        .map_err(BootError::command(|source| BootError::Sign {
            path: program.to_owned(),
            source,
        }))?;
    // sbsign signs with any key: only this shows that who trusts the certificate can start it.
    let check = Command::new("sbverify")
        .arg("--cert")
        .arg(&with.certificate)
        .arg(&signed);
    host.run(check)
        .map_err(BootError::command(|source| BootError::NotThePair {
            certificate: with.certificate.clone(),
            key: with.key.clone(),
            source,
        }))?;
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
        recorder.fail("sbverify", 1, "Signature verification failed");
        let error = sign(&program, &with, &host).unwrap_err();
        assert_eq!(error.to_string(), "/c is not the certificate of /k");
    }
}
