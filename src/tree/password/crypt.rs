//! Hashing a password the way an image's own login programs understand.

use sha2::{Digest as _, Sha512};

use crate::tree::error::TreeError;
use crate::tree::root::Root;

/// How a password is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// `$y$`: what distributions with libxcrypt use now.
    Yescrypt,
    /// `$6$`: what every C library knows, musl's too.
    Sha512,
}

/// libxcrypt refuses more than 511 bytes, so that nobody could log in.
const MAX_PASSWORD: usize = 511;

/// Bytes of salt: 128 bits for yescrypt; SHA-512-crypt uses that many characters of 6 bits.
const SALT: usize = 16;

/// The digits of crypt(3), each worth 6 bits.
const DIGITS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// yescrypt's settings N=4096, r=32, p=1 (16 MiB) in its own notation: libxcrypt's default.
const YESCRYPT_SETTINGS: &str = "j9T";

/// PAM files of the distributions that set how passwords are hashed.
const PAM: &[&str] = &[
    "etc/pam.d/common-password",
    "etc/pam.d/system-auth",
    "etc/pam.d/password-auth",
    "etc/pam.d/passwd",
];

/// The method that the image's own `passwd` uses. `pam_unix` decides where it names one, else
/// login.defs, which it falls back to.
pub(super) fn method_of(root: &Root) -> Result<Method, TreeError> {
    for path in PAM {
        if let Some(text) = root.read_if_present(path)? {
            if let Some(method) = method_of_pam(&text) {
                return Ok(method);
            }
        }
    }
    let defs = root.read_if_present("etc/login.defs")?.unwrap_or_default();
    Ok(method_of_login_defs(&defs))
}

fn method_of_pam(text: &[u8]) -> Option<Method> {
    let text = String::from_utf8_lossy(text);
    text.lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter(|line| {
            let mut words = line.split_whitespace();
            words
                .next()
                .is_some_and(|word| word.trim_start_matches('-') == "password")
                && words.any(|word| word == "pam_unix.so" || word.ends_with("/pam_unix.so"))
        })
        .flat_map(str::split_whitespace)
        .find_map(|word| match word {
            "yescrypt" | "gost_yescrypt" => Some(Method::Yescrypt),
            "sha512" | "sha256" | "md5" | "blowfish" => Some(Method::Sha512),
            _ => None,
        })
}

fn method_of_login_defs(text: &[u8]) -> Method {
    let text = String::from_utf8_lossy(text);
    let value = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some("ENCRYPT_METHOD")).then(|| words.next())?
        })
        .next_back();
    match value {
        Some(name) if name.trim_matches('"').eq_ignore_ascii_case("yescrypt") => Method::Yescrypt,
        _ => Method::Sha512,
    }
}

/// Hashes a password. The salt is random, or derives from `seed` alone: it is no secret.
pub(super) fn hash(
    password: &[u8],
    method: Method,
    seed: Option<&[u8]>,
) -> Result<String, TreeError> {
    let refused = |why: &str| TreeError::Password {
        why: why.to_owned(),
    };
    if password.len() > MAX_PASSWORD {
        return Err(refused(
            "it is longer than the 511 bytes that crypt(3) takes",
        ));
    }
    if password.contains(&0) {
        return Err(refused("it holds a null byte, which cannot be typed"));
    }
    if password.iter().any(|b| matches!(b, b'\n' | b'\r')) {
        return Err(refused("it holds a line break, which cannot be typed"));
    }
    let salt = salt(seed)?;
    match method {
        Method::Yescrypt => {
            let mut digest = [0u8; 32];
            yescrypt::yescrypt(password, &salt, &yescrypt::Params::default(), &mut digest)
                .map_err(|e| refused(&format!("yescrypt failed: {e}")))?;
            Ok(format!(
                "$y${YESCRYPT_SETTINGS}${}${}",
                digits(&salt),
                digits(&digest)
            ))
        }
        Method::Sha512 => {
            let salt: String = salt
                .iter()
                .map(|byte| char::from(DIGITS[usize::from(byte & 63)]))
                .collect();
            let digest = sha_crypt::Sha512Params::new(sha_crypt::ROUNDS_DEFAULT)
                .and_then(|params| sha_crypt::sha512_crypt_b64(password, salt.as_bytes(), &params))
                .map_err(|e| refused(&format!("SHA-512-crypt failed: {e:?}")))?;
            Ok(format!("$6${salt}${digest}"))
        }
    }
}

fn salt(seed: Option<&[u8]>) -> Result<[u8; SALT], TreeError> {
    let mut salt = [0; SALT];
    if let Some(seed) = seed {
        let digest = Sha512::new()
            .chain_update(b"mkosi root password salt\0")
            .chain_update(seed)
            .finalize();
        salt.copy_from_slice(&digest[..SALT]);
        return Ok(salt);
    }
    let mut filled = 0;
    while filled < SALT {
        let flags = rustix::rand::GetRandomFlags::empty();
        match rustix::rand::getrandom(&mut salt[filled..], flags) {
            Ok(n) => filled += n,
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(TreeError::io("read", "random numbers".to_owned(), e)),
        }
    }
    Ok(salt)
}

/// crypt(3)'s base64: little-endian groups of three bytes, the first digit the lowest.
fn digits(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let value = group
            .iter()
            .rev()
            .fold(0u32, |value, byte| (value << 8) | u32::from(*byte));
        for digit in 0..=group.len() {
            let index = (value >> (6 * digit)) & 63;
            text.push(char::from(DIGITS[index as usize]));
        }
    }
    text
}

/// A hash that was made elsewhere, if it can stand in a shadow file and can be one.
pub(super) fn checked_hash(hash: &[u8]) -> Result<String, TreeError> {
    let refused = |why: &str| TreeError::Password {
        why: why.to_owned(),
    };
    if hash.is_empty() {
        return Err(refused("the hash is empty"));
    }
    if hash.contains(&b':') {
        return Err(refused(
            "the hash holds `:`, which ends the field in /etc/shadow",
        ));
    }
    if !hash.iter().all(u8::is_ascii_graphic) {
        return Err(refused(
            "the value is no crypt(3) hash: it holds white space, a control character or a letter \
             beyond ASCII",
        ));
    }
    Ok(String::from_utf8_lossy(hash).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_images_settings() {
        for (text, want) in [
            (
                "password [success=1 default=ignore] pam_unix.so obscure yescrypt\n",
                Some(Method::Yescrypt),
            ),
            (
                "password sufficient pam_unix.so sha512 shadow nullok\n",
                Some(Method::Sha512),
            ),
            ("#password x pam_unix.so yescrypt\n", None),
            ("auth required pam_unix.so yescrypt\n", None),
            ("password required pam_unix.so shadow\n", None),
            (
                "-password x /lib/security/pam_unix.so yescrypt\n",
                Some(Method::Yescrypt),
            ),
        ] {
            assert_eq!(method_of_pam(text.as_bytes()), want, "{text}");
        }
        for (text, want) in [
            ("ENCRYPT_METHOD YESCRYPT\n", Method::Yescrypt),
            (
                "#ENCRYPT_METHOD YESCRYPT\nENCRYPT_METHOD\tSHA512\n",
                Method::Sha512,
            ),
            ("ENCRYPT_METHOD\n", Method::Sha512),
            ("", Method::Sha512),
        ] {
            assert_eq!(method_of_login_defs(text.as_bytes()), want, "{text}");
        }
    }

    /// Made by libxcrypt 4.4: `perl -e 'print crypt("p\xe4ss w", "$setting")'`, for the salts that
    /// the seed gives.
    #[test]
    fn agrees_with_the_c_library() {
        let password = b"p\xe4ss w";
        assert_eq!(
            hash(password, Method::Sha512, Some(b"seed")).unwrap(),
            SHA512
        );
        assert_eq!(
            hash(password, Method::Yescrypt, Some(b"seed")).unwrap(),
            YESCRYPT
        );
    }

    #[test]
    fn random_salts_differ() {
        let one = salt(None).unwrap();
        assert_ne!(one, salt(None).unwrap());
        assert_eq!(salt(Some(b"a")).unwrap(), salt(Some(b"a")).unwrap());
        assert_ne!(salt(Some(b"a")).unwrap(), salt(Some(b"b")).unwrap());
    }

    const SHA512: &str = "$6$9lA1jRjoQHy/PAtE$e4RPDkfa6Vll2cOAKRCVPURR1rru2u35MB9TtAlr3RDdd/4U1qOBgD/wqp.zihasOaD9BzqpuRmVmZeIJf.A21";
    const YESCRYPT: &str =
        "$y$j9T$92Dn1xKLjF55HtLkPmMSE/$smecNmsQGYAzwu/LVBWWBGJABMRFSrxsH1xp/4Sdn08";
}
