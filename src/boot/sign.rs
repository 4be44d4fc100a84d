//! Signs programs for the firmware, and checks each signature.
//!
//! sbsign is what people know, but it always writes the time into what it signs. osslsigncode can be
//! told which time that is.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{BootError, keys};
use crate::host::{Command, Host, fail_point};

/// Signs with the time of now.
const AT_ANY_TIME: &str = "sbsign";
/// Signs with a given time.
const AT_THIS_TIME: &str = "osslsigncode";
/// Checks signatures of either.
const CHECKS: &str = "sbverify";

/// What to sign with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SigningKey {
    /// The private key, PEM.
    pub key: PathBuf,
    /// Its certificate, PEM.
    pub certificate: PathBuf,
}

/// The programs that signing takes; `fixed` when the time it happens is to be a given one.
#[must_use]
pub fn tools(fixed: bool) -> [&'static str; 3] {
    let signs = if fixed { AT_THIS_TIME } else { AT_ANY_TIME };
    [signs, CHECKS, keys::TOOL]
}

/// Signs a program in place. With the time in `at`, in seconds since 1970, a key of RSA always makes
/// the same of the same; without, the signature says when it was made.
///
/// # Errors
/// What the program that signs says, or that the certificate is that of another key.
pub fn sign(
    program: &Path,
    with: &SigningKey,
    at: Option<u64>,
    host: &Host,
) -> Result<(), BootError> {
    let mut signed = program.as_os_str().to_owned();
    signed.push(".signed");
    let signed = PathBuf::from(signed);
    host.run(command(program, &signed, with, at))
        .map_err(BootError::command(|source| BootError::Sign {
            path: program.to_owned(),
            source,
        }))?;
    // Not every release of sbsign compares key and certificate: this shows that who trusts the
    // certificate can start the program.
    let check = Command::new(CHECKS)
        .arg("--cert")
        .arg(&with.certificate)
        .arg(&signed);
    host.run(check)
        .map_err(BootError::command(|source| BootError::NotThePair {
            certificate: with.certificate.clone(),
            key: with.key.clone(),
            source,
        }))?;
    fail_point::reach("program-signed", "")
        .and_then(|()| fs::rename(&signed, program))
        .map_err(BootError::io("put in place", program))
}

fn command(program: &Path, signed: &Path, with: &SigningKey, at: Option<u64>) -> Command {
    match at {
        None => Command::new(AT_ANY_TIME)
            .arg("--key")
            .arg(&with.key)
            .arg("--cert")
            .arg(&with.certificate)
            .arg("--output")
            .arg(signed)
            .arg(program),
        Some(at) => Command::new(AT_THIS_TIME)
            .args(["sign", "-h", "sha256", "-time"])
            .arg(at.to_string())
            .arg("-key")
            .arg(&with.key)
            .arg("-certs")
            .arg(&with.certificate)
            .arg("-in")
            .arg(program)
            .arg("-out")
            .arg(signed),
    }
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
        for (tool, time) in [("sbsign", None), ("osslsigncode", Some(1_700_000_000))] {
            let signed = directory.path().join("a.efi.signed");
            recorder.on(tool, move |_| {
                fs::write(&signed, tool).unwrap();
                Ok(Vec::new())
            });
            sign(&program, &with, time, &host).unwrap();
            assert_eq!(fs::read_to_string(&program).unwrap(), tool);
        }
        let lines = recorder.lines();
        assert!(lines[2].starts_with("osslsigncode sign -h sha256 -time 1700000000 -key /k"));
        assert!(lines[3].starts_with("sbverify --cert /c"), "{lines:?}");
        for (tool, message, expected) in [
            (
                "sbverify",
                "Signature verification failed",
                "/c is not the certificate of /k",
            ),
            ("sbsign", "Invalid DOS header magic", "cannot sign /"),
        ] {
            recorder.fail(tool, 1, message);
            let error = sign(&program, &with, None, &host).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
