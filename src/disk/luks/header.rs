//! The LUKS2 header of an encrypted partition, made by cryptsetup in memory.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;

use rustix::fs::{MemfdFlags, memfd_create};
use serde_json::Value as Json;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::xts::KEY;
use super::{HEADER, Passphrase, payload};
use crate::host::{Command, CommandError, Host, Stdin};

/// Memory in KiB that trying one passphrase takes. Bounded, and not measured on this host as
/// cryptsetup would, so that machines with little memory can open the image.
const PBKDF_MEMORY: u64 = 256 << 10;
/// How often that memory is filled: the fewest times that cryptsetup allows.
const PBKDF_TIMES: u64 = 4;
/// Size of the file that cryptsetup works on: the header and a little of what follows it.
const DEVICE: u64 = 2 * HEADER;

/// A header, and the key that it gives to who knows the passphrase.
pub(super) struct Header {
    pub(super) file: File,
    pub(super) key: Zeroizing<[u8; KEY]>,
}

/// Why there is no header.
pub(super) enum HeaderError {
    Io(io::Error),
    Command(CommandError),
    /// cryptsetup made something else than it was asked for.
    Unexpected(&'static str),
}

impl From<io::Error> for HeaderError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<rustix::io::Errno> for HeaderError {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Io(error.into())
    }
}

/// Makes a header with a new, random key. Neither the key nor the passphrase is ever on a disk, a
/// command line or in the environment: cryptsetup reads them from a pipe and from memory.
pub(super) fn format(
    uuid: Uuid,
    passphrase: &Passphrase,
    host: &Host,
) -> Result<Header, HeaderError> {
    let key = new_key()?;
    let key_file = memory("key")?;
    key_file.write_all_at(&*key, 0)?;
    let file = memory("header")?;
    file.set_len(DEVICE)?;
    let command = command(uuid, file.as_fd().try_clone_to_owned()?, key_file.into())
        .stdin(Stdin::Bytes(passphrase.reveal().to_vec()));
    host.run(command).map_err(HeaderError::Command)?;
    check(&file)?;
    Ok(Header { file, key })
}

fn new_key() -> Result<Zeroizing<[u8; KEY]>, HeaderError> {
    let mut key = Zeroizing::new([0; KEY]);
    let mut filled = 0;
    while filled < KEY {
        filled +=
            rustix::rand::getrandom(&mut key[filled..], rustix::rand::GetRandomFlags::empty())?;
    }
    // XTS is weaker when both halves are the same; a random number generator that does that is
    // broken.
    if key[..KEY / 2] == key[KEY / 2..] {
        let broken = io::Error::other("the system's random numbers repeat themselves");
        return Err(HeaderError::Io(broken));
    }
    Ok(key)
}

fn memory(name: &str) -> Result<File, HeaderError> {
    Ok(memfd_create(name, MemfdFlags::CLOEXEC)?.into())
}

fn command(uuid: Uuid, header: OwnedFd, key: OwnedFd) -> Command {
    let path = |fd: &OwnedFd| format!("/proc/self/fd/{}", fd.as_raw_fd());
    let (header_path, key_path) = (path(&header), path(&key));
    Command::new("cryptsetup")
        .args(["luksFormat", "--batch-mode", "--type=luks2"])
        .args([
            format!("--cipher={CIPHER}"),
            format!("--key-size={}", KEY * 8),
            format!("--sector-size={}", payload::UNIT),
            // In sectors of 512 bytes.
            format!("--offset={}", HEADER / 512),
            format!("--uuid={uuid}"),
        ])
        .args(["--hash=sha256", "--pbkdf=argon2id"])
        .args([
            format!("--pbkdf-memory={PBKDF_MEMORY}"),
            format!("--pbkdf-force-iterations={PBKDF_TIMES}"),
        ])
        // One, so that the header does not depend on the number of processors.
        .arg("--pbkdf-parallel=1")
        .arg("--key-file=-")
        .arg(format!("--volume-key-file={key_path}"))
        .arg(header_path)
        .inherit(header)
        .inherit(key)
}

const CIPHER: &str = "aes-xts-plain64";

/// Whether the header says what [`payload::encrypt`] does (cryptsetup's
/// `docs/on-disk-format-luks2.pdf`).
fn check(file: &File) -> Result<(), HeaderError> {
    use HeaderError::Unexpected;
    /// The binary header; the JSON text follows, up to the size that it names.
    const BINARY: usize = 4096;
    const MOST: u64 = 4 << 20;
    let mut binary = [0; BINARY];
    file.read_exact_at(&mut binary, 0)?;
    if !binary.starts_with(b"LUKS\xba\xbe\x00\x02") {
        return Err(Unexpected("it is not LUKS2"));
    }
    let mut size = [0; 8];
    size.copy_from_slice(&binary[8..16]);
    let size = u64::from_be_bytes(size);
    if size <= BINARY as u64 || size > MOST {
        return Err(Unexpected("its size is wrong"));
    }
    let mut text = vec![0; size as usize - BINARY];
    file.read_exact_at(&mut text, BINARY as u64)?;
    let end = text
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(text.len());
    let json: Json =
        serde_json::from_slice(&text[..end]).map_err(|_| Unexpected("it cannot be read"))?;
    let segments = json["segments"].as_object().filter(|all| all.len() == 1);
    let Some(segment) = segments.and_then(|all| all.values().next()) else {
        return Err(Unexpected("it has more than one segment"));
    };
    let says = |name: &str, value: &str| segment[name].as_str() == Some(value);
    let fits = says("type", "crypt")
        && says("offset", &HEADER.to_string())
        && says("size", "dynamic")
        && says("iv_tweak", "0")
        && says("encryption", CIPHER)
        && segment["sector_size"] == payload::UNIT
        && segment["integrity"].is_null();
    if fits {
        Ok(())
    } else {
        Err(Unexpected("it describes another cipher or layout"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::host::{Cancel, Quiet, Recorder};

    fn host(recorder: &Arc<Recorder>) -> Host {
        Host::new(recorder.clone(), Arc::new(Quiet), Cancel::default())
    }

    fn passphrase() -> Passphrase {
        Passphrase::new(Zeroizing::new(b"never shown\n\0".to_vec()))
    }

    #[test]
    fn the_passphrase_is_piped_and_the_key_is_in_memory() {
        let recorder = Arc::new(Recorder::default());
        let made = format(Uuid::from_u128(7), &passphrase(), &host(&recorder));
        assert!(matches!(made, Err(HeaderError::Unexpected(_))));
        let [call] = &*recorder.calls() else {
            panic!("one command");
        };
        let (start, end) = call.line.split_once("/proc/self/fd/").unwrap();
        assert_eq!(
            start,
            "cryptsetup luksFormat --batch-mode --type=luks2 --cipher=aes-xts-plain64 \
             --key-size=512 --sector-size=4096 --offset=32768 \
             --uuid=00000000-0000-0000-0000-000000000007 --hash=sha256 --pbkdf=argon2id \
             --pbkdf-memory=262144 --pbkdf-force-iterations=4 --pbkdf-parallel=1 --key-file=- \
             --volume-key-file="
        );
        assert!(end.contains(" /proc/self/fd/"), "{end}");
        assert_eq!(call.stdin, b"never shown\n\0");
    }

    #[test]
    fn keys_are_never_the_same() {
        let (Ok(one), Ok(other)) = (new_key(), new_key()) else {
            panic!("random numbers");
        };
        assert!(one != other);
    }

    fn header(json: &str) -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(DEVICE).unwrap();
        file.write_all_at(b"LUKS\xba\xbe\x00\x02\0\0\0\0\0\0\x40\0", 0)
            .unwrap();
        file.write_all_at(json.as_bytes(), 4096).unwrap();
        file
    }

    #[test]
    fn a_header_that_says_something_else_is_refused() {
        let good = r#"{"segments":{"0":{"type":"crypt","offset":"16777216","size":"dynamic",
            "iv_tweak":"0","encryption":"aes-xts-plain64","sector_size":4096}}}"#;
        assert!(check(&header(good)).is_ok());
        for (from, to) in [
            ("16777216", "4194304"),
            ("dynamic", "1"),
            ("\"0\",", "\"8\","),
            ("plain64", "plain"),
            ("4096", "512"),
            ("\"segments\":{", "\"segments\":{\"1\":{},"),
            ("}}}", ""),
            (":4096", ":4096,\"integrity\":{}"),
        ] {
            let bad = good.replace(from, to);
            assert_ne!(bad, good, "{from}");
            assert!(
                matches!(check(&header(&bad)), Err(HeaderError::Unexpected(_))),
                "{bad}"
            );
        }
        let luks1 = header(good);
        luks1.write_all_at(&[1], 7).unwrap();
        assert!(check(&luks1).is_err());
        let huge = header(good);
        huge.write_all_at(&[0xff; 8], 8).unwrap();
        assert!(check(&huge).is_err());
    }
}
