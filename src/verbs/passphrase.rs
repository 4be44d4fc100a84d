//! The passphrase of encrypted partitions: from the project's file, or from the user.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use nix::fcntl::OFlag;
use zeroize::Zeroizing;

use super::{VerbError, terminal};
use crate::config::{Config, ConfigError};
use crate::disk::Passphrase;
use crate::host::{AskError, HiddenInput, printable};

/// The longest passphrase in bytes; key files are usually this long or shorter.
const LONGEST: usize = 4096;
/// Permission bits that let others at a file.
const OTHERS: u32 = 0o077;
/// How often two different answers are let pass.
const TRIES: usize = 3;

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// Neither a file nor a user.
    #[error(
        "Encrypt= needs a passphrase: put it into mkosi.passphrase (mode 0600, without a newline \
         at its end), or run mkosi on a terminal, where it asks"
    )]
    Missing,
    /// The file cannot be what it should be.
    #[error("mkosi.passphrase: {0}")]
    File(&'static str),
    /// The user typed something else each time.
    #[error("the passphrases were not the same")]
    Different,
    /// The terminal does not work, or the user does not want to go on.
    #[error(transparent)]
    Ask(AskError),
}

/// The passphrase for the partitions of a configuration's image; a question names `image`, where
/// there are several.
pub(super) fn obtain(config: &Config, image: Option<&str>) -> Result<Passphrase, VerbError> {
    let bytes = match &config.project.passphrase {
        Some(path) => read(path)?,
        None => ask(image).map_err(VerbError::Passphrase)?,
    };
    Ok(Passphrase::new(bytes))
}

/// All bytes of the file: a newline at its end belongs to the passphrase, as it does for cryptsetup
/// and `/etc/crypttab`.
fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, VerbError> {
    let failed = |source| VerbError::File {
        path: path.to_owned(),
        source,
    };
    let wrong = |what| VerbError::Passphrase(PassphraseError::File(what));
    let file = File::options()
        .read(true)
        // A FIFO must not keep the build waiting.
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)
        .map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let mode = metadata.permissions().mode() & 0o7777;
    if !metadata.is_file() {
        return Err(wrong("not a regular file"));
    }
    if mode & OTHERS != 0 {
        return Err(VerbError::Config(ConfigError::OpenSecret {
            path: "mkosi.passphrase".into(),
            mode,
        }));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST + 1));
    file.take(LONGEST as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    match bytes.len() {
        0 => return Err(wrong("it is empty")),
        length if length > LONGEST => return Err(wrong("it is longer than 4096 bytes")),
        _ => {}
    }
    if bytes.ends_with(b"\n") {
        terminal::complain(
            "warning: mkosi.passphrase ends in a newline, which belongs to the passphrase and \
             cannot be typed where the image asks for it; `truncate -s -1 mkosi.passphrase` \
             removes it",
        );
    }
    Ok(bytes)
}

/// Asks twice.
fn ask(image: Option<&str>) -> Result<Zeroizing<Vec<u8>>, PassphraseError> {
    let mut input = HiddenInput::begin().map_err(|error| match error {
        AskError::NoTerminal => PassphraseError::Missing,
        error => PassphraseError::Ask(error),
    })?;
    let of = image.map_or_else(String::new, |name| format!(" of {}", printable(name)));
    let question = format!("Passphrase for the encrypted partitions{of}: ");
    for _ in 0..TRIES {
        let mut answer = |question| input.ask(question).map_err(PassphraseError::Ask);
        let once = answer(&question)?;
        let problem = if once.is_empty() {
            "It must not be empty."
        } else if answer("The same again: ")? == once {
            return Ok(once);
        } else {
            "These were not the same."
        };
        input.say(problem).map_err(PassphraseError::Ask)?;
    }
    Err(PassphraseError::Different)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn file(content: &[u8], mode: u32) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), content).unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    #[test]
    fn every_byte_of_the_file_counts() {
        for content in [
            b"plain".as_slice(),
            b" with \0 anything \xff",
            b"a newline\n",
            &[7; LONGEST],
        ] {
            assert_eq!(*read(file(content, 0o600).path()).unwrap(), content);
        }
        assert_eq!(*read(file(b"x", 0o400).path()).unwrap(), b"x");
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        for (content, mode, message) in [
            (b"x".as_slice(), 0o640, "chmod 600"),
            (b"x", 0o602, "chmod 600"),
            (b"", 0o600, "it is empty"),
            (&[7; LONGEST + 1], 0o600, "longer than 4096 bytes"),
        ] {
            let error = read(file(content, mode).path()).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("mkosi.passphrase");
        symlink("/dev/null", &link).unwrap();
        let error = read(&link).unwrap_err().to_string();
        assert!(error.contains("not a regular file"), "{error}");
    }
}
