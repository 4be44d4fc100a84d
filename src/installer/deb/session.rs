//! One container for everything that runs inside a tree while packages are put into it: starting one takes
//! as long as configuring several packages.
//!
//! A shell inside waits for scripts at its standard input, a socket, and says there that one is done. A
//! script that fails ends the container with its status.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use super::inside::{INSIDE, container, write};
use super::programs::write_programs;
use crate::host::{Command, CommandError, Host, Stdin};
use crate::installer::apt::{self, make_directory};
use crate::installer::{InstallError, Request, Site};

/// Runs each script in a shell of its own, which has neither the socket nor anything of the shell before it.
/// What a script leaves running ends with it: nothing may change the tree between two of them.
const WAIT: &str = r#"while read -r script; do
    /bin/sh "/run/mkosi/$script" </dev/null || exit
    kill -9 -1 2>/dev/null
    echo >&0
done
"#;

/// A container that waits for scripts. It ends when this is dropped.
pub(super) struct Session<'a> {
    request: &'a Request,
    site: &'a Site,
    host: &'a Host,
    /// Seen inside as [`INSIDE`].
    directory: PathBuf,
    /// The other end of the shell's standard input.
    shell: UnixStream,
    container: Option<JoinHandle<Result<(), CommandError>>>,
    /// How many scripts were run.
    scripts: usize,
}

impl<'a> Session<'a> {
    /// Starts the container. The tree must have a shell.
    ///
    /// # Errors
    /// When it cannot be prepared.
    pub fn begin(
        request: &'a Request,
        site: &'a Site,
        host: &'a Host,
    ) -> Result<Self, InstallError> {
        let directory = directory(site);
        make_directory(&directory)?;
        let prepare = |source| InstallError::Prepare {
            path: directory.clone(),
            source,
        };
        let (shell, input) = UnixStream::pair().map_err(prepare)?;
        let command = container(request, site)
            .bind_read_only(&directory, Path::new(INSIDE))
            .command("/bin/sh", ["-c", WAIT])
            .stdin(Stdin::File(File::from(OwnedFd::from(input))))
            .no_sync();
        let runner = host.clone();
        let container = thread::spawn(move || runner.run(command).map(drop));
        Ok(Self {
            request,
            site,
            host,
            directory,
            shell,
            container: Some(container),
            scripts: 0,
        })
    }

    /// Runs a script and waits for its end.
    ///
    /// # Errors
    /// When it fails; `what` says what did. There is no container after that.
    pub fn run(&mut self, what: &str, script: &str) -> Result<(), InstallError> {
        write_programs(self.site, &self.directory.join("programs"))?;
        let name = format!("script-{}", self.scripts);
        self.scripts += 1;
        write(&self.directory.join(&name), script.as_bytes(), 0o644)?;
        let shown = Command::new("/bin/sh").args(["-c", script]);
        self.host.report.command(&shown.to_string());
        let mut answer = [0];
        let done = writeln!(self.shell, "{name}").and_then(|()| self.shell.read_exact(&mut answer));
        match done {
            Ok(()) => Ok(()),
            Err(source) => {
                self.finish()
                    .map_err(|e| apt::explain(what, Some(self.request), e))?;
                // It has ended in peace without an answer.
                Err(InstallError::Prepare {
                    path: self.directory.join(name),
                    source,
                })
            }
        }
    }

    /// Ends the container, and waits for that.
    fn finish(&mut self) -> Result<(), CommandError> {
        // It may have ended by itself.
        let _ = self.shell.shutdown(std::net::Shutdown::Both);
        match self.container.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(CommandError::Cancelled),
        }
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        // All scripts have answered: how the shell ends after that is of no interest.
        let _ = self.finish();
    }
}

/// Where files for what runs inside are.
pub(super) fn directory(site: &Site) -> PathBuf {
    site.scratch.join("inside")
}
