//! Has a shell read a project's file, where it can change nothing and reach nobody.
//!
//! As root: in a container that shows the host's programs and the project, all of it read-only, without
//! network, as the project's owner and without any of root's rights. As anybody else: with everything
//! read-only, without network, and without any way to more rights.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{MemfdFlags, memfd_create};

use crate::host::{
    Cancel, Command, CommandError, Confinement, Host, HostError, HostRunner, Quiet, Stdout,
    is_root, namespace, printable_path, read_only, signals,
};
use crate::scripts::Shell;

/// Why a shell file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// The shell, or a command in the file, failed.
    #[error("{file}: cannot be read by {shell}: {why}")]
    Failed {
        /// The file's name.
        file: &'static str,
        /// The shell.
        shell: &'static str,
        /// What it said.
        why: String,
    },
    /// It did not come to its end.
    #[error(
        "{0}: it ends the shell that reads it (exit, exec or return); it should only set variables and define functions"
    )]
    Ended(&'static str),
    /// A place that confines the shell could not be made.
    #[error("cannot read {file} safely{hint}")]
    Confine {
        /// The file's name.
        file: &'static str,
        /// What to do, or nothing.
        hint: &'static str,
        /// Why.
        #[source]
        source: HostError,
    },
    /// A file could not be used.
    #[error("cannot read {}", printable_path(path))]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
}

/// What the first byte of an answer says of the rest.
const OUTPUT: u8 = b'+';
const ERROR: u8 = b'!';

/// What `script` prints to its standard output, run by `shell` in the directory of the shell file `file`
/// with these variables.
pub(super) fn run(
    shell: Shell,
    script: &str,
    variables: &[(&str, String)],
    file: &'static str,
    directory: &Path,
) -> Result<Vec<u8>, ShellError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| ShellError::File { path, source }
    };
    let meta = fs::metadata(directory).map_err(io(directory))?;
    // Only a build, which root makes, needs the file's owner; others are themselves.
    let place = tempfile::tempdir().map_err(io(&std::env::temp_dir()))?;
    let answer = memfd_create("mkosi-shell", MemfdFlags::CLOEXEC)
        .map_err(|e| io(Path::new("memory"))(e.into()))?;
    let mut answer = File::from(answer);
    let host = Host::new(Arc::new(HostRunner), Arc::new(Quiet), Cancel::default());
    let work = || {
        let result = signals::install(&host.cancel)
            .map_err(|e| e.to_string())
            .and_then(|()| {
                let command = if is_root() {
                    confined(
                        shell,
                        script,
                        variables,
                        directory,
                        (meta.uid(), meta.gid()),
                        place.path(),
                    )
                    .map_err(|e| with_cause(&e))?
                } else {
                    plain(shell, script, variables, directory)
                };
                host.run(command.stdout(Stdout::Secret)).map_err(said)
            });
        let written = match result {
            Ok(output) => (&answer)
                .write_all(&[OUTPUT])
                .and_then(|()| (&answer).write_all(&output.stdout)),
            Err(why) => (&answer)
                .write_all(&[ERROR])
                .and_then(|()| (&answer).write_all(why.as_bytes())),
        };
        u8::from(written.is_err())
    };
    let ended = if is_root() {
        namespace::isolate(work)
    } else {
        read_only(work)
    };
    ended.map_err(|source| ShellError::Confine {
        file,
        hint: if is_root() {
            ""
        } else {
            "; run it again with sudo, which needs no user namespaces"
        },
        source,
    })?;
    let mut bytes = Vec::new();
    answer
        .rewind()
        .and_then(|()| answer.read_to_end(&mut bytes))
        .map_err(io(Path::new("memory")))?;
    match bytes.split_first() {
        Some((&OUTPUT, output)) => Ok(output.to_vec()),
        Some((_, why)) => Err(ShellError::Failed {
            file,
            shell: shell.program(),
            why: String::from_utf8_lossy(why).into_owned(),
        }),
        None => Err(ShellError::Failed {
            file,
            shell: shell.program(),
            why: "interrupted".to_owned(),
        }),
    }
}

fn confined(
    shell: Shell,
    script: &str,
    variables: &[(&str, String)],
    directory: &Path,
    owner: (u32, u32),
    place: &Path,
) -> Result<Command, HostError> {
    let mut container = Confinement::new(place)?
        .show(directory, directory)?
        .container()
        .current_dir(directory);
    for (name, value) in variables {
        container = container.env(name, value);
    }
    Ok(container.powerless(owner, shell.program(), ["-c", script]))
}

fn plain(shell: Shell, script: &str, variables: &[(&str, String)], directory: &Path) -> Command {
    let mut command = Command::new(shell.program())
        .args(["-c", script])
        .current_dir(directory);
    for (name, value) in variables {
        command = command.env(name, value);
    }
    command
}

/// How a shell failed, without the script that was made for it.
fn said(error: CommandError) -> String {
    match error {
        CommandError::Failed { status, tail, .. } => format!("it {status}{tail}"),
        error => with_cause(&error),
    }
}

fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
