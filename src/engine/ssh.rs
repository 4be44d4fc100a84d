//! The key by which `mkosi ssh` logs in: made once, kept beside the image, never in it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use super::artifacts::stage;
use super::site::Site;
use super::{EngineError, StepError};
use crate::host::{Command, CommandError, Host, Stdout, may_own_secret, printable_path};
use crate::output::Artifacts;
use crate::tree::{self, Root};

/// The program that makes keys, and tells the public half of one.
const KEYGEN: &str = "ssh-keygen";

/// Lets the key into the tree: the one beside the image, or a new one, which is published with it.
pub(super) fn set_up(site: &mut Site<'_>, host: &Host) -> Result<String, StepError> {
    let names = site.build.names;
    let key = names.ssh_key();
    let (public, note) = if is_there(names)? {
        (public_half(&key, host)?, "with the key of earlier builds")
    } else {
        (make(&key, site, host)?, "with a new key")
    };
    match fs::read_to_string(names.ssh_public_key()) {
        Ok(text) if words(&text) == words(&public) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let path = stage(site, &names.ssh_public_key())?;
            write(&path, 0o644, public.as_bytes())?;
        }
        // ssh looks at it first, and offers no other.
        _ => host.report.warn(&format!(
            "{} is not the public half of {}: remove it, or ssh will not use the key",
            printable_path(names.ssh_public_key()),
            printable_path(&key)
        )),
    }
    tree::set_up_ssh(&Root::open(&site.tree)?, &public, host.report.as_ref())?;
    Ok(note.to_owned())
}

/// Whether there is a key, which is nobody else's: whoever put it there could log in to every machine that is made
/// with it.
pub(super) fn is_there(names: &Artifacts) -> Result<bool, EngineError> {
    let path = names.ssh_key();
    let found = match path.metadata() {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(EngineError::path("look at", &path)(error)),
    };
    let mode = found.permissions().mode() & 0o7777;
    if !found.is_file() || mode & 0o077 != 0 {
        return Err(EngineError::OpenKey { path, mode });
    }
    let uid = found.uid();
    if !may_own_secret(uid, names.directory()) {
        return Err(EngineError::KeyOfAnother { path, uid });
    }
    Ok(true)
}

/// Makes a key, as an artifact; returns its public half.
fn make(key: &Path, site: &mut Site<'_>, host: &Host) -> Result<String, StepError> {
    // In the workspace, which is for root alone.
    let draft = site.scratch.join("ssh-key");
    let command = Command::new(KEYGEN)
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "mkosi", "-f"])
        .arg(&draft);
    host.run(command).map_err(failed)?;
    let bytes = fs::read(&draft).map_err(EngineError::path("read", &draft))?;
    fs::remove_file(&draft).map_err(EngineError::path("remove", &draft))?;
    write(&stage(site, key)?, 0o600, &bytes)?;
    let draft = draft.with_extension("pub");
    let public = fs::read_to_string(&draft).map_err(EngineError::path("read", &draft))?;
    Ok(public)
}

/// The public half of a key that is there, as a line of `authorized_keys`.
fn public_half(key: &Path, host: &Host) -> Result<String, StepError> {
    // The empty passphrase keeps it from asking for one.
    let command = Command::new(KEYGEN)
        .args(["-y", "-P", "", "-f"])
        .arg(key)
        .stdout(Stdout::Capture);
    let output = host.run(command).map_err(failed)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The kind and the key of a public key's line, without its comment.
fn words(line: &str) -> Vec<&str> {
    line.split_ascii_whitespace().take(2).collect()
}

fn failed(source: CommandError) -> StepError {
    EngineError::SshKey { source }.into()
}

/// Makes a new file.
fn write(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), EngineError> {
    let open = File::options()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path);
    open.and_then(|mut file| file.write_all(bytes))
        .map_err(EngineError::path("write", path))
}
