//! A virtual machine's variable store, with the keys that its firmware trusts.
//!
//! Source: the UEFI Platform Initialization specification (firmware volumes) and EDK II's
//! `MdeModulePkg/Include/Guid/VariableFormat.h` (variables), which its firmware for virtual machines
//! follows. Numbers are little-endian.

use std::path::Path;

use uuid::{Uuid, uuid};

use super::BootError;

/// Marks a firmware volume, at this offset.
const VOLUME: (usize, &[u8]) = (40, b"_FVH");
/// Where the length of a firmware volume's header is, of 16 bits.
const HEADER_LENGTH: usize = 48;
/// Begins a store of variables that can be authenticated.
const STORE: Uuid = uuid!("aaf32c78-947b-439a-a180-2e144ec37792");
/// Bytes in the header of a store; its size is at offset 16.
const STORE_HEADER: usize = 28;
/// Begins each variable.
const START: [u8; 2] = [0xaa, 0x55];
/// Bytes in the header of a variable.
const VARIABLE_HEADER: usize = 60;
/// The state of a variable that counts.
const ADDED: u8 = 0x3f;
/// What flash memory reads as where nothing was written.
const ERASED: u8 = 0xff;

const GLOBAL: Uuid = uuid!("8be4df61-93ca-11d2-aa0d-00e098032b8c");
const IMAGE_SECURITY: Uuid = uuid!("d719b2cb-3d3a-4596-a3bc-dad00e67656f");
const SECURE_BOOT_ENABLE: Uuid = uuid!("f0a30bc7-af08-4556-99c4-001009c93a44");
/// The type of a list of X.509 certificates.
const X509: Uuid = uuid!("a5c059a1-94e4-4aa7-87b5-ab155c2bf072");
/// Who put a certificate there: nobody in particular.
const OWNER: Uuid = uuid!("6d6b6f73-6900-4000-8000-000000000001");

/// Kept, for boot services; for the running system, too; changed by who has the key only.
const KEPT: u32 = 0x01 | 0x02;
const SIGNED: u32 = KEPT | 0x04 | 0x20;

/// Enrols a certificate (DER) in an unused variable store: programs that it signed are started, and
/// none other.
///
/// # Errors
/// When `store`, which was read from `path`, is none, or too full.
pub fn enroll(store: &mut [u8], certificate: &[u8], path: &Path) -> Result<(), BootError> {
    let odd = |what| BootError::Variables {
        path: path.to_owned(),
        what,
    };
    let (mut at, end) = free_space(store).map_err(odd)?;
    let list = signature_list(certificate);
    for (name, vendor, attributes, data) in [
        ("PK", GLOBAL, SIGNED, list.as_slice()),
        ("KEK", GLOBAL, SIGNED, &list),
        ("db", IMAGE_SECURITY, SIGNED, &list),
        ("SecureBootEnable", SECURE_BOOT_ENABLE, KEPT, &[1]),
    ] {
        let variable = variable(name, vendor, attributes, data);
        let place = store
            .get_mut(at..at.saturating_add(variable.len()))
            .filter(|_| at + variable.len() <= end)
            .ok_or_else(|| odd("it has no room for keys"))?;
        place.copy_from_slice(&variable);
        at = (at + variable.len()).next_multiple_of(4);
    }
    Ok(())
}

/// Where the first variable could be added, and where the store ends.
fn free_space(store: &[u8]) -> Result<(usize, usize), &'static str> {
    let damaged = "its headers are damaged";
    if store.get(VOLUME.0..VOLUME.0 + VOLUME.1.len()) != Some(VOLUME.1) {
        return Err("it is no firmware volume");
    }
    let start = match store.get(HEADER_LENGTH..HEADER_LENGTH + 2) {
        Some(&[a, b]) => usize::from(u16::from_le_bytes([a, b])),
        _ => return Err(damaged),
    };
    let header = store.get(start..start + STORE_HEADER).ok_or(damaged)?;
    if !header.starts_with(&STORE.to_bytes_le()) {
        return Err("it holds no variables that can be authenticated");
    }
    let size = number(header, 16).ok_or(damaged)?;
    let end = start.checked_add(size).filter(|end| *end <= store.len());
    let end = end.ok_or(damaged)?;
    let mut at = start + STORE_HEADER;
    loop {
        at = at.next_multiple_of(4);
        let Some(header) = store.get(at..at + VARIABLE_HEADER).filter(|_| at < end) else {
            return Err("it has no room for keys");
        };
        if !header.starts_with(&START) {
            break;
        }
        let (Some(name), Some(data)) = (number(header, 36), number(header, 40)) else {
            return Err(damaged);
        };
        at = at
            .checked_add(VARIABLE_HEADER)
            .and_then(|at| at.checked_add(name)?.checked_add(data))
            .filter(|at| *at <= end)
            .ok_or(damaged)?;
    }
    if store[at..at + VARIABLE_HEADER].iter().any(|b| *b != ERASED) {
        return Err("it was used already");
    }
    Ok((at, end))
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at..at + 4)? {
        &[a, b, c, d] => usize::try_from(u32::from_le_bytes([a, b, c, d])).ok(),
        _ => None,
    }
}

fn variable(name: &str, vendor: Uuid, attributes: u32, data: &[u8]) -> Vec<u8> {
    let name: Vec<u8> = name
        .encode_utf16()
        .chain([0])
        .flat_map(u16::to_le_bytes)
        .collect();
    let mut bytes = vec![0; VARIABLE_HEADER];
    bytes[..2].copy_from_slice(&START);
    bytes[2] = ADDED;
    bytes[4..8].copy_from_slice(&attributes.to_le_bytes());
    // A time stamp, which later changes must exceed: the start of 2020.
    if attributes == SIGNED {
        bytes[16..18].copy_from_slice(&2020_u16.to_le_bytes());
        bytes[18..20].copy_from_slice(&[1, 1]);
    }
    bytes[36..40].copy_from_slice(&(name.len() as u32).to_le_bytes());
    bytes[40..44].copy_from_slice(&(data.len() as u32).to_le_bytes());
    bytes[44..60].copy_from_slice(&vendor.to_bytes_le());
    bytes.extend_from_slice(&name);
    bytes.extend_from_slice(data);
    bytes
}

/// `EFI_SIGNATURE_LIST` with one certificate.
fn signature_list(certificate: &[u8]) -> Vec<u8> {
    let signature = (16 + certificate.len()) as u32;
    let mut list = X509.to_bytes_le().to_vec();
    for value in [28 + signature, 0, signature] {
        list.extend_from_slice(&value.to_le_bytes());
    }
    list.extend_from_slice(&OWNER.to_bytes_le());
    list.extend_from_slice(certificate);
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty(size: usize) -> Vec<u8> {
        let mut store = vec![ERASED; 72 + size];
        store[..72].fill(0);
        store[40..44].copy_from_slice(b"_FVH");
        store[48..50].copy_from_slice(&72_u16.to_le_bytes());
        store[72..88].copy_from_slice(&STORE.to_bytes_le());
        store[88..92].copy_from_slice(&(size as u32).to_le_bytes());
        store[92..100].copy_from_slice(&[0x5a, 0xfe, 0, 0, 0, 0, 0, 0]);
        store
    }

    fn names(store: &[u8]) -> Vec<String> {
        let mut names = Vec::new();
        let mut at: usize = 72 + STORE_HEADER;
        while store[at..].starts_with(&START) {
            let (name, data) = (
                number(store, at + 36).unwrap(),
                number(store, at + 40).unwrap(),
            );
            let units: Vec<u16> = store[at + 60..at + 60 + name]
                .chunks(2)
                .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
                .collect();
            names.push(
                String::from_utf16_lossy(&units)
                    .trim_end_matches('\0')
                    .to_owned(),
            );
            at = (at + 60 + name + data).next_multiple_of(4);
        }
        names
    }

    #[test]
    fn keys_are_added_to_an_empty_store() {
        let mut store = empty(8192);
        enroll(&mut store, &[0x30; 701], Path::new("VARS")).unwrap();
        assert_eq!(names(&store), ["PK", "KEK", "db", "SecureBootEnable"]);
        assert_eq!(signature_list(&[1, 2]).len(), 28 + 16 + 2);
    }

    #[test]
    fn what_is_no_empty_store_is_refused() {
        let mut broken = empty(8192);
        broken[40] = 0;
        let mut other = empty(8192);
        other[72] = 0;
        let mut beyond = empty(8192);
        beyond[90] = 0xff;
        let mut used = empty(8192);
        used[104] = 1;
        for (mut store, message) in [
            (vec![], "no firmware volume"),
            (broken, "no firmware volume"),
            (other, "no variables"),
            (beyond, "damaged"),
            (used, "used already"),
            (empty(1000), "no room"),
        ] {
            let error = enroll(&mut store, &[0x30; 701], Path::new("VARS")).unwrap_err();
            assert!(error.to_string().contains(message), "{error}: {message}");
        }
    }
}
