//! `mkosi secret` prints a secret, `mkosi secrets reveal` writes all of them to files.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::{VerbError, exit, terminal};
use crate::config::{Config, Context};
use crate::host::printable_path;
use crate::plan::secret_source;
use crate::scripts::secrets::{self, SOCKET_VARIABLE, Secrets};

/// Prints the secret that the words name.
pub fn print(config: &Config, words: &[OsString]) -> u8 {
    let printed = name(words).and_then(|name| {
        let (source, host) = (secret_source(config), super::host(config));
        let value = Secrets::new(&source, &host).get(name);
        Ok(write(&value.map_err(VerbError::Secret)?))
    });
    ended(printed)
}

/// Where to ask for secrets, when a template is being rendered.
pub(super) fn socket() -> Option<PathBuf> {
    std::env::var_os(SOCKET_VARIABLE).map(PathBuf::from)
}

/// Prints the secret that the words name, as whoever renders the template knows it.
pub(super) fn ask(socket: &Path, words: &[OsString]) -> u8 {
    let name = match name(words) {
        Ok(name) => name,
        Err(error) => return ended(Err(error)),
    };
    match secrets::ask(socket, name) {
        Ok(Ok(value)) => write(&value),
        Ok(Err(why)) => {
            terminal::complain(format_args!("error: {why}"));
            exit::FAILED
        }
        Err(error) => {
            terminal::complain(format_args!("error: cannot ask for the secret: {error}"));
            exit::FAILED
        }
    }
}

/// Writes all secrets to the directory that the words name.
pub fn reveal(config: &Config, words: &[OsString], context: &Context) -> u8 {
    let [verb, directory] = words else {
        return ended(Err(VerbError::Words(REVEAL)));
    };
    if verb != "reveal" || directory.is_empty() {
        return ended(Err(VerbError::Words(REVEAL)));
    }
    let (source, host) = (secret_source(config), super::host(config));
    let secrets = Secrets::new(&source, &host);
    let directory = context.absolute(Path::new(directory));
    let names = match secrets::reveal_all(&secrets, &directory) {
        Ok(names) => names,
        Err(error) => return ended(Err(VerbError::Secret(error))),
    };
    if names.is_empty() {
        terminal::complain("warning: the project has no secrets");
    }
    for name in names {
        let path = directory.join(name);
        terminal::tell(&format!("wrote {}\n", printable_path(&path)));
    }
    exit::DONE
}

const REVEAL: &str = "expected mkosi secrets reveal DIRECTORY";

fn name(words: &[OsString]) -> Result<&str, VerbError> {
    match words {
        [name] => name.to_str(),
        _ => None,
    }
    .ok_or(VerbError::Words(
        "expected one name, as in mkosi secret NAME",
    ))
}

/// Writes the value, which need not be text, as it is.
fn write(value: &[u8]) -> u8 {
    let mut out = io::stdout().lock();
    match out.write_all(value).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            terminal::complain(format_args!("cannot write the secret: {error}"));
            exit::FAILED
        }
        _ => exit::DONE,
    }
}

fn ended(result: Result<u8, VerbError>) -> u8 {
    result.unwrap_or_else(|error| {
        terminal::complain_about(&error);
        match error {
            VerbError::Words(_) => exit::USAGE,
            _ => exit::FAILED,
        }
    })
}
