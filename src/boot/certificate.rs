//! Reads a certificate in PEM, as far as it takes to hand it on.

use std::fs;
use std::path::Path;

use super::BootError;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// The first certificate of a file in PEM, as DER.
///
/// # Errors
/// When there is none.
pub fn read_certificate(path: &Path) -> Result<Vec<u8>, BootError> {
    let text = fs::read(path).map_err(BootError::io("read", path))?;
    let text = String::from_utf8_lossy(&text);
    let der = text
        .split_once(BEGIN)
        .and_then(|(_, rest)| rest.split_once(END))
        .and_then(|(body, _)| from_base64(body))
        // A certificate is an ASN.1 sequence with a length of two bytes.
        .filter(|der| der.starts_with(&[0x30, 0x82]));
    der.ok_or_else(|| BootError::NoCertificate {
        path: path.to_owned(),
    })
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut buffer, mut bits) = (0_u32, 0);
    let mut ended = false;
    for byte in text.bytes().filter(|byte| !byte.is_ascii_whitespace()) {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                ended = true;
                continue;
            }
            _ => return None,
        };
        if ended {
            return None;
        }
        buffer = (buffer << 6) | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((buffer >> bits) as u8);
            buffer &= (1 << bits) - 1;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64() {
        for (text, bytes) in [
            ("", Some(b"".as_slice())),
            ("TQ==", Some(b"M")),
            ("TWE=", Some(b"Ma")),
            ("TWFu\nTWFu", Some(b"ManMan")),
            ("+/+/", Some(&[0xfb, 0xff, 0xbf])),
            ("T=Q", None),
            ("T-Q", None),
        ] {
            assert_eq!(from_base64(text).as_deref(), bytes, "{text}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("crt");
        for (text, good) in [
            (format!("x\n{BEGIN}\nMIIB\n{END}\n"), true),
            (format!("{BEGIN}\nTWFu\n{END}\n"), false),
            (format!("{BEGIN}\nMIIB\n"), false),
            (
                "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----".to_owned(),
                false,
            ),
        ] {
            fs::write(&path, &text).unwrap();
            assert_eq!(read_certificate(&path).is_ok(), good, "{text}");
        }
    }
}
